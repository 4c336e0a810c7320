"""Spend requests: what is taken, who decides, and what comes of it."""

from __future__ import annotations

from typing import Any

import pytest

from coinslot.sandbox.link import LinkSandbox
from coinslot.sandbox.link.spending import (
    DECISION_WINDOW,
    DUPLICATE_WINDOW,
    LIFETIME,
    MAX_ACTIVE,
    MAX_PER_HOUR,
)
from link_parties import CONTEXT, Clock, Program, logged_in
from token_booth import KEY, SELLER, TokenBooth

Member = dict[str, Any]


async def test_approved_request_gives_its_token(program: Program, booth: TokenBooth) -> None:
    """A token for the seller, amount and time that were asked for, shown only to whoever includes it."""
    made = await program.ask(payment_details="csmrpd_mastercard", currency="usd")
    assert made["status"] == "pending_approval"
    page = await program.press(made["approval_url"], yes=True)
    assert "<h1>Approved</h1>" in page.text
    assert "shared_payment_token" not in await program.look(made["id"], include="card")
    found = await program.look(made["id"])
    assert (found["status"], found["shared_payment_token"]["id"]) == ("approved", "spt_1")
    assert booth.forms == [
        (
            "/v1/shared_payment/issued_tokens",
            {
                "payment_method": "pm_card_mastercard",
                "seller_details[network_business_profile]": SELLER,
                "usage_limits[currency]": "usd",
                "usage_limits[max_amount]": "500",
                "usage_limits[expires_at]": str(made["expires_at"]),
            },
        )
    ]


async def test_denied_request_gives_none(program: Program, booth: TokenBooth) -> None:
    """A no draws nothing from Stripe, and stays a no."""
    made = await program.ask()
    await program.press(made["approval_url"], yes=False)
    assert (await program.look(made["id"]))["status"] == "denied"
    assert booth.forms == []


async def test_request_waits_until_approval_is_requested(program: Program) -> None:
    """Made without it, a request can be changed, has no page, and goes on when approval is requested."""
    made = await program.ask(request_approval=False)
    assert (made["status"], "approval_url" in made) == ("created", False)
    assert (await program.page(f"/approve/{made['id']}")).status_code == 404
    path = f"/spend_requests/{made['id']}"
    changed = await program.call("POST", path, {"amount": 700, "line_items": [{"name": "Tea"}]})
    assert (changed.json()["amount"], changed.json()["line_items"]) == (700, [{"name": "Tea"}])
    asked = (await program.call("POST", f"{path}/request_approval")).json()
    assert asked == {"id": made["id"], "approval_link": f"{program.url}/approve/{made['id']}"}
    assert (await program.call("POST", f"{path}/request_approval")).status_code == 400
    assert (await program.call("POST", path, {"amount": 1})).status_code == 409


async def test_decisions_have_a_time(program: Program, clock: Clock) -> None:
    """Ten minutes after approval was requested it has expired: a yes does nothing, cancelling is 422."""
    made = await program.ask()
    clock.now += DECISION_WINDOW
    assert (await program.look(made["id"]))["status"] == "expired"
    await program.submit(f"/approve/{made['id']}", decision="approve")
    assert (await program.look(made["id"]))["status"] == "expired"
    assert (await program.call("POST", f"/spend_requests/{made['id']}/cancel")).status_code == 422


async def test_approval_has_a_time(program: Program, clock: Clock) -> None:
    """Twelve hours after it was made an approved request is expired, and shows no token."""
    made = await program.ask()
    await program.press(made["approval_url"], yes=True)
    clock.now += LIFETIME
    program.take(await program.refresh())
    found = await program.look(made["id"])
    assert (found["status"], "shared_payment_token" in found) == ("expired", False)


async def test_token_that_came_too_late_is_revoked(program: Program, booth: TokenBooth, clock: Clock) -> None:
    """If the time to decide ends while Stripe issues it, the request has expired, and the token is void."""
    made = await program.ask()

    def run_out() -> None:
        clock.now += DECISION_WINDOW

    booth.meanwhile = run_out
    await program.press(made["approval_url"], yes=True)
    assert ((await program.look(made["id"]))["status"], booth.revoked) == ("expired", ["spt_1"])


async def test_cancelling_revokes_the_token(program: Program, booth: TokenBooth) -> None:
    """What was drawn for it is taken back at Stripe; a second cancellation is 409."""
    made = await program.ask()
    await program.press(made["approval_url"], yes=True)
    cancelled = await program.call("POST", f"/spend_requests/{made['id']}/cancel")
    assert (cancelled.json()["status"], booth.revoked) == ("canceled", ["spt_1"])
    assert (await program.call("POST", f"/spend_requests/{made['id']}/cancel")).status_code == 409


async def test_cancelling_waits_for_stripe(program: Program, booth: TokenBooth) -> None:
    """A token that could not be revoked is not said to be: 503, and the request stays as it is."""
    made = await program.ask()
    await program.press(made["approval_url"], yes=True)
    booth.refuse(500, type="api_error", message="down")
    refused = await program.call("POST", f"/spend_requests/{made['id']}/cancel")
    assert (refused.status_code, (await program.look(made["id"]))["status"]) == (503, "approved")


async def test_refusal_of_stripes_is_a_failed_request(program: Program, booth: TokenBooth) -> None:
    """If Stripe will not issue the token, the request has failed, with Stripe's reason."""
    booth.refuse(400, type="invalid_request_error", code="resource_missing", message="No such profile")
    made = await program.ask()
    page = await program.press(made["approval_url"], yes=True)
    assert "resource_missing" in page.text
    found = await program.look(made["id"])
    assert (found["status"], found["payment_status_details"]["code"]) == ("failed", "resource_missing")


async def test_silence_of_stripes_decides_nothing(program: Program, booth: TokenBooth) -> None:
    """If Stripe cannot be asked, the page says so, and the same button works when it is back."""
    booth.refuse(500, type="api_error", message="down")
    made = await program.ask()
    page = await program.press(made["approval_url"], yes=True)
    assert (page.status_code, "That did not work" in page.text) == (502, True)
    assert (await program.look(made["id"]))["status"] == "pending_approval"
    booth.refusal = None
    await program.press(made["approval_url"], yes=True)
    assert (await program.look(made["id"]))["status"] == "approved"


async def test_challenge_is_met_on_its_own_page(program: Program) -> None:
    """A card whose bank asks needs a second yes; until then the request says where, and resumes by itself."""
    made = await program.ask(payment_details="csmrpd_challenge")
    page = await program.press(made["approval_url"], yes=True)
    assert "Your bank asks" in page.text
    found = await program.look(made["id"])
    action = found["status_details"]["requires_action"]["next_action"]
    assert (found["status"], action["resolution"]) == ("requires_action", "auto_resume")
    await program.press(action["action_url"], yes=True)
    assert (await program.look(made["id"]))["status"] == "approved"


async def test_failed_challenge_fails_the_request(program: Program) -> None:
    """A no to the bank is a failure, not a denial."""
    made = await program.ask(payment_details="csmrpd_challenge")
    await program.press(made["approval_url"], yes=True)
    await program.press(f"/challenge/{made['id']}", yes=False)
    assert (await program.look(made["id"]))["payment_status_details"]["code"] == "authentication_failed"


async def test_card_that_needs_attention_stops_at_once(program: Program) -> None:
    """An expired card is not put to its user for approval; a new request is needed when it was updated."""
    made = await program.ask(payment_details="csmrpd_expired")
    action = made["status_details"]["requires_action"]["next_action"]
    assert (made["status"], action["type"]) == ("requires_action", "update_payment_method")
    assert action["resolution"] == "create_new_spend_request_after_completion"


async def test_virtual_card_is_a_test_card(program: Program, booth: TokenBooth) -> None:
    """An approved request for a card has Stripe's test card for agents, and draws no token."""
    terms = {
        "credential_type": "card",
        "network_id": None,
        "merchant_name": "Shop",
        "merchant_url": "https://x",
    }
    made = await program.ask(**terms)
    await program.press(made["approval_url"], yes=True)
    assert (await program.look(made["id"], include="card"))["card"]["number"] == "4000009990001984"
    assert booth.forms == []


@pytest.mark.parametrize(
    ("terms", "said"),
    [
        ({"context": "short"}, "length >= 100"),
        ({"amount": 0}, ">= 1"),
        ({"amount": 5.5}, "int"),
        ({"amount": 50_001}, "at most 50000"),
        ({"currency": "dollars"}, "currency"),
        ({"network_id": None}, "network_id is required"),
        ({"credential_type": "cash"}, "credential_type"),
        ({"credential_type": "card"}, "network_id is for"),
        ({"credential_type": "card", "network_id": None}, "merchant_name"),
        ({"payment_details": "csmrpd_nope"}, "No such payment method"),
        ({"metadata": {str(n): "x" for n in range(51)}}, "metadata"),
        ({"line_items": [{}]}, "name"),
        ({"execution_method": "link_pay_token"}, "link_pay_token"),
    ],
)
async def test_terms_that_link_refuses_are_422(program: Program, terms: Member, said: str) -> None:
    """Each limit of Link's is an error that says what is wrong, and makes no request."""
    wanted = {
        "amount": 500,
        "credential_type": "shared_payment_token",
        "network_id": SELLER,
        "context": CONTEXT,
    }
    answer = await program.call("POST", "/spend_requests", wanted | terms)
    assert (answer.status_code, said in answer.json()["error"]["message"]) == (422, True), answer.text
    assert (await program.call("GET", "/spend_requests?include_history=true")).json() == {"data": []}


async def test_body_that_is_no_json_is_400(program: Program) -> None:
    """Neither nonsense nor a body beyond the limit is a failure of the server's."""
    for body, status in ((b"{", 400), (b"\xff", 400), (b" " * 300_000, 413)):
        answer = await program.send("/spend_requests", body)
        assert (answer.status_code, "error" in answer.json()) == (status, True)


async def test_same_request_again_is_a_duplicate(program: Program, clock: Clock) -> None:
    """The same terms a moment later are 429 with the request that is in the way; later they are a new one."""
    made = await program.ask()
    again = await program.call("POST", "/spend_requests", terms_of(made))
    error = again.json()["error"]
    assert (again.status_code, error["code"]) == (429, "spend_request_rate_limited")
    assert error["duplicate_spend_request"]["id"] == made["id"]
    assert error["retry_after"] == int(clock.now) + DUPLICATE_WINDOW
    clock.now += DUPLICATE_WINDOW
    assert (await program.ask())["id"] != made["id"]


async def test_idempotency_key_makes_one_request(program: Program) -> None:
    """A repetition with the key brings the same request; other terms under it are refused."""
    made = await program.ask(idempotency_key="order-1")
    assert (await program.ask(idempotency_key="order-1"))["id"] == made["id"]
    assert (await program.ask(idempotency_key="order-2"))["id"] != made["id"]
    other = await program.call(
        "POST", "/spend_requests", terms_of(made) | {"amount": 9, "idempotency_key": "order-1"}
    )
    assert (other.status_code, other.json()["error"]["code"]) == (409, "idempotency_error")


async def test_number_of_requests_is_limited(program: Program, clock: Clock) -> None:
    """Thirty may be active at a time and fifty made in an hour: one more is 429."""
    for number in range(MAX_ACTIVE):
        last = await program.ask(amount=100 + number)
    over = await program.call("POST", "/spend_requests", terms_of(last) | {"amount": 1})
    assert (over.status_code, "active" in over.json()["error"]["message"]) == (429, True)
    for identifier in await listed(program):
        await program.call("POST", f"/spend_requests/{identifier}/cancel")
    for number in range(MAX_PER_HOUR - MAX_ACTIVE):
        last = await program.ask(amount=200 + number)
    over = await program.call("POST", "/spend_requests", terms_of(last) | {"amount": 1})
    assert over.json()["error"]["retry_after"] == int(clock.now) + 3600


async def test_list_has_what_is_active(program: Program) -> None:
    """The newest first; what is over only with its history."""
    first, second = await program.ask(amount=1), await program.ask(amount=2)
    await program.call("POST", f"/spend_requests/{first['id']}/cancel")
    assert await listed(program) == [second["id"]]
    assert await listed(program, "?include_history=true") == [second["id"], first["id"]]


async def test_delegated_request_needs_the_right_to(sandbox: LinkSandbox, program: Program) -> None:
    """A program approves its own request only with a scope that its user gave it."""
    made = await program.ask()
    wanted = terms_of(made) | {"amount": 123}
    assert (await program.call("POST", "/spend_requests/create_delegated", wanted)).status_code == 403
    trusted = await logged_in(sandbox, scope="payment_methods.agentic spend_requests:approve")
    approved = (await trusted.call("POST", "/spend_requests/create_delegated", wanted)).json()
    assert (await trusted.look(approved["id"]))["shared_payment_token"]["id"] == "spt_1"
    await trusted.aclose()


async def test_what_is_not_there_is_404(program: Program) -> None:
    """An unknown request, payment method or path is 404 in Link's shape."""
    for method, path in (
        ("GET", "/spend_requests/lsrq_0"),
        ("GET", "/balances"),
        ("POST", "/spend_requests/x/cancel"),
    ):
        answer = await program.call(method, path)
        assert (answer.status_code, "message" in answer.json()["error"]) == (404, True)
    nameless = await program.call("POST", "/payment-details/csmrpd_0", {"nickname": "x"})
    assert nameless.status_code == 404


async def test_payment_method_can_be_renamed(program: Program) -> None:
    """A nickname stays until it is taken away."""
    for nickname in ("Work", ""):
        await program.call("POST", "/payment-details/csmrpd_visa", {"nickname": nickname})
        (first, *_) = (await program.call("GET", "/payment-details")).json()["payment_details"]
        assert (first["id"], first["is_default"], first["nickname"]) == (
            "csmrpd_visa",
            True,
            nickname or None,
        )


async def test_without_a_stripe_api_there_are_no_tokens() -> None:
    """A sandbox that was given none says so when one is asked for, rather than make one up."""
    async with LinkSandbox() as sandbox:
        program = await logged_in(sandbox)
        wanted = {
            "amount": 5,
            "credential_type": "shared_payment_token",
            "network_id": SELLER,
            "context": CONTEXT,
        }
        answer = await program.call("POST", "/spend_requests", wanted)
        assert (answer.status_code, "no Stripe API" in answer.json()["error"]["message"]) == (422, True)
        await program.aclose()


async def test_sellers_key_has_the_test_helper_grant_tokens(booth: TokenBooth) -> None:
    """With the seller's key it is the helper that makes the token, which knows its seller by the key."""
    async with LinkSandbox(stripe_url=booth.url, stripe_key=KEY, draw="granted") as sandbox:
        program = await logged_in(sandbox)
        made = await program.ask()
        await program.press(made["approval_url"], yes=True)
        await program.aclose()
    ((path, form),) = booth.forms
    assert path == "/v1/test_helpers/shared_payment/granted_tokens"
    assert "seller_details[network_business_profile]" not in form


async def test_unattended_sandbox_says_yes(booth: TokenBooth) -> None:
    """Logins and requests are approved without anybody at a page."""
    async with LinkSandbox(stripe_url=booth.url, stripe_key=KEY, unattended=True) as sandbox:
        program = Program(sandbox.url)
        program.take(await program.redeem(await program.begin()))
        assert (await program.ask())["status"] == "approved"
        await program.aclose()


def terms_of(request: Member) -> Member:
    """The body that would make the same request."""
    names = ("amount", "credential_type", "network_id", "context", "payment_details", "currency")
    return {name: request[name] for name in names}


async def listed(program: Program, query: str = "") -> list[str]:
    """The ids in the list."""
    return [one["id"] for one in (await program.call("GET", f"/spend_requests{query}")).json()["data"]]
