from __future__ import annotations

from typing import Any

import pytest

from coinslot.errors import ConfigurationError
from coinslot.methods.stripe.connect import Connect


@pytest.mark.parametrize(
    "settings",
    [
        {"stripe_account": ""},
        {"stripe_account": "cus_1"},
        {"on_behalf_of": "acct_"},
        {"destination": "acct_1 "},
        {"application_fee_amount": -1},
        {"application_fee_amount": 0.5},
        {"application_fee_amount": True, "destination": "acct_1"},
        {"transfer_amount": 5},
        {"transfer_amount": -5, "destination": "acct_1"},
        {"transfer_group": ""},
    ],
)
def test_what_can_never_be_is_found_at_start_up(settings: dict[str, Any]) -> None:
    """Ids that are none, amounts that are none, and a transfer to nobody."""
    with pytest.raises(ConfigurationError, match="connect:"):
        Connect(**settings)


@pytest.mark.parametrize("part", ["application_fee_amount", "transfer_amount"])
def test_no_part_is_more_than_the_whole(part: str) -> None:
    """draft-stripe-charge: fee and transfer are at most the amount."""
    connect = Connect(destination="acct_1", **{part: 100})  # type: ignore[arg-type]  # its name is a variable
    connect.check(100)
    with pytest.raises(ConfigurationError, match=part):
        connect.check(99)


def test_only_what_is_set_is_sent() -> None:
    """The account that the charge is made on is not among the parameters."""
    assert Connect().to_parameters() == Connect(stripe_account="acct_1").to_parameters() == {}
    connect = Connect(destination="acct_1", transfer_amount=0, application_fee_amount=0)
    assert connect.to_parameters() == {
        "application_fee_amount": 0,
        "transfer_data": {"destination": "acct_1", "amount": 0},
    }
