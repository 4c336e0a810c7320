"""What a spend request asks for, and what Link accepts of it.

The limits are those that Link publishes. Amounts are integers in the currency's minor unit.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal, TypeVar

import msgspec
from msgspec import Meta, Struct

from coinslot.sandbox.link import wallet
from coinslot.sandbox.link.refusals import Refusal

MIN_CONTEXT: Final = 100
MAX_AMOUNT: Final = 50_000
MAX_METADATA: Final = 50

Amount = Annotated[int, Meta(gt=0)]
ShortText = Annotated[str, Meta(min_length=1, max_length=500)]


class Total(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A line of the sum."""

    type: ShortText
    display_text: ShortText
    amount: int


class LineItem(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A thing to be bought."""

    name: ShortText
    url: str | None = None
    image_url: str | None = None
    description: str | None = None
    sku: str | None = None
    totals: list[Total] | None = None
    quantity: int | None = None
    unit_amount: int | None = None
    product_url: str | None = None


class Terms(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The body of a creation; what Link ignores is not here."""

    context: Annotated[str, Meta(min_length=MIN_CONTEXT, max_length=5000)]
    amount: Amount
    currency: Annotated[str, Meta(pattern="^[a-z]{3}$")] = "usd"
    credential_type: Literal["card", "shared_payment_token"] = "card"
    payment_details: str | None = None
    network_id: ShortText | None = None
    merchant_name: ShortText | None = None
    merchant_url: ShortText | None = None
    line_items: list[LineItem] = []
    totals: list[Total] = []
    metadata: dict[
        Annotated[str, Meta(min_length=1, max_length=40)], Annotated[str, Meta(max_length=500)]
    ] = {}
    test: bool = False


class Creation(Terms, frozen=True, kw_only=True):
    """`Terms`, and what to do with them at once."""

    request_approval: bool = False
    idempotency_key: Annotated[str, Meta(min_length=1, max_length=255)] | None = None
    execution_method: str | None = None


class Update(Struct, frozen=True, kw_only=True):
    """What of the terms may be changed before approval is requested."""

    payment_details: str | None = None
    amount: Amount | None = None
    currency: Annotated[str, Meta(pattern="^[a-z]{3}$")] | None = None
    merchant_url: ShortText | None = None
    line_items: list[LineItem] | None = None
    totals: list[Total] | None = None


class Nickname(Struct, frozen=True, kw_only=True):
    """A new name for a payment method."""

    nickname: Annotated[str, Meta(max_length=100)]


Body = TypeVar("Body", Creation, Update, Nickname)


def read(body: bytes, kind: type[Body]) -> Body:
    """The JSON `body`. Raises `Refusal`: 400 if it is no JSON, 422 if it is not what is wanted."""
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.ValidationError as error:
        raise Refusal(422, f"{error}.") from None
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise Refusal(400, "The body is not JSON.") from None


def check(terms: Terms) -> Terms:
    """`terms`, with the default payment method if it names none. Raises `Refusal`."""
    method = wallet.find(terms.payment_details)
    if terms.amount > MAX_AMOUNT:
        raise Refusal(422, f"amount must be at most {MAX_AMOUNT}.", code="amount_too_large")
    if len(terms.metadata) > MAX_METADATA:
        raise Refusal(422, f"metadata has more than {MAX_METADATA} keys.")
    if terms.credential_type == "shared_payment_token" and terms.network_id is None:
        raise Refusal(422, "network_id is required for a shared_payment_token.")
    if terms.credential_type == "card":
        if terms.network_id is not None:
            raise Refusal(422, "network_id is for a shared_payment_token only.")
        if terms.merchant_name is None or terms.merchant_url is None:
            raise Refusal(422, "merchant_name and merchant_url are required for a card.")
    return msgspec.structs.replace(terms, payment_details=method.id)


def change(terms: Terms, update: Update) -> Terms:
    """`terms` as `update` wants them. Raises `Refusal`."""
    changes = {name: value for name, value in msgspec.structs.asdict(update).items() if value is not None}
    return check(msgspec.structs.replace(terms, **changes))
