"""What Link is: its addresses, its payment methods and spend requests, and the tokens that come of them.

Amounts are integers in the currency's minor unit (cents). Times are as Link gives them: RFC 3339 strings, and
seconds since 1970 where it says `expires_at`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from msgspec import Struct, field

if TYPE_CHECKING:
    from link import models

AUTH_URL: Final = "https://login.link.com"
API_URL: Final = "https://api.link.com"

MIN_CONTEXT: Final = 100
"""Characters that Link wants in a request's context, at least."""

GRANTED: Final = frozenset({"approved", "submitted", "succeeded"})
"""Statuses of a request that its user said yes to."""

WAITING: Final = frozenset({"created", "pending_approval"})
"""Statuses of a request that its user has not decided on."""


class LinkPaymentMethod(Struct, frozen=True, kw_only=True):
    """A card or bank account in the wallet. `expires` is `MM/YYYY`, of a card."""

    id: str
    type: str
    name: str
    is_default: bool
    nickname: str | None = None
    brand: str | None = None
    last4: str | None = None
    expires: str | None = None

    @classmethod
    def of(cls, model: models.PaymentMethod) -> LinkPaymentMethod:
        """The payment method that the SDK read."""
        card, bank = model.card_details, model.bank_account_details
        return cls(
            id=model.id,
            type=model.type,
            name=model.name,
            is_default=model.is_default,
            nickname=model.nickname,
            brand=card.brand if card else bank.bank_name if bank else None,
            last4=card.last4 if card else bank.last4 if bank else None,
            expires=f"{card.exp_month:02}/{card.exp_year}" if card else None,
        )


class LinkUser(Struct, frozen=True, kw_only=True):
    """Whose wallet it is."""

    email: str | None = None
    name: str | None = None


class Total(Struct, frozen=True, kw_only=True):
    """A line of a sum: `type` is Link's word for it (`subtotal`, `tax`, `total` …)."""

    type: str
    display_text: str
    amount: int


class LineItem(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A thing to be bought, as its payer sees it."""

    name: str
    quantity: int | None = None
    unit_amount: int | None = None
    description: str | None = None
    sku: str | None = None
    url: str | None = None
    image_url: str | None = None
    product_url: str | None = None


class NextAction(Struct, frozen=True, kw_only=True):
    """What the user has to do before a request can go on.

    `resolution` is what follows: with `auto_resume` it goes on by itself; else a new request is needed.
    """

    type: str
    resolution: str
    display_message: str
    action_url: str | None = None


class SharedPaymentToken(Struct, frozen=True, kw_only=True):
    """A token that its seller can charge once. Its id is as good as money, and not in its `repr`."""

    id: str
    valid_until: str | None = None

    def __repr__(self) -> str:
        return f"SharedPaymentToken(<redacted>, valid_until={self.valid_until!r})"

    def __rich_repr__(self) -> list[tuple[str, object]]:
        # msgspec's own would show the id wherever rich prints a traceback.
        return [("valid_until", self.valid_until)]


class SpendRequest(Struct, frozen=True, kw_only=True):
    """A payment that the wallet's user is asked for.

    `shared_payment_token` is there if it was asked for and the request is approved. `failure` is why the
    payment failed, in Stripe's words. `approval_url` is where the user decides.
    """

    id: str
    status: str
    amount: int | None = None
    currency: str | None = None
    credential_type: str | None = None
    network_id: str | None = None
    payment_details: str | None = None
    context: str | None = None
    approval_url: str | None = None
    next_action: NextAction | None = None
    failure: str | None = None
    shared_payment_token: SharedPaymentToken | None = None
    line_items: tuple[LineItem, ...] = ()
    totals: tuple[Total, ...] = ()
    metadata: Mapping[str, str] = field(default_factory=dict)
    created_at: str
    updated_at: str
    expires_at: int | None = None

    @property
    def is_waiting(self) -> bool:
        """Whether it can still be approved without anything but its user's word."""
        if self.status == "requires_action" and self.next_action is not None:
            return self.next_action.resolution == "auto_resume"
        return self.status in WAITING

    @property
    def is_granted(self) -> bool:
        """Whether its user said yes."""
        return self.status in GRANTED

    @classmethod
    def of(cls, model: models.SpendRequest) -> SpendRequest:
        """The request that the SDK read."""
        token = model.shared_payment_token
        outcome = model.payment_status_details
        return cls(
            id=model.id,
            status=model.status,
            amount=model.amount,
            currency=model.currency,
            credential_type=model.credential_type,
            network_id=model.network_id,
            payment_details=model.payment_details,
            context=model.context,
            approval_url=model.approval_url,
            next_action=_next_action(model.status_details),
            failure=outcome.code if outcome is not None and outcome.outcome == "failure" else None,
            shared_payment_token=(
                None if token is None else SharedPaymentToken(id=token.id, valid_until=token.valid_until)
            ),
            line_items=tuple(map(_line_item, model.line_items or ())),
            totals=tuple(map(_total, model.totals or ())),
            metadata=model.metadata or {},
            created_at=model.created_at,
            updated_at=model.updated_at,
            expires_at=model.expires_at,
        )


def _next_action(details: models.SpendRequestStatusDetails | None) -> NextAction | None:
    if details is None or details.requires_action is None:
        return None
    action = details.requires_action.next_action
    return NextAction(
        type=action.type,
        resolution=action.resolution,
        display_message=action.display_message,
        action_url=action.action_url,
    )


def _line_item(model: models.LineItem) -> LineItem:
    return LineItem(**{name: getattr(model, name) for name in LineItem.__struct_fields__})


def _total(model: models.Total) -> Total:
    return Total(type=model.type, display_text=model.display_text, amount=model.amount)
