"""Idempotency-Key: the handler runs once, and whoever paid gets the same bytes again."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from fastapi import Depends, FastAPI
from fastapi.responses import StreamingResponse
from msgspec.structs import replace
from starlette.requests import Request as StarletteRequest
from starlette.responses import JSONResponse, PlainTextResponse, Response as StarletteResponse

from coinslot import Challenge, Challenged, Paid, Payment, Paywall, Replayed, Request, Response
from coinslot.errors import LedgerError
from coinslot.payments.answers import MAX_ANSWER
from coinslot.payments.payment import State
from coinslot.protocol import Credential
from coinslot.server.asgi import ASGIApp, Message, Receive, Scope, Send
from coinslot.storage import MemoryLedger
from scrip import Mint, ScripCharge, credential
from shopping import challenge_of, problem, visit

SECRET = "a secret of at least thirty-two bytes"
KEY = "purchase 7"


class Shop:
    """A handler that counts its customers, as an ASGI app of one of the kinds that can be charged for."""

    def __init__(self, paywall: Paywall, kind: str) -> None:
        self.served = 0
        self.status = 200
        self.app = self._attached(paywall) if kind == "attached" else paywall.charge("0.01").asgi(self._bare)

    def _attached(self, paywall: Paywall) -> ASGIApp:
        app = FastAPI()
        paywall.attach(app)

        @app.post("/x")
        @paywall.charge("0.01")
        async def paid(payment: Payment) -> JSONResponse:
            return self._serve()

        return app

    async def _bare(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._serve()(scope, receive, send)

    def _serve(self) -> JSONResponse:
        self.served += 1
        return JSONResponse({"copy": self.served}, self.status, {"X-Copy": str(self.served)})


@pytest.fixture(params=["attached", "bare"])
def shop(request: pytest.FixtureRequest, paywall: Paywall) -> Shop:
    """A shop of either kind."""
    return Shop(paywall, request.param)


def everything(response: httpx2.Response) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
    """What a client can see of it."""
    return response.status_code, response.headers.raw, response.content


async def bought(http: httpx2.AsyncClient, mint: Mint, url: str = "/x", **kwargs: Any) -> dict[str, str]:
    """The headers of a purchase: a credential, and a key."""
    challenge = challenge_of(await http.post(url, **kwargs))
    return {"Authorization": credential(challenge, mint.issue(1)), "Idempotency-Key": KEY}


async def state_of(paywall: Paywall, headers: dict[str, str]) -> State:
    """The state of the payment that was made with these headers."""
    payment = await paywall.ledger.find(Credential.parse(headers["Authorization"]).challenge.id)
    assert payment is not None
    return payment.state


async def test_the_same_bytes_again(shop: Shop, paywall: Paywall, mint: Mint) -> None:
    """The same credential with the same key gets the same bytes, receipt and all, and is served once."""
    async with visit(shop.app) as http:
        headers = await bought(http, mint)
        first = await http.post("/x", headers=headers)
        assert (first.status_code, "payment-receipt" in first.headers) == (200, True)
        assert await state_of(paywall, headers) is State.DELIVERED
        for _ in range(5):
            assert everything(await http.post("/x", headers=headers)) == everything(first)
    assert (shop.served, mint.spend_requests) == (1, 1)


@pytest.mark.parametrize("key", [None, "purchase 8"])
async def test_another_key_is_as_if_there_were_no_answer(shop: Shop, mint: Mint, key: str | None) -> None:
    """With another key, or none, what was delivered is used up."""
    async with visit(shop.app) as http:
        headers = await bought(http, mint)
        await http.post("/x", headers=headers)
        del headers["Idempotency-Key"]
        again = await http.post("/x", headers=headers | ({} if key is None else {"Idempotency-Key": key}))
        assert problem(again) == "invalid-challenge"


async def test_another_credential_never_gets_it(shop: Shop, mint: Mint) -> None:
    """Who knows the challenge and the key, and not the proof, gets nothing; nor does another purchase."""
    async with visit(shop.app) as http:
        challenge = challenge_of(await http.post("/x"))
        headers = {"Authorization": credential(challenge, mint.issue(1)), "Idempotency-Key": KEY}
        await http.post("/x", headers=headers)
        stolen = {"Authorization": credential(challenge, mint.issue(1)), "Idempotency-Key": KEY}
        assert problem(await http.post("/x", headers=stolen)) == "invalid-challenge"
        other = await http.post("/x", headers=await bought(http, mint))
        assert other.json() == {"copy": 2}


@pytest.mark.parametrize(
    "keys", [[""], ["k" * 256], ["a\tb"], ["é"], ["a", "a"]], ids=["none", "long", "tab", "é", "two"]
)
async def test_a_key_that_is_none(shop: Shop, mint: Mint, keys: list[str]) -> None:
    """A key that is not 1 to 255 printable characters is 400, and the credential is as good as it was."""
    async with visit(shop.app) as http:
        headers = await bought(http, mint)
        bad = [(b"authorization", headers["Authorization"].encode())]
        bad += [(b"idempotency-key", key.encode("latin-1")) for key in keys]
        refused = await http.post("/x", headers=bad)
        assert (refused.status_code, problem(refused)) == (400, "bad-request")
        assert (shop.served, mint.spend_requests) == (0, 0)
        headers["Idempotency-Key"] = "k" * 255
        assert (await http.post("/x", headers=headers)).status_code == 200


async def test_an_error_is_not_kept(shop: Shop, mint: Mint) -> None:
    """What the handler could not do it does again; then its answer is kept."""
    async with visit(shop.app) as http:
        headers = await bought(http, mint)
        shop.status = 500
        assert (await http.post("/x", headers=headers)).status_code == 500
        shop.status = 201
        assert (await http.post("/x", headers=headers)).json() == {"copy": 2}
        assert (await http.post("/x", headers=headers)).json() == {"copy": 2}


async def test_it_is_for_the_same_request(shop: Shop, mint: Mint) -> None:
    """A kept answer is for the body, the path and the query that were paid for."""
    async with visit(shop.app) as http:
        headers = await bought(http, mint, content=b"one")
        assert (await http.post("/x", headers=headers, content=b"one")).status_code == 200
        for url, body in (("/x", b"two"), ("/x", b""), ("/x?a=1", b"one")):
            assert problem(await http.post(url, headers=headers, content=body)) == "invalid-challenge"
        assert (await http.post("/x", headers=headers, content=b"one")).json() == {"copy": 1}


async def test_a_body_that_cannot_be_known_again(shop: Shop, mint: Mint) -> None:
    """A streamed body is used up when its answer starts; the answer that was kept is given again."""

    async def pieces() -> AsyncIterator[bytes]:
        yield b"a prompt"

    async with visit(shop.app) as http:
        headers = await bought(http, mint, content=pieces())
        first = await http.post("/x", headers=headers, content=pieces())
        assert everything(await http.post("/x", headers=headers, content=pieces())) == everything(first)
    assert shop.served == 1


def posted(headers: dict[str, str]) -> Scope:
    """A POST of /x with these headers, as a server hands it over."""
    fields = {"host": "shop.example", **{name.lower(): value for name, value in headers.items()}}
    return {
        "type": "http",
        "method": "POST",
        "path": "/x",
        "query_string": b"",
        "headers": [(name.encode(), value.encode()) for name, value in fields.items()],
        "client": None,
        "scheme": "http",
    }


class GoneClient:
    """A server's view of a client that is gone before its answer comes."""

    async def receive(self) -> Message:
        """That it is gone."""
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        """Takes everything, as servers do."""


async def test_a_lost_answer(shop: Shop, paywall: Paywall, mint: Mint) -> None:
    """A payer who was gone when the answer came gets it later, and then it counts as delivered."""
    async with visit(shop.app) as http:
        headers = await bought(http, mint)
        client = GoneClient()
        await shop.app(posted(headers), client.receive, client.send)
        assert await state_of(paywall, headers) is State.SETTLED
        response = await http.post("/x", headers=headers)
        assert response.json() == {"copy": 1}
        assert await state_of(paywall, headers) is State.DELIVERED
    assert shop.served == 1


async def test_copies_at_once_are_served_once(shop: Shop, mint: Mint) -> None:
    """Of copies that come at the same time one is served; the others wait, or get the same bytes."""
    async with visit(shop.app) as http:
        headers = await bought(http, mint)
        answers = await asyncio.gather(*(http.post("/x", headers=headers) for _ in range(20)))
        assert {answer.status_code for answer in answers} <= {200, 409}
        assert {answer.content for answer in answers if answer.status_code == 200} == {b'{"copy":1}'}
    assert shop.served == 1


@pytest.mark.parametrize("is_lost", [False, True], ids=["delivered", "lost"])
async def test_served_between_the_door_and_the_till(paywall: Paywall, mint: Mint, is_lost: bool) -> None:
    """A copy that was let in before the first one was served gets the same bytes, and is not served."""
    app, served = FastAPI(), 0
    paywall.attach(app)
    waiting, go = asyncio.Event(), asyncio.Event()

    async def validate(request: StarletteRequest) -> None:
        if "x-slow" in request.headers:
            waiting.set()
            await go.wait()

    @app.post("/x", dependencies=[Depends(validate)])
    @paywall.charge("0.01")
    async def paid() -> dict[str, int]:
        nonlocal served
        served += 1
        return {"copy": served}

    async with visit(app) as http:
        headers = await bought(http, mint)
        slow = asyncio.create_task(http.post("/x", headers=headers | {"X-Slow": "1"}))
        await waiting.wait()
        first = await http.post("/x", headers=headers)
        if is_lost:  # as if the server had found the client gone
            row = await paywall.ledger.find(Credential.parse(headers["Authorization"]).challenge.id)
            assert row is not None
            again = replace(row, state=State.SETTLED, delivered_at=None, revision=row.revision + 1)
            assert await paywall.ledger.replace(row, again)
        go.set()
        assert everything(await slow) == everything(first)
        assert await state_of(paywall, headers) is State.DELIVERED
    assert served == 1


@pytest.mark.parametrize("length", [MAX_ANSWER, MAX_ANSWER + 1])
async def test_what_is_too_long_is_not_kept(paywall: Paywall, mint: Mint, length: int) -> None:
    """Answers are kept up to 256 KiB. A longer one goes out, and is used up."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await PlainTextResponse("x" * length)(scope, receive, send)

    async with visit(paywall.charge("0.01").asgi(app)) as http:
        headers = await bought(http, mint)
        assert len((await http.post("/x", headers=headers)).content) == length
        again = await http.post("/x", headers=headers)
        assert again.status_code == (200 if length <= MAX_ANSWER else 402)


async def test_a_length_that_is_untrue(paywall: Paywall, mint: Mint) -> None:
    """A body in pieces that says it is short, and is not, is let go of and goes out whole."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        headers = [(b"content-length", b"10")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        for _ in range(5):
            await send({"type": "http.response.body", "body": b"x" * (MAX_ANSWER // 4), "more_body": True})
        await send({"type": "http.response.body", "body": b""})

    async with visit(paywall.charge("0.01").asgi(app)) as http:
        headers = await bought(http, mint)
        assert len((await http.post("/x", headers=headers)).content) == 5 * (MAX_ANSWER // 4)
        assert problem(await http.post("/x", headers=headers)) == "invalid-challenge"


async def test_pieces_of_a_known_length_are_kept(paywall: Paywall, mint: Mint) -> None:
    """What says its length beforehand is kept, however it is cut up, as a middleware may do."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        headers = [(b"content-length", b"2")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"o", "more_body": True})
        await send({"type": "http.response.body", "body": b"k"})

    async with visit(paywall.charge("0.01").asgi(app)) as http:
        headers = await bought(http, mint)
        first = await http.post("/x", headers=headers)
        assert everything(await http.post("/x", headers=headers)) == everything(first)


async def test_a_stream_is_not_held_back(paywall: Paywall, mint: Mint) -> None:
    """Each piece of a stream goes out when it is made, and the stream is not kept."""
    seen: list[Message] = []
    app = FastAPI()
    paywall.attach(app)

    @app.post("/x")
    @paywall.charge("0.01")
    async def paid() -> StreamingResponse:
        async def pieces() -> AsyncIterator[bytes]:
            for piece in (b"one", b"two"):
                yield piece
                assert seen[-1]["body"] == piece

        return StreamingResponse(pieces())

    async def watched(scope: Scope, receive: Receive, send: Send) -> None:
        async def watch(message: Message) -> None:
            seen.append(message)
            await send(message)

        await app(scope, receive, watch)

    async with visit(watched) as http:
        headers = await bought(http, mint)
        assert (await http.post("/x", headers=headers)).text == "onetwo"
        assert problem(await http.post("/x", headers=headers)) == "invalid-challenge"


@pytest.mark.parametrize(
    ("length", "trailers"), [(str(MAX_ANSWER + 1), False), ("2", True)], ids=["long", "trailers"]
)
async def test_what_says_that_it_cannot_be_kept_is_not_held_back(
    paywall: Paywall, mint: Mint, length: str, trailers: bool
) -> None:
    """A response that announces too much, or trailers, goes out piece by piece from its first one on."""
    sent: list[Message] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        headers = [(b"content-length", length.encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers, "trailers": trailers})
        await send({"type": "http.response.body", "body": b"o", "more_body": True})
        assert len(sent) == 2
        await send({"type": "http.response.body", "body": b"k"})

    async def receive() -> Message:
        return {"type": "http.request"}

    async def send(message: Message) -> None:
        sent.append(message)

    paid = paywall.charge("0.01").asgi(app)
    async with visit(paid) as http:
        headers = await bought(http, mint)
        await paid(posted(headers), receive, send)
        assert [message.get("body") for message in sent] == [None, b"o", b"k"]
        assert problem(await http.post("/x", headers=headers)) == "invalid-challenge"


@pytest.mark.parametrize("kind", ["http.response.pathsend", "http.response.zerocopysend"])
async def test_a_file_is_not_kept(paywall: Paywall, mint: Mint, kind: str) -> None:
    """What the server itself fetches goes out as it is, is delivered, and is not kept."""
    sent: list[str] = []

    async def files(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"9")]})
        await send({"type": kind, "path": "/etc/hostname"})

    async def receive() -> Message:
        return {"type": "http.request"}

    async def send(message: Message) -> None:
        sent.append(message["type"])

    async with visit(paywall.charge("0.01").asgi(files)) as http:
        headers = await bought(http, mint)
        await paywall.charge("0.01").asgi(files)(posted(headers), receive, send)
        assert sent == ["http.response.start", kind]
        assert problem(await http.post("/x", headers=headers)) == "invalid-challenge"


@pytest.mark.parametrize("is_short", [True, False])
async def test_a_response_that_ends_too_early(paywall: Paywall, mint: Mint, is_short: bool) -> None:
    """An app that never ends its response does not deliver it; what there is of it goes out."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"9")]})
        if not is_short:
            await send({"type": "http.response.body", "body": b"x", "more_body": True})

    sent: list[Message] = []
    gate = paywall.charge("0.01")

    async def watched(scope: Scope, receive: Receive, send: Send) -> None:
        async def watch(message: Message) -> None:
            sent.append(message)

        await gate.asgi(app)(scope, receive, watch)
        await JSONResponse({})(scope, receive, send)

    async with visit(gate.asgi(app)) as unpaid, visit(watched) as http:
        headers = await bought(unpaid, mint)
        await http.post("/x", headers=headers)
        assert [message["type"] for message in sent] == ["http.response.start", "http.response.body"][
            : len(sent)
        ]
        assert len(sent) == (1 if is_short else 2)
        assert await state_of(paywall, headers) is State.SETTLED


async def test_a_risen_price_does_not_take_it_away(paywall: Paywall, mint: Mint) -> None:
    """What was bought at a price that has risen since is still what was bought."""
    prices = ["0.01", "0.01"]

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await StarletteResponse(b"data")(scope, receive, send)

    gate = paywall.charge(lambda _: prices.pop(0) if prices else "5.00")
    async with visit(gate.asgi(app)) as http:
        headers = await bought(http, mint)
        assert (await http.post("/x", headers=headers)).text == "data"
        assert (await http.post("/x", headers=headers)).text == "data"


class ForgetfulLedger(MemoryLedger):
    """A ledger that cannot keep answers."""

    async def keep_answer(self, answer: object) -> bool:
        """Never."""
        raise LedgerError("the disk is full")


async def test_an_answer_that_cannot_be_kept_goes_out(mint: Mint) -> None:
    """A ledger that fails while the answer is kept costs the payer nothing: they have paid for it."""
    async with Paywall(
        [ScripCharge(mint)], secret_key=SECRET, realm="shop.example", ledger=ForgetfulLedger()
    ) as paywall:
        shop = Shop(paywall, "bare")
        async with visit(shop.app) as http:
            headers = await bought(http, mint)
            assert (await http.post("/x", headers=headers)).json() == {"copy": 1}
            assert await state_of(paywall, headers) is State.DELIVERED


class IllegibleLedger(MemoryLedger):
    """A ledger that cannot read answers, until it is told that it can."""

    is_legible = False

    async def find_answer(self, challenge_id: str) -> Any:
        """What was kept, or an error."""
        if not self.is_legible:
            raise LedgerError("no answer")
        return await super().find_answer(challenge_id)


async def test_an_answer_that_cannot_be_read_is_not_made_again(mint: Mint) -> None:
    """While it is not known whether there is an answer, it is 503 and nothing is served twice."""
    ledger = IllegibleLedger()
    async with Paywall(
        [ScripCharge(mint)], secret_key=SECRET, realm="shop.example", ledger=ledger
    ) as paywall:
        shop = Shop(paywall, "bare")
        async with visit(shop.app) as http:
            headers = await bought(http, mint)
            await http.post("/x", headers=headers)
            unavailable = await http.post("/x", headers=headers)
            assert (unavailable.status_code, problem(unavailable)) == (503, "payment-unavailable")
            ledger.is_legible = True
            assert (await http.post("/x", headers=headers)).json() == {"copy": 1}
    assert shop.served == 1


async def test_by_hand(paywall: Paywall, mint: Mint) -> None:
    """`Paid.answer` keeps; the same credential and key are then `Replayed`, which is to be sent as it is."""
    gate = paywall.charge("0.01")
    asked = await gate.decide(Request.create("GET", "/x"))
    assert isinstance(asked, Challenged)
    header = next(value for name, value in asked.response.headers if name == b"www-authenticate")
    authorization = credential(Challenge.parse(header.decode()), mint.issue(1))
    request = Request.create(
        "GET", "/x", headers={"Authorization": authorization, "Idempotency-Key": KEY, "Origin": "https://a.b"}
    )
    paid = await gate.decide(request)
    assert isinstance(paid, Paid)
    made = Response(status=200, headers=((b"x", b"y"),), body=b"data")
    sent = await paid.answer(made)
    assert dict(sent.headers)[b"payment-receipt"].decode() == paid.payment.receipt
    await asyncio.sleep(0.01)
    again = await gate.decide(request)
    assert isinstance(again, Replayed)
    assert again.response == sent


async def test_by_hand_an_error_is_not_kept(paywall: Paywall, mint: Mint) -> None:
    """An error from `Paid.answer` leaves the payment to be had, and is not given again."""
    gate = paywall.charge("0.01")
    asked = await gate.decide(Request.create("GET", "/x"))
    assert isinstance(asked, Challenged)
    header = next(value for name, value in asked.response.headers if name == b"www-authenticate")
    authorization = credential(Challenge.parse(header.decode()), mint.issue(1))
    request = Request.create("GET", "/x", headers={"Authorization": authorization, "Idempotency-Key": KEY})
    for _ in range(2):
        paid = await gate.decide(request)
        assert isinstance(paid, Paid)
        assert await paid.answer(Response(status=500, headers=(), body=b"")) == Response(
            status=500, headers=(), body=b""
        )
        await asyncio.sleep(0.01)


DYING_SHOP = """
import asyncio, os, sys
from coinslot import Paywall
from coinslot.payments import lease
from scrip import Mint, ScripCharge
lease.SECONDS = 0.1
database, note, authorization, when, secret = sys.argv[1:]
mint = Mint()
mint.notes[note] = 1
async def app(scope, receive, send):
    headers = [(b"content-length", b"4")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b"once"})
async def receive():
    return {"type": "http.request"}
async def send(message):
    if message["type"].endswith(when):
        os._exit(9)
async def main():
    paywall = Paywall([ScripCharge(mint)], secret_key=secret, realm="shop.example", ledger=database)
    headers = [(b"host", b"shop.example"), (b"authorization", authorization.encode())]
    headers.append((b"idempotency-key", b"k"))
    scope = {"type": "http", "method": "POST", "path": "/x", "query_string": b"", "headers": headers,
             "client": None, "scheme": "http"}
    await paywall.charge("0.01").asgi(app)(scope, receive, send)
asyncio.run(main())
"""


@pytest.mark.parametrize("when", ["start", "body"])
async def test_killed_before_the_answer_is_out(tmp_path: Path, mint: Mint, when: str) -> None:
    """A server that is killed after it kept the answer, and before it sent it, has another one send it."""
    database = f"sqlite:///{tmp_path}/coinslot.db"
    served = 0

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        nonlocal served
        served += 1
        await StarletteResponse(b"twice")(scope, receive, send)

    async with (
        Paywall([ScripCharge(mint)], secret_key=SECRET, realm="shop.example", ledger=database) as paywall,
        visit(paywall.charge("0.01").asgi(app)) as http,
    ):
        note = mint.issue(1)
        authorization = credential(challenge_of(await http.post("/x")), note)
        command = [sys.executable, "-c", DYING_SHOP, database, note, authorization, when, SECRET]
        tests = str(Path(__file__).parent.parent)
        died = await asyncio.to_thread(
            subprocess.run, command, capture_output=True, env={"PYTHONPATH": tests}, check=False
        )
        assert died.returncode == 9, died.stderr
        headers = {"Authorization": authorization, "Idempotency-Key": "k"}
        while (response := await http.post("/x", headers=headers)).status_code == 409:
            await asyncio.sleep(0.05)
        assert (response.status_code, response.content, served) == (200, b"once", 0)
        assert await state_of(paywall, headers) is State.DELIVERED
