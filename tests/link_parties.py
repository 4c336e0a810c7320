"""The parties to a Link payment: the wallet's user, at its pages, and a program that speaks to its APIs."""

from __future__ import annotations

import re
from collections.abc import Mapping
from html import unescape
from typing import Any

import httpx2

from coinslot.sandbox.link import LinkSandbox

CONTEXT = (
    "The user asked this program for one answer of a metered API, which is sold by the answer; this is the "
    "price of one."
)
CLIENT = "tests"
DEVICE_CODE = "urn:ietf:params:oauth:grant-type:device_code"


class Clock:
    """A time that a test moves."""

    def __init__(self) -> None:
        self.now = 1_900_000_000.0

    def __call__(self) -> float:
        """Seconds since 1970."""
        return self.now


def decide(url: str, *, yes: bool) -> httpx2.Response:
    """Open a page, press one of its buttons, and see what it says then. It must have them."""
    with httpx2.Client(follow_redirects=True, trust_env=False, verify=False) as browser:
        page = browser.get(url)
        target, form = fill(page, yes=yes)
        return browser.post(target, data=form)


def fill(page: httpx2.Response, *, yes: bool) -> tuple[str, dict[str, str]]:
    """Where a page's form goes, and its fields when the button is pressed. It must have the button."""
    action = re.search(r'<form method="post" action="([^"]+)">', page.text)
    assert action is not None, page.text
    hidden = re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)">', page.text)
    decision = "approve" if yes else "deny"
    assert f'name="decision" value="{decision}"' in page.text
    fields = {name: unescape(value) for name, value in hidden}
    return str(page.url.join(unescape(action[1]))), fields | {"decision": decision}


class Program:
    """A program with a session. `call` sends to the API, `login` to the login."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.access_token = self.refresh_token = ""
        self._http = httpx2.AsyncClient(base_url=url, trust_env=False, verify=False)

    async def login(self, path: str, **form: str) -> httpx2.Response:
        """Send a form to the login."""
        return await self._http.post(f"/device/{path}", data={"client_id": CLIENT, **form})

    async def begin(self, **form: str) -> dict[str, Any]:
        """Start a login."""
        answer = await self.login("code", connection_label="Tests on this machine", **form)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    async def redeem(self, started: Mapping[str, Any]) -> httpx2.Response:
        """Ask for the tokens of a login."""
        return await self.login("token", grant_type=DEVICE_CODE, device_code=started["device_code"])

    async def refresh(self) -> httpx2.Response:
        """Ask for new tokens."""
        return await self.login("token", grant_type="refresh_token", refresh_token=self.refresh_token)

    def take(self, answer: httpx2.Response) -> None:
        """Use the tokens in `answer`."""
        assert answer.status_code == 200, answer.text
        tokens = answer.json()
        self.access_token, self.refresh_token = tokens["access_token"], tokens["refresh_token"]

    async def call(self, method: str, path: str, json: object = None) -> httpx2.Response:
        """Send a request to the API."""
        headers = {"authorization": f"Bearer {self.access_token}"} if self.access_token else {}
        return await self._http.request(method, path, json=json, headers=headers)

    async def send(self, path: str, body: bytes) -> httpx2.Response:
        """Send a body as it is."""
        headers = {"authorization": f"Bearer {self.access_token}", "content-type": "application/json"}
        return await self._http.post(path, content=body, headers=headers)

    async def submit(self, path: str, **form: str) -> httpx2.Response:
        """Send a page's form without having seen the page."""
        return await self._http.post(path, data=form)

    async def page(self, path: str) -> httpx2.Response:
        """Open a page."""
        return await self._http.get(path, follow_redirects=True)

    async def press(self, path: str, *, yes: bool) -> httpx2.Response:
        """Open a page, press one of its buttons, and see what it says then."""
        url, form = fill(await self.page(path), yes=yes)
        return await self._http.post(url, data=form, follow_redirects=True)

    async def ask(self, **terms: object) -> dict[str, Any]:
        """Make a spend request for a token, and have its user asked."""
        wanted = {
            "amount": 500,
            "credential_type": "shared_payment_token",
            "network_id": "profile_test_seller",
            "context": CONTEXT,
            "request_approval": True,
        }
        answer = await self.call("POST", "/spend_requests", wanted | terms)
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    async def look(self, identifier: str, *, include: str = "shared_payment_token") -> dict[str, Any]:
        """How a spend request stands."""
        answer = await self.call("GET", f"/spend_requests/{identifier}?include={include}")
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    async def aclose(self) -> None:
        """Close the connections."""
        await self._http.aclose()


async def logged_in(sandbox: LinkSandbox, **form: str) -> Program:
    """A program that its user let in."""
    program = Program(sandbox.url)
    started = await program.begin(**form)
    await program.press(started["verification_uri_complete"], yes=True)
    program.take(await program.redeem(started))
    return program
