from __future__ import annotations

import pytest

from coinslot.errors import ConfigurationError
from coinslot.methods.stripe.metadata import check_metadata, payment_metadata


@pytest.mark.parametrize(
    "metadata",
    [
        {"mpp_challenge_id": "mine"},
        {"externalId": "order-7"},
        {"": "x"},
        {"x" * 41: "x"},
        {"a[b]": "x"},
        {"a": ""},
        {"a": "x" * 501},
        {f"name{number}": "x" for number in range(46)},
    ],
)
def test_what_stripe_does_not_take_is_found_at_start_up(metadata: dict[str, str]) -> None:
    """Its limits on number, names and values, and the names that are not the seller's to use."""
    with pytest.raises(ConfigurationError, match="metadata:"):
        check_metadata(metadata)


def test_ours_is_never_overridden() -> None:
    """A payment is found by its challenge's id, whatever else is on it; all of it fits Stripe's limits."""
    own = {f"name{number}": "x" for number in range(45)}
    assert check_metadata(own) == own
    made = payment_metadata({**own, "mpp_challenge_id": "mine"}, challenge_id="c" * 600, intent="charge")
    assert made["mpp_challenge_id"] == "c" * 500
    assert made["machine_payment"] == "true"
    assert len(made) <= 50
