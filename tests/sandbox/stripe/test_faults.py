"""Faults on demand: they happen to the next requests that match, and to no others."""

from __future__ import annotations

import time
from typing import Any

import httpx2
import pytest
import stripe

from coinslot.sandbox.stripe import ThreadedStripeSandbox
from stripe_api import StripeApi


@pytest.fixture
def sandbox(own_sandbox: ThreadedStripeSandbox) -> ThreadedStripeSandbox:
    """One that goes wrong for this test alone."""
    return own_sandbox


@pytest.mark.parametrize("when", ["before", "after"])
def test_an_answer_is_dropped(seller: StripeApi, when: str) -> None:
    """The connection breaks; what was asked for was done only if it was to break after that."""
    seller.control("faults", {"kind": "drop", "when": when})
    with pytest.raises(httpx2.TransportError):
        seller.charge(key="k")
    done = len(seller.get("/v1/payment_intents")["data"])
    assert done == (1 if when == "after" else 0)
    again = seller.charge(key="k")
    assert again["status"] == "succeeded"
    assert ("idempotent-replayed" in again.headers) == (when == "after")
    assert len(seller.get("/v1/payment_intents")["data"]) == 1


@pytest.mark.parametrize("when", ["before", "after"])
def test_an_error_is_answered(seller: StripeApi, when: str) -> None:
    """500 api_error; after execution, what was done stands, and the key answers 500 all the same."""
    seller.control("faults", {"kind": "error", "when": when})
    broken = seller.charge(key="k")
    assert (broken.status, broken.error["type"]) == (500, "api_error")
    assert seller.charge(key="k").status == 500
    assert len(seller.get("/v1/payment_intents")["data"]) == (1 if when == "after" else 0)


@pytest.mark.parametrize("code", ["rate_limit", "lock_timeout"])
def test_a_limit_is_answered(seller: StripeApi, code: str) -> None:
    """429, nothing done, nothing stored."""
    seller.control("faults", {"kind": "rate_limit", "code": code})
    limited = seller.charge(key="k")
    assert (limited.status, limited.error["code"]) == (429, code)
    assert seller.charge(key="k")["status"] == "succeeded"


def test_an_answer_is_late(seller: StripeApi) -> None:
    """It takes the seconds that it was told to."""
    seller.control("faults", {"kind": "delay", "seconds": 0.4})
    start = time.monotonic()
    assert seller.charge()["status"] == "succeeded"
    assert time.monotonic() - start >= 0.4


def test_faults_choose_their_requests(seller: StripeApi) -> None:
    """By method and path, as many times as they were told; they are listed, and can be lifted."""
    seller.control("faults", {"kind": "error", "method": "POST", "path": "/v1/refunds*", "times": 2})
    assert seller.charge()["status"] == "succeeded"
    assert [seller.post("/v1/refunds").status for _ in range(3)] == [500, 500, 400]
    seller.control("faults", {"kind": "error", "times": 5})
    (listed,) = seller.get("/_sandbox/faults")["faults"]
    assert (listed["kind"], listed["times"]) == ("error", 5)
    assert seller.delete("/_sandbox/faults").status == 204
    assert seller.charge()["status"] == "succeeded"


def test_controls_are_checked(seller: StripeApi) -> None:
    """Unknown kinds and members are 400; a form from a web page is 415."""
    assert seller.control("faults", {"kind": "earthquake"}).status == 400
    assert seller.control("faults", {"kind": "drop", "whenever": "x"}).status == 400
    assert seller.http.post("/_sandbox/faults", data={"kind": "drop"}).status_code == 415
    assert seller.get("/_sandbox")["accounts"][0]["name"] == "seller"


def test_a_rate_limit_holds(seller: StripeApi, buyer: StripeApi) -> None:
    """So many requests a second and account; beyond them 429 with the reason, until it is lifted."""
    seller.control("rate_limit", {"per_second": 3})
    replies = [seller.get("/v1/account") for _ in range(6)]
    assert [reply.status for reply in replies][:3] == [200, 200, 200]
    limited = replies[-1]
    assert (limited.status, limited.error["code"]) == (429, "rate_limit")
    assert limited.headers["stripe-rate-limited-reason"] == "global-rate"
    assert buyer.get("/v1/account").status == 200
    seller.control("rate_limit", {"per_second": None})
    assert seller.get("/v1/account").status == 200


def test_the_sdk_survives_a_lost_answer(sandbox: ThreadedStripeSandbox, seller: StripeApi) -> None:
    """Stripe's own client tries again with its key, and pays once."""
    client = stripe.StripeClient(
        sandbox.account().secret_key, base_addresses={"api": sandbox.url}, max_network_retries=2
    )
    seller.control("faults", {"kind": "drop", "when": "after"})
    form: Any = {
        "amount": 500,
        "currency": "usd",
        "confirm": True,
        "payment_method": "pm_card_visa",
        "payment_method_types": ["card"],
    }
    intent = client.v1.payment_intents.create(form)
    assert intent.status == "succeeded"
    assert len(seller.get("/v1/payment_intents")["data"]) == 1
