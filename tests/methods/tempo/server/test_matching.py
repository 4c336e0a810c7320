from __future__ import annotations

import pytest
from hypothesis import given, strategies as st
from msgspec.structs import replace

from coinslot.errors import PaymentError, PaymentInsufficient, VerificationFailed
from coinslot.methods import tempo
from coinslot.methods.tempo.server.matching import bound_transfers, match_transfers
from coinslot.methods.tempo.wire.memo import attribution_memo
from coinslot.methods.tempo.wire.terms import Terms
from coinslot.methods.tempo.wire.tip20 import Transfer
from tempo_payments import OTHER, issue

SELLER = "0x742d35Cc6634c0532925a3b844bC9e7595F8fE00"
CHALLENGE = issue(tempo.charge(SELLER))
BOUND = attribution_memo(CHALLENGE.id, CHALLENGE.realm, "a client")
FOREIGN = attribution_memo("another", CHALLENGE.realm)
OWN = b"\x0a" * 32
CURRENCY = tempo.TESTNET.currency.address


def transfer(recipient: str, amount: int, memo: bytes | None = None) -> Transfer:
    return Transfer(token=CURRENCY, recipient=recipient, amount=amount, memo=memo)


def terms(*splits: Transfer, amount: int = 100, memo: bytes | None = None) -> Terms:
    return Terms(amount=amount, currency=CURRENCY, recipient=SELLER, chain_id=42431, memo=memo, splits=splits)


def match(due: Terms, *made: Transfer, unbound: bool = False) -> list[Transfer]:
    return match_transfers(made, due, CHALLENGE, unbound=unbound)


@given(st.data())
def test_order_means_nothing(data: st.DataObject) -> None:
    """However the transfers are shuffled, all are found, even where recipients and amounts repeat."""
    memos = st.none() | st.sampled_from([OWN, b"\x0b" * 32])
    splits = data.draw(
        st.lists(st.builds(transfer, st.sampled_from([SELLER, OTHER]), st.integers(1, 3), memos), max_size=10)
    )
    amount = sum(split.amount for split in splits) + data.draw(st.integers(1, 3))
    due = terms(*splits, amount=amount)
    # A split that names no memo takes any, so the payer may put one there.
    spelled = [
        transfer(split.recipient, split.amount, split.memo or data.draw(memos))
        for split in due.transfers(None)[1:]
    ]
    made = data.draw(st.permutations([due.transfers(BOUND)[0], *spelled]))
    found = match(due, *made)
    assert sorted(map(id, found)) == sorted(map(id, made))
    assert found[0].memo == BOUND


def test_each_transfer_pays_once() -> None:
    """One transfer does not stand for two splits of the same amount."""
    due = terms(transfer(OTHER, 5), transfer(OTHER, 5))
    primary = transfer(SELLER, 90, BOUND)
    assert len(match(due, primary, transfer(OTHER, 5), transfer(OTHER, 5))) == 3
    with pytest.raises(VerificationFailed, match="no transfer to 0xabab"):
        match(due, primary, transfer(OTHER, 5))


def test_the_challenges_own_memo_binds_as_well() -> None:
    """Either memo will do for the primary transfer, and no other."""
    due = terms(memo=OWN)
    for memo in (OWN, BOUND):
        assert match(due, transfer(SELLER, 100, memo))
    for other in (None, FOREIGN, bytes(32)):
        with pytest.raises(VerificationFailed, match="not bound to this challenge"):
            match(due, transfer(SELLER, 100, other))


def test_unbound_is_without_a_memo() -> None:
    """Where plain transfers are taken, one with somebody else's memo still is not."""
    assert match(terms(), transfer(SELLER, 100), unbound=True)
    with pytest.raises(VerificationFailed, match="not bound"):
        match(terms(), transfer(SELLER, 100, FOREIGN), unbound=True)


@pytest.mark.parametrize(
    ("made", "error", "reason"),
    [
        ([], VerificationFailed, "makes no transfer to 0x742d"),
        ([transfer(SELLER, 99, BOUND)], PaymentInsufficient, "pays 99 base units; exactly 100"),
        ([transfer(SELLER, 101, BOUND)], VerificationFailed, "pays 101 base units; exactly 100"),
        ([transfer(OTHER, 100, BOUND)], VerificationFailed, "pays 0xabab.*, not 0x742d"),
        (
            [Transfer(token=OTHER, recipient=SELLER, amount=100, memo=BOUND)],
            VerificationFailed,
            "pays in 0xabab.*, not in 0x20C0",
        ),
    ],
    ids=["nothing", "too little", "too much", "somebody else", "another token"],
)
def test_the_nearest_miss_is_named(made: list[Transfer], error: type[PaymentError], reason: str) -> None:
    """The refusal says what is wrong with the transfer that comes nearest."""
    with pytest.raises(error, match=reason) as refusal:
        match(terms(), *made)
    assert type(refusal.value) is error


def test_a_splits_memo_is_asked_for() -> None:
    """A split that names a memo is not paid by a transfer with another, or with none."""
    due = terms(transfer(OTHER, 5, OWN))
    assert match(due, transfer(SELLER, 95, BOUND), transfer(OTHER, 5, OWN))
    for memo in (None, BOUND):
        with pytest.raises(VerificationFailed, match="has not the memo"):
            match(due, transfer(SELLER, 95, BOUND), transfer(OTHER, 5, memo))


def test_bound_transfers_are_those_that_can_be_for_nothing_else() -> None:
    """To the seller, with a memo of this challenge, of whatever amount: of one token and one payer."""
    alpha = tempo.TESTNET.tokens[1].address
    first, second = (transfer(SELLER, amount, BOUND) for amount in (7, 8))
    own = transfer(SELLER, 9, OWN)
    in_alpha = replace(first, token=alpha)
    by_another = replace(second, sender=OTHER)
    others = [transfer(SELLER, 5), transfer(SELLER, 5, FOREIGN), transfer(OTHER, 5, BOUND)]
    assert bound_transfers(others, terms(), CHALLENGE) == []
    assert bound_transfers([*others, first, second], terms(), CHALLENGE) == [first, second]
    assert bound_transfers([in_alpha, first, second], terms(), CHALLENGE) == [first, second]
    assert bound_transfers([in_alpha, *others], terms(), CHALLENGE) == [in_alpha]
    assert bound_transfers([first, by_another], terms(), CHALLENGE) == [first]
    assert bound_transfers([own], terms(), CHALLENGE) == []
    assert bound_transfers([own], terms(memo=OWN), CHALLENGE) == [own]
