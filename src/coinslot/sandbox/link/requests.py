"""A spend request as it is kept, and as the API shows it."""

from __future__ import annotations

import sqlite3
from datetime import UTC, datetime
from typing import Final, Literal, TypeAlias, cast

import msgspec
from msgspec import Struct

from coinslot.protocol import JSONObject, JSONValue
from coinslot.sandbox.link import wallet
from coinslot.sandbox.link.terms import Terms

Status: TypeAlias = Literal[
    "created",
    "pending_approval",
    "requires_action",
    "approved",
    "denied",
    "expired",
    "failed",
    "canceled",
]

ACTIVE: Final[frozenset[Status]] = frozenset({"created", "pending_approval", "requires_action", "approved"})
"""Those that can still lead to a payment."""

TEST_CARD: Final[JSONObject] = {"number": "4000009990001984", "cvc": "123", "brand": "visa", "exp_month": 12}


class Action(Struct, frozen=True, kw_only=True):
    """What a user has to do before it goes on. `resumes` is whether it then goes on by itself."""

    type: str
    message: str
    resumes: bool


CHALLENGE: Final = Action(
    type="three_d_secure", message="Your bank asks you to confirm this payment.", resumes=True
)
UPDATE: Final = Action(
    type="update_payment_method", message="This card has expired: update it.", resumes=False
)


class SpendRequest(Struct, frozen=True, kw_only=True):
    """One row. Times are seconds since 1970; `decide_by` is set once approval was requested."""

    id: str
    status: Status
    terms: Terms
    created_at: float
    updated_at: float
    expires_at: float
    decide_by: float | None = None
    action: Action | None = None
    token: str | None = None
    failure: str | None = None

    @classmethod
    def of(cls, row: sqlite3.Row) -> SpendRequest:
        """The request in a row of the table."""
        return cls(
            id=row["id"],
            status=cast(Status, row["status"]),
            terms=msgspec.json.decode(row["terms"], type=Terms),
            created_at=row["created_at"],
            updated_at=row["updated_at"],
            expires_at=row["expires_at"],
            decide_by=row["decide_by"],
            action=None if row["action"] is None else msgspec.json.decode(row["action"], type=Action),
            token=row["token"],
            failure=row["failure"],
        )

    @property
    def method(self) -> wallet.PaymentMethod:
        """The payment method it spends from."""
        return wallet.find(self.terms.payment_details)

    def describe(self, base_url: str, include: frozenset[str] = frozenset()) -> JSONObject:
        """The request as the API shows it; `include` names the credentials to show with it."""
        shown: dict[str, JSONValue] = {
            "id": self.id,
            "status": self.status,
            **_plain(self.terms),
            "card_brand": self.method.brand,
            "card_last4": self.method.last4,
            "created_at": _timestamp(self.created_at),
            "updated_at": _timestamp(self.updated_at),
            "expires_at": int(self.expires_at),
        }
        if self.decide_by is not None:
            shown["approval_url"] = f"{base_url}/approve/{self.id}"
        if self.status == "requires_action" and self.action is not None:
            shown["status_details"] = {"requires_action": self._next_action(self.action, base_url)}
        if self.status == "failed":
            shown["payment_status_details"] = {
                "outcome": "failure",
                "code": self.failure,
                "amount": self.terms.amount,
                "currency": self.terms.currency,
            }
        if self.status == "approved" and self.terms.credential_type in include:
            shown |= self._credential()
        return shown

    def _next_action(self, action: Action, base_url: str) -> JSONObject:
        resolution = "auto_resume" if action.resumes else "create_new_spend_request_after_completion"
        return {
            "failure_code": None if action.resumes else "expired_card",
            "next_action": {
                "type": action.type,
                "resolution": resolution,
                "display_message": action.message,
                "action_url": f"{base_url}/challenge/{self.id}" if action.resumes else None,
            },
        }

    def _credential(self) -> dict[str, JSONValue]:
        valid_until = _timestamp(self.expires_at)
        if self.terms.credential_type == "card":
            card: JSONObject = {
                "id": f"card_{self.id.removeprefix('lsrq_')}",
                **TEST_CARD,
                "exp_year": self.method.exp_year,
                "valid_until": valid_until,
            }
            return {"card": card}
        return {"shared_payment_token": {"id": self.token, "valid_until": valid_until}}


def _plain(terms: Terms) -> dict[str, JSONValue]:
    shown = cast(dict[str, JSONValue], msgspec.to_builtins(terms))
    shown.pop("test", None)
    return {
        "line_items": [],
        "totals": [],
        "currency": terms.currency,
        "credential_type": terms.credential_type,
        **shown,
    }


def _timestamp(seconds: float) -> str:
    moment = datetime.fromtimestamp(seconds, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
