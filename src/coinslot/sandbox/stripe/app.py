"""The sandbox's HTTP side: the API below /v1 and /v2, the controls below /_sandbox, and the dashboard."""

from __future__ import annotations

from typing import Final

import msgspec
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from coinslot.sandbox.stripe.api import Answer, Api, Asked
from coinslot.sandbox.stripe.connections import drop
from coinslot.sandbox.stripe.errors import ApiError
from coinslot.sandbox.stripe.form import Form, decode, merge
from coinslot.sandbox.stripe.identifiers import new_id

MAX_BODY: Final = 1024 * 1024
"""Bytes of a request that are read."""

_API: Final = ("/v1/", "/v2/")
_FORM: Final = "application/x-www-form-urlencoded"


class App:
    """The ASGI application: `api` for clients, `pages` for people."""

    def __init__(self, api: Api, pages: ASGIApp) -> None:
        self._api = api
        self._pages = pages

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http" or not scope["path"].startswith(_API):
            await self._pages(scope, receive, send)
            return
        request = Request(scope, receive)
        try:
            asked = await _read(request)
        except ClientDisconnect:
            return
        except ApiError as error:
            await _refusal(error)(scope, receive, send)
            return
        answer: Answer = await self._api.answer(asked)
        if answer.dropped:
            await drop(scope, receive)
            return
        await Response(answer.body, answer.status, answer.headers)(scope, receive, send)


async def _read(request: Request) -> Asked:
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY:
            raise ApiError(413, f"The request has more than {MAX_BODY} bytes.")
    return Asked(
        method=request.method,
        path=request.url.path,
        headers=dict(request.headers),
        form=merge(decode(request.url.query), _form(request, bytes(body))),
    )


def _form(request: Request, body: bytes) -> Form:
    if not body:
        return {}
    kind = request.headers.get("content-type", _FORM).partition(";")[0].strip().lower()
    if kind != _FORM:
        raise ApiError(
            400,
            f"Invalid request (check that your POST content type is {_FORM}). If you have questions, we can "
            "help at https://support.stripe.com/.",
        )
    try:
        return decode(body.decode())
    except UnicodeDecodeError:
        raise ApiError(400, "The request's body is not UTF-8.") from None


def _refusal(error: ApiError) -> Response:
    """The answer to what was no request yet."""
    headers = {"Request-Id": new_id("req", length=14)}
    return Response(msgspec.json.encode(error.answer()), error.status, headers, "application/json")
