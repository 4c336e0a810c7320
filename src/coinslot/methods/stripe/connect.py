"""Settling to connected accounts (draft-stripe-charge §Stripe Connect Settlement)."""

from __future__ import annotations

import re
from typing import Final

from msgspec import Struct

from coinslot.errors import ConfigurationError
from coinslot.protocol import JSONObject

_ACCOUNT: Final = re.compile(r"acct_[A-Za-z0-9_]{1,128}+")
_MAX_GROUP: Final = 255


class Connect(Struct, frozen=True, kw_only=True):
    """Where a platform's payments go. It is the seller's own business and never in a challenge.

    `stripe_account` is the connected account on which payments are made (a direct charge); `destination` is
    the one to which they are transferred, all of them or `transfer_amount`. `on_behalf_of` is the account of
    record, `application_fee_amount` what the platform keeps, `transfer_group` ties payments and transfers
    together and is no secret. Amounts are in the currency's minor unit.

    A refund takes its part of a transfer back from `destination`, and of the fee from the platform, unless
    `reverse_transfer` or `refund_application_fee` is False.

    Raises `ConfigurationError` for what can never be.
    """

    stripe_account: str | None = None
    application_fee_amount: int | None = None
    on_behalf_of: str | None = None
    destination: str | None = None
    transfer_amount: int | None = None
    transfer_group: str | None = None
    reverse_transfer: bool = True
    refund_application_fee: bool = True

    def __post_init__(self) -> None:
        for name in ("stripe_account", "on_behalf_of", "destination"):
            account = getattr(self, name)
            if account is not None and not (isinstance(account, str) and _ACCOUNT.fullmatch(account)):
                raise ConfigurationError(f"connect: {name} is not the id of an account (acct_…)")
        for name in ("application_fee_amount", "transfer_amount"):
            amount = getattr(self, name)
            if amount is not None and (not isinstance(amount, int) or isinstance(amount, bool) or amount < 0):
                raise ConfigurationError(f"connect: {name} is a number of minor units, and not negative")
        if self.transfer_amount is not None and self.destination is None:
            raise ConfigurationError("connect: transfer_amount needs a destination")
        if self.transfer_group is not None and not 0 < len(self.transfer_group) <= _MAX_GROUP:
            raise ConfigurationError(f"connect: transfer_group has 1 to {_MAX_GROUP} characters")

    def check(self, amount: int) -> None:
        """Raise `ConfigurationError` if more is taken from a payment of `amount` than there is."""
        for name in ("application_fee_amount", "transfer_amount"):
            part: int | None = getattr(self, name)
            if part is not None and part > amount:
                raise ConfigurationError(f"connect: {name} is {part}, more than a price of {amount}")

    def to_parameters(self) -> JSONObject:
        """What a PaymentIntent is created with. The account to make it on is a header, and not among them."""
        parameters: JSONObject = {
            "application_fee_amount": self.application_fee_amount,
            "on_behalf_of": self.on_behalf_of,
            "transfer_group": self.transfer_group,
        }
        if self.destination is not None:
            transfer: JSONObject = {"destination": self.destination}
            if self.transfer_amount is not None:
                transfer["amount"] = self.transfer_amount
            parameters["transfer_data"] = transfer
        return {name: value for name, value in parameters.items() if value is not None}
