"""Asking an ASGI app for something and paying for it with scrip, step by step."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx2

from coinslot.protocol import Challenge
from scrip import Mint, credential

App = Callable[..., Any]


def visit(app: App, *, client: str = "127.0.0.1") -> httpx2.AsyncClient:
    """A client that talks to the app in process, from the given address. Faults of the app are its 500s."""
    transport = httpx2.ASGITransport(app=app, client=(client, 50000), raise_app_exceptions=False)
    return httpx2.AsyncClient(transport=transport, base_url="http://shop.example")


def challenge_of(response: httpx2.Response) -> Challenge:
    """The one challenge of a 402."""
    assert response.status_code == 402, response.text
    return Challenge.parse(response.headers["www-authenticate"])


async def pay(
    http: httpx2.AsyncClient, mint: Mint, method: str, url: str, *, note: str | None = None, **kwargs: Any
) -> httpx2.Response:
    """Ask, be told the price, pay exactly that, and ask again."""
    challenge = challenge_of(await http.request(method, url, **kwargs))
    if note is None:
        note = mint.issue(int(str(challenge.decode_request()["amount"])))
    return await http.request(method, url, **with_credential(kwargs, credential(challenge, note)))


def with_credential(kwargs: dict[str, Any], authorization: str) -> dict[str, Any]:
    """Request arguments with the credential added."""
    return {**kwargs, "headers": {**kwargs.get("headers", {}), "Authorization": authorization}}


def problem(response: httpx2.Response) -> str:
    """The slug of the problem type."""
    assert response.headers["content-type"] == "application/problem+json", response.text
    assert response.headers["cache-control"] == "no-store"
    assert response.json()["status"] == response.status_code
    return str(response.json()["type"]).rpartition("/")[2]
