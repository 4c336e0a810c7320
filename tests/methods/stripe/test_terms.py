from __future__ import annotations

import contextlib
from typing import Any

import pytest
from hypothesis import given, strategies as st

from coinslot.errors import MalformedChallenge
from coinslot.methods.stripe.terms import Terms

DETAILS = {"networkId": "profile_1", "paymentMethodTypes": ["card", "link"]}
REQUEST: dict[str, Any] = {"amount": "5000", "currency": "usd", "methodDetails": DETAILS}

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)


def test_the_specifications_example() -> None:
    """draft-stripe-charge §Method Details; members that are not known are ignored."""
    terms = Terms.from_request(
        {**REQUEST, "currency": "USD", "description": "Access", "externalId": "order_12345", "new": True}
    )
    assert (terms.amount, terms.currency, terms.network_id) == (5000, "usd", "profile_1")
    assert terms.payment_method_types == ("card", "link")
    assert (terms.description, terms.external_id, terms.metadata) == ("Access", "order_12345", {})


@pytest.mark.parametrize(
    "change",
    [
        {"amount": "1.50"},
        {"amount": None},
        {"currency": 1},
        {"methodDetails": None},
        {"methodDetails": {**DETAILS, "networkId": ""}},
        {"methodDetails": {**DETAILS, "networkId": 7}},
        {"methodDetails": {**DETAILS, "paymentMethodTypes": []}},
        {"methodDetails": {**DETAILS, "paymentMethodTypes": "card"}},
        {"methodDetails": {**DETAILS, "metadata": ["a"]}},
    ],
)
def test_what_the_specification_requires_is_there(change: dict[str, Any]) -> None:
    """Amount, currency, networkId and paymentMethodTypes, each of its type."""
    with pytest.raises(MalformedChallenge, match="not a Stripe charge"):
        Terms.from_request({**REQUEST, **change})


@given(details=st.dictionaries(st.sampled_from([*DETAILS, "metadata"]), json_values), amount=json_values)
def test_any_request_is_read_or_refused(details: Any, amount: Any) -> None:
    """Nothing but `MalformedChallenge` comes out of it."""
    with contextlib.suppress(MalformedChallenge):
        Terms.from_request({**REQUEST, "amount": amount, "methodDetails": details})
