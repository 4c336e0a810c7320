from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest
from msgspec.structs import replace

from coinslot.methods.tempo.keys import PrivateKey, parse_address
from coinslot.methods.tempo.wire import FEE_PAYER_PLACEHOLDER, KeyAuthorization, Transaction
from coinslot.methods.tempo.wire.p256 import P256Key
from coinslot.methods.tempo.wire.signatures import SigningKey
from coinslot.sandbox.tempo import ThreadedDevnet
from sandbox_rpc import GWEI, PATH_USD, RPC, pay, payment, raw
from tempo_strategies import Passkey

ALPHA_USD = "0x20c0000000000000000000000000000000000001"
PRICE = 1_000
TOO_MUCH = 2 * 10**12

SENDERS: dict[str, Callable[[], SigningKey]] = {
    "secp256k1": PrivateKey.generate,
    "p256": P256Key.generate,
    "webAuthn": lambda: Passkey(P256Key.generate()),
}


def awaiting(shop: str, **members: Any) -> Transaction:
    """An unsigned payment that leaves its fee to somebody else."""
    unsigned = payment(
        pay(shop, PRICE), nonce=0, fee_token=None, fee_payer_signature=FEE_PAYER_PLACEHOLDER, **members
    )
    return replace(unsigned, gas_limit=2_000_000)


def asked(transaction: Transaction, sender: str) -> dict[str, Any]:
    """The request for a fee payer's signature, as mppx writes it."""
    call = transaction.calls[0]
    assert call.to is not None
    return {
        "type": "0x76",
        "from": sender,
        "calls": [{"to": "0x" + call.to.hex(), "data": "0x" + call.data.hex(), "value": "0x"}],
        "feePayer": True,
        "gas": hex(transaction.gas_limit),
        "maxFeePerGas": hex(transaction.max_fee_per_gas),
        "maxPriorityFeePerGas": hex(transaction.max_priority_fee_per_gas),
        "nonce": hex(transaction.nonce),
        "nonceKey": hex(transaction.nonce_key),
        "validBefore": hex(transaction.valid_before or 0),
    }


def completed(signed: Transaction, filled: dict[str, Any]) -> Transaction:
    """The sender's transaction with what the service answered."""
    signature, parity = filled["feePayerSignature"], int(filled["feePayerSignature"]["yParity"], 16)
    r, s = (bytes.fromhex(signature[name][2:]) for name in ("r", "s"))
    return replace(
        signed,
        fee_token=parse_address(filled["feeToken"]),
        fee_payer_signature=r + s + bytes([27 + parity]),
    )


@pytest.fixture(params=SENDERS)
def sender(request: pytest.FixtureRequest, any_devnet: ThreadedDevnet, any_rpc: RPC) -> SigningKey:
    """An account of each kind, with the price of a payment and nothing else."""
    key = SENDERS[request.param]()
    giver = PrivateKey.generate()
    any_devnet.fund(giver.address)
    gift = payment(pay(key.address, PRICE), nonce=0, gas_limit=2_000_000)
    assert any_rpc("eth_sendRawTransactionSync", raw(gift.sign(giver)))["status"] == "0x1"
    return key


def check_sponsored(rpc: RPC, devnet: ThreadedDevnet, receipt: dict[str, Any], key: SigningKey) -> None:
    """The payer paid the price, and the sponsor the fee."""
    assert (receipt["status"], receipt["from"]) == ("0x1", key.address.lower())
    assert (receipt["feePayer"], receipt["feeToken"]) == (devnet.sponsor.address.lower(), PATH_USD)
    assert rpc.balance(key.address) == 0


def test_a_complete_request_is_signed_for(
    any_devnet: ThreadedDevnet, any_rpc: RPC, sender: SigningKey, shop: str
) -> None:
    """`eth_fillTransaction` of a transaction that lacks its fee payer alone adds that, and alters nothing."""
    unsigned = awaiting(shop)
    filled = any_rpc("eth_fillTransaction", asked(unsigned, sender.address))
    done = completed(unsigned.sign(sender), filled["tx"])
    assert done.fee_payer() == any_devnet.sponsor.address
    assert replace(Transaction.decode(bytes.fromhex(filled["raw"][2:])), signature=done.signature) == done
    check_sponsored(any_rpc, any_devnet, any_rpc("eth_sendRawTransactionSync", raw(done)), sender)


@pytest.mark.parametrize("missing", ["feePayer", "from", "gas", "maxFeePerGas", "nonce"])
def test_an_incomplete_request_is_not(rpc: RPC, payer: PrivateKey, shop: str, missing: str) -> None:
    """Who wants to be told more than that is filling a transaction, and finds a fee payer later."""
    request = asked(awaiting(shop), payer.address)
    del request[missing]
    if missing == "from":
        request["from"] = None
        request["calls"] = [{"to": PATH_USD, "data": "0x06fdde03"}]  # name(), which anybody may call
    filled = rpc("eth_fillTransaction", request)
    assert filled["tx"].get("feePayerSignature") is None
    read = Transaction.decode(bytes.fromhex(filled["raw"][2:]))
    assert read.fee_payer_signature == (None if missing == "feePayer" else FEE_PAYER_PLACEHOLDER)


def test_the_requests_fee_token_is_paid_in(
    rpc: RPC, devnet: ThreadedDevnet, payer: PrivateKey, shop: str
) -> None:
    """A `feeToken` in the request is the one that is signed for."""
    unsigned = awaiting(shop)
    filled = rpc("eth_fillTransaction", {**asked(unsigned, payer.address), "feeToken": ALPHA_USD})["tx"]
    done = completed(unsigned.sign(payer), filled)
    assert (done.fee_payer(), filled["feeToken"].lower()) == (devnet.sponsor.address, ALPHA_USD)
    assert rpc("eth_sendRawTransactionSync", raw(done))["feeToken"] == ALPHA_USD


def test_what_fails_is_not_signed_for(rpc: RPC, payer: PrivateKey, shop: str) -> None:
    """A payment that would be reverted is refused with the token's reason."""
    hopeless = replace(awaiting(shop), calls=(pay(shop, TOO_MUCH),))
    assert rpc.error("eth_fillTransaction", asked(hopeless, payer.address))["data"].startswith("0x832f98b5")


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"chainId": "0x1079"}, "for chain 4217"),
        ({"from": "0x71bE63f3384f5fb98995898A86B02Fb2426c5788"}, "does not pay for itself"),
        ({"accessList": [{"address": PATH_USD}]}, "access list"),
        ({"aaAuthorizationList": [{}]}, "aaAuthorizationList"),
        ({"keyAuthorization": {}}, "keyAuthorization"),
    ],
)
def test_what_cannot_be_signed_for_is_refused(
    rpc: RPC, payer: PrivateKey, shop: str, changes: dict[str, object], reason: str
) -> None:
    """Another chain, the sponsor itself and what cannot be read are errors of the request."""
    error = rpc.error("eth_fillTransaction", {**asked(awaiting(shop), payer.address), **changes})
    assert (error["code"], reason in error["message"]) == (-32602, True)


def test_an_access_list_is_signed_for(rpc: RPC, devnet: ThreadedDevnet, payer: PrivateKey, shop: str) -> None:
    """An access list is part of what the fee payer signs."""
    slot = "0x" + "11" * 32
    unsigned = awaiting(shop, access_list=((parse_address(PATH_USD), (bytes.fromhex(slot[2:]),)),))
    request = asked(unsigned, payer.address) | {"accessList": [{"address": PATH_USD, "storageKeys": [slot]}]}
    done = completed(unsigned.sign(payer), rpc("eth_fillTransaction", request)["tx"])
    assert done.fee_payer() == devnet.sponsor.address


def test_a_key_authorization_is_signed_for(devnet_t4: ThreadedDevnet, rpc_t4: RPC, shop: str) -> None:
    """A transaction that authorizes the key which signs it can have its fee paid too."""
    root, key = PrivateKey.generate(), PrivateKey.generate()
    devnet_t4.fund(root.address)
    authorization = KeyAuthorization(chain_id=42431, key_type="secp256k1", key_address=key.address).sign(root)
    assert authorization.signature is not None
    r, s, parity = (
        authorization.signature[:32],
        authorization.signature[32:64],
        authorization.signature[64] - 27,
    )
    unsigned = awaiting(shop, key_authorization=authorization)
    request = asked(unsigned, root.address) | {
        "keyAuthorization": {
            "chainId": "0xa5bf",
            "keyType": "secp256k1",
            "keyId": key.address,
            "expiry": None,
            "signature": {
                "type": "secp256k1",
                "r": "0x" + r.hex(),
                "s": "0x" + s.hex(),
                "yParity": hex(parity),
            },
        }
    }
    done = completed(unsigned.sign(root), rpc_t4("eth_fillTransaction", request)["tx"])
    assert done.fee_payer() == devnet_t4.sponsor.address
    assert rpc_t4("eth_sendRawTransactionSync", raw(done))["feePayer"] == devnet_t4.sponsor.address.lower()


@pytest.mark.parametrize("spelling", [Transaction.encode, Transaction.encode_sponsored])
def test_a_signed_transaction_is_co_signed(
    any_devnet: ThreadedDevnet, any_rpc: RPC, sender: SigningKey, shop: str, spelling: Any
) -> None:
    """`eth_signRawTransaction` answers either spelling of a transaction with one that can be broadcast."""
    signed = awaiting(shop).sign(sender)
    answer = any_rpc("eth_signRawTransaction", "0x" + spelling(signed).hex())
    done = Transaction.decode(bytes.fromhex(answer[2:]))
    assert replace(done, fee_token=None, fee_payer_signature=FEE_PAYER_PLACEHOLDER) == signed
    check_sponsored(any_rpc, any_devnet, any_rpc("eth_sendRawTransactionSync", answer), sender)


@pytest.mark.parametrize("method", ["eth_sendRawTransaction", "eth_sendRawTransactionSync"])
def test_a_handed_over_transaction_is_co_signed_and_sent(
    any_devnet: ThreadedDevnet, any_rpc: RPC, sender: SigningKey, shop: str, method: str
) -> None:
    """An envelope for a fee payer (0x78) is broadcast with the service's signature, under its own hash."""
    answer = any_rpc(method, "0x" + awaiting(shop).sign(sender).encode_sponsored().hex())
    sent = answer if isinstance(answer, str) else answer["transactionHash"]
    receipt = None
    for _ in range(50):
        receipt = any_rpc("eth_getTransactionReceipt", sent)
        if receipt is not None:
            break
        time.sleep(0.05)
    assert receipt is not None
    check_sponsored(any_rpc, any_devnet, receipt, sender)


def test_a_replay_is_refused_whoever_pays(rpc: RPC, payer: PrivateKey, shop: str) -> None:
    """What was handed over once is not co-signed and sent a second time."""
    handed = "0x" + awaiting(shop).sign(payer).encode_sponsored().hex()
    rpc("eth_sendRawTransactionSync", handed)
    assert "ExpiringNonceReplay" in rpc.error("eth_sendRawTransactionSync", handed)["message"]
    assert rpc.balance(shop) == PRICE


def test_a_broadcast_without_a_fee_payer_is_the_nodes(
    any_rpc: RPC, any_devnet: ThreadedDevnet, shop: str
) -> None:
    """A 0x76 whose fee payer has not signed is refused: a server that forgets to sign notices."""
    key = PrivateKey.generate()
    any_devnet.fund(key.address)
    any_rpc.error("eth_sendRawTransactionSync", raw(awaiting(shop).sign(key)))
    assert any_rpc.balance(shop) == 0


@pytest.mark.parametrize("method", ["eth_signRawTransaction", "eth_sendRawTransactionSync"])
def test_a_broken_envelope_is_refused(rpc: RPC, payer: PrivateKey, shop: str, method: str) -> None:
    """An envelope for a fee payer that is malformed, forged or for elsewhere is an error with a reason."""
    signed = awaiting(shop).sign(payer)
    handed = signed.encode_sponsored()
    other = replace(signed, signature=None, chain_id=4217).sign(payer).encode_sponsored()
    forged = handed.replace(parse_address(payer.address), parse_address(PrivateKey.generate().address))
    for broken, reason in ((handed[:-1], "RLP"), (other, "for chain 4217"), (forged, "another sender")):
        error = rpc.error(method, "0x" + broken.hex())
        assert (error["code"], reason in error["message"]) == (-32602, True)


@pytest.mark.parametrize("transaction", ["76", "0x7", "0xzz", 5, None, {}, "0x", "0x76c0", "0x02"])
def test_what_awaits_no_fee_payer_is_not_co_signed(rpc: RPC, transaction: object) -> None:
    """`eth_signRawTransaction` takes nothing but a transaction."""
    assert rpc.error("eth_signRawTransaction", transaction)["code"] == -32602


def test_the_service_signs_no_complete_transaction(rpc: RPC, payer: PrivateKey, shop: str) -> None:
    """A transaction whose sender pays the fee has no place for a fee payer."""
    own = payment(pay(shop), max_fee_per_gas=50 * GWEI).sign(payer)
    assert "does not await" in rpc.error("eth_signRawTransaction", raw(own))["message"]
