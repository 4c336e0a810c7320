from __future__ import annotations

from collections.abc import Callable

import pytest

from coinslot.methods.tempo.keys import PrivateKey, parse_address
from coinslot.methods.tempo.wire import FEE_PAYER_PLACEHOLDER
from coinslot.methods.tempo.wire.p256 import P256Key
from coinslot.methods.tempo.wire.signatures import AccessKey, SigningKey
from coinslot.protocol import JSONValue
from coinslot.sandbox.tempo import ThreadedDevnet
from coinslot.sandbox.tempo.receipts import attribute_fee
from sandbox_rpc import PATH_USD, RPC, pay, payment, raw
from tempo_strategies import Passkey

ALPHA_USD = "0x20c0000000000000000000000000000000000001"
TOO_MUCH = 2 * 10**12
GAS = 3_000_000


def access_key(devnet: ThreadedDevnet) -> SigningKey:
    """An access key of a new account, with a limit."""
    root, key = PrivateKey.generate(), PrivateKey.generate()
    devnet.authorize_key(root, key.address, limits={PATH_USD: 10**9, ALPHA_USD: 10**9})
    return AccessKey(key, root.address)


SENDERS: dict[str, Callable[[ThreadedDevnet], SigningKey]] = {
    "secp256k1": lambda _: PrivateKey.generate(),
    "p256": lambda _: P256Key.generate(),
    "webAuthn": lambda _: Passkey(P256Key.generate()),
    "access key": access_key,
}


@pytest.fixture(
    params=[("devnet", kind) for kind in list(SENDERS)[:3]] + [("devnet_t4", kind) for kind in SENDERS]
)
def sender(request: pytest.FixtureRequest) -> tuple[ThreadedDevnet, SigningKey]:
    """A key of each kind that each chain knows, and money for its account."""
    name, kind = request.param
    devnet: ThreadedDevnet = request.getfixturevalue(name)
    key = SENDERS[kind](devnet)
    devnet.fund(key.address)
    return devnet, key


@pytest.mark.parametrize("token", [PATH_USD, ALPHA_USD])
@pytest.mark.parametrize(("amount", "status"), [(1, "0x1"), (TOO_MUCH, "0x0")])
def test_a_sender_pays_its_fee(
    sender: tuple[ThreadedDevnet, SigningKey], shop: str, token: str, amount: int, status: str
) -> None:
    """The receipt names the sender as who paid, and the token it paid in, succeed or fail."""
    devnet, key = sender
    rpc = RPC(devnet.rpc_url)
    sent = payment(pay(shop, amount), nonce=0, gas_limit=GAS, fee_token=parse_address(token)).sign(key)
    for receipt in (
        rpc("eth_sendRawTransactionSync", raw(sent)),
        rpc("eth_getTransactionReceipt", "0x" + sent.hash().hex()),
    ):
        assert (receipt["status"], receipt["from"]) == (status, key.address.lower())
        assert (receipt["feePayer"], receipt["feeToken"]) == (key.address.lower(), token)
    rpc.close()


@pytest.mark.parametrize(("amount", "status"), [(1, "0x1"), (TOO_MUCH, "0x0")])
def test_a_sponsor_pays_a_senders_fee(
    sender: tuple[ThreadedDevnet, SigningKey], shop: str, amount: int, status: str
) -> None:
    """The receipt names who signed for the fee, whoever the sender is, succeed or fail."""
    devnet, key = sender
    sponsor = PrivateKey.generate()
    devnet.fund(sponsor.address)
    rpc = RPC(devnet.rpc_url)
    unsigned = payment(
        pay(shop, amount), nonce=0, gas_limit=GAS, fee_token=None, fee_payer_signature=FEE_PAYER_PLACEHOLDER
    )
    sent = unsigned.sign(key).co_sign(sponsor, parse_address(ALPHA_USD))
    receipt = rpc("eth_sendRawTransactionSync", raw(sent))
    assert (receipt["status"], receipt["from"]) == (status, key.address.lower())
    assert (receipt["feePayer"], receipt["feeToken"]) == (sponsor.address.lower(), ALPHA_USD)
    (own,) = (
        each
        for each in rpc("eth_getBlockReceipts", receipt["blockNumber"])
        if each["transactionHash"] == receipt["transactionHash"]
    )
    assert own["feePayer"] == receipt["feePayer"]
    rpc.close()


@pytest.mark.parametrize(
    "receipt",
    [
        None,
        {},
        {"logs": []},
        {"logs": [5]},
        {"logs": [{"topics": ["0x"]}]},
        {"logs": [{"topics": ["0x"] * 3}]},
        5,
    ],
)
def test_what_has_no_fee_is_left_alone(receipt: JSONValue) -> None:
    """A receipt without a fee's transfer at its end, and what is no receipt, stay as they are."""
    assert attribute_fee(receipt) == receipt
