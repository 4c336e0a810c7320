"""Buyers: real wallets that come back until they have what they paid for, and note all they are told."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from typing import Final, Literal

import httpx2
import msgspec
from msgspec import Struct

from coinslot.client import PaymentRecord, Wallet
from coinslot.errors import PaymentUndecided, WalletError
from coinslot.methods import stripe, tempo
from coinslot.methods.tempo.keys import PrivateKey
from coinslot.payments.method import ClientMethod
from coinslot.protocol import Credential, find_credentials
from coinslot.sandbox.stripe import BUYER, Keys
from faults.world import Places

Rail = Literal["pull", "push", "stripe"]
Manner = Literal["returns", "vanishes", "crowds"]

PATIENCE: Final = 100.0
"""Seconds after which a buyer who comes back has come back often enough."""

_CROWD: Final = 5
_PAUSE: Final = 0.3


class Sighting(Struct, frozen=True):
    """One answer to a credential. `status` is 0 if none came; `challenged` says that it asks to pay anew."""

    challenge_id: str
    status: int
    slug: str
    challenged: bool
    body: bytes
    at: float


class Buyer(httpx2.AsyncBaseTransport):
    """One who buys one thing.

    `keyed` is whether their requests have an `Idempotency-Key`. One who `crowds` sends each new credential
    five times at once; one who `vanishes` does not come back after their first.
    """

    def __init__(
        self, places: Places, rail: Rail, account: PrivateKey, *, keyed: bool, manner: Manner
    ) -> None:
        self.rail = rail
        self.keyed = keyed
        self.manner = manner
        self.sightings: list[Sighting] = []
        self.replays: list[Sighting] = []
        self.credentials: dict[str, Credential] = {}
        self._key: dict[str, str] = {}
        self.answer: httpx2.Response | None = None
        self._inner = httpx2.AsyncHTTPTransport(limits=httpx2.Limits(max_keepalive_connections=0))
        self._wallet = Wallet(
            [_method(places, rail, account)], max_amount="5.00", patience=0.0 if manner == "vanishes" else 5.0
        )

    @property
    def goods(self) -> list[bytes]:
        """What was handed over, each time that it was."""
        return [sighting.body for sighting in self.sightings if sighting.status == 200]

    async def buy(self, url: str) -> None:
        """Pay, and come back until there is a final answer, or patience runs out."""
        deadline = time.monotonic() + PATIENCE
        payment: PaymentRecord | None = None
        async with httpx2.AsyncClient(
            transport=self._wallet.async_transport(self), timeout=60, trust_env=False
        ) as http:
            while time.monotonic() < deadline:
                extensions: dict[str, object] = {} if payment is None else {"payment": payment}
                try:
                    self.answer = await http.get(url, extensions=extensions)
                except PaymentUndecided as error:
                    payment = _record(error.payment)
                except (WalletError, httpx2.HTTPError):
                    pass  # nothing was presented
                else:
                    if self.answer.status_code in (200, 403):
                        break
                    # A 402 says that nothing was taken, so they pay anew, as often as they are told to.
                    payment = None if self.answer.status_code == 402 else self._pending(payment)
                if self.manner == "vanishes" and self.credentials:
                    break
                await asyncio.sleep(_PAUSE)
        await self._wallet.aclose()

    async def replay(self, url: str) -> None:
        """Present each credential once more, until there is something else to hear than to wait."""
        for credential in list(self.credentials.values()):
            headers = {"Authorization": credential.to_header()} | self._key
            deadline = time.monotonic() + PATIENCE
            seen = None
            while time.monotonic() < deadline and (seen is None or seen.status in (0, 409, 503)):
                await asyncio.sleep(0 if seen is None else _PAUSE)
                with suppress(httpx2.HTTPError):
                    await self._present(httpx2.Request("GET", url, headers=headers), credential)
                seen = self.sightings[-1]
            if seen is not None:
                self.replays.append(seen)

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send one request of the wallet's, and note what comes of it."""
        presented = [Credential.parse(text) for text in find_credentials(_authorizations(request))]
        if not presented:
            return await self._whole(request)
        credential = presented[0]
        is_new = credential.challenge.id not in self.credentials
        self.credentials[credential.challenge.id] = credential
        if self.keyed:
            self._key = {"Idempotency-Key": request.headers["idempotency-key"]}
        else:
            del request.headers["idempotency-key"]
        times = _CROWD if self.manner == "crowds" and is_new else 1
        answers = await asyncio.gather(
            *(self._present(request, credential) for _ in range(times)), return_exceptions=True
        )
        for answer in answers:
            if isinstance(answer, BaseException) and not isinstance(answer, httpx2.HTTPError):
                raise answer
        good = [answer for answer in answers if isinstance(answer, httpx2.Response)]
        if (
            good
        ):  # whichever brought the goods, or else says to wait, which is to be believed before a refusal
            return min(good, key=lambda answer: (answer.status_code != 200, -answer.status_code))
        assert isinstance(answers[0], httpx2.HTTPError)
        raise answers[0]

    async def aclose(self) -> None:
        """Keep the connections for replays; `end` closes them."""

    async def end(self) -> None:
        """Let go of everything."""
        with suppress(RuntimeError):
            await self._inner.aclose()

    async def _present(self, request: httpx2.Request, credential: Credential) -> httpx2.Response:
        copy = httpx2.Request(
            request.method, request.url, headers=request.headers, extensions=request.extensions
        )
        try:
            answer = await self._whole(copy)
        except httpx2.HTTPError:
            nothing = Sighting(credential.challenge.id, 0, "", False, b"", time.time())
            self.sightings.append(nothing)
            raise
        self.sightings.append(_sighting(credential.challenge.id, answer))
        return answer

    async def _whole(self, request: httpx2.Request) -> httpx2.Response:
        answer = await self._inner.handle_async_request(request)
        try:
            body = await answer.aread()
        finally:
            await answer.aclose()
        return httpx2.Response(answer.status_code, headers=answer.headers, content=body)

    def _pending(self, payment: PaymentRecord | None) -> PaymentRecord | None:
        """The payment that the last answer left open."""
        assert self.answer is not None
        return _record(self.answer.extensions["payment"]) if "payment" in self.answer.extensions else payment


def _record(payment: object) -> PaymentRecord:
    assert isinstance(payment, PaymentRecord)
    return payment


def _authorizations(request: httpx2.Request) -> list[str]:
    return request.headers.get_list("authorization")


def _method(places: Places, rail: Rail, account: PrivateKey) -> ClientMethod:
    if rail == "stripe":
        return stripe.account(
            Keys(BUYER).secret_key, payment_method="pm_card_visa", api_base=places.stripe_url
        )
    return tempo.account(account, rpc_url=places.rpc_url, mode=rail)


def _sighting(challenge_id: str, answer: httpx2.Response) -> Sighting:
    slug = ""
    if answer.headers.get("content-type") == "application/problem+json":
        slug = msgspec.json.decode(answer.content)["type"].rpartition("/")[2]
    challenged = "www-authenticate" in answer.headers
    return Sighting(challenge_id, answer.status_code, slug, challenged, answer.content, time.time())
