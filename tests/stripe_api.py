"""The Stripe sandbox as its tests use it: requests as they are on the wire, and what most begin with."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import httpx2

from coinslot.sandbox.stripe import SELLER, Keys

PREVIEW = "2026-07-29.preview"
GENERAL = "2026-10-28.endive"
SUCCESS = "0x" + "testsuccess".rjust(64, "0")
FAILURE = "0x" + "testfailed".rjust(64, "0")
CRYPTO = "payment_method_options[crypto]"

_numbers = itertools.count(1)


@dataclass(frozen=True)
class Reply:
    """An answer. `error` is what is in it if it is one."""

    status: int
    body: Any
    headers: Mapping[str, str]

    @property
    def error(self) -> dict[str, Any]:
        """The error."""
        assert self.status >= 400, self.body
        error: dict[str, Any] = self.body["error"]
        return error

    def __getitem__(self, name: str) -> Any:
        assert self.status < 400, self.body
        return self.body[name]


class Corner:
    """A sandbox that every test uses, as one of them sees it: the accounts are its own."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._number = next(_numbers)
        self._http = httpx2.Client(base_url=url, verify=False, trust_env=False)

    def account(self, name: str = SELLER) -> Keys:
        """The keys of the test's own seller, or buyer, or of whom it wants."""
        keys = Keys(f"{name}{self._number}")
        assert self._http.post("/_sandbox/accounts", json={"name": keys.name}).status_code == 201
        return keys

    def leave(self) -> None:
        """Have nothing go wrong for those who come after."""
        self._http.delete("/_sandbox/faults")
        self._http.close()


class StripeApi:
    """A client of one account, without a library's opinions."""

    def __init__(self, url: str, key: str, version: str = PREVIEW) -> None:
        self.url = url
        self.key = key
        self.version = version
        self.http = httpx2.Client(base_url=url, verify=False, trust_env=False, timeout=30)

    def post(self, path: str, *, key: str | None = None, version: str | None = None, **form: Any) -> Reply:
        """POST the parameters; `key` is the idempotency key."""
        headers = self._headers(version)
        if key is not None:
            headers["idempotency-key"] = key
        return _reply(self.http.post(path, data=dict(flatten(form)), headers=headers))

    def get(self, path: str, *, version: str | None = None, **query: Any) -> Reply:
        """GET with the parameters in the URL."""
        return _reply(self.http.get(path, params=dict(flatten(query)), headers=self._headers(version)))

    def delete(self, path: str) -> Reply:
        """DELETE."""
        return _reply(self.http.delete(path, headers=self._headers(None)))

    def control(self, path: str, body: object) -> Reply:
        """POST to the sandbox's own controls."""
        return _reply(self.http.post(f"/_sandbox/{path}", json=body))

    def close(self) -> None:
        """Close the connections."""
        self.http.close()

    # What most tests begin with.

    def charge(self, **members: Any) -> Reply:
        """A confirmed PaymentIntent over $5 on a card, unless the members say otherwise."""
        form: dict[str, Any] = {
            "amount": 500,
            "currency": "usd",
            "confirm": "true",
            "payment_method": "pm_card_visa",
            "payment_method_types": ["card"],
        }
        return self.post("/v1/payment_intents", **{**form, **members})

    def deposit(self, amount: int = 101, **members: Any) -> Reply:
        """A PaymentIntent that waits for a deposit on Tempo."""
        crypto = {"mode": "deposit", "deposit_options": {"networks": ["tempo"]}}
        return self._crypto(amount, crypto, members)

    def verify(self, transaction_hash: str, amount: int = 101, **members: Any) -> Reply:
        """A PaymentIntent that records a transfer on Tempo."""
        options = {"network": "tempo", "transaction_hash": transaction_hash}
        crypto = {"mode": "transaction_verification", "transaction_verification_options": options}
        return self._crypto(amount, crypto, members)

    def simulate(self, intent: str, transaction_hash: str = SUCCESS, **members: Any) -> Reply:
        """A simulated deposit."""
        form: dict[str, Any] = {
            "transaction_hash": transaction_hash,
            "network": "tempo",
            "token_currency": "usdc",
            "buyer_wallet": "0x" + "11" * 20,
        }
        path = f"/v1/test_helpers/payment_intents/{intent}/simulate_crypto_deposit"
        return self.post(path, **{**form, **members})

    def token(self, seller: str, **members: Any) -> Reply:
        """A shared payment token for a seller's profile, good for $5 and an hour."""
        limits = {"currency": "usd", "max_amount": 500, "expires_at": int(time.time()) + 3600}
        form: dict[str, Any] = {
            "payment_method": "pm_card_visa",
            "seller_details": {"network_business_profile": seller},
            "usage_limits": limits,
        }
        return self.post("/v1/shared_payment/issued_tokens", **{**form, **members})

    def redeem(self, token: str, **members: Any) -> Reply:
        """A PaymentIntent over $5, paid with a token as mppx pays it."""
        form: dict[str, Any] = {
            "amount": 500,
            "currency": "usd",
            "confirm": "true",
            "automatic_payment_methods": {"enabled": "true", "allow_redirects": "never"},
            "shared_payment_granted_token": token,
        }
        return self.post("/v1/payment_intents", **{**form, **members})

    def events(self) -> list[str]:
        """The types of all events, oldest first."""
        return [event["type"] for event in reversed(self.get("/v1/events", limit=100)["data"])]

    def _crypto(self, amount: int, crypto: object, members: dict[str, Any]) -> Reply:
        form: dict[str, Any] = {
            "amount": amount,
            "currency": "usd",
            "confirm": "true",
            "payment_method_types": ["crypto"],
            "payment_method_data": {"type": "crypto"},
            "payment_method_options": {"crypto": crypto},
        }
        return self.post("/v1/payment_intents", **{**form, **members})

    def _headers(self, version: str | None) -> dict[str, str]:
        return {"authorization": f"Bearer {self.key}", "stripe-version": version or self.version}


def until(condition: Callable[[], bool], seconds: float = 10.0) -> None:
    """Wait for something that happens by itself."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.02)


def flatten(form: Mapping[str, object], path: str = "") -> Iterator[tuple[str, str]]:
    """Nested parameters as forms write them: `a[b][0]`."""
    for name, value in form.items():
        here = f"{path}[{name}]" if path else name
        if isinstance(value, dict):
            yield from flatten(value, here)
        elif isinstance(value, list):
            yield from flatten({str(place): each for place, each in enumerate(value)}, here)
        else:
            yield here, str(value)


def _reply(response: httpx2.Response) -> Reply:
    return Reply(response.status_code, response.json() if response.content else None, response.headers)
