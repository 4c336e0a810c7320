"""The HTTP side: what is no request is refused before anybody is asked."""

from __future__ import annotations

import pytest

from stripe_api import StripeApi

PATH = "/v1/customers"


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        (b'{"name": "x"}', "application/json", 400),
        (b"name=%ff", "application/x-www-form-urlencoded", 400),
        (b"name=\xff", "application/x-www-form-urlencoded", 400),
        (b"name=" + b"x" * 2**20, "application/x-www-form-urlencoded", 413),
    ],
)
def test_other_bodies_are_refused(seller: StripeApi, body: bytes, kind: str, status: int) -> None:
    """JSON, bytes that are no text, and too many: in Stripe's shape, with a request id."""
    headers = {"authorization": f"Bearer {seller.key}", "content-type": kind}
    response = seller.http.post(PATH, content=body, headers=headers)
    assert response.status_code == status
    assert response.json()["error"]["type"] == "invalid_request_error"
    assert response.headers["request-id"].startswith("req_")
    assert seller.get(PATH)["data"] == []


def test_parameters_may_be_in_the_url(seller: StripeApi) -> None:
    """A POST has them in its body, in its URL, or in both."""
    assert seller.post(f"{PATH}?name=x", email="a@example.com")["name"] == "x"


def test_answers_are_to_be_read(seller: StripeApi) -> None:
    """JSON in lines, as Stripe writes it, never to be cached."""
    response = seller.http.get(PATH, headers={"authorization": f"Bearer {seller.key}"})
    assert response.text.startswith('{\n  "')
    assert (response.headers["content-type"], response.headers["cache-control"]) == (
        "application/json",
        "no-store",
    )
