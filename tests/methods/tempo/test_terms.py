from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from coinslot.errors import MalformedChallenge
from coinslot.methods import tempo
from coinslot.methods.tempo.terms import Terms
from coinslot.payments.method import Price
from coinslot.protocol import JSONObject

RECIPIENT = "0x742d35Cc6634c0532925a3b844bC9e7595F8fE00"
CURRENCY = "0x20C0000000000000000000000000000000000000"
REQUEST: JSONObject = {"amount": "1000000", "currency": CURRENCY.lower(), "recipient": RECIPIENT.lower()}

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)


def test_what_is_left_out_has_the_specifications_defaults() -> None:
    """draft-tempo-charge: chain 42431, both modes, nothing extra; addresses in any case."""
    terms = Terms.from_request(REQUEST)
    assert (terms.amount, terms.currency, terms.recipient) == (1_000_000, CURRENCY, RECIPIENT)
    assert (terms.chain_id, terms.modes, terms.extras) == (42431, ("pull", "push"), ())
    assert terms.is_plain


def test_an_offer_is_read_as_it_was_meant() -> None:
    """What the server half prepares, the client half takes for a plain charge of the same."""
    offer = tempo.charge(RECIPIENT, network="mainnet").prepare(Price(amount="1.5"))
    terms = Terms.from_request(offer.request)
    assert (terms.amount, terms.currency, terms.chain_id) == (offer.amount, offer.currency, 4217)
    assert terms.modes == ("pull",)
    assert terms.is_plain


@pytest.mark.parametrize(
    ("details", "extras"),
    [
        ({"feePayer": True}, ("feePayer",)),
        ({"feePayer": False}, ()),
        ({"memo": "0x" + "11" * 32}, ("memo",)),
        ({"splits": [{"amount": "1", "recipient": RECIPIENT}]}, ("splits",)),
        ({"feePayer": True, "memo": "0x", "splits": [1]}, ("feePayer", "memo", "splits")),
        ({"unknown": True}, ()),
    ],
    ids=str,
)
def test_what_goes_beyond_a_transfer_is_named(details: JSONObject, extras: tuple[str, ...]) -> None:
    """A sponsor, a fixed memo and splits make a charge that is not plain; members nobody knows do not."""
    terms = Terms.from_request({**REQUEST, "methodDetails": details})
    assert terms.extras == extras
    assert terms.is_plain == (not extras)


@pytest.mark.parametrize(
    ("modes", "plain"), [(["pull"], True), (["push"], False), ([], False), ([1, "pull"], True)]
)
def test_pull_has_to_be_among_the_modes(modes: list[Any], plain: bool) -> None:
    """A server that only takes hashes is not paid by a signature."""
    assert Terms.from_request({**REQUEST, "methodDetails": {"supportedModes": modes}}).is_plain == plain


def test_nothing_is_not_plain() -> None:
    """A charge of zero is paid by a proof, not by a transfer."""
    assert not Terms.from_request({**REQUEST, "amount": "0"}).is_plain


@pytest.mark.parametrize(
    "changes",
    [
        {"amount": None},
        {"amount": 1},
        {"amount": "-1"},
        {"amount": "01"},
        {"amount": "1e3"},
        {"amount": str(2**256)},
        {"currency": None},
        {"currency": "USD"},
        {"recipient": None},
        {"recipient": "0x"},
        {"methodDetails": []},
        {"methodDetails": {"chainId": "4217"}},
        {"methodDetails": {"chainId": 4217.0}},
        {"methodDetails": {"chainId": True}},
        {"methodDetails": {"chainId": -1}},
        {"methodDetails": {"chainId": None}},
        {"methodDetails": {"supportedModes": "pull"}},
    ],
    ids=str,
)
def test_what_breaks_the_schema_is_malformed(changes: dict[str, Any]) -> None:
    """Each member is of its type, or the challenge is refused as a whole."""
    with pytest.raises(MalformedChallenge, match="not a Tempo charge"):
        Terms.from_request({**REQUEST, **changes})


@settings(deadline=None)
@given(st.dictionaries(st.sampled_from([*REQUEST, "methodDetails", "x"]), json_values))
def test_any_object_can_be_read(changes: dict[str, Any]) -> None:
    """Terms or `MalformedChallenge`, and nothing else."""
    try:
        terms = Terms.from_request({**REQUEST, **changes})
    except MalformedChallenge:
        return
    assert terms.amount >= 0
