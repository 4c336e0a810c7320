"""Keys of every kind pay on a real chain, by plain RPC, and the chain agrees with what is computed here."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator

import pytest
from msgspec.structs import replace

from coinslot.methods.tempo.keys import PrivateKey, SignatureError, parse_address
from coinslot.methods.tempo.rpc import Rpc, RpcRefused
from coinslot.methods.tempo.wire import keychain
from coinslot.methods.tempo.wire.key_authorization import (
    CallScope,
    KeyAuthorization,
    SelectorRule,
    TokenLimit,
)
from coinslot.methods.tempo.wire.keychain import KeyInfo
from coinslot.methods.tempo.wire.p256 import P256Key
from coinslot.methods.tempo.wire.signatures import AccessKey, SigningKey
from coinslot.methods.tempo.wire.tip20 import balance_of, transfer
from coinslot.methods.tempo.wire.transaction import (
    EXPIRING_NONCE_KEY,
    FEE_PAYER_PLACEHOLDER,
    Call,
    Transaction,
)
from coinslot.protocol.encoding import encode_base64url
from coinslot.sandbox.tempo import ThreadedDevnet
from tempo_payments import new_address
from tempo_strategies import AUTHENTICATOR_DATA, Passkey

TOKEN = "0x20C0000000000000000000000000000000000000"
TRANSFER = bytes.fromhex("a9059cbb")
AMOUNT = 1_234

# A key's first payment writes the key and its limits to the chain, which is what takes so much gas.
GAS = 10_000_000


class Chain:
    """A chain that is asked by plain RPC."""

    def __init__(self, devnet: ThreadedDevnet) -> None:
        self.devnet = devnet
        self.rpc = Rpc(devnet.rpc_url)

    def payment(self, to: str) -> Transaction:
        """An unsigned transfer of the amount."""
        return Transaction(
            chain_id=self.devnet.chain_id,
            max_priority_fee_per_gas=0,
            max_fee_per_gas=50 * 10**9,
            gas_limit=GAS,
            calls=(Call(parse_address(TOKEN), 0, transfer(to, AMOUNT)),),
            nonce_key=EXPIRING_NONCE_KEY,
            valid_before=int(time.time()) + 25,
            fee_token=parse_address(TOKEN),
        )

    async def succeeds(self, transaction: Transaction) -> bool:
        """Whether a transaction does what it should, once it is on the chain under the hash computed here."""
        raw = "0x" + transaction.encode().hex()
        receipt = await self.rpc.send("eth_sendRawTransactionSync", raw, seconds=20)
        assert isinstance(receipt, dict)
        assert receipt["transactionHash"] == "0x" + transaction.hash().hex()
        assert str(receipt["from"]).lower() == transaction.sender().lower()
        return receipt["status"] == "0x1"

    async def balance(self, owner: str) -> int:
        """How many base units an account has."""
        return int.from_bytes(await self.call(TOKEN, balance_of(owner)))

    async def key(self, account: str, key: str) -> KeyInfo:
        """What the keychain says about a key."""
        return keychain.read_key(await self.call(keychain.ADDRESS, keychain.get_key(account, key)))

    async def remaining(self, account: str, key: str) -> int:
        """How much a key may still spend."""
        asked = keychain.get_remaining_limit(account, key, TOKEN)
        return keychain.read_limit(await self.call(keychain.ADDRESS, asked))

    async def call(self, to: str, data: bytes) -> bytes:
        """What a contract returns."""
        answer = await self.rpc.read("eth_call", {"to": to, "data": "0x" + data.hex()}, "latest")
        return bytes.fromhex(str(answer).removeprefix("0x"))


@pytest.fixture
async def chain(devnet_t4: ThreadedDevnet) -> AsyncIterator[Chain]:
    """A chain of today's rules."""
    chain = Chain(devnet_t4)
    yield chain
    await chain.rpc.aclose()


@pytest.fixture
def root(devnet_t4: ThreadedDevnet) -> PrivateKey:
    """An account that has money, and no access keys yet."""
    key = PrivateKey.generate()
    devnet_t4.fund(key.address)
    return key


KEYS = {
    "secp256k1": PrivateKey.generate,
    "p256": P256Key.generate,
    "webAuthn": lambda: Passkey(P256Key.generate()),
}
each_kind = pytest.mark.parametrize("kind", KEYS)


def new_key(kind: str) -> SigningKey:
    """A key that nobody has used."""
    if kind == "secp256k1":
        return PrivateKey.generate()
    return P256Key.generate() if kind == "p256" else Passkey(P256Key.generate())


def authorize(chain: Chain, kind: str, key: SigningKey, **limits: object) -> KeyAuthorization:
    """An authorization that nobody has signed."""
    unlimited = KeyAuthorization(chain_id=chain.devnet.chain_id, key_type=kind, key_address=key.address)
    return replace(unlimited, **limits)


@each_kind
async def test_an_account_of_any_kind_pays(chain: Chain, kind: str) -> None:
    """Its money moves, under the hash that is computed here."""
    key, recipient = new_key(kind), new_address()
    chain.devnet.fund(key.address)
    assert await chain.succeeds(chain.payment(recipient).sign(key))
    assert await chain.balance(recipient) == AMOUNT


@each_kind
async def test_an_access_key_pays(chain: Chain, root: PrivateKey, kind: str) -> None:
    """Authorized in the transaction that it signs, it pays for the account, within its limits, and again."""
    key, recipient = new_key(kind), new_address()
    expiry = int(time.time()) + 3600
    authorization = authorize(
        chain,
        kind,
        key,
        expiry=expiry,
        limits=(TokenLimit(TOKEN, 50_000_000, 86_400),),
        scopes=(CallScope(TOKEN, (SelectorRule(TRANSFER, (recipient,)),)),),
    ).sign(root)
    access = AccessKey(key, root.address, authorization)
    first = replace(chain.payment(recipient), key_authorization=authorization).sign(access)
    assert (first.signer().access_key, first.sender()) == (key.address, root.address)
    assert await chain.succeeds(first)
    assert await chain.balance(recipient) == AMOUNT
    info = await chain.key(root.address, key.address)
    assert info == KeyInfo(
        key_type=kind, address=key.address, expiry=expiry, enforces_limits=True, is_revoked=False
    )
    assert info.exists
    assert await chain.remaining(root.address, key.address) <= 50_000_000 - AMOUNT

    assert await chain.succeeds(chain.payment(recipient).sign(access))
    assert await chain.balance(recipient) == 2 * AMOUNT
    assert not await chain.succeeds(chain.payment(new_address()).sign(access))


@pytest.mark.parametrize("kind", ["secp256k1", "p256"])
async def test_an_account_of_any_kind_authorizes(chain: Chain, kind: str) -> None:
    """An authorization without limits is good for whatever account signed it."""
    root, key, recipient = new_key(kind), P256Key.generate(), new_address()
    chain.devnet.fund(root.address)
    authorization = authorize(chain, "p256", key).sign(root)
    assert authorization.signed_by() == root.address
    signed = replace(chain.payment(recipient), key_authorization=authorization).sign(
        AccessKey(key, root.address, authorization)
    )
    assert await chain.succeeds(Transaction.decode(signed.encode()))
    info = await chain.key(root.address, key.address)
    assert (info.expiry, info.enforces_limits) == (keychain.NEVER, False)


async def test_a_key_is_authorized_and_revoked_by_calls(chain: Chain, root: PrivateKey) -> None:
    """The keychain understands the calldata; who was revoked pays no more."""
    key, recipient = P256Key.generate(), new_address()
    access = AccessKey(key, root.address)
    assert not (await chain.key(root.address, key.address)).exists
    granted = authorize(
        chain,
        "p256",
        key,
        expiry=int(time.time()) + 3600,
        limits=(TokenLimit(TOKEN, 50_000_000),),
        scopes=(CallScope(TOKEN, (SelectorRule(TRANSFER),)),),
    )
    to = parse_address(keychain.ADDRESS)
    call = Call(to, 0, keychain.authorize_key(granted))
    assert await chain.succeeds(replace(chain.payment(recipient), calls=(call,)).sign(root))
    assert (await chain.key(root.address, key.address)).exists
    assert await chain.remaining(root.address, key.address) == 50_000_000
    assert await chain.succeeds(chain.payment(recipient).sign(access))

    call = Call(to, 0, keychain.revoke_key(key.address))
    assert await chain.succeeds(replace(chain.payment(recipient), calls=(call,)).sign(root))
    info = await chain.key(root.address, key.address)
    assert (info.exists, info.is_revoked) == (False, True)
    again = replace(chain.payment(recipient), gas_limit=GAS + 1).sign(access)
    with pytest.raises(RpcRefused, match="KeyAlreadyRevoked"):
        await chain.succeeds(again)


@each_kind
async def test_somebody_else_pays_the_fee(chain: Chain, kind: str, root: PrivateKey) -> None:
    """Handed over, co-signed and sent: the payer pays the amount alone, the fee payer the fee alone."""
    key, recipient = new_key(kind), new_address()
    chain.devnet.fund(key.address)
    before = await chain.balance(key.address), await chain.balance(root.address)
    awaiting = replace(
        chain.payment(recipient), fee_token=None, fee_payer_signature=FEE_PAYER_PLACEHOLDER
    ).sign(key)
    co_signed = Transaction.decode_sponsored(awaiting.encode_sponsored()).co_sign(root, parse_address(TOKEN))
    assert co_signed.fee_payer() == root.address
    assert await chain.succeeds(co_signed)
    assert await chain.balance(recipient) == AMOUNT
    assert await chain.balance(key.address) == before[0] - AMOUNT
    assert await chain.balance(root.address) < before[1]


PLAIN = '{"type":"webauthn.get","challenge":"<hash>"}'

ACCEPTED = {
    "a user who is present": (0x01, PLAIN),
    "a user who is verified": (0x04, PLAIN),
    "other flags beside": (0x3F, PLAIN),
    "another order and white space": (0x05, ' { "challenge" : "<hash>" ,\n"type":\t"webauthn.get" } '),
    "escapes elsewhere": (0x05, PLAIN[:-1] + ',"origin":"https:\\/\\/example.com"}'),
}
REFUSED = {
    "no user": (0x00, PLAIN),
    "a credential": (0x45, PLAIN),
    "extensions": (0x85, PLAIN),
    "a registration": (0x05, PLAIN.replace("get", "create")),
    "no challenge": (0x05, '{"type":"webauthn.get","origin":"https://example.com"}'),
    "a padded challenge": (0x05, PLAIN.replace("<hash>", "<hash>=")),
    "two types": (0x05, PLAIN.replace("{", '{"type":"webauthn.get",')),
    "two challenges": (0x05, PLAIN[:-1] + ',"challenge":"<hash>"}'),
    "an escape in the type": (0x05, PLAIN.replace(".", "\\u002e")),
    "more than one value": (0x05, PLAIN + "{}"),
}


async def passkey_login(chain: Chain, flags: int, client: str) -> Transaction:
    """A payment of a new account, signed by a passkey that says this about its user's login."""
    key = Passkey(P256Key.generate())
    chain.devnet.fund(key.address)
    payment = chain.payment(new_address())
    hash32 = payment.signing_hash()
    data = client.replace("<hash>", encode_base64url(hash32)).encode()
    authenticator_data = AUTHENTICATOR_DATA[:32] + bytes([flags]) + AUTHENTICATOR_DATA[33:]
    return replace(payment, signature=key.sign_login(authenticator_data, data))


@pytest.mark.parametrize(("flags", "client"), ACCEPTED.values(), ids=ACCEPTED)
async def test_logins_that_count(chain: Chain, flags: int, client: str) -> None:
    """What is read here of a passkey's login, the chain reads too."""
    assert await chain.succeeds(await passkey_login(chain, flags, client))


@pytest.mark.parametrize(("flags", "client"), REFUSED.values(), ids=REFUSED)
async def test_logins_that_do_not_count(chain: Chain, flags: int, client: str) -> None:
    """What is nobody's login here, is nobody's on the chain."""
    transaction = await passkey_login(chain, flags, client)
    with pytest.raises(SignatureError):
        transaction.signer()
    await refuses(chain, transaction)


async def test_the_other_s_does_not_count(chain: Chain) -> None:
    """The twin of a P-256 signature, which anybody can make, is nobody's on the chain either."""
    key = P256Key.generate()
    chain.devnet.fund(key.address)
    payment = chain.payment(new_address())
    signature = key.sign(payment.signing_hash())
    order = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
    high_s = (order - int.from_bytes(signature[33:65])).to_bytes(32)
    await refuses(chain, replace(payment, signature=signature[:33] + high_s + signature[65:]))


async def refuses(chain: Chain, transaction: Transaction) -> None:
    """Assert that the chain finds no signer for a transaction."""
    raw = "0x" + transaction.encode().hex()
    with pytest.raises(RpcRefused, match="recover the signer"):
        await chain.rpc.send("eth_sendRawTransactionSync", raw, seconds=20)
