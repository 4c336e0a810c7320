from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, strategies as st

from coinslot.errors import AmountError, ConfigurationError
from coinslot.methods import tempo
from coinslot.methods.tempo.server.splits import check_splits, split_price
from coinslot.methods.tempo.wire.tip20 import Transfer
from tempo_payments import OTHER, offered

SELLER = "0x742d35Cc6634c0532925a3b844bC9e7595F8fE00"
CURRENCY = tempo.TESTNET.currency.address


def shares(price: int, *splits: tempo.Split) -> tuple[Transfer, ...]:
    return split_price(splits, price, currency=CURRENCY, decimals=6)


def test_an_amount_is_the_same_at_any_price() -> None:
    """What is fixed is fixed, in the currency's unit, with its memo."""
    fixed = tempo.Split(OTHER.lower(), amount="0.001", memo=b"\x01" * 32)
    for price in (2_000, 10**9):
        (transfer,) = shares(price, fixed)
        assert (transfer.recipient, transfer.amount, transfer.memo) == (fixed.recipient, 1000, b"\x01" * 32)


@given(st.integers(1, 10**30), st.integers(1, 999_999))
def test_a_share_is_exact_and_rounded_down(price: int, millionths: int) -> None:
    """No float and no rounding up: the seller keeps what does not divide."""
    split = tempo.Split(OTHER, share=f"0.{millionths:06}")
    assert split.of(price, 6) == price * millionths // 10**6


def test_the_request_says_who_gets_what() -> None:
    """The challenge lists each split in base units."""
    method = tempo.charge(
        SELLER, splits=[tempo.Split(OTHER, share="0.05"), tempo.Split(OTHER, amount="0.1", memo=b"\x02" * 32)]
    )
    recipient = tempo.Split(OTHER, amount="1").recipient
    assert offered(method, "1").request["methodDetails"] == {
        "chainId": 42431,
        "splits": [
            {"amount": "50000", "recipient": recipient},
            {"amount": "100000", "recipient": recipient, "memo": "0x" + "02" * 32},
        ],
    }


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ({}, "either an amount or a share"),
        ({"amount": "1", "share": "0.1"}, "either an amount or a share"),
        ({"share": "0"}, "a share is a part of one"),
        ({"share": "1"}, "a share is a part of one"),
        ({"share": "5%"}, "a share is a part of one"),
        ({"share": "NaN"}, "a share is a part of one"),
        ({"amount": "1", "memo": b""}, "memo has 32 bytes"),
        ({"amount": "1", "recipient": "0x" + "00" * 20}, "cannot be paid"),
        ({"amount": "1", "recipient": CURRENCY}, "cannot be paid"),
    ],
    ids=str,
)
def test_what_cannot_be_is_refused_when_it_is_made(arguments: dict[str, Any], reason: str) -> None:
    """A split that makes no sense is found at start-up, in one sentence."""
    with pytest.raises(ConfigurationError, match=reason):
        tempo.Split(**{"recipient": OTHER, **arguments})


@pytest.mark.parametrize(
    ("price", "splits", "reason"),
    [
        (1, [tempo.Split(OTHER, share="0.5")], "comes to nothing of 0.000001"),
        (1_000, [tempo.Split(OTHER, amount="0.001")], "leave nothing of 0.001"),
        (999, [tempo.Split(OTHER, amount="0.001")], "leave nothing"),
        (100, [tempo.Split(OTHER, share="0.5")] * 2, "leave nothing"),
    ],
)
def test_a_price_that_cannot_be_split_is_refused(price: int, splits: list[tempo.Split], reason: str) -> None:
    """The seller always keeps something, and nobody gets nothing."""
    with pytest.raises(ConfigurationError, match=reason):
        shares(price, *splits)


def test_ten_are_enough() -> None:
    """As many as the specification has, and decimals that do not fit are an error."""
    split = tempo.Split(OTHER, amount="0.0000001")
    with pytest.raises(ConfigurationError, match="at most 10 splits, not 11"):
        check_splits([split] * 11)
    with pytest.raises(AmountError):
        shares(10, split)
