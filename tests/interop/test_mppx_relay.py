"""The relay that stands in for Tempo's API: what it takes, what it refuses, and that it does a thing once."""

from __future__ import annotations

from collections.abc import Iterator

import httpx2
import msgspec
import pytest

from coinslot.methods.tempo.keys import PrivateKey
from coinslot.protocol import Challenge, JSONObject
from interop.chains import Chain
from interop.parties import RELAY_KEY
from peer_programs import Peer
from shopping import challenge_of
from tempo_payments import credential, new_address, unsigned

PRICE = 10_000  # base units


@pytest.fixture
def http(relay: str) -> Iterator[httpx2.Client]:
    """A customer of the relay."""
    headers = {"tempo-api-key": RELAY_KEY}
    with httpx2.Client(base_url=f"{relay}/v1/mpp/", headers=headers, trust_env=False, timeout=30) as client:
        yield client


@pytest.fixture
def recipient() -> str:
    """Somebody who has nothing yet."""
    return new_address()


@pytest.fixture
def challenge(mppx: Peer, chain_t0: Chain, recipient: str) -> Challenge:
    """One of mppx's server, which binds as the relay expects."""
    return challenge_of(httpx2.get(mppx.shop(chain_t0.rpc.url, recipient), trust_env=False))


@pytest.fixture
def payment(chain_t0: Chain, challenge: Challenge) -> JSONObject:
    """A credential for the challenge, as it is sent to a relay."""
    payer = PrivateKey.generate()
    chain_t0.give(payer.address, price=PRICE, fees=1_000_000)
    echoed = {name: value for name, value in msgspec.to_builtins(challenge).items() if value is not None}
    return {
        "challenge": {**echoed, "request": challenge.decode_request()},
        "payload": credential(challenge, unsigned(challenge).sign(payer)).payload,
    }


def test_a_good_payment_is_taken_once(
    http: httpx2.Client, payment: JSONObject, chain_t0: Chain, recipient: str
) -> None:
    """It is validated and broadcast; the same key has the same answer, another key has no second payment."""
    assert http.post("validate", json=payment).json() == {"success": True}
    assert chain_t0.balance(recipient) == 0
    first = http.post("broadcast", json=payment, headers={"idempotency-key": "a"}).json()
    assert chain_t0.rpc("eth_getTransactionReceipt", first["receipt"]["reference"])["status"] == "0x1"
    assert http.post("broadcast", json=payment, headers={"idempotency-key": "a"}).json() == first
    for headers in ({"idempotency-key": "b"}, {}):
        again = http.post("broadcast", json=payment, headers=headers).json()
        assert (again["success"], again["error"]["code"]) == (False, "already_used")
    assert chain_t0.balance(recipient) == PRICE


def test_what_does_not_pay_is_refused(
    http: httpx2.Client, payment: JSONObject, chain_t0: Chain, recipient: str
) -> None:
    """Somebody else's challenge is refused by both, with a code."""
    challenge = payment["challenge"]
    assert isinstance(challenge, dict)
    forged = {**payment, "challenge": {**challenge, "realm": "elsewhere.example"}}
    for step in ("validate", "broadcast"):
        assert http.post(step, json=forged).json()["error"]["code"] == "invalid_payment"
    assert chain_t0.balance(recipient) == 0


def test_only_customers_are_served(http: httpx2.Client, payment: JSONObject) -> None:
    """Without the right API key there is no answer."""
    for step in ("validate", "broadcast"):
        assert http.post(step, json=payment, headers={"tempo-api-key": "another"}).status_code == 401
