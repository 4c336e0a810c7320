"""Transactions that pay, and are almost right in all else: chain, time, gas, fees, and who pays them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from hypothesis import given, strategies as st
from msgspec.structs import replace

from coinslot.methods.tempo.keys import parse_address
from coinslot.methods.tempo.wire import FEE_PAYER_PLACEHOLDER, rlp
from coinslot.methods.tempo.wire.signatures import AccessKey
from coinslot.protocol import Credential
from faulty_node import FaultyNode
from tempo_attacks import (
    CHAIN_ID,
    CURRENCY,
    EXAMPLES,
    KEYS,
    NOW,
    OTHER_TOKEN,
    STRANGER,
    Attack,
    Draw,
    Make,
    Payment,
    authorization_of,
    payments,
)
from tempo_payments import GWEI
from tempo_strategies import ROOT, addresses, sequences
from tempo_till import SELLERS_KEY, Till

PLACEHOLDER = "fee payer signature has to be the placeholder"
BEYOND = "The seller does not pay the fee of this transaction: it"

ACCESS_KEYS = tuple(name for name in KEYS if name.startswith("access"))

SPONSORED = {"sponsored": True}
UNSPONSORED = {"sponsored": False}
SELF_AUTHORIZED = {**UNSPONSORED, "keys": ACCESS_KEYS, "swapped": False}


@pytest.fixture
async def till(lonely_node: FaultyNode) -> AsyncIterator[Till]:
    """A till on a node that would let anything through."""
    till = Till(lonely_node)
    yield till
    await till.aclose()


def members(**values: Any) -> Make:
    """Put other members into the transaction: any that a strategy gives."""

    def make(payment: Payment, draw: Draw) -> Credential:
        drawn = {
            name: draw(value) if isinstance(value, st.SearchStrategy) else value
            for name, value in values.items()
        }
        return payment.present(replace(payment.transaction(), **drawn))

    return make


def other_than(value: int, numbers: st.SearchStrategy[int]) -> st.SearchStrategy[int]:
    return numbers.filter(lambda number: number != value)


def co_signed_by_a_friend(payment: Payment, draw: Draw) -> Credential:
    """Somebody else than the seller has signed as the fee payer already."""
    awaiting = replace(payment.transaction(), fee_payer_signature=FEE_PAYER_PLACEHOLDER, fee_token=None)
    friend, token = draw(st.sampled_from([STRANGER, ROOT])), draw(st.sampled_from([CURRENCY, OTHER_TOKEN]))
    signed = awaiting.sign(payment.key).co_sign(friend, parse_address(token))
    return payment.present_bytes(signed.encode())


def co_signed_for_another(payment: Payment, draw: Draw) -> Credential:
    """The seller's own signature, taken from a payment that it has paid for."""
    paid_for = replace(payment.transaction(), gas_limit=1_000_000).sign(payment.key)
    signature = paid_for.co_sign(SELLERS_KEY, parse_address(CURRENCY)).fee_payer_signature
    token = draw(st.sampled_from([None, parse_address(CURRENCY)]))
    altered = replace(payment.transaction(), fee_payer_signature=signature, fee_token=token)
    return payment.present_bytes(altered.sign(payment.key).encode())


def pays_the_fee(payment: Payment, draw: Draw) -> Credential:
    """As if the seller did not: what is handed over could not even say so."""
    altered = replace(payment.transaction(), fee_payer_signature=None)
    return payment.present_bytes(altered.sign(payment.key).encode())


def with_a_fee_token(payment: Payment, draw: Draw) -> Credential:
    """In the envelope that the payer signed, and in the one that is handed over."""
    token = parse_address(draw(st.sampled_from([CURRENCY, OTHER_TOKEN])))
    signed = payment.transaction().sign(payment.key)
    if not payment.is_handed_over:
        return payment.present_bytes(replace(signed, fee_token=token).encode())
    fields = rlp.decode(signed.encode_sponsored()[1:])
    assert isinstance(fields, tuple)
    return payment.present_bytes(b"\x78" + rlp.encode((*fields[:10], token, *fields[11:])))


def handed_over_for_another(payment: Payment, draw: Draw) -> Credential:
    """The envelope names another sender than who signed it."""
    fields = rlp.decode(payment.transaction().sign(payment.key).encode_sponsored()[1:])
    assert isinstance(fields, tuple)
    others: list[rlp.Item] = [b"", b"\x00", (), parse_address(STRANGER.address)]
    sender = draw(addresses | st.sampled_from(others))
    return payment.present_bytes(b"\x78" + rlp.encode((*fields[:11], sender, *fields[12:])))


def handed_over_unasked(payment: Payment, draw: Draw) -> Credential:
    awaiting = replace(payment.transaction(), fee_payer_signature=FEE_PAYER_PLACEHOLDER, fee_token=None)
    return payment.present_bytes(awaiting.sign(payment.key).encode_sponsored())


def not_signed(payment: Payment, draw: Draw) -> Credential:
    return payment.present_bytes(payment.transaction().encode())


def authorizes_at_the_sellers_expense(payment: Payment, draw: Draw) -> Credential:
    authorization = authorization_of(payment.key).sign(ROOT)
    return payment.present(replace(payment.transaction(), key_authorization=authorization))


def authorizes_another_key(payment: Payment, draw: Draw) -> Credential:
    """A key that does not sign, or one that somebody else than the account grants."""
    other = authorization_of(AccessKey(STRANGER, ROOT.address)).sign(ROOT)
    granted = [other]
    if isinstance(payment.key, AccessKey):
        granted.append(authorization_of(payment.key).sign(STRANGER))
    altered = replace(payment.transaction(), key_authorization=draw(st.sampled_from(granted)))
    return payment.present(altered)


def authorizes(**changes: Any) -> Make:
    """The payer's access key, on other terms than it needs."""

    def make(payment: Payment, draw: Draw) -> Credential:
        authorization = authorization_of(payment.key, **changes).sign(ROOT)
        return payment.present(replace(payment.transaction(), key_authorization=authorization))

    return make


ENVELOPES = [
    Attack(
        "another chain",
        members(chain_id=other_than(CHAIN_ID, st.integers(1, 2**64 - 1))),
        r"for chain \d+; this is charged on chain 42431",
    ),
    Attack("not signed", not_signed, "the transaction is not signed"),
    Attack(
        "an access list", members(access_list=sequences.filter(bool)), "an access list or an authorization"
    ),
    Attack(
        "an authorization list",
        members(authorization_list=sequences.filter(bool)),
        "an access list or an authorization",
    ),
    Attack("no gas", members(gas_limit=0), "gas limit is not between 1 and 30000000"),
    Attack(
        "more gas than there is",
        members(gas_limit=st.integers(30_000_001, 2**64 - 1)),
        "gas limit is not between 1 and 30000000",
    ),
    Attack("no fee", members(max_fee_per_gas=0, max_priority_fee_per_gas=0), "fee cap is zero"),
    Attack(
        "a tip above the fee",
        members(max_priority_fee_per_gas=st.integers(20 * GWEI + 1, 2**128 - 1)),
        "lower than its priority fee",
    ),
    Attack("no end", members(valid_before=None), "has no validBefore"),
    Attack("over", members(valid_before=st.integers(1, int(NOW) + 3)), "validBefore is over, or too near"),
    Attack(
        "longer than the challenge",
        members(valid_before=st.integers(int(NOW) + 302, 2**64 - 1)),
        "validBefore is later than the challenge's expiry",
    ),
    Attack(
        "not yet",
        members(valid_after=st.integers(int(NOW) + 1, 2**64 - 1)),
        "validAfter is in the future",
    ),
]
"""What is wrong about the transaction as a whole, whoever pays the fee."""

FEES = [
    Attack("no fee payer", pays_the_fee, PLACEHOLDER, SPONSORED),
    Attack(
        "a fee payer unasked",
        members(fee_payer_signature=FEE_PAYER_PLACEHOLDER),
        "leaves its fee to",
        UNSPONSORED,
    ),
    Attack("a friend's co-signature", co_signed_by_a_friend, PLACEHOLDER, SPONSORED),
    Attack("a friend's co-signature unasked", co_signed_by_a_friend, "leaves its fee to", UNSPONSORED),
    Attack("a replayed co-signature", co_signed_for_another, PLACEHOLDER, SPONSORED),
    Attack("a fee token", with_a_fee_token, "must not name a fee token|fee token is set", SPONSORED),
    Attack(
        "another sender", handed_over_for_another, "names another sender than the one that signed", SPONSORED
    ),
    Attack("handed over unasked", handed_over_unasked, "an envelope for a fee payer", UNSPONSORED),
    Attack(
        "a key at the seller's expense",
        authorizes_at_the_sellers_expense,
        "authorizes a key at the fee payer's expense",
        {**SPONSORED, "keys": ACCESS_KEYS},
    ),
    Attack(
        "another key",
        authorizes_another_key,
        "authorizes another key than the one that signed it",
        UNSPONSORED,
    ),
    Attack(
        "a key for another chain", authorizes(chain_id=4217), "key for another chain", SELF_AUTHORIZED, True
    ),
    Attack(
        "a key that has expired", authorizes(expiry=int(NOW)), "a key that has expired", SELF_AUTHORIZED, True
    ),
    Attack(
        "a key that may spend nothing", authorizes(limits=()), "may spend 0 base units", SELF_AUTHORIZED, True
    ),
    Attack(
        "more gas than the seller pays for",
        members(gas_limit=st.integers(2_000_001, 30_000_000)),
        f"{BEYOND}s gas limit is more than 2000000",
        SPONSORED,
    ),
    Attack(
        "dearer gas than the seller pays for",
        members(max_fee_per_gas=st.integers(100 * GWEI + 1, 2**128 - 1)),
        f"{BEYOND}s fee per gas may be more than",
        SPONSORED,
    ),
    Attack(
        "a larger tip than the seller pays",
        members(max_fee_per_gas=100 * GWEI, max_priority_fee_per_gas=st.integers(50 * GWEI + 1, 100 * GWEI)),
        f"{BEYOND}s priority fee per gas is more than",
        SPONSORED,
    ),
    Attack(
        "a larger fee than the seller pays",
        members(max_fee_per_gas=st.integers(25 * GWEI + 1, 100 * GWEI)),
        rf"{BEYOND}s fee may come to 0\.\d+, more than 0\.05",
        SPONSORED,
    ),
    Attack(
        "longer than the seller pays for",
        members(valid_before=st.integers(int(NOW) + 901, int(NOW) + 3600)),
        f"{BEYOND} is valid for longer than 90 s",
        {**SPONSORED, "lasts": 3600},
    ),
    Attack(
        "another lane",
        members(nonce_key=st.integers(0, 2**256 - 2)),
        f"{BEYOND} has to use the lane of expiring nonces",
        SPONSORED,
    ),
]
"""What is wrong about who pays the fee, for what, and how much."""


@pytest.mark.parametrize("attack", [*ENVELOPES, *FEES], ids=repr)
@EXAMPLES
@given(data=st.data())
async def test_a_transaction_is_no_more_than_the_payment(
    attack: Attack, till: Till, data: st.DataObject
) -> None:
    """Whatever is beside the transfers and should not be is refused by its name, before anybody signs."""
    payment = data.draw(payments(**attack.shape))
    await till.refuses(attack.make(payment, data.draw), attack.words, by_chain=attack.by_chain)
