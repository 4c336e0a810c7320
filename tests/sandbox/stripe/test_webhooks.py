"""Webhooks: signed as Stripe's are, tried again until accepted, and not lost by a restart."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import stripe

from coinslot.sandbox.stripe import ThreadedStripeSandbox, sign
from stripe_api import Reply, StripeApi, until
from webhook_receiver import Receiver, receiving

PATH = "/v1/webhook_endpoints"


@pytest.fixture
def hooks() -> Iterator[Receiver]:
    """A shop that takes webhooks."""
    with receiving() as receiver:
        yield receiver


def subscribe(api: StripeApi, hooks: Receiver, *events: str) -> Reply:
    """An endpoint that is told of these events, or of all."""
    return api.post(PATH, url=hooks.url, enabled_events=list(events or ("*",)))


def test_events_are_delivered_and_signed(seller: StripeApi, hooks: Receiver) -> None:
    """Stripe's own library takes the signature, of this body and of no other."""
    secret = subscribe(seller, hooks)["secret"]
    seller.charge()
    until(lambda: len(hooks.bodies) == 3)
    assert sorted(hooks.types) == ["charge.succeeded", "payment_intent.created", "payment_intent.succeeded"]
    for body, signature in zip(hooks.bodies, hooks.signatures, strict=True):
        event = stripe.Webhook.construct_event(body, signature, secret)
        assert event["object"] == "event"
        with pytest.raises(stripe.SignatureVerificationError):
            stripe.Webhook.construct_event(body + b" ", signature, secret)
    until(lambda: all(each["pending_webhooks"] == 0 for each in seller.get("/v1/events")["data"]))


def test_an_endpoint_hears_what_it_asked_for(seller: StripeApi, buyer: StripeApi, hooks: Receiver) -> None:
    """No other types, no other account's, and nothing while disabled or when deleted."""
    endpoint = subscribe(seller, hooks, "payment_intent.succeeded", "charge.failed")["id"]
    buyer.charge()
    seller.charge()
    until(lambda: len(hooks.bodies) == 1)
    assert seller.post(f"{PATH}/{endpoint}", disabled="true")["status"] == "disabled"
    seller.charge()
    assert seller.post(f"{PATH}/{endpoint}", disabled="false")["status"] == "enabled"
    seller.charge(payment_method="pm_card_chargeDeclined")
    until(lambda: len(hooks.bodies) == 2)
    assert seller.delete(f"{PATH}/{endpoint}")["deleted"] is True
    seller.charge()
    assert hooks.types == ["payment_intent.succeeded", "charge.failed"]
    assert seller.get(PATH)["data"] == []


def test_the_secret_is_told_once(seller: StripeApi, hooks: Receiver) -> None:
    """It is in the answer that made the endpoint, and in no other."""
    made = subscribe(seller, hooks)
    assert made["secret"].startswith("whsec_")
    assert "secret" not in seller.get(f"{PATH}/{made['id']}").body
    assert "secret" not in seller.get(PATH)["data"][0]
    assert "secret" not in seller.post(f"{PATH}/{made['id']}", description="x").body


def test_what_is_no_endpoint_is_refused(seller: StripeApi, hooks: Receiver) -> None:
    """A URL without a scheme, and no events."""
    assert seller.post(PATH, url="shop.example", enabled_events=["*"]).error["code"] == "url_invalid"
    assert seller.post(PATH, url=hooks.url, enabled_events="").error["param"] == "enabled_events"


def test_a_refused_delivery_is_tried_again() -> None:
    """Any answer but 2xx is a failure; the same event comes again, with a signature of its own time."""
    with receiving() as hooks, ThreadedStripeSandbox(retry_delays=(0.1, 0.1)) as sandbox:
        api = StripeApi(sandbox.url, sandbox.account().secret_key)
        secret = subscribe(api, hooks, "payment_intent.succeeded")["secret"]
        hooks.statuses += [500, 302]
        api.charge()
        until(lambda: len(hooks.bodies) == 3)
        assert len({event["id"] for event in hooks.events}) == 1
        for body, signature in zip(hooks.bodies, hooks.signatures, strict=True):
            stripe.Webhook.construct_event(body, signature, secret)
        hooks.statuses += [500] * 9
        api.charge()
        until(lambda: len(hooks.bodies) == 6)
        until(lambda: api.get("/v1/events")["data"][0]["pending_webhooks"] == 0)
        assert len(hooks.bodies) == 6
        api.close()


def test_a_restart_delivers_what_is_left(tmp_path: Path) -> None:
    """What could not be delivered before a stop is delivered after it."""
    state = tmp_path / "stripe.db"
    with receiving() as hooks:
        with ThreadedStripeSandbox(state=state, retry_delays=(0.5,)) as sandbox:
            api = StripeApi(sandbox.url, sandbox.account().secret_key)
            subscribe(api, hooks, "payment_intent.succeeded")
            hooks.statuses.append(503)
            intent = api.charge()["id"]
            until(lambda: len(hooks.bodies) == 1)
            api.close()
        with ThreadedStripeSandbox(state=state, retry_delays=(0.5,)):
            until(lambda: len(hooks.bodies) == 2)
    assert {event["data"]["object"]["id"] for event in hooks.events} == {intent}


def test_deposits_are_told_of_too(seller: StripeApi, hooks: Receiver) -> None:
    """What happens by itself has no request behind it."""
    subscribe(seller, hooks, "payment_intent.succeeded")
    seller.simulate(seller.deposit()["id"])
    until(lambda: len(hooks.bodies) == 1)
    assert hooks.events[0]["request"] == {"id": None, "idempotency_key": None}


def test_signing_is_stripe_s() -> None:
    """A known vector: HMAC-SHA256 of `<t>.<body>`, in hex."""
    assert sign("whsec_test", 1_700_000_000, b'{"a": 1}') == (
        "t=1700000000,v1=" + stripe.WebhookSignature._compute_signature('1700000000.{"a": 1}', "whsec_test")
    )
