from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, strategies as st

from coinslot.errors import AmountError, MalformedJSON
from coinslot.intents import MAX_BASE_UNITS, ChargeRequest
from coinslot.protocol import JSONObject
from strategies import json_objects, unicode_text

charges = st.builds(
    ChargeRequest,
    amount=st.integers(0, MAX_BASE_UNITS).map(str),
    currency=unicode_text,
    recipient=st.none() | unicode_text,
    description=st.none() | unicode_text,
    external_id=st.none() | unicode_text,
    method_details=st.none() | json_objects,
)
OBJECT: JSONObject = {
    "amount": "1000000",
    "currency": "0x20c0",
    "recipient": "0x742d",
    "description": "Coffee",
    "externalId": "order 1",
    "methodDetails": {"chainId": 42431, "feePayer": True},
}


@given(charges)
def test_round_trip(charge: ChargeRequest) -> None:
    """Any charge comes back from its object."""
    assert ChargeRequest.from_object(charge.to_object()) == charge


@given(
    json_objects | st.dictionaries(st.sampled_from(sorted(OBJECT)), st.none() | st.integers() | unicode_text)
)
def test_total(members: JSONObject) -> None:
    """Any object is refused with one of two errors, or is a charge of some base units."""
    try:
        charge = ChargeRequest.from_object(members)
    except (MalformedJSON, AmountError):
        return
    assert 0 <= charge.base_units <= MAX_BASE_UNITS


def test_form() -> None:
    """The members have the draft's names, and those that are not known are ignored."""
    charge = ChargeRequest.from_object({**OBJECT, "suggestedDeposit": "1"})
    assert charge == ChargeRequest(
        amount="1000000",
        currency="0x20c0",
        recipient="0x742d",
        description="Coffee",
        external_id="order 1",
        method_details={"chainId": 42431, "feePayer": True},
    )
    assert charge.base_units == 1_000_000
    assert charge.to_object() == OBJECT


def test_absent_members() -> None:
    """Only the amount and the currency have to be there."""
    smallest: JSONObject = {"amount": "0", "currency": "usd"}
    assert ChargeRequest.from_object(smallest).to_object() == smallest


@pytest.mark.parametrize("name", sorted(OBJECT))
@pytest.mark.parametrize("value", [1, 0.5, True, ["x"]])
def test_types(name: str, value: Any) -> None:
    """A member of another type is refused; an amount is never a JSON number."""
    with pytest.raises(MalformedJSON, match=name):
        ChargeRequest.from_object({**OBJECT, name: value})


@pytest.mark.parametrize("name", ["amount", "currency"])
def test_required(name: str) -> None:
    """A charge without an amount or a currency is refused."""
    with pytest.raises(MalformedJSON, match=name):
        ChargeRequest.from_object({key: value for key, value in OBJECT.items() if key != name})


@pytest.mark.parametrize("amount", ["", "1.5", "-1", "01", "1e3", str(MAX_BASE_UNITS + 1)])
def test_amounts(amount: str) -> None:
    """The amount is a canonical integer of base units."""
    with pytest.raises(AmountError):
        ChargeRequest.from_object({**OBJECT, "amount": amount})
