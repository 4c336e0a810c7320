"""The page on selling for cards and Link says what is so."""

from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from fastapi import FastAPI

from coinslot import Paywall
from coinslot.methods import stripe
from coinslot.methods.stripe import webhook_endpoint
from shopping import visit

PAGE = (Path(__file__).parents[2] / "docs" / "sell-stripe.md").read_text()


def block(having: str) -> str:
    """The one block of code with that in it, with keys in the place of the dots."""
    (found,) = [each for each in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL) if having in each]
    return str(found).replace("…", "1")


async def test_its_webhooks_are_found_where_they_are_put(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a paywall with both rails: the endpoint answers at its URL, and redirects nobody."""
    monkeypatch.setenv("MPP_SECRET_KEY", "s" * 32)
    scope: dict[str, Any] = {"Paywall": Paywall, "stripe": stripe, "app": FastAPI()}
    exec(block("machine_payments"), scope)
    exec(block("import Route"), scope)
    async with visit(scope["app"]) as http:
        answer = await http.post("/stripe/webhooks", content=b"{}")
    assert (answer.status_code, answer.content) == (400, b"Bad Request")


async def test_its_handler_is_enough_for_other_frameworks() -> None:
    """It hands over body and signature, and gives back body and status."""
    office: Any = SimpleNamespace()
    hooks = stripe.webhooks(SimpleNamespace(office=office, methods=[]), signing_secret="whsec_1")

    def route(_path: str) -> Any:
        return lambda function: function

    request = SimpleNamespace(get_data=lambda: b"{}", headers={})
    scope: dict[str, Any] = {"app": SimpleNamespace(post=route), "hooks": hooks, "request": request}
    exec(block("Flask"), scope)
    assert await scope["stripe_webhooks"]() == (b"Bad Request", 400)


def test_its_numbers_are_those_of_the_code() -> None:
    """Of bytes and of seconds."""
    assert f"{webhook_endpoint.MAX_BODY // 1024} KiB" in PAGE
    assert f"`tolerance` ({webhook_endpoint.TOLERANCE} s)" in PAGE
    assert round(sum(webhook_endpoint._PAUSES)) == 5  # "after five seconds"
