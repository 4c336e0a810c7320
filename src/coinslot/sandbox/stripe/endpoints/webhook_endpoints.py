"""/v1/webhook_endpoints."""

from __future__ import annotations

from typing import Final
from urllib.parse import urlsplit

from msgspec import UNSET

from coinslot.sandbox.stripe import metadata
from coinslot.sandbox.stripe.calls import Call, endpoint
from coinslot.sandbox.stripe.endpoints.customers import Deleted
from coinslot.sandbox.stripe.errors import invalid
from coinslot.sandbox.stripe.identifiers import new_id, random_text
from coinslot.sandbox.stripe.lists import Listing, ListParameters, page
from coinslot.sandbox.stripe.parameters import Parameters
from coinslot.sandbox.stripe.shapes import WebhookEndpoint
from coinslot.sandbox.stripe.state import State


class Create(Parameters, kw_only=True, frozen=True):
    """What creating takes."""

    url: str
    enabled_events: list[str]
    api_version: str | None = None
    description: str | None = None
    metadata: dict[str, str] | None = None


class Update(Parameters, kw_only=True, frozen=True):
    """What updating takes."""

    url: str | None = None
    enabled_events: list[str] | None = None
    description: str | None = None
    disabled: bool | None = None
    metadata: dict[str, str] | None = None


def create(state: State, call: Call, given: Create) -> WebhookEndpoint:
    """POST /v1/webhook_endpoints. Its secret is in this answer alone."""
    _check(given.url, given.enabled_events)
    made = WebhookEndpoint(
        id=new_id("we"),
        created=state.now,
        api_version=given.api_version,
        description=given.description,
        enabled_events=given.enabled_events,
        metadata=metadata.merged({}, given.metadata),
        secret=f"whsec_{random_text(32)}",
        url=given.url,
    )
    return state.add(made, call.account)


def retrieve(state: State, call: Call, _given: Parameters) -> WebhookEndpoint:
    """GET /v1/webhook_endpoints/{id}."""
    return _shown(state.get(WebhookEndpoint, call.id, call.account))


def update(state: State, call: Call, given: Update) -> WebhookEndpoint:
    """POST /v1/webhook_endpoints/{id}."""
    found = state.get(WebhookEndpoint, call.id, call.account)
    _check(
        given.url or found.url, found.enabled_events if given.enabled_events is None else given.enabled_events
    )
    found.url = given.url or found.url
    if given.enabled_events is not None:
        found.enabled_events = given.enabled_events
    if given.description is not None:
        found.description = given.description or None
    if given.disabled is not None:
        found.status = "disabled" if given.disabled else "enabled"
    found.metadata = metadata.merged(found.metadata, given.metadata)
    return _shown(state.save(found))


def delete(state: State, call: Call, _given: Parameters) -> Deleted:
    """DELETE /v1/webhook_endpoints/{id}. What was to be delivered to it no longer is."""
    found = state.get(WebhookEndpoint, call.id, call.account)
    state.remove(found)
    state.sql.execute("UPDATE deliveries SET due = NULL WHERE endpoint = ?", (found.id,))
    return Deleted(id=found.id, object=WebhookEndpoint.KIND)


def list_(state: State, call: Call, given: ListParameters) -> Listing:
    """GET /v1/webhook_endpoints."""
    listing = page(state, WebhookEndpoint, call.account, given, call.path, {})
    listing.data = [_shown(each) if isinstance(each, WebhookEndpoint) else each for each in listing.data]
    return listing


def _shown(found: WebhookEndpoint) -> WebhookEndpoint:
    found.secret = UNSET
    return found


def _check(url: str, enabled_events: list[str]) -> None:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise invalid(
            "Invalid URL: An explicit scheme (such as https) must be provided.",
            param="url",
            code="url_invalid",
        )
    if not enabled_events:
        raise invalid("You must enable at least one event.", param="enabled_events", code="parameter_missing")


_ALL: Final = "/v1/webhook_endpoints"
_ONE: Final = f"{_ALL}/{{id}}"

ENDPOINTS: Final = (
    endpoint("POST", _ALL, Create, create),
    endpoint("GET", _ALL, ListParameters, list_),
    endpoint("GET", _ONE, Parameters, retrieve),
    endpoint("POST", _ONE, Update, update),
    endpoint("DELETE", _ONE, Parameters, delete),
)
