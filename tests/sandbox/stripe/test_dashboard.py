"""The dashboard: every payment is on the list that its state says, and on a page of its own."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator

import httpx2
import pytest

from coinslot.sandbox.stripe import ThreadedStripeSandbox
from stripe_api import FAILURE, StripeApi, until


class Browser:
    """A client of the pages, which sends forms as a browser does."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.http = httpx2.Client(base_url=url, trust_env=False, follow_redirects=True)

    def read(self, path: str) -> str:
        """A page."""
        response = self.http.get(path)
        assert response.status_code == 200, response.text
        return response.text

    def send(self, path: str, outcome: str, origin: str | None = None) -> httpx2.Response:
        """A form with one button."""
        headers = {"origin": self.url if origin is None else origin}
        return self.http.post(path, data={"outcome": outcome}, headers=headers, follow_redirects=False)


@pytest.fixture
def sandbox(own_sandbox: ThreadedStripeSandbox) -> ThreadedStripeSandbox:
    """One whose pages show what this test did, and nothing else."""
    return own_sandbox


@pytest.fixture
def browser(sandbox: ThreadedStripeSandbox) -> Iterator[Browser]:
    """Somebody who looks at the pages."""
    browser = Browser(sandbox.url)
    yield browser
    browser.http.close()


def listed(browser: Browser, state: str) -> list[str]:
    """The payments on a list, newest first."""
    return re.findall(r'href="/payments/(pi_\w+)"', browser.read(f"/?state={state}"))


def test_payments_are_on_the_list_of_their_state(seller: StripeApi, browser: Browser) -> None:
    """Incomplete, succeeded, failed, refunded, canceled, and all of them."""
    paid = seller.charge()["id"]
    failed = seller.charge(payment_method="pm_card_chargeDeclined").error["payment_intent"]["id"]
    deposit, given_up = seller.deposit()["id"], seller.deposit()["id"]
    seller.post(f"/v1/payment_intents/{given_up}/cancel")
    refunded = seller.charge()["id"]
    seller.post("/v1/refunds", payment_intent=refunded, amount=100)
    fell_through = seller.deposit()["id"]
    seller.simulate(fell_through, FAILURE)
    until(lambda: fell_through in listed(browser, "failed"))
    assert listed(browser, "succeeded") == [paid]
    assert listed(browser, "incomplete") == [deposit]
    assert listed(browser, "failed") == [fell_through, failed]
    assert listed(browser, "refunded") == [refunded]
    assert listed(browser, "canceled") == [given_up]
    assert listed(browser, "all") == [fell_through, refunded, given_up, deposit, failed, paid]
    assert "Partially refunded" in browser.read("/?state=refunded")
    assert browser.http.get("/?state=lost").status_code == 404


def test_other_accounts_have_lists_of_their_own(
    seller: StripeApi, buyer: StripeApi, browser: Browser
) -> None:
    """The seller's is shown first, and the others are a link away."""
    mine, theirs = seller.charge()["id"], buyer.charge()["id"]
    assert listed(browser, "all") == [mine]
    assert theirs in browser.read("/?account=buyer")


def test_long_lists_come_in_pages(seller: StripeApi, browser: Browser) -> None:
    """25 at a time, with a link to the older ones."""
    made = [seller.post("/v1/payment_intents", amount=500, currency="usd")["id"] for _ in range(27)]
    first = browser.read("/")
    older = re.search(r'href="(/\?[^"]*after=[^"]*)"', first)
    assert older is not None
    rest = re.findall(r'href="/payments/(pi_\w+)"', browser.read(older[1].replace("&amp;", "&")))
    assert listed(browser, "all") + rest == made[::-1]
    assert "Older payments" not in browser.read(older[1].replace("&amp;", "&"))


def test_a_payment_has_a_page(seller: StripeApi, browser: Browser) -> None:
    """What it is, what was charged and given back, what happened, and what the shop wrote."""
    intent = seller.charge(description="A <b>report</b>", metadata={"order": "7&8"})
    seller.post("/v1/refunds", payment_intent=intent["id"], amount=100, reason="duplicate")
    page = browser.read(f"/payments/{intent['id']}")
    for text in (intent["id"], intent["latest_charge"], "duplicate", "payment_intent.succeeded", "7&amp;8"):
        assert text in page
    assert "A &lt;b&gt;report&lt;/b&gt;" in page
    assert browser.http.get("/payments/pi_x").status_code == 404


def test_a_deposit_is_simulated_with_a_button(seller: StripeApi, browser: Browser) -> None:
    """The page shows where to pay, and what to press."""
    intent = seller.deposit()
    address = intent["next_action"]["crypto_display_details"]["deposit_addresses"]["tempo"]["address"]
    assert address in browser.read(f"/payments/{intent['id']}")
    assert browser.send(f"/payments/{intent['id']}/deposit", "succeeds").status_code == 303
    until(lambda: listed(browser, "succeeded") == [intent["id"]])


def test_a_payment_is_refunded_with_a_button(seller: StripeApi, browser: Browser) -> None:
    """All that is left of it, once."""
    intent = seller.charge()["id"]
    seller.post("/v1/refunds", payment_intent=intent, amount=100)
    assert "Refund the rest" in browser.read(f"/payments/{intent}")
    assert browser.send(f"/payments/{intent}/refund", "").status_code == 303
    assert seller.get("/v1/refunds")["data"][0]["amount"] == 400
    assert "Refund the rest" not in browser.read(f"/payments/{intent}")
    assert browser.send(f"/payments/{intent}/refund", "").status_code == 409


@pytest.mark.parametrize(
    ("outcome", "status"), [("succeeds", "succeeded"), ("fails", "requires_payment_method")]
)
def test_a_payer_is_asked(seller: StripeApi, browser: Browser, outcome: str, status: str) -> None:
    """The bank's page takes the payer back to the shop, and the payment has gone the way they chose."""
    intent = seller.charge(
        payment_method="pm_card_threeDSecure2Required", return_url="https://shop.example/done"
    )
    page = intent["next_action"]["redirect_to_url"]["url"].removeprefix(seller.url)
    assert "Complete authentication" in browser.read(page)
    sent = browser.send(page, outcome)
    assert (sent.status_code, sent.headers["location"]) == (303, "https://shop.example/done")
    assert seller.get(f"/v1/payment_intents/{intent['id']}")["status"] == status
    assert "waits for nobody" in browser.read(page)


def test_other_sites_press_no_buttons(seller: StripeApi, browser: Browser) -> None:
    """A form that another site sends, or that says nothing of its origin, is turned away."""
    intent = seller.deposit()["id"]
    for origin in ("https://evil.example", "null", ""):
        assert browser.send(f"/payments/{intent}/deposit", "succeeds", origin).status_code == 403
    assert listed(browser, "incomplete") == [intent]


def test_pages_load_nothing_from_elsewhere(seller: StripeApi, browser: Browser) -> None:
    """No scripts, no fonts, no pictures: the page is all there is, and its policy says so."""
    intent = seller.deposit()["id"]
    for path in ("/", f"/payments/{intent}", f"/authenticate/{intent}", "/developers"):
        response = browser.http.get(path)
        assert not re.search(r"<script|<img|<link|https?://(?!127\.0\.0\.1)", response.text)
        assert "default-src 'none'" in response.headers["content-security-policy"]


def test_developers_find_what_they_need(seller: StripeApi, browser: Browser) -> None:
    """Keys and profiles, webhooks and what became of them, events, faults to come."""
    seller.post("/v1/webhook_endpoints", url="http://127.0.0.1:9/hook", enabled_events=["*"])
    seller.charge()
    seller.control("faults", {"kind": "drop", "path": "/v1/refunds"})
    page = browser.read("/developers")
    for text in (
        "sk_test_coinslot_seller",
        "profile_test_coinslotbuyer",
        ":9/hook",
        "charge.succeeded",
        "drop",
    ):
        assert text in page


@pytest.mark.skipif(shutil.which("chromium") is None, reason="there is no Chromium here")
def test_a_browser_shows_it(seller: StripeApi, browser: Browser) -> None:
    """Chromium lays the list out, and obeys the page's policy without a complaint."""
    intent = seller.charge()["id"]
    command = ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr"]
    done = subprocess.run(
        [*command, "--dump-dom", browser.url],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, "NO_PROXY": "127.0.0.1"},
    )
    assert f'href="/payments/{intent}"' in done.stdout
    assert "CONSOLE" not in done.stderr
