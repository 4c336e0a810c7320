"""Events: what happened is written down with the change itself, and queued for whoever asked to be told."""

from __future__ import annotations

from coinslot.protocol import JSONObject
from coinslot.sandbox.stripe.expansion import to_json
from coinslot.sandbox.stripe.identifiers import new_id
from coinslot.sandbox.stripe.shapes import Event, Resource, WebhookEndpoint
from coinslot.sandbox.stripe.shapes.event import EventData
from coinslot.sandbox.stripe.state import State
from coinslot.sandbox.stripe.versions import DEFAULT


def record(
    state: State, account: str, kind: str, item: Resource, previous: JSONObject | None = None
) -> Event:
    """Write down that `kind` happened to `item`, as it is now.

    `previous` are the former values of what changed, for `….updated`.
    """
    data = EventData(object=to_json(item))
    if previous is not None:
        data.previous_attributes = previous
    event = Event(
        id=new_id("evt"),
        created=state.now,
        api_version=state.version or DEFAULT,
        data=data,
        request=state.request,
        type=kind,
    )
    told = [each for each in state.all(WebhookEndpoint, account) if _wants(each, kind)]
    event.pending_webhooks = len(told)
    state.add(event, account)
    for endpoint in told:
        state.sql.execute(
            "INSERT INTO deliveries (account, event, endpoint, due) VALUES (?, ?, ?, ?)",
            (account, event.id, endpoint.id, state.moment),
        )
    return event


def _wants(endpoint: WebhookEndpoint, kind: str) -> bool:
    return endpoint.status == "enabled" and bool({"*", kind} & set(endpoint.enabled_events))
