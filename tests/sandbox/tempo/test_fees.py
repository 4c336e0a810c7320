from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest
from msgspec.structs import replace

from coinslot.methods.tempo.keys import PrivateKey, parse_address
from coinslot.methods.tempo.wire import EXPIRING_NONCE_KEY, FEE_PAYER_PLACEHOLDER, Call
from coinslot.sandbox.tempo import ThreadedDevnet
from sandbox_rpc import GWEI, PATH_USD, RPC, pay, payment, raw, request

ALPHA_USD = "0x20c0000000000000000000000000000000000001"
FEE_MANAGER = "0xfeec000000000000000000000000000000000000"
PRICE = 10_000
GAS = 1_000_000
MAX_FEE = 50_000  # base units: the gas at 50 gwei
PRICED: dict[str, object] = {
    "gas": hex(GAS),
    "maxFeePerGas": hex(50 * GWEI),
    "maxPriorityFeePerGas": hex(GWEI),
}
INSUFFICIENT = "Insufficient funds"
Give = Callable[..., str]


@pytest.fixture
def give(any_devnet: ThreadedDevnet, any_rpc: RPC) -> Give:
    """New accounts with so much of each token."""
    giver = PrivateKey.generate()
    any_devnet.fund(giver.address)

    def make(path_usd: int = 0, alpha_usd: int = 0) -> str:
        address = PrivateKey.generate().address
        gifts = [pay(address, path_usd), pay(address, alpha_usd, token=ALPHA_USD)]
        gift = payment(*gifts, nonce=0, gas_limit=3_000_000).sign(giver)
        assert any_rpc("eth_sendRawTransactionSync", raw(gift))["status"] == "0x1"
        return address

    return make


def simulate(rpc: RPC, asked: dict[str, object]) -> str | None:
    """Why `asked` fails, by all three simulations alike; None if it does not."""
    calls = rpc.send({"jsonrpc": "2.0", "id": 1, "method": "eth_call", "params": [asked, "latest"]})
    payload = {"blockStateCalls": [{"calls": [asked]}], "validation": False}
    blocks = rpc.send({"jsonrpc": "2.0", "id": 1, "method": "tempo_simulateV1", "params": [payload]})
    failed = blocks.get("error") or blocks["result"]["blocks"][0]["calls"][0].get("error")
    assert bool(calls.get("error")) == bool(failed)
    return str(calls["error"]["message"]) if "error" in calls else None


@pytest.mark.parametrize("others", [0, 1])
def test_a_fee_that_can_be_paid_simulates(any_rpc: RPC, give: Give, shop: str, others: int) -> None:
    """Who has the price and the fee passes, with one call and with more."""
    calls = [pay(shop, PRICE), *([pay(shop, 1)] * others)]
    rich = give(PRICE + others + MAX_FEE)
    assert simulate(any_rpc, request(*calls, sender=rich, **PRICED, feeToken=PATH_USD)) is None


@pytest.mark.parametrize("others", [0, 1])
def test_a_fee_that_cannot_be_paid_does_not(any_rpc: RPC, give: Give, shop: str, others: int) -> None:
    """Who lacks the fee fails, though the price is there; without a price for gas there is no fee."""
    calls = [pay(shop, PRICE), *([pay(shop, 1)] * others)]
    poor = give(PRICE + others)
    asked = request(*calls, sender=poor, feeToken=PATH_USD)
    assert simulate(any_rpc, asked) is None
    assert INSUFFICIENT in str(simulate(any_rpc, asked | PRICED))
    dear = asked | {"maxFeePerGas": hex(1_000 * GWEI)}
    assert INSUFFICIENT in any_rpc.error("eth_estimateGas", dear)["message"]


@pytest.mark.parametrize("others", [0, 1])
def test_gas_that_is_enough_is_enough_with_a_fee(any_rpc: RPC, give: Give, others: int) -> None:
    """The gas that was estimated for an account's first payment simulates, whoever pays for it."""
    known = give(1)  # A balance that is there already takes the least gas.
    calls = [pay(known, PRICE), *([pay(known, 1)] * others)]
    asked = request(*calls, sender=give(PRICE + 1 + MAX_FEE), feeToken=PATH_USD)
    asked |= {"nonceKey": hex(EXPIRING_NONCE_KEY), "nonce": "0x0", "validBefore": hex(int(time.time()) + 25)}
    priced = asked | {"gas": any_rpc("eth_estimateGas", asked), "maxFeePerGas": hex(20 * GWEI)}
    assert simulate(any_rpc, priced) is None
    assert simulate(any_rpc, priced | {"feePayer": give(MAX_FEE)}) is None


@pytest.mark.parametrize("others", [0, 1])
def test_who_lacks_the_price_is_told_that(any_rpc: RPC, give: Give, shop: str, others: int) -> None:
    """Who has neither the price nor the fee learns of the price, with the token's reason."""
    calls = [pay(shop, 1), pay(shop, PRICE)][1 - others :]
    asked = request(*calls, sender=give(1), **PRICED, feeToken=PATH_USD)
    assert any_rpc.error("eth_call", asked, "latest")["data"].startswith("0x832f98b5")


@pytest.mark.parametrize("others", [0, 1])
def test_the_fee_goes_first(any_rpc: RPC, give: Give, shop: str, others: int) -> None:
    """Who has the price and the fee, but not both, fails: the transfer is what comes too late."""
    calls = [pay(shop, MAX_FEE - others), *([pay(shop, 1)] * others)]
    asked = request(*calls, sender=give(MAX_FEE), feeToken=PATH_USD)
    assert simulate(any_rpc, asked) is None
    assert "reverted" in str(simulate(any_rpc, asked | PRICED))


@pytest.mark.parametrize("others", [0, 1])
def test_the_fee_is_in_its_token(any_rpc: RPC, give: Give, shop: str, others: int) -> None:
    """The fee is taken in the token that is named; else in the one that all calls move."""
    calls = [pay(shop, PRICE, token=ALPHA_USD)] * (others + 1)
    asked = request(*calls, sender=give(alpha_usd=2 * PRICE + MAX_FEE), **PRICED)
    assert simulate(any_rpc, asked) is None
    assert simulate(any_rpc, asked | {"feeToken": ALPHA_USD}) is None
    assert INSUFFICIENT in str(simulate(any_rpc, asked | {"feeToken": PATH_USD}))


def test_a_fee_for_several_tokens_is_in_pathusd(any_rpc: RPC, give: Give, shop: str) -> None:
    """Where calls move two tokens, or do anything else, the fee is in pathUSD."""
    mixed = [pay(shop, 1, token=ALPHA_USD), pay(shop, 1)]
    other = Call(to=parse_address(ALPHA_USD), value=0, data=bytes.fromhex("06fdde03"))
    for calls in (mixed, [mixed[0], other]):
        poor = request(*calls, sender=give(path_usd=1, alpha_usd=PRICE + MAX_FEE), **PRICED)
        assert INSUFFICIENT in str(simulate(any_rpc, poor))
        rich = request(*calls, sender=give(path_usd=1 + MAX_FEE, alpha_usd=PRICE), **PRICED)
        assert simulate(any_rpc, rich) is None


def test_a_preferred_token_is_kept_to(devnet: ThreadedDevnet, rpc: RPC, shop: str) -> None:
    """An account that has set a token for its fees pays them in it."""
    key = PrivateKey.generate()
    devnet.fund(key.address)
    preference = Call(
        to=parse_address(FEE_MANAGER),
        value=0,
        data=bytes.fromhex("e7897444") + parse_address(ALPHA_USD).rjust(32, b"\0"),
    )
    receipt = rpc("eth_sendRawTransactionSync", raw(payment(preference, gas_limit=2_000_000).sign(key)))
    assert receipt["status"] == "0x1"
    everything = pay(shop, rpc.balance(key.address, ALPHA_USD), token=ALPHA_USD)
    asked = request(pay(shop, 1), everything, sender=key.address, **PRICED)
    assert "reverted" in str(simulate(rpc, asked))
    assert simulate(rpc, asked | {"feeToken": PATH_USD}) is None


@pytest.mark.parametrize("others", [0, 1])
@pytest.mark.parametrize("spell", [str, lambda address: {"address": address, "type": "local"}])
def test_a_named_sponsors_money_counts(
    any_rpc: RPC, give: Give, shop: str, spell: Callable[[str], object], others: int
) -> None:
    """With `feePayer` an address (or viem's account), it is that account which has to have the fee."""
    calls = [pay(shop, PRICE), *([pay(shop, 1)] * others)]
    asked = request(*calls, sender=give(PRICE + others), **PRICED, feeToken=PATH_USD)
    assert simulate(any_rpc, asked | {"feePayer": spell(give(MAX_FEE))}) is None
    assert INSUFFICIENT in str(simulate(any_rpc, asked | {"feePayer": spell(give(MAX_FEE - 1))}))
    assert INSUFFICIENT in str(simulate(any_rpc, asked | {"feePayer": spell(give(alpha_usd=MAX_FEE))}))


def test_a_sponsor_without_a_token_pays_in_pathusd(any_rpc: RPC, give: Give, shop: str) -> None:
    """Nothing is concluded from what the sender moves about the token of somebody else's fee."""
    asked = request(pay(shop, PRICE, token=ALPHA_USD), sender=give(alpha_usd=PRICE), **PRICED)
    assert simulate(any_rpc, asked | {"feePayer": give(path_usd=MAX_FEE)}) is None
    assert INSUFFICIENT in str(simulate(any_rpc, asked | {"feePayer": give(alpha_usd=MAX_FEE)}))


@pytest.mark.parametrize("payer", [True, "https://fee-payer.example.com/"])
def test_a_sponsor_who_is_not_known_yet_is_not_asked(
    any_rpc: RPC, give: Give, shop: str, payer: object
) -> None:
    """Before anybody signed for the fee, nobody's money is looked at for it."""
    asked = request(pay(shop, PRICE), sender=give(PRICE), **PRICED, feePayer=payer)
    assert simulate(any_rpc, asked) is None


def test_who_signed_for_the_fee_pays_it(
    any_rpc: RPC, give: Give, any_devnet: ThreadedDevnet, shop: str
) -> None:
    """With `feePayerSignature`, the fee is the money of who made it; if a request was altered, nobody's."""
    sponsor = PrivateKey.generate()
    any_devnet.fund(sponsor.address)
    sender = PrivateKey.generate()
    gift = payment(pay(sender.address, PRICE), nonce=0, gas_limit=2_000_000)
    any_rpc("eth_sendRawTransactionSync", raw(gift.sign(sponsor)))
    unsigned = payment(pay(shop, PRICE), nonce=0, gas_limit=GAS, fee_token=None)
    done = (
        replace(unsigned, fee_payer_signature=FEE_PAYER_PLACEHOLDER)
        .sign(sender)
        .co_sign(sponsor, parse_address(PATH_USD))
    )
    signature = done.fee_payer_signature
    assert signature is not None
    r, s, parity = "0x" + signature[:32].hex(), "0x" + signature[32:64].hex(), hex(signature[64] - 27)
    asked: dict[str, Any] = request(*done.calls, sender=sender.address, **PRICED, feeToken=PATH_USD)
    asked |= {"chainId": hex(42431), "nonce": "0x0", "nonceKey": hex(done.nonce_key)}
    asked |= {"validBefore": hex(done.valid_before or 0)}
    asked |= {"feePayerSignature": {"r": r, "s": s, "yParity": parity, "v": parity}}
    assert simulate(any_rpc, asked) is None
    altered = asked | {"validBefore": hex(int(time.time()) + 20)}
    assert simulate(any_rpc, altered) is not None


@pytest.mark.parametrize(
    ("signature", "code"),
    [
        (5, -32602),
        ({}, -32602),
        ({"r": "0x1", "s": "0x1", "yParity": "0x7"}, -32602),
        ({"r": "0x" + "ff" * 32, "s": "0x1", "yParity": "0x0"}, -32603),
    ],
)
def test_a_broken_signature_is_refused(
    rpc: RPC, payer: PrivateKey, shop: str, signature: object, code: int
) -> None:
    """What is no signature for the fee is an error, and no free ride."""
    asked = request(pay(shop), sender=payer.address, **PRICED, feePayerSignature=signature)
    assert rpc.error("eth_call", asked, "latest")["code"] == code


def test_a_token_that_is_none_is_refused(any_rpc: RPC, give: Give, shop: str) -> None:
    """A fee in what is no stablecoin is refused as the chain does."""
    asked = request(pay(shop), sender=give(PRICE), **PRICED, feeToken="0x" + "12" * 20)
    assert "invalid fee token" in str(simulate(any_rpc, asked))
