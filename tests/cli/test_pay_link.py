"""`coinslot pay --spend-request-id`: a price that a Link wallet's user has approved, charged at Stripe."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import httpx2
import pytest
from fastapi import FastAPI

from coinslot import Paywall
from coinslot.methods import stripe, tempo
from coinslot.payments.method import ServerMethod
from coinslot.sandbox.link import LinkSandbox, ThreadedLinkSandbox, authorization, login_api
from coinslot.sandbox.stripe import BUYER, Keys, ThreadedStripeSandbox
from command import Command, InlineCommand
from link_parties import CLIENT, CONTEXT, DEVICE_CODE, decide
from serving import serving

SELLER = Keys("seller")


@pytest.fixture(scope="module")
def stripe_url() -> Iterator[str]:
    """A Stripe."""
    with ThreadedStripeSandbox() as sandbox:
        yield sandbox.url


@pytest.fixture(scope="module")
def link_url(stripe_url: str) -> Iterator[str]:
    """A Link that draws its tokens there, and that may be asked often about a login."""
    sandbox = LinkSandbox(limited=False, stripe_url=stripe_url, stripe_key=Keys(BUYER).secret_key)
    with pytest.MonkeyPatch.context() as patch, ThreadedLinkSandbox(sandbox) as running:
        for module in (authorization, login_api):
            patch.setattr(module, "INTERVAL", 0.1)
        yield running.url


@pytest.fixture(scope="module")
def shop(stripe_url: str) -> Iterator[str]:
    """A shop that would take money on Tempo too, and rather."""
    methods: list[ServerMethod] = [
        tempo.charge(
            recipient="0x742d35Cc6634c0532925a3b844bC9e7595F8fE00",
            network="testnet",
            rpc_url="http://127.0.0.1:9",
        ),
        stripe.charge(secret_key=SELLER.secret_key, network_id=SELLER.profile, api_base=stripe_url),
    ]
    paywall = Paywall(methods, secret_key="a secret of at least 32 bytes....", ledger="memory:", realm="shop")
    app = FastAPI()
    paywall.attach(app)

    @app.get("/free")
    async def free() -> str:
        return "free"

    @app.get("/paid")
    @paywall.charge("5.00")
    async def paid() -> str:
        return "paid"

    with serving(app) as url:
        yield url


@pytest.fixture(scope="module")
def session(link_url: str) -> str:
    """The access token of a session that the wallet's user gave."""
    client = {"client_id": CLIENT}
    with httpx2.Client(base_url=link_url, trust_env=False, verify=False) as http:
        login = http.post("/device/code", data=client).json()
        decide(login["verification_uri_complete"], yes=True)
        form = {"grant_type": DEVICE_CODE, "device_code": login["device_code"], **client}
        return str(http.post("/device/token", data=form).json()["access_token"])


@pytest.fixture
def payer(inline: InlineCommand, link_url: str, session: str) -> InlineCommand:
    """The command, with that session and nothing else to pay with."""
    inline.environment |= settings(link_url, session)
    return inline


def settings(link_url: str, session: str) -> dict[str, str]:
    """The environment of somebody with a session."""
    return {"LINK_API_BASE_URL": link_url, "LINK_AUTH_BASE_URL": link_url, "LINK_ACCESS_TOKEN": session}


def ask(
    payer: Command, *options: str, amount: int = 500, network_id: str = SELLER.profile
) -> tuple[str, str]:
    """A new spend request: its id, and where it is decided on."""
    run = payer(
        *("link", "spend-request", "create", "--amount", str(amount), "--network-id", network_id),
        *("--context", CONTEXT, "--test", "--no-wait", "--json", *options),
    )
    assert run.code == 0, run.err
    return run.json["id"], run.json["approval_url"] or ""


def approved(payer: Command, **terms: object) -> str:
    """One that its user said yes to."""
    identifier, url = ask(payer, **terms)  # type: ignore[arg-type]  # `ask` has them by name
    decide(url, yes=True)
    return identifier


def test_an_approved_request_pays(payer: InlineCommand, shop: str, stripe_url: str) -> None:
    """The guide's last step: the answer, and a receipt that names a PaymentIntent of that price."""
    identifier = approved(payer)
    run = payer("pay", f"{shop}/paid", "--spend-request-id", identifier, "--json")
    assert (run.code, run.json["body"]) == (0, '"paid"')
    payment = run.json["payment"]
    assert (payment["outcome"], payment["amount"], payment["asset"]) == ("paid", "5", "USD")
    assert payment["method"] == "stripe/charge"
    intent = httpx2.get(
        f"{stripe_url}/v1/payment_intents/{payment['receipt']['reference']}",
        auth=(SELLER.secret_key, ""),
        trust_env=False,
    ).json()
    assert (intent["status"], intent["amount"]) == ("succeeded", 500)
    assert payer.unfinished() == []
    again = payer("pay", f"{shop}/paid", "--spend-request-id", identifier)
    assert again.code == 5  # the token was good once
    assert "spt_" not in run.text + run.err + again.err


def test_a_pending_request_is_waited_for(
    coinslot: Command, payer: InlineCommand, shop: str, link_url: str, session: str
) -> None:
    """The command says where its user approves it, waits, and pays."""
    identifier, url = ask(payer)
    coinslot.environment |= settings(link_url, session)
    with coinslot.start("pay", f"{shop}/paid", "--spend-request-id", identifier) as process:
        assert process.stderr is not None
        lines = [process.stderr.readline().decode() for _ in range(2)]
        assert lines[0] == f"coinslot: {identifier} is to be approved at {url}\n"
        assert "waiting" in lines[1]
        decide(url, yes=True)
        out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (0, b'"paid"')
    assert re.match(rb"coinslot: paid 5 USD to profile_\w+ on stripe", err)


def test_a_denied_request_is_4(payer: InlineCommand, shop: str) -> None:
    """What its user said no to pays for nothing, and no other way of paying is tried."""
    identifier, url = ask(payer)
    decide(url, yes=False)
    run = payer("pay", f"{shop}/paid", "--spend-request-id", identifier)
    assert (run.code, run.out) == (4, b"")
    assert (
        run.err
        == f"coinslot: the spend request {identifier} is denied, and pays for nothing: make a new one\n"
    )


@pytest.mark.parametrize(
    ("terms", "said"),
    [
        ({"amount": 499}, "is for 4.99 USD, and the price is 5.00 USD"),
        ({"network_id": Keys("other").profile}, f"and the seller here is {SELLER.profile}"),
    ],
    ids=["too-little", "another-seller"],
)
def test_a_request_for_something_else_is_4(
    payer: InlineCommand, shop: str, terms: dict[str, object], said: str
) -> None:
    """A token that could not pay this is not presented, nor is anybody asked to approve it."""
    identifier, _ = ask(payer, **terms)  # type: ignore[arg-type]  # they are what `ask` has by name
    run = payer("pay", f"{shop}/paid", "--spend-request-id", identifier)
    assert (run.code, run.out) == (4, b"")
    assert said in run.err


def test_a_request_that_nobody_was_asked_about_says_what_to_do(payer: InlineCommand, shop: str) -> None:
    """Waiting for it would be for nothing."""
    identifier, _ = ask(payer, "--no-request-approval")
    run = payer("pay", f"{shop}/paid", "--spend-request-id", identifier)
    assert run.code == 4
    assert f"coinslot link spend-request request-approval {identifier}" in run.err


def test_unknown_request_and_no_session(payer: InlineCommand, shop: str) -> None:
    """Link's refusal is 22, and a missing session 69 with what to do about it."""
    unknown = payer("pay", f"{shop}/paid", "--spend-request-id", "lsrq_none")
    assert unknown.code == 22
    del payer.environment["LINK_ACCESS_TOKEN"]
    outside = payer("pay", f"{shop}/paid", "--spend-request-id", "lsrq_none")
    assert (outside.code, "coinslot link login" in outside.err) == (69, True)


def test_a_free_answer_asks_link_nothing(inline: InlineCommand, shop: str) -> None:
    """Without a price there is no need of a session, nor of Link."""
    inline.environment |= {"LINK_API_BASE_URL": "http://127.0.0.1:9"}
    run = inline("pay", f"{shop}/free", "--spend-request-id", "lsrq_1")
    assert (run.code, run.out, run.err) == (0, b'"free"', "")


def test_a_dry_run_shows_what_would_be_paid_by_whom(payer: InlineCommand, shop: str) -> None:
    """The price, the seller and the request, which stays as it is; --max counts if it is given."""
    identifier, _ = ask(payer)
    run = payer("pay", f"{shop}/paid", "--spend-request-id", identifier, "--dry-run")
    shown = dict(re.split(r"\s{2,}", line.strip(), maxsplit=1) for line in run.text.splitlines())
    assert shown["Would pay"] == "5 USD"
    assert (shown["To"], shown["By"]) == (SELLER.profile, "stripe/charge")
    assert shown["From"] == f"Link, by the spend request {identifier} (pending_approval)"
    assert "Within --max" not in shown
    limited = payer("pay", f"{shop}/paid", "--spend-request-id", identifier, "--max", "1")
    assert limited.code == 3
    status = payer("link", "spend-request", "retrieve", identifier, "--json")
    assert json.loads(status.out)["status"] == "pending_approval"
