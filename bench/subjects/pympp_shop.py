"""pympp, as the benchmark sees it: the same shop as `coinslot_shop.py`, of its own parts.

python pympp_shop.py serve LEDGER | credentials COUNT FILE | micro SECONDS
"""

from __future__ import annotations

import asyncio
import secrets
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from itertools import cycle
from pathlib import Path
from typing import Any

from hosting import serve
from mpp import Challenge, Credential, Receipt
from mpp._validation import Validation
from mpp.server import (
    Method,
    Mpp,
    PaymentRequired,
    Request,
    ServerMethod,
    ValidateContext,
    VerificationFailedError,
    VerifyContext,
)
from mpp.server.compose import ComposedHandler
from mpp.server.decorator import pay
from mpp.store import MemoryStore, Store
from mpp.stores import SQLiteStore
from pydantic import BaseModel
from starlette.applications import Starlette
from starlette.requests import Request as StarletteRequest
from starlette.responses import JSONResponse
from starlette.routing import Route
from stopwatch import print_rates

SECRET = "the benchmark's secret, of 32 bytes or more"
REALM = "shop.example"
TERMS = {
    "amount": "10000",
    "currency": "0x20c0000000000000000000000000000000000000",
    "methodDetails": {"chainId": 42431},
    "recipient": "0x742d35cc6634c0532925a3b844bc9e7595f8fe00",
}


class Terms(BaseModel):
    """What a stub charge asks for."""

    amount: str
    currency: str
    methodDetails: dict[str, int]  # noqa: N815 (the wire's name)
    recipient: str


class Note(BaseModel):
    """What pays it."""

    note: str


class Stub:
    """A payment method that takes every note once.

    pympp leaves replays to its methods, so the store is here: one claim for each payment, where Coinslot's
    ledger has the payment's whole life.
    """

    def __init__(self) -> None:
        self.store: Store = MemoryStore()

    async def validate(self, context: ValidateContext) -> Validation:
        """Every note is good."""
        return Validation(
            credential=context.credential, details=None, intent="charge", request=context.request
        )

    async def broadcast(self, context: VerifyContext) -> Receipt:
        """And is money at once, unless it was spent."""
        note = context.credential.payload.note
        if not await self.store.put_if_absent(f"stub:{note}", "spent"):
            raise VerificationFailedError("The note is spent.")
        return Receipt.success(note[:32], method="stub")


def payments(stub: Stub) -> Mpp:
    """The payment engine."""
    method = ServerMethod(
        method=Method(name="stub", intent="charge", request_model=Terms, payload_model=Note),
        validate=stub.validate,
        broadcast=stub.broadcast,
        defaults={name: value for name, value in TERMS.items() if name != "amount"},
    )
    return Mpp(methods=method, realm=REALM, secret_key=SECRET)


def charge(mpp: Mpp) -> ComposedHandler:
    """The price; its challenges outlive the benchmark."""
    return mpp.charge(amount=TERMS["amount"], expires_in=timedelta(hours=1))


def shop(ledger: str) -> Starlette:
    """One free route and one paid one, with the same answer."""
    stub = Stub()

    async def free(_: StarletteRequest) -> JSONResponse:
        return JSONResponse({"data": "worth it"})

    @pay(charge(payments(stub)))
    async def paid(
        _: StarletteRequest,
        credential: Credential,  # noqa: ARG001 (pympp goes by these names)
        receipt: Receipt,  # noqa: ARG001
    ) -> JSONResponse:
        return JSONResponse({"data": "worth it"})

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        if not ledger.startswith("sqlite:///"):
            yield
            return
        async with await SQLiteStore.create(ledger.removeprefix("sqlite:///")) as store:
            stub.store = store
            yield

    return Starlette(routes=[Route("/free", free), Route("/paid", paid)], lifespan=lifespan)


async def challenge(handler: ComposedHandler) -> str:
    """The `WWW-Authenticate` value of a 402 for GET /paid."""
    answer = await handler(Request("GET", "http://127.0.0.1/paid", route="/paid"))
    assert isinstance(answer, PaymentRequired)
    return str(answer.challenge.headers["www-authenticate"])


async def credential(handler: ComposedHandler) -> str:
    """An `Authorization` value that is good for one GET /paid."""
    echo = Challenge.from_www_authenticate(await challenge(handler)).to_echo()
    return Credential(challenge=echo, payload={"note": secrets.token_hex(280)}).to_authorization()


async def credentials(count: int) -> str:
    """So many of them, one a line."""
    handler = charge(payments(Stub()))
    return "".join([f"{await credential(handler)}\n" for _ in range(count)])


async def operations() -> dict[str, Callable[[], Any]]:
    """What is timed, by name."""
    mpp = payments(Stub())
    handler = charge(mpp)
    headers = cycle([await challenge(handler) for _ in range(100)])
    challenges = cycle([Challenge.from_www_authenticate(await challenge(handler)) for _ in range(100)])
    paying = cycle([await credential(handler) for _ in range(100)])
    unpaid = Request("GET", "http://127.0.0.1/paid", route="/paid")
    # What its routes put into the terms of each challenge.
    scope = {"http_method": "GET", "route": "/paid", "resource": "/paid"}
    terms = {**TERMS, "_mppx_scope": scope}

    def issue() -> Challenge:
        expires = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
        return Challenge.create(
            secret_key=SECRET,
            realm=REALM,
            method="stub",
            intent="charge",
            request=terms,
            expires=expires,
            meta={"_mpp_nonce": secrets.token_hex(32)},
        )

    async def verify() -> Validation:
        return await mpp.validate_credential(next(paying), request={"amount": TERMS["amount"]})

    async def refuse() -> object:
        return await handler(unpaid)

    return {
        "issue": issue,
        "render": lambda: next(challenges).to_www_authenticate(REALM),
        "parse": lambda: Challenge.from_www_authenticate(next(headers)),
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
