"""Idempotency keys: one effect, the same answer, and nothing stored for what never began."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor

from coinslot.sandbox.stripe import StripeSandbox
from stripe_api import Corner, StripeApi


def test_a_repeated_request_is_replayed(seller: StripeApi) -> None:
    """The same body and status, said to be a replay, with the first request's id; one PaymentIntent."""
    first = seller.charge(key="k")
    second = seller.charge(key="k")
    assert second.body == first.body
    assert "idempotent-replayed" not in first.headers
    assert second.headers["idempotent-replayed"] == "true"
    assert second.headers["original-request"] == first.headers["request-id"]
    assert second.headers["request-id"] != first.headers["request-id"]
    assert second.headers["idempotency-key"] == "k"
    assert len(seller.get("/v1/payment_intents")["data"]) == 1


def test_the_order_of_parameters_is_no_difference(seller: StripeApi) -> None:
    """A client that writes the same parameters in another order asks for the same."""
    form = {"amount": "500", "currency": "usd", "description": "x"}
    headers = {"authorization": f"Bearer {seller.key}", "idempotency-key": "k"}
    first = seller.http.post("/v1/payment_intents", data=form, headers=headers)
    other = dict(reversed(form.items()))
    assert seller.http.post("/v1/payment_intents", data=other, headers=headers).json() == first.json()


def test_another_request_with_the_key_is_refused(seller: StripeApi) -> None:
    """Other parameters, or another endpoint: 400 idempotency_error, and the first answer stays."""
    first = seller.charge(key="k")
    other = seller.charge(key="k", amount=600)
    assert (other.status, other.error["type"]) == (400, "idempotency_error")
    assert "same parameters" in other.error["message"]
    elsewhere = seller.post("/v1/customers", key="k")
    assert "'/v1/customers' vs '/v1/payment_intents'" in elsewhere.error["message"]
    assert seller.charge(key="k").body == first.body


def test_a_refused_parameter_is_not_stored(seller: StripeApi) -> None:
    """A request that failed validation gives its key back: the corrected one goes through."""
    assert seller.charge(key="k", amount="much").status == 400
    assert seller.charge(key="k", currency="usd", amount=10).error["code"] == "amount_too_small"
    assert seller.charge(key="k")["status"] == "succeeded"


def test_a_decline_is_stored(seller: StripeApi) -> None:
    """An answer of an endpoint that began is replayed, whatever it was; one failed charge."""
    first = seller.charge(key="k", payment_method="pm_card_chargeDeclined")
    second = seller.charge(key="k", payment_method="pm_card_chargeDeclined")
    assert (first.status, second.status) == (402, 402)
    assert (second.body, second.headers["idempotent-replayed"]) == (first.body, "true")
    assert len(seller.get("/v1/charges")["data"]) == 1


def test_an_error_that_was_asked_for_is_stored(seller: StripeApi) -> None:
    """A 500 is replayed too, and what was done before it stays undone."""
    seller.control("faults", {"kind": "error", "when": "before"})
    assert seller.charge(key="k").status == 500
    replayed = seller.charge(key="k")
    assert (replayed.status, replayed.headers["idempotent-replayed"]) == (500, "true")
    assert seller.get("/v1/payment_intents")["data"] == []


def test_a_key_in_use_is_a_conflict(seller: StripeApi) -> None:
    """While the first request is being done, a second is told so: 409, and it is not stored."""
    seller.control("faults", {"kind": "delay", "seconds": 1.0})
    with ThreadPoolExecutor() as pool:
        first = pool.submit(seller.charge, key="k")
        asyncio.run(asyncio.sleep(0.3))
        second = seller.charge(key="k")
    assert (second.status, second.error["code"]) == (409, "idempotency_key_in_use")
    assert first.result()["status"] == "succeeded"
    assert seller.charge(key="k").body == first.result().body


def test_keys_belong_to_an_account(seller: StripeApi, buyer: StripeApi) -> None:
    """Two accounts may use the same key for different things."""
    assert seller.charge(key="k")["id"] != buyer.charge(key="k")["id"]


def test_a_long_key_is_refused(seller: StripeApi) -> None:
    """255 characters are the most."""
    assert seller.charge(key="k" * 255)["status"] == "succeeded"
    assert seller.charge(key="k" * 256).status == 400


def test_reading_ignores_keys(seller: StripeApi) -> None:
    """A GET is neither stored nor replayed."""
    headers = {"authorization": f"Bearer {seller.key}", "idempotency-key": "k"}
    for _ in range(2):
        response = seller.http.get("/v1/payment_intents", headers=headers)
        assert "idempotent-replayed" not in response.headers


async def test_keys_are_forgotten_after_a_day() -> None:
    """A day later the key is as good as new."""
    now = 1_800_000_000.0
    async with StripeSandbox(clock=lambda: now) as sandbox:
        client = StripeApi(sandbox.url, sandbox.account().secret_key)
        first = await asyncio.to_thread(client.charge, key="k")
        now += 24 * 3600 + 1
        second = await asyncio.to_thread(client.charge, key="k")
        client.close()
    assert first["id"] != second["id"]


def test_fifty_copies_are_one_payment(sandbox: Corner, seller: StripeApi) -> None:
    """Fifty concurrent requests with one key: one PaymentIntent, and every 200 is the same."""
    with ThreadPoolExecutor(10) as pool:
        replies = list(pool.map(lambda _: seller.charge(key="k"), range(50)))
    assert {reply.status for reply in replies} <= {200, 409}
    assert len({reply["id"] for reply in replies if reply.status == 200}) == 1
    assert len(seller.get("/v1/payment_intents")["data"]) == 1
