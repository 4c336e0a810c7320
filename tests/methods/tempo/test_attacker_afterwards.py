"""What was right once, shown again when much speaks against it; and what is wrong where it does not show."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from msgspec.structs import replace

from coinslot.methods import tempo
from coinslot.methods.tempo.keys import PrivateKey, keccak256
from coinslot.methods.tempo.node import signed_object
from coinslot.methods.tempo.refusals import explain
from coinslot.methods.tempo.rpc import RpcRefused
from coinslot.methods.tempo.wire import AccessKey, Transfer, attribution_memo
from coinslot.methods.tempo.wire.p256 import P256Key
from coinslot.payments.method import Settled, Unknown
from coinslot.sandbox.tempo import ThreadedDevnet
from faulty_node import FaultyNode
from tempo_attacks import CURRENCY, RECIPIENTS, Payment, challenge_for
from tempo_payments import REALM, issue, new_address, unsigned, verified
from tempo_strategies import SECP256K1
from tempo_till import SELLERS_KEY, Till


@pytest.fixture
async def till(lonely_node: FaultyNode) -> AsyncIterator[Till]:
    """A till at a node that agrees to everything."""
    till = Till(lonely_node)
    yield till
    await till.charge.aclose()


async def test_what_the_node_will_not_broadcast_holds_no_place(
    devnet: ThreadedDevnet, node: FaultyNode, payer: PrivateKey
) -> None:
    """A fee cap that no block takes costs the payer nothing, so it costs the seller no room."""
    sponsor = PrivateKey.generate()
    devnet.fund(sponsor.address)
    fees = tempo.FeePayer(sponsor, policy=tempo.FeePayerPolicy(max_in_flight=1))
    charge = tempo.charge(new_address(), rpc_url=node.url, fee_payer=fees, settle_timeout=3)
    challenge = issue(charge)
    proof = await verified(charge, challenge, replace(unsigned(challenge), max_fee_per_gas=1).sign(payer))
    assert isinstance(await charge.settle(proof), Unknown)
    challenge = issue(charge)
    await verified(charge, challenge, unsigned(challenge).sign(payer))
    await charge.aclose()


@pytest.mark.parametrize("chain", ["devnet", "devnet_t4"])
async def test_the_last_money_pays_again_and_again(chain: str, request: pytest.FixtureRequest) -> None:
    """A payment that left its payer with nothing is still the payment that it was."""
    devnet: ThreadedDevnet = request.getfixturevalue(chain)
    rich, exact = PrivateKey.generate(), PrivateKey.generate()
    for key in (rich, SELLERS_KEY):
        devnet.fund(key.address)
    gift = tempo.charge(exact.address, rpc_url=devnet.rpc_url)
    challenge = issue(gift)
    await gift.settle(await verified(gift, challenge, unsigned(challenge).sign(rich)))
    charge = tempo.charge(new_address(), rpc_url=devnet.rpc_url, fee_payer=SELLERS_KEY)
    challenge = issue(charge)
    signed = unsigned(challenge).sign(exact)
    proof = await verified(charge, challenge, signed)
    assert isinstance(await charge.settle(proof), Settled)
    assert await verified(charge, challenge, signed) == proof
    for method in (gift, charge):
        await method.aclose()


async def test_a_key_that_was_revoked_since_has_paid(devnet_t4: ThreadedDevnet) -> None:
    """What it signed while it was good is on the chain."""
    root, key = PrivateKey.generate(), PrivateKey.generate()
    devnet_t4.fund(root.address)
    devnet_t4.authorize_key(root, key.address)
    charge = tempo.charge(new_address(), rpc_url=devnet_t4.rpc_url)
    challenge = issue(charge)
    signed = replace(unsigned(challenge), gas_limit=3_000_000).sign(AccessKey(key, root.address))
    proof = await verified(charge, challenge, signed)
    assert isinstance(await charge.settle(proof), Settled)
    devnet_t4.revoke_key(root, key.address)
    assert await verified(charge, challenge, signed) == proof
    await charge.aclose()


@pytest.mark.parametrize(
    ("error", "words"),
    [
        ("SpendingLimitExceeded()", "limit"),
        ("CallNotAllowed()", "access key"),
        ("KeyExpired()", "expired"),
        ("KeyNotFound()", "not authorized"),
    ],
)
def test_the_keychains_reverts_are_told(error: str, words: str) -> None:
    """Why an access key may not pay is said in words."""
    refusal = RpcRefused("eth_call", 3, "execution reverted", keccak256(error.encode())[:4])
    assert words in str(explain(refusal))


async def test_a_split_does_not_pay_in_another_shop_as_well(till: Till) -> None:
    """A split's memo is free, unless it is one that would pay another challenge."""
    due = [Transfer(token=CURRENCY, recipient=to, amount=5) for to in RECIPIENTS[:2]]
    challenge = challenge_for(due)
    made = (
        replace(due[0], memo=attribution_memo(challenge.id, REALM)),
        replace(due[1], memo=attribution_memo("a challenge in another shop", REALM)),
    )
    order: Any = (0, 1)
    await till.refuses(Payment(challenge, SECP256K1, made, order).present(), "another challenge's memo")


def test_the_node_is_told_what_signs() -> None:
    """The gas of a signature depends on its kind."""
    due = Transfer(token=CURRENCY, recipient=RECIPIENTS[0], amount=1)
    payment = Payment(challenge_for([due], sponsored=True), P256Key.generate(), (due,))
    signed = payment.transaction().sign(payment.key)
    assert signed_object(signed, signed.signer())["keyType"] == "p256"
