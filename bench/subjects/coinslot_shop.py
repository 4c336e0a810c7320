"""Coinslot, as the benchmark sees it: a shop to load with requests, credentials to spend there, a stopwatch.

python coinslot_shop.py serve LEDGER | credentials COUNT FILE | micro SECONDS
"""

from __future__ import annotations

import asyncio
import secrets
import sys
from collections.abc import Callable
from itertools import cycle
from pathlib import Path
from time import time
from typing import Final

from hosting import serve
from starlette.applications import Starlette
from starlette.requests import Request as StarletteRequest
from starlette.responses import JSONResponse
from starlette.routing import Route
from stopwatch import print_rates

from coinslot import Challenge, Challenged, Credential, InvalidPayload, Paywall
from coinslot.payments.method import Offer, Price, Proof, Settled, Settlement
from coinslot.protocol import Binder, JSONObject, encode_base64url, encode_object, format_timestamp
from coinslot.server.exchange import Request
from coinslot.server.gate import Gate

SECRET: Final = "the benchmark's secret, of 32 bytes or more"
REALM: Final = "shop.example"
HOST: Final = "shop.example"  # as `traffic.py` sends it
TERMS: Final[JSONObject] = {
    "amount": "10000",
    "currency": "0x20c0000000000000000000000000000000000000",
    "methodDetails": {"chainId": 42431},
    "recipient": "0x742d35cc6634c0532925a3b844bc9e7595f8fe00",
}


class Stub:
    """A payment method that takes every note at once: what is measured is all that is around it."""

    name = "stub"
    intent = "charge"

    def prepare(self, _: Price) -> Offer | None:
        """The same terms, whatever the price."""
        return Offer(request=TERMS, amount=10_000, currency=str(TERMS["currency"]))

    def canonical(self, payload: JSONObject) -> JSONObject:
        """A note is a string."""
        note = payload.get("note")
        if not isinstance(note, str):
            raise InvalidPayload("A payload is {note: string}.")
        return {"note": note}

    async def verify(self, credential: Credential, _: JSONObject) -> Proof:
        """Every note is good."""
        note = str(credential.payload["note"])
        return Proof(key=f"stub:{note}", reference=note[:32], amount=10_000, currency="stub")

    async def settle(self, proof: Proof) -> Settlement:
        """And is money at once."""
        return Settled(reference=proof.reference)


def paywall(ledger: str) -> Paywall:
    """The paywall; its challenges outlive the benchmark."""
    return Paywall([Stub()], secret_key=SECRET, realm=REALM, ledger=ledger, expires_in=3600)


def shop(ledger: str) -> Starlette:
    """One free route and one paid one, with the same answer."""
    wall = paywall(ledger)

    async def free(_: StarletteRequest) -> JSONResponse:
        return JSONResponse({"data": "worth it"})

    @wall.charge("0.01")
    async def paid(_: StarletteRequest) -> JSONResponse:
        return JSONResponse({"data": "worth it"})

    app = Starlette(routes=[Route("/free", free), Route("/paid", paid)])
    wall.attach(app)
    return app


def request(authorization: str | None = None) -> Request:
    """GET /paid, as the engine sees it."""
    headers = {"host": HOST} if authorization is None else {"host": HOST, "authorization": authorization}
    return Request.create("GET", "/paid", headers=headers)


async def challenge(gate: Gate) -> str:
    """The `WWW-Authenticate` value of a 402 for GET /paid."""
    answer = await gate.decide(request())
    assert isinstance(answer, Challenged)
    return dict(answer.response.headers)[b"www-authenticate"].decode()


async def credential(gate: Gate) -> str:
    """An `Authorization` value that is good for one GET /paid."""
    return Credential(
        challenge=Challenge.parse(await challenge(gate)), payload={"note": secrets.token_hex(280)}
    ).to_header()


async def credentials(count: int) -> str:
    """So many of them, one a line."""
    gate = paywall("memory:").charge("0.01")
    return "".join([f"{await credential(gate)}\n" for _ in range(count)])


async def operations() -> dict[str, Callable[[], object]]:
    """What is timed, by name."""
    gate = paywall("memory:").charge("0.01")
    terms = encode_object(TERMS)
    binder = Binder([SECRET.encode()])
    headers = cycle([await challenge(gate) for _ in range(100)])
    challenges = cycle([Challenge.parse(await challenge(gate)) for _ in range(100)])
    unpaid = request()
    paying = cycle([request(await credential(gate)) for _ in range(100)])

    def issue() -> Challenge:
        expires = format_timestamp(time() + 3600)
        scope: JSONObject = {"host": HOST, "verb": "GET", "path": "/paid", "query": "", "body": "none"}
        opaque = encode_object({**scope, "nonce": encode_base64url(secrets.token_bytes(12))})
        issued = binder.issue(
            realm=REALM, method="stub", intent="charge", request=terms, expires=expires, opaque=opaque
        )
        return Challenge(
            id=issued,
            realm=REALM,
            method="stub",
            intent="charge",
            request=terms,
            expires=expires,
            opaque=opaque,
        )

    async def verify() -> object:
        return await gate.engine.admit(gate, next(paying))

    async def refuse() -> object:
        return await gate.decide(unpaid)

    return {
        "issue": issue,
        "render": lambda: next(challenges).to_header(),
        "parse": lambda: Challenge.parse(next(headers)),
        "verify": verify,
        "402": refuse,
    }


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["serve", ledger]:
            serve(shop(ledger))
        case ["credentials", count, file]:
            Path(file).write_text(asyncio.run(credentials(int(count))))
        case ["micro", seconds]:
            print_rates(asyncio.run(operations()), float(seconds))
        case _:
            sys.exit(__doc__)
