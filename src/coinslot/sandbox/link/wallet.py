"""The user whose wallet it is, and what is in it. Both are made up; everything in it is test money."""

from __future__ import annotations

from typing import Final, Literal

from msgspec import Struct

from coinslot.protocol import JSONObject
from coinslot.sandbox.link.database import Database
from coinslot.sandbox.link.refusals import Refusal

USER: Final[JSONObject] = {
    "email": "jenny.rosen@example.com",
    "name": "Jenny Rosen",
    "first_name": "Jenny",
    "last_name": "Rosen",
    "phone": None,
    "default_spend_request_currency": "usd",
}

SHIPPING_ADDRESS: Final[JSONObject] = {
    "id": "shipaddr_home",
    "is_default": True,
    "nickname": "Home",
    "address": {
        "name": "Jenny Rosen",
        "line_1": "510 Townsend St",
        "line_2": None,
        "locality": "San Francisco",
        "dependent_locality": None,
        "administrative_area": "CA",
        "postal_code": "94103",
        "sorting_code": None,
        "country_code": "US",
    },
}


class PaymentMethod(Struct, frozen=True, kw_only=True):
    """A card in the wallet.

    `stripe_id` is Stripe's test payment method that tokens are issued from. `attention` is what the card
    needs: `challenge` after each approval, `update` before it can be used at all.
    """

    id: str
    name: str
    brand: str
    last4: str
    exp_year: int
    stripe_id: str
    attention: Literal["challenge", "update"] | None = None


PAYMENT_METHODS: Final = (
    PaymentMethod(
        id="csmrpd_visa", name="Visa", brand="visa", last4="4242", exp_year=2034, stripe_id="pm_card_visa"
    ),
    PaymentMethod(
        id="csmrpd_mastercard",
        name="Mastercard",
        brand="mastercard",
        last4="4444",
        exp_year=2034,
        stripe_id="pm_card_mastercard",
    ),
    PaymentMethod(
        id="csmrpd_declined",
        name="Visa that its bank declines",
        brand="visa",
        last4="0002",
        exp_year=2034,
        stripe_id="pm_card_visa_chargeDeclined",
    ),
    PaymentMethod(
        id="csmrpd_challenge",
        name="Visa that asks for 3D Secure",
        brand="visa",
        last4="3220",
        exp_year=2034,
        stripe_id="pm_card_visa",
        attention="challenge",
    ),
    PaymentMethod(
        id="csmrpd_expired",
        name="Visa that has expired",
        brand="visa",
        last4="0069",
        exp_year=2020,
        stripe_id="pm_card_chargeDeclinedExpiredCard",
        attention="update",
    ),
)
"""What the wallet holds. The first is the default."""


class Wallet:
    """The payment methods, with the names that their user gave them."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def describe(self) -> list[JSONObject]:
        """All of them, as the API shows them."""
        with self._database.transaction() as state:
            nicknames: dict[str, str] = dict(state.execute("SELECT * FROM nicknames").fetchall())
        return [_describe(method, nicknames.get(method.id)) for method in PAYMENT_METHODS]

    def rename(self, identifier: str, nickname: str) -> JSONObject:
        """Give one a nickname; an empty one takes it away. Raises `Refusal`."""
        method = find(identifier, status=404)
        with self._database.transaction() as state:
            state.execute("DELETE FROM nicknames WHERE payment_method = ?", (method.id,))
            if nickname:
                state.execute("INSERT INTO nicknames VALUES (?, ?)", (method.id, nickname))
        return _describe(method, nickname or None)


def find(identifier: str | None, *, status: int = 422) -> PaymentMethod:
    """The payment method, or the default one for None. Raises `Refusal` with `status`."""
    if identifier is None:
        return PAYMENT_METHODS[0]
    for method in PAYMENT_METHODS:
        if method.id == identifier:
            return method
    raise Refusal(status, f"No such payment method: '{identifier}'", code="payment_method_not_found")


def _describe(method: PaymentMethod, nickname: str | None) -> JSONObject:
    return {
        "id": method.id,
        "type": "CARD",
        "is_default": method is PAYMENT_METHODS[0],
        "name": method.name,
        "nickname": nickname,
        "card_details": {
            "brand": method.brand,
            "last4": method.last4,
            "exp_month": 12,
            "exp_year": method.exp_year,
        },
        "bank_account_details": None,
        "capabilities": {
            kind: {"eligible": True, "ineligibility_reasons": []} for kind in ("card", "shared_payment_token")
        },
    }
