"""Payment methods and spend requests, for people and for programs."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import to_builtins

from coinslot.cli.output import print_json, print_table
from coinslot.methods.stripe.currencies import as_money
from coinslot.methods.stripe.link_values import LinkPaymentMethod, SpendRequest


def print_payment_methods(methods: Sequence[LinkPaymentMethod]) -> None:
    """A line each. The default one has a star."""
    print_table(
        [
            (
                "*" if method.is_default else "",
                method.id,
                method.nickname or method.name,
                f"{method.brand or ''} {method.last4 or ''}".strip(),
                method.expires or "",
            )
            for method in methods
        ],
        headings=("", "ID", "NAME", "NUMBER", "EXPIRES"),
    )


def print_spend_requests(requests: Sequence[SpendRequest]) -> None:
    """A line each."""
    print_table(
        [
            (request.id, request.status, _amount(request), request.network_id or "", request.created_at)
            for request in requests
        ],
        headings=("ID", "STATUS", "AMOUNT", "TO", "MADE"),
    )


def print_spend_request(request: SpendRequest, *, as_json: bool, with_token: bool) -> None:
    """All of one. Its token only `with_token`."""
    if as_json:
        print_json(describe(request, with_token=with_token))
        return
    action, token = request.next_action, request.shared_payment_token
    rows = [
        ("ID", request.id),
        ("Status", request.status),
        ("Amount", _amount(request)),
        ("To", request.network_id),
        ("From", request.payment_details),
        ("Approve at", request.approval_url if request.status == "pending_approval" else None),
        ("To be done", None if action is None else action.display_message),
        ("Do it at", None if action is None else action.action_url),
        ("Failed with", request.failure),
        ("Token", token.id if token is not None and with_token else None),
        ("Good until", token.valid_until if token is not None else None),
    ]
    print_table([(name, value) for name, value in rows if value])


def describe(request: SpendRequest, *, with_token: bool) -> dict[str, object]:
    """The JSON for `request`, with Link's own names. What is not known is null; the token only if wanted."""
    shown: dict[str, object] = to_builtins(request)
    if not with_token:
        del shown["shared_payment_token"]
    return shown


def _amount(request: SpendRequest) -> str:
    return "" if request.amount is None else as_money(request.amount, request.currency or "usd")
