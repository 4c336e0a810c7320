from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from coinslot.errors import MalformedChallenge
from coinslot.methods import tempo
from coinslot.methods.tempo.wire.terms import Terms
from coinslot.methods.tempo.wire.tip20 import Transfer
from coinslot.protocol import JSONObject, JSONValue
from tempo_payments import offered

RECIPIENT = "0x742d35Cc6634c0532925a3b844bC9e7595F8fE00"
CURRENCY = "0x20C0000000000000000000000000000000000000"
OTHER = "0xABaBaBaBABabABabAbAbABAbABabababaBaBABaB"
SPLIT: JSONObject = {"amount": "1", "recipient": OTHER}
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
    assert (terms.chain_id, terms.modes) == (42431, ("pull", "push"))
    assert (terms.fee_payer, terms.memo, terms.splits) == (False, None, ())


def test_an_offer_is_read_as_it_was_meant() -> None:
    """What the server half prepares, the client half takes for a plain charge of the same."""
    offer = offered(tempo.charge(RECIPIENT, network="mainnet"), "1.5")
    terms = Terms.from_request(offer.request)
    assert (terms.amount, terms.currency, terms.chain_id) == (offer.amount, offer.currency, 4217)
    assert terms.modes == ("pull", "push")


def test_everything_there_is_in_a_request_is_read() -> None:
    """A sponsor, a memo, modes and splits; members nobody knows do not matter."""
    memo = "0x" + "aB" * 32
    split: JSONObject = {"amount": "5", "recipient": OTHER.lower(), "memo": "0x" + "01" * 32}
    details: JSONObject = {
        "chainId": 4217,
        "feePayer": True,
        "memo": memo,
        "splits": [split, {"amount": "7", "recipient": OTHER}],
        "supportedModes": ["push", "teleport", "pull"],
        "unknown": True,
    }
    terms = Terms.from_request({**REQUEST, "methodDetails": details})
    assert (terms.fee_payer, terms.memo, terms.modes) == (True, b"\xab" * 32, ("pull", "push"))
    assert terms.transfers(b"\x02" * 32) == (
        Transfer(token=CURRENCY, recipient=RECIPIENT, amount=999_988, memo=b"\x02" * 32),
        Transfer(token=CURRENCY, recipient=OTHER, amount=5, memo=b"\x01" * 32),
        Transfer(token=CURRENCY, recipient=OTHER, amount=7),
    )


@settings(deadline=None)
@given(st.lists(st.integers(1, 200_000), min_size=1, max_size=10))
def test_splits_and_remainder_come_to_the_amount(amounts: list[int]) -> None:
    """What all recipients get is what is asked, to the base unit; or the splits are refused."""
    splits: list[JSONValue] = [{"amount": str(amount), "recipient": OTHER} for amount in amounts]
    request: JSONObject = {**REQUEST, "methodDetails": {"splits": splits}}
    if sum(amounts) >= 1_000_000:
        with pytest.raises(MalformedChallenge, match="leave nothing"):
            Terms.from_request(request)
        return
    transfers = Terms.from_request(request).transfers(None)
    assert sum(transfer.amount for transfer in transfers) == 1_000_000
    assert all(transfer.amount > 0 for transfer in transfers)


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
        {"methodDetails": {"supportedModes": []}},
        {"methodDetails": {"supportedModes": ["teleport"]}},
        {"methodDetails": {"feePayer": "true"}},
        {"methodDetails": {"feePayer": 1}},
        {"methodDetails": {"memo": "0x00"}},
        {"methodDetails": {"memo": 7}},
        {"methodDetails": {"splits": []}},
        {"methodDetails": {"splits": {}}},
        {"methodDetails": {"splits": [SPLIT] * 11}},
        {"methodDetails": {"splits": ["all"]}},
        {"methodDetails": {"splits": [{**SPLIT, "amount": "0"}]}},
        {"methodDetails": {"splits": [{**SPLIT, "amount": "01"}]}},
        {"methodDetails": {"splits": [{**SPLIT, "amount": 1}]}},
        {"methodDetails": {"splits": [{**SPLIT, "recipient": "0x"}]}},
        {"methodDetails": {"splits": [{**SPLIT, "memo": "0x01"}]}},
        {"methodDetails": {"splits": [{**SPLIT, "amount": "1000000"}]}},
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
