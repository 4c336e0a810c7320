"""Metadata: merged, unset, limited."""

from __future__ import annotations

from hypothesis import given, strategies as st

from coinslot.sandbox.stripe.metadata import merged
from stripe_api import StripeApi

PAIRS = st.dictionaries(st.text(min_size=1, max_size=5), st.text(max_size=5), max_size=5)


def test_updates_are_merged(seller: StripeApi) -> None:
    """New names are added, given ones replaced, empty ones unset; an empty string unsets all."""
    id_ = seller.post("/v1/customers", metadata={"a": "1", "b": "2"})["id"]
    path = f"/v1/customers/{id_}"
    assert seller.post(path, metadata={"b": "3", "c": "4"})["metadata"] == {"a": "1", "b": "3", "c": "4"}
    assert seller.post(path, metadata={"a": ""})["metadata"] == {"b": "3", "c": "4"}
    assert seller.post(path, name="x")["metadata"] == {"b": "3", "c": "4"}
    assert seller.post(path, metadata="")["metadata"] == {}


def test_limits_are_kept(seller: StripeApi) -> None:
    """50 names of 40 characters with values of 500, and no more of any."""
    full = {f"k{number:039}": "v" * 500 for number in range(50)}
    assert len(seller.post("/v1/customers", metadata=full)["metadata"]) == 50
    for metadata in ({"k" * 41: "v"}, {"k": "v" * 501}, {**full, "one": "more"}):
        assert seller.post("/v1/customers", metadata=metadata).status == 400


@given(PAIRS, PAIRS)
def test_merging_keeps_no_empty_value(current: dict[str, str], given_: dict[str, str]) -> None:
    """What is not given stays, what is given wins, and an empty value is no value."""
    before = {name: value for name, value in current.items() if value}
    result = merged(before, given_)
    for name in {*before, *given_}:
        expected = given_.get(name, before.get(name))
        assert result.get(name) == (expected or None)
