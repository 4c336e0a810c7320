"""Stripe's link-cli works with the sandbox, unchanged.

It has to be on this machine already: LINK_CLI names its `cli.js`, else `link-cli` is looked for.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from coinslot.sandbox.link import LinkSandbox, ThreadedLinkSandbox
from link_parties import CONTEXT, decide
from token_booth import KEY, SELLER, TokenBooth

PROGRAM = os.environ.get("LINK_CLI") or shutil.which("link-cli")

pytestmark = pytest.mark.skipif(PROGRAM is None, reason="there is no link-cli on this machine")


@pytest.fixture
def sandbox(booth: TokenBooth) -> Iterator[ThreadedLinkSandbox]:
    """A running sandbox, on a thread of its own."""
    with ThreadedLinkSandbox(LinkSandbox(stripe_url=booth.url, stripe_key=KEY)) as sandbox:
        yield sandbox


class LinkCLI:
    """The program, with a home directory of its own."""

    def __init__(self, home: Path, url: str) -> None:
        assert PROGRAM is not None
        self._command = ["node", PROGRAM] if PROGRAM.endswith(".js") else [PROGRAM]
        self._environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(home),
            "LINK_API_BASE_URL": url,
            "LINK_AUTH_BASE_URL": url,
            "NO_UPDATE_NOTIFIER": "1",
        }

    def __call__(self, *arguments: str) -> Any:
        """Run it, and read what it prints: an object, or the last of those that it yields."""
        done = subprocess.run(
            [*self._command, *arguments, "--format", "json"],
            env=self._environment,
            capture_output=True,
            timeout=60,
            check=False,
        )
        printed = json.loads(done.stdout)
        yields = arguments[0] == "auth" or arguments[:2] in (
            ("spend-request", "create"),
            ("spend-request", "retrieve"),
        )
        return printed[-1] if yields and isinstance(printed, list) else printed


def test_link_cli_from_login_to_logout(tmp_path: Path, sandbox: ThreadedLinkSandbox) -> None:
    """Login, the wallet, a request that is approved, its token, a cancellation, and the end of it."""
    link_cli = LinkCLI(tmp_path, sandbox.url)
    login = link_cli("auth", "login", "--client-name", "Tests")
    assert login["phrase"] in login["verification_url"]
    decide(login["verification_url"], yes=True)
    assert link_cli("auth", "status")["authenticated"] is True
    assert link_cli("user-info", "retrieve")["email"] == "jenny.rosen@example.com"
    (visa, *_) = link_cli("payment-methods", "list")
    order = (
        *("--payment-method-id", visa["id"], "--credential-type", "shared_payment_token"),
        *("--network-id", SELLER, "--amount", "500", "--context", CONTEXT, "--test", "--request-approval"),
        *("--line-item", "name:Answer,unit_amount:500,quantity:1", "--metadata", "order:1"),
    )
    made = link_cli("spend-request", "create", *order)
    assert made["status"] == "pending_approval"
    again = link_cli("spend-request", "create", *order)
    assert (again["code"], made["id"] in again["message"]) == ("spend_request_rate_limited", True)
    decide(made["approval_url"], yes=True)
    found = link_cli("spend-request", "retrieve", made["id"], "--include", "shared_payment_token")
    assert (found["status"], found["shared_payment_token"]["id"]) == ("approved", "spt_1")
    assert [one["id"] for one in link_cli("spend-request", "list")] == [made["id"]]
    assert link_cli("spend-request", "cancel", made["id"])["status"] == "canceled"
    assert "cannot be canceled" in link_cli("spend-request", "cancel", made["id"])["message"]
    assert link_cli("auth", "logout")["authenticated"] is False
