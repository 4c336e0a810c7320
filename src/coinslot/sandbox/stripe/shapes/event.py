"""Events, and the endpoints that are told of them."""

from __future__ import annotations

from typing import ClassVar, Literal

from msgspec import UNSET, Struct, UnsetType, field

from coinslot.protocol import JSONObject
from coinslot.sandbox.stripe.shapes.base import Lasting


class EventData(Struct, kw_only=True):
    """The object as it was then, and the former values of what changed."""

    object: JSONObject
    previous_attributes: JSONObject | UnsetType = UNSET


class EventRequest(Struct, kw_only=True):
    """The request that caused it; none, for what happens by itself."""

    id: str | None = None
    idempotency_key: str | None = None


class Event(Lasting, kw_only=True):
    """Something that happened."""

    KIND: ClassVar[str] = "event"
    NOUN: ClassVar[str] = "event"

    object: Literal["event"] = "event"
    api_version: str
    data: EventData
    livemode: bool = False
    pending_webhooks: int = 0
    request: EventRequest
    type: str


class WebhookEndpoint(Lasting, kw_only=True):
    """A URL that events are posted to. `secret` is answered once, when it is made."""

    KIND: ClassVar[str] = "webhook_endpoint"
    NOUN: ClassVar[str] = "webhook endpoint"

    object: Literal["webhook_endpoint"] = "webhook_endpoint"
    api_version: str | None = None
    application: None = None
    description: str | None = None
    enabled_events: list[str]
    livemode: bool = False
    metadata: dict[str, str] = field(default_factory=dict)
    secret: str | UnsetType = UNSET
    status: Literal["enabled", "disabled"] = "enabled"
    url: str
