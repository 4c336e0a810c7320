from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given

from coinslot.errors import MalformedReceipt
from coinslot.protocol import Receipt, decode_object, encode_base64url, encode_object
from coinslot.protocol.receipt import MAX_RECEIPT
from strategies import hostile_text, receipts

WIRE: dict[str, Any] = {
    "method": "tempo",
    "reference": "0xabc",
    "status": "success",
    "timestamp": "2026-01-29T12:00:00.000Z",
}


@given(receipts)
def test_round_trip(receipt: Receipt) -> None:
    """Any receipt comes back from its field value."""
    assert Receipt.parse(receipt.to_header()) == receipt


@given(hostile_text)
def test_total(text: str) -> None:
    """Any text, as the value or inside its base64url, is malformed or is a receipt."""
    for value in (text, encode_base64url(text.encode("utf-8", "replace"))):
        try:
            receipt = Receipt.parse(value)
        except MalformedReceipt:
            continue
        assert receipt.status == "success"


def test_form() -> None:
    """The members are those of the draft; a seller's reference is `externalId`, extra ones stand beside."""
    receipt = Receipt(
        method="tempo",
        reference="0xabc",
        timestamp="2026-01-29T12:00:00.000Z",
        external_id="order 1",
        extra={"chainId": 42431},
    )
    assert decode_object(receipt.to_header()) == {**WIRE, "externalId": "order 1", "chainId": 42431}


def test_unknown_members_are_kept() -> None:
    """What a method adds is in `extra` and goes out again as it came."""
    value = encode_object({**WIRE, "subscriptionId": "s", "nested": {"a": [1, None]}})
    receipt = Receipt.parse(f" {value}\t")
    assert receipt.extra == {"subscriptionId": "s", "nested": {"a": [1, None]}}
    assert receipt.to_header() == value


@pytest.mark.parametrize("name", sorted(WIRE))
@pytest.mark.parametrize("value", [None, 1, "", "failed", ["success"]])
def test_members(name: str, value: Any) -> None:
    """A member that is missing, of another type or, where that is fixed, of another value is malformed."""
    without = {key: member for key, member in WIRE.items() if key != name}
    with pytest.raises(MalformedReceipt):
        Receipt.parse(encode_object(without))
    if isinstance(value, str) and name in ("method", "reference"):
        assert getattr(Receipt.parse(encode_object({**WIRE, name: value})), name) == value
    else:
        with pytest.raises(MalformedReceipt):
            Receipt.parse(encode_object({**WIRE, name: value}))


@pytest.mark.parametrize("value", [None, 7, {}])
def test_external_id(value: Any) -> None:
    """A seller's reference that is there is a string."""
    with pytest.raises(MalformedReceipt, match="externalId"):
        Receipt.parse(encode_object({**WIRE, "externalId": value}))


def test_size() -> None:
    """A receipt is read up to the limit and not beyond."""
    with pytest.raises(MalformedReceipt, match="characters"):
        Receipt.parse(encode_object({**WIRE, "x": "y" * MAX_RECEIPT}))


@pytest.mark.parametrize(
    "change",
    [
        {"status": "failed"},
        {"timestamp": "now"},
        {"extra": {"status": "success"}},
        {"extra": {"externalId": "x"}},
        {"extra": {"x": float("inf")}},
        {"reference": "\ud800"},
    ],
)
def test_not_written(change: dict[str, Any]) -> None:
    """Nothing is written that would not be read back as a receipt."""
    parameters: dict[str, Any] = {"method": "m", "reference": "r", "timestamp": "2026-01-29T12:00:00Z"}
    with pytest.raises(MalformedReceipt):
        Receipt(**(parameters | change)).to_header()
