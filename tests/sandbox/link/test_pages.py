"""The pages: they work without JavaScript, load nothing, and are nobody else's to press buttons on."""

from __future__ import annotations

import re

import httpx2
import pytest

from coinslot.sandbox.link import LinkSandbox
from link_parties import CONTEXT, Program

MARKUP = "<script>alert(1)</script>"


async def test_pages_need_nothing_but_themselves(program: Program, sandbox: LinkSandbox) -> None:
    """No script, no picture, no style and no font from anywhere, and a policy that would forbid them."""
    made = await program.ask(
        payment_details="csmrpd_challenge", line_items=[{"name": "Tea", "unit_amount": 5}]
    )
    started = await program.begin()
    await program.press(made["approval_url"], yes=True)
    paths = ("/", "/device", started["verification_uri_complete"], f"/approve/{made['id']}")
    for path in (*paths, f"/challenge/{made['id']}", "/approve/lsrq_0"):
        page = await program.page(path)
        assert re.search(r"<script|<link|<img|src=|url\(|@import| on\w+=", page.text) is None
        assert set(re.findall(r'(?:href|action)="([^"]*)"', page.text)) <= {
            "/",
            "/device",
            f"/approve/{made['id']}",
            f"/challenge/{made['id']}",
        }
        assert "default-src 'none'" in page.headers["content-security-policy"]
        assert page.headers["cache-control"] == "no-store"


async def test_what_programs_say_is_text(program: Program, sandbox: LinkSandbox) -> None:
    """Markup in anything that a program sends is shown as it was written."""
    made = await program.ask(
        context=MARKUP + CONTEXT,
        network_id=MARKUP,
        metadata={MARKUP: MARKUP},
        line_items=[{"name": MARKUP}],
        totals=[{"type": "total", "display_text": MARKUP, "amount": 500}],
    )
    page = await program.page(made["approval_url"])
    assert (MARKUP in page.text, page.text.count("&lt;script&gt;")) == (False, 6)
    started = await program.login("code", connection_label=MARKUP)
    page = await program.page(started.json()["verification_uri_complete"])
    assert (MARKUP in page.text, "&lt;script&gt;" in page.text) == (False, True)
    page = await program.page(f"/device?code={MARKUP}")
    assert (MARKUP in page.text, "&lt;script&gt;" in page.text) == (False, True)


async def test_amounts_are_shown_in_the_currencys_own_unit(program: Program) -> None:
    """Cents as dollars; yen, which have none, as yen."""
    for currency, shown in (("usd", "5.00 USD"), ("jpy", "500 JPY")):
        made = await program.ask(currency=currency)
        assert f'<p class="sum">{shown}</p>' in (await program.page(made["approval_url"])).text


@pytest.mark.parametrize(
    "headers",
    [{"origin": "https://evil.example"}, {"origin": "null"}, {"sec-fetch-site": "cross-site"}],
    ids=str,
)
async def test_forms_of_other_sites_decide_nothing(program: Program, headers: dict[str, str]) -> None:
    """A page elsewhere that knows the address cannot have a visitor's browser approve for it."""
    made = await program.ask()
    async with httpx2.AsyncClient(trust_env=False, verify=False) as browser:
        forged = await browser.post(made["approval_url"], data={"decision": "approve"}, headers=headers)
    assert forged.status_code == 403
    assert (await program.look(made["id"]))["status"] == "pending_approval"


async def test_form_without_a_decision_is_refused(program: Program) -> None:
    """Neither button is 422, and decides nothing."""
    made = await program.ask()
    assert (await program.submit(f"/approve/{made['id']}", decision="perhaps")).status_code == 422
    assert (await program.submit("/device", code="x")).status_code == 422
    assert (await program.look(made["id"]))["status"] == "pending_approval"


async def test_only_this_machines_names_are_answered(sandbox: LinkSandbox) -> None:
    """A name that was made to point here is refused, so that no page can read ours through it."""
    async with httpx2.AsyncClient(trust_env=False, verify=False) as browser:
        answer = await browser.get(sandbox.url, headers={"host": "evil.example"})
        assert answer.status_code == 400
        local = sandbox.url.replace("127.0.0.1", "localhost")
        assert (
            await browser.get(sandbox.url, headers={"host": local.removeprefix("http://")})
        ).status_code == 200


async def test_home_page_leads_to_every_request(program: Program) -> None:
    """What waits for a decision can be found without its address."""
    made = await program.ask()
    page = await program.page("/")
    assert (f'href="/approve/{made["id"]}"' in page.text, "pending approval" in page.text) == (True, True)
