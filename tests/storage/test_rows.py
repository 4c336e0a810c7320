"""A payment as a row."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from coinslot.errors import LedgerError
from coinslot.payments.method import Recovery
from coinslot.payments.payment import Payment, State
from coinslot.storage.rows import PAYMENTS
from ledgers import make_payment

texts = st.text(max_size=20)
times = st.floats(0, 1e11)
payments = st.builds(
    Payment,
    challenge_id=texts,
    proof_key=texts,
    fingerprint=st.binary(max_size=32),
    method=texts,
    intent=texts,
    route=texts,
    state=st.sampled_from(State),
    amount=st.integers(0, 10**80),
    currency=texts,
    reference=texts,
    created_at=times,
    expires_at=times,
    recipient=st.none() | texts,
    payer=st.none() | texts,
    external_id=st.none() | texts,
    recovery=st.builds(Recovery, st.binary(max_size=64)),
    receipt=st.none() | texts,
    reason=st.none() | texts,
    settled_at=st.none() | times,
    delivered_at=st.none() | times,
    attempts=st.integers(0, 10),
    revision=st.integers(0, 100),
)


@given(payments)
def test_a_payment_survives_the_way_into_a_row_and_back(payment: Payment) -> None:
    """`from_row` undoes `to_row`."""
    assert PAYMENTS.from_row(PAYMENTS.to_row(payment)) == payment


def test_every_member_has_a_column() -> None:
    """A member that is added to `Payment` must be given a column, or it would be lost."""
    assert set(PAYMENTS.columns) == set(Payment.__struct_fields__)


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("state", "paid"),
        ("amount", "1e3"),
        ("fingerprint", None),
        ("recovery", 7),
        ("attempts", None),
    ],
)
def test_a_row_that_cannot_be_read_is_a_ledger_error(column: str, value: object) -> None:
    """A damaged row, or a newer release's, is named as such and not passed on half read."""
    row: list[object] = list(PAYMENTS.to_row(make_payment()))
    row[PAYMENTS.columns.index(column)] = value
    with pytest.raises(LedgerError, match="newer release"):
        PAYMENTS.from_row(row)
