"""Payments that are almost right in who gets how much, and what for; and those that are right."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from itertools import permutations
from typing import Any, TypeAlias

import pytest
from hypothesis import assume, given, settings, strategies as st
from msgspec.structs import replace

from coinslot.errors import NotApplied
from coinslot.methods.tempo.keys import parse_address
from coinslot.methods.tempo.node import transaction_hash
from coinslot.methods.tempo.wire import FEE_PAYER_PLACEHOLDER, Transaction, Transfer, attribution_memo
from coinslot.methods.tempo.wire.memo import memo_binds
from faulty_node import FaultyNode
from tempo_attacks import (
    CHAIN_ID,
    COUNT,
    CURRENCY,
    EXAMPLES,
    KEYS,
    MORE,
    OTHER_TOKEN,
    RECIPIENTS,
    Draw,
    Payment,
    challenge_for,
    payments,
)
from tempo_payments import REALM
from tempo_strategies import ROOT, hashes, spelled_addresses
from tempo_till import Till, mined, point_out

Edit: TypeAlias = "Callable[[list[Transfer], Payment, Draw], list[Transfer]]"

UNBOUND = "memo is not bound to this challenge"
NOBODY = rf"makes no transfer to 0x\w{{40}}\.|pays 0x\w{{40}}, not 0x\w{{40}}\.|{MORE}"
AMOUNT = rf"pays \d+ base units; exactly \d+ are asked|{MORE}"

SPLIT = {"at_least": 1}
SPLIT_TWICE = {"at_least": 2}


@pytest.fixture
async def till(lonely_node: FaultyNode) -> AsyncIterator[Till]:
    """A till on a node that would let anything through."""
    till = Till(lonely_node)
    yield till
    await till.aclose()


@dataclass(frozen=True)
class Wrong:
    """What is wrong with transfers, and the words with which they are refused.

    `edit` takes the right ones, the primary first. In push it does not matter what else is transferred, so
    there some pay all the same, or are told something else: `mined` are the words then.
    """

    name: str
    edit: Edit
    words: str
    shape: Mapping[str, Any] = field(default_factory=dict)
    mined: str | None = ""

    def __repr__(self) -> str:
        return self.name


def one(edit: Callable[[Transfer, Draw], Transfer], *, first: int = 0) -> Edit:
    """Alter one of the transfers, or of the splits if it is not the `first` that counts."""

    def at_any(made: list[Transfer], payment: Payment, draw: Draw) -> list[Transfer]:
        index = draw(st.integers(first, len(made) - 1))
        return [*made[:index], edit(made[index], draw), *made[index + 1 :]]

    return at_any


def memo(choose: Callable[[Payment, Draw], bytes | None]) -> Edit:
    """Give the primary transfer another memo."""
    return lambda made, payment, draw: [replace(made[0], memo=choose(payment, draw)), *made[1:]]


def whole(edit: Callable[[list[Transfer], Draw], list[Transfer]]) -> Edit:
    """Alter all the transfers together."""
    return lambda made, payment, draw: edit(made, draw)


def one_more(made: list[Transfer], payment: Payment, draw: Draw) -> list[Transfer]:
    """Somebody who is not in the terms gets something too."""
    return [*made, replace(made[0], recipient=draw(spelled_addresses), memo=draw(hashes))]


def in_two(made: list[Transfer], payment: Payment, draw: Draw) -> list[Transfer]:
    """The seller gets it all, in two transfers."""
    primary = made[0]
    assume(primary.amount > 1)
    part = draw(st.integers(1, primary.amount - 1))
    return [replace(primary, amount=part), replace(primary, amount=primary.amount - part), *made[1:]]


TRANSFERS = [
    Wrong("one less", whole(lambda made, draw: draw(st.permutations(made))[1:]), COUNT, SPLIT, NOBODY),
    Wrong("one twice", whole(lambda made, draw: [*made, draw(st.sampled_from(made))]), COUNT, {}, None),
    Wrong("one more", one_more, COUNT, mined=None),
    Wrong(
        "two in one",
        whole(lambda made, draw: [replace(made[0], amount=made[0].amount + made[1].amount), *made[2:]]),
        COUNT,
        SPLIT,
        f"{AMOUNT}|{NOBODY}",
    ),
    Wrong("one in two", in_two, COUNT, mined=AMOUNT),
    Wrong(
        "another token",
        one(lambda made, draw: replace(made, token=draw(spelled_addresses | st.just(OTHER_TOKEN)))),
        rf"{NOBODY}|pays in 0x\w{{40}}, not in 0x20C0",
    ),
    Wrong(
        "another recipient", one(lambda made, draw: replace(made, recipient=draw(spelled_addresses))), NOBODY
    ),
    Wrong(
        "too little",
        one(lambda made, draw: replace(made, amount=draw(st.integers(0, made.amount - 1)))),
        AMOUNT,
    ),
    Wrong(
        "too much",
        one(lambda made, draw: replace(made, amount=draw(st.integers(made.amount + 1, 2**256 - 1)))),
        AMOUNT,
    ),
    Wrong(
        "amounts exchanged",
        whole(
            lambda made, draw: [
                replace(made[0], amount=made[1].amount + (made[0].amount == made[1].amount)),
                replace(made[1], amount=made[0].amount),
                *made[2:],
            ]
        ),
        AMOUNT,
        SPLIT,
    ),
    Wrong("one split for two", whole(lambda made, draw: [*made[:-1], made[-2]]), NOBODY, SPLIT_TWICE),
    Wrong(
        "a split to the seller",
        one(lambda made, draw: replace(made, recipient=RECIPIENTS[0]), first=1),
        NOBODY,
        SPLIT,
    ),
    Wrong(
        "the seller's part to a split's recipient",
        whole(lambda made, draw: [replace(made[0], recipient=made[1].recipient), *made[1:]]),
        NOBODY,
        SPLIT,
    ),
]
"""What is wrong about who gets how much."""


def other_than(memo: bytes | None) -> st.SearchStrategy[bytes]:
    """Any memo but this one."""
    return hashes.filter(lambda other: other != memo)


def almost_bound(payment: Payment, draw: Draw) -> bytes:
    """A bit of the attribution memo is another, where it says what it is for."""
    good = bytearray(attribution_memo(payment.challenge.id, REALM))
    good[draw(st.sampled_from([*range(15), *range(25, 32)]))] ^= 1 << draw(st.integers(0, 7))
    return bytes(good)


def almost_the_challenges(payment: Payment, draw: Draw) -> bytes:
    """A bit of the challenge's own memo is another, or of none that it has."""
    good = bytearray(payment.terms.memo or bytes(32))
    good[draw(st.integers(0, 31))] ^= 1 << draw(st.integers(0, 7))
    return bytes(good)


def memos_exchanged(made: list[Transfer], payment: Payment, draw: Draw) -> list[Transfer]:
    """Each of two splits has what the other should have."""
    one, other = made[1:3]
    assume(one.memo != other.memo)
    return [made[0], replace(one, memo=other.memo), replace(other, memo=one.memo), *made[3:]]


MEMOS = [
    Wrong("none", memo(lambda payment, draw: None), UNBOUND),
    Wrong("any", memo(lambda payment, draw: draw(other_than(payment.terms.memo))), UNBOUND),
    Wrong("one bit off", memo(almost_bound), UNBOUND),
    Wrong("one bit off the challenge's own", memo(almost_the_challenges), UNBOUND),
    Wrong("of another challenge", memo(lambda payment, draw: attribution_memo("another", REALM)), UNBOUND),
    Wrong(
        "of another realm",
        memo(lambda payment, draw: attribution_memo(payment.challenge.id, "evil.example")),
        UNBOUND,
    ),
    Wrong(
        "on a split",
        whole(
            lambda made, draw: [
                replace(made[0], memo=None),
                replace(made[1], memo=made[0].memo),
                *made[2:],
            ]
        ),
        UNBOUND,
        {**SPLIT, "with_memos": False},
    ),
    Wrong(
        "not the split's",
        one(lambda made, draw: replace(made, memo=draw(st.none() | other_than(made.memo))), first=1),
        "has not the memo that is asked for",
        {**SPLIT, "with_memos": True},
    ),
    Wrong(
        "another split's",
        memos_exchanged,
        "has not the memo that is asked for",
        {**SPLIT_TWICE, "with_memos": True},
    ),
]
"""What is wrong about what the payment is for."""


WRONG = [*TRANSFERS, *MEMOS]


@pytest.mark.parametrize("wrong", WRONG, ids=repr)
@EXAMPLES
@given(data=st.data())
async def test_what_is_almost_a_payment_is_none(wrong: Wrong, till: Till, data: st.DataObject) -> None:
    """Whatever shape the payment has, with one thing wrong it is refused by the name of that thing."""
    payment = data.draw(payments(**wrong.shape))
    made = data.draw(st.permutations(wrong.edit(list(payment.transfers), payment, data.draw)))
    await till.refuses(payment.present(payment.transaction(made)), wrong.words)


@pytest.mark.parametrize(
    "wrong", [wrong for wrong in (*TRANSFERS, *MEMOS) if wrong.mined is not None], ids=repr
)
@EXAMPLES
@given(data=st.data())
async def test_nor_is_it_one_on_the_chain(wrong: Wrong, till: Till, data: st.DataObject) -> None:
    """A receipt of what is almost a payment is refused in the same words.

    Money is kept of it only if it came to the seller under this challenge's memo.
    """
    payment = data.draw(payments(**wrong.shape, sponsored=False))
    made = data.draw(st.permutations(wrong.edit(list(payment.transfers), payment, data.draw)))
    till.receipt = mined(payment, made)
    refusal = await till.refuses(
        point_out(payment, says_who=data.draw(st.booleans())), f"{wrong.mined or wrong.words}|pays in"
    )
    challenge = payment.challenge
    ours = [
        one.amount
        for one in made
        if one.recipient == RECIPIENTS[0]
        and one.token in (CURRENCY, OTHER_TOKEN)
        and one.memo is not None
        and (one.memo == payment.terms.memo or memo_binds(one.memo, challenge.id, challenge.realm))
    ]
    assert isinstance(refusal, NotApplied) == any(ours)


@pytest.mark.parametrize("sponsored", [False, True], ids=["unsponsored", "sponsored"])
@pytest.mark.parametrize("key", KEYS)
@EXAMPLES
@given(data=st.data())
async def test_a_payment_is_one_in_every_shape(
    key: str, sponsored: bool, till: Till, data: st.DataObject
) -> None:
    """What the attacks alter is taken unaltered: split, swapped for, in any order, with any key."""
    payment = data.draw(payments(keys=(key,), sponsored=sponsored))
    await _is_taken(payment, till)


@pytest.mark.parametrize("count", range(11))
@settings(EXAMPLES, max_examples=3)
@given(data=st.data())
async def test_any_number_of_splits_is_paid(count: int, till: Till, data: st.DataObject) -> None:
    """From none to ten, with memos or without, in any order."""
    await _is_taken(data.draw(payments(at_least=count)), till)


async def _is_taken(payment: Payment, till: Till) -> None:
    """The proof is of this payment, and the seller signed for its fee if it promised to."""
    signed, promised = till.fee_payer.signed, payment.terms.fee_payer
    proof = await till.takes(payment.present())
    mine = payment.transaction().sign(payment.key)
    assert proof.key == f"tempo:{CHAIN_ID}:{transaction_hash(mine)}"
    assert (proof.amount, proof.currency, proof.recipient) == (payment.terms.amount, CURRENCY, RECIPIENTS[0])
    assert proof.payer == payment.key.address
    kept = Transaction.decode(proof.recovery.data)
    assert proof.reference == transaction_hash(kept)
    if promised:
        assert kept.fee_payer() == till.fee_payer.address
        assert kept.fee_token == parse_address(CURRENCY)
        kept = replace(kept, fee_token=None, fee_payer_signature=FEE_PAYER_PLACEHOLDER)
    assert kept == mine
    assert till.fee_payer.signed - signed == promised
    if not promised:
        till.receipt = mined(payment, [payment.transfers[index] for index in payment.order])
        for says_who in (True, False):
            pushed = await till.takes(point_out(payment, says_who=says_who))
            assert (pushed.amount, pushed.recipient, pushed.payer) == (
                proof.amount,
                proof.recipient,
                proof.payer,
            )
    assert not till.node.sent


OWN = b"\x0a" * 32

some_transfers = st.builds(
    Transfer,
    token=st.sampled_from([CURRENCY] * 5 + [OTHER_TOKEN]),
    recipient=st.sampled_from(RECIPIENTS[:2]),
    amount=st.integers(1, 2),
    memo=st.sampled_from(
        [None, OWN, bytes(32), attribution_memo("this", REALM), attribution_memo("that", REALM)]
    ),
)
"""Transfers of which many are alike."""


@settings(EXAMPLES, max_examples=250)
@given(data=st.data())
async def test_transfers_pay_if_each_can_be_told_what_it_is_for(till: Till, data: st.DataObject) -> None:
    """The answer is that of trying all the ways in which the transfers could be the ones that are due."""
    splits = data.draw(
        st.lists(some_transfers.map(lambda split: replace(split, token=CURRENCY)), max_size=3), label="splits"
    )
    splits = [replace(split, memo=data.draw(st.sampled_from([split.memo, None]))) for split in splits]
    due = [Transfer(token=CURRENCY, recipient=RECIPIENTS[0], amount=data.draw(st.integers(1, 2))), *splits]
    challenge = challenge_for(due, identifier="this", memo=data.draw(st.sampled_from([None, OWN])))
    binding = {attribution_memo("this", REALM), Payment(challenge, ROOT, ()).terms.memo} - {None}

    made = [replace(due[0], memo=data.draw(st.sampled_from(sorted(filter(None, binding))))), *due[1:]]
    for _ in range(data.draw(st.integers(0, 2))):
        made[data.draw(st.integers(0, len(made) - 1))] = data.draw(some_transfers)
    made = data.draw(st.permutations(made), label="made")

    def pays(transfer: Transfer, wanted: Transfer) -> bool:
        if wanted is due[0]:
            fitting = transfer.memo in binding
        elif wanted.memo is not None:
            fitting = transfer.memo == wanted.memo
        else:
            fitting = transfer.memo != attribution_memo("that", REALM)
        return fitting and replace(transfer, memo=None) == replace(wanted, memo=None)

    fits = any(all(map(pays, order, due)) for order in permutations(made))
    payment = Payment(challenge, ROOT, tuple(made), tuple(range(len(made))))
    till.receipt = mined(payment, made)
    for credential in (payment.present(), point_out(payment)):
        if fits:
            await till.takes(credential)
        else:
            await till.refuses(
                credential, f"{UNBOUND}|{NOBODY}|{AMOUNT}|pays in|has not the memo|another challenge's memo"
            )
