"""The engine, asked by hand: which credential is honoured for which request, and what others hear."""

from __future__ import annotations

import asyncio
import gc
import json
import logging
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st
from msgspec.structs import replace

from coinslot import (
    BadRequest,
    Challenge,
    Challenged,
    ChallengeIssued,
    ConfigurationError,
    Credential,
    CredentialRefused,
    Gate,
    Paid,
    PaymentRequired,
    Paywall,
    Receipt,
    Request,
    Response,
)
from coinslot.payments import lease
from coinslot.payments.method import Offer, Price
from coinslot.protocol import JSONObject, encode_base64url, encode_object, strict_json
from coinslot.server import engine
from scrip import Mint, ScripCharge, credential

SECRET = "a secret of at least thirty-two bytes"


def ask(method: str = "GET", path: str = "/paid", **kwargs: Any) -> Request:
    """A request, over https unless told otherwise."""
    return Request.create(method, path, **kwargs)


def authorized(request: Request, authorization: str, header: bytes = b"authorization") -> Request:
    """The request with one more header."""
    return replace(request, headers=(*request.headers, (header, authorization.encode("latin-1", "replace"))))


async def refused(gate: Gate, request: Request) -> tuple[int, str, Response]:
    """The status and problem of a refusal."""
    match await gate.decide(request):
        case Challenged(response):
            body = strict_json(response.body)
            assert isinstance(body, dict)
            assert (b"cache-control", b"no-store") in response.headers
            has_challenge = any(name == b"www-authenticate" for name, _ in response.headers)
            assert has_challenge == (response.status == 402)
            return response.status, str(body["type"]).rpartition("/")[2], response
        case _:
            raise AssertionError("it was accepted")


def challenges(response: Response) -> list[Challenge]:
    """The challenges of a 402, in order."""
    return [
        Challenge.parse(value.decode("latin-1"))
        for name, value in response.headers
        if name == b"www-authenticate"
    ]


async def challenge_for(gate: Gate, request: Request) -> Challenge:
    """The first challenge for a request."""
    _, slug, response = await refused(gate, request)
    assert slug == "payment-required"
    return challenges(response)[0]


async def accepted(gate: Gate, request: Request) -> Paid:
    """The payment for a request that is honoured."""
    decision = await gate.decide(request)
    assert isinstance(decision, Paid), decision
    return decision


def raising(error: Exception) -> Callable[[Request], str]:
    """A price that cannot be computed."""

    def price(request: Request) -> str:
        raise error

    return price


async def test_by_hand(paywall: Paywall, mint: Mint) -> None:
    """Asked, challenged, paid, served with a receipt; and the receipt marks the delivery."""
    gate = paywall.charge("0.01", external_id="order-9")
    challenge = await challenge_for(gate, ask())
    paid = await accepted(gate, authorized(ask(), credential(challenge, mint.issue(1))))
    response = paid.with_receipt(Response(status=200, headers=((b"x", b"y"),), body=b"data"))
    headers = dict(response.headers)
    receipt = Receipt.parse(headers[b"payment-receipt"].decode())
    assert (receipt.reference, receipt.external_id) == (paid.payment.reference, "order-9")
    assert headers[b"cache-control"] == b"private"
    await asyncio.sleep(0.01)
    payment = await paywall.ledger.find(challenge.id)
    assert payment is not None
    assert payment.state == "delivered"
    assert payment.route == "GET /paid"


async def test_by_hand_an_error_is_not_a_delivery(paywall: Paywall, mint: Mint) -> None:
    """A response of 400 and up carries no receipt, and the credential stays good."""
    gate = paywall.charge("0.01")
    request = authorized(ask(), credential(await challenge_for(gate, ask()), mint.issue(1)))
    failed = (await accepted(gate, request)).with_receipt(Response(status=500, headers=(), body=b""))
    assert failed.headers == ()
    await asyncio.sleep(0.01)
    moved = (await accepted(gate, request)).with_receipt(Response(status=303, headers=(), body=b""))
    assert moved.headers == ()
    await asyncio.sleep(0.01)
    assert (await refused(gate, request))[1] == "invalid-challenge"
    assert mint.spend_requests == 1


@pytest.mark.parametrize(
    "other",
    [
        ask(path="/other"),
        ask(query="page=2"),
        ask("POST"),
        ask("HEAD"),
        ask("GET", body=b"a body"),
        ask("GET", path="/paid" + "x" * 300),
        ask("GET", path="/päid"),
    ],
    ids=["path", "query", "method", "HEAD", "body", "long path", "non-ASCII path"],
)
async def test_a_credential_is_for_one_request(paywall: Paywall, mint: Mint, other: Request) -> None:
    """A credential for another path, query, method or body is refused before anything is asked."""
    gate = paywall.charge("0.01")
    note = mint.issue(1)
    authorization = credential(await challenge_for(gate, ask()), note)
    status, slug, _ = await refused(gate, authorized(other, authorization))
    assert (status, slug) == (402, "invalid-challenge")
    assert mint.spend_requests == 0


async def test_a_credential_is_for_one_body(paywall: Paywall, mint: Mint) -> None:
    """The body is bound by its digest, and may be left unbound."""
    gate = paywall.charge("0.01")
    challenge = await challenge_for(gate, ask("POST", body=b'{"n":1}'))
    assert challenge.digest is not None
    assert challenge.digest.startswith("sha-256=:")
    authorization = credential(challenge, mint.issue(1))
    assert (await refused(gate, authorized(ask("POST", body=b'{"n":2}'), authorization)))[1] == (
        "invalid-challenge"
    )
    assert (await refused(gate, authorized(ask("POST"), authorization)))[1] == "invalid-challenge"
    await accepted(gate, authorized(ask("POST", body=b'{"n":1}'), authorization))

    loose = paywall.charge("0.01", bind_body=False, bind_query=False)
    authorization = credential(await challenge_for(loose, ask("POST", body=b"1", query="a")), mint.issue(1))
    await accepted(loose, authorized(ask("POST", body=b"2", query="b"), authorization))


async def test_redelivery_is_for_the_same_body(paywall: Paywall, mint: Mint) -> None:
    """A payment that is owed its delivery is not good for another body either."""
    gate = paywall.charge("0.01")
    request = ask("POST", body=b"one")
    authorization = credential(await challenge_for(gate, request), mint.issue(1))
    paid = await accepted(gate, authorized(request, authorization))
    paid.with_receipt(Response(status=500, headers=(), body=b""))
    await asyncio.sleep(0.01)
    assert (await refused(gate, authorized(ask("POST", body=b"two"), authorization)))[1] == (
        "invalid-challenge"
    )
    await accepted(gate, authorized(request, authorization))


async def test_a_cheap_routes_payment_does_not_open_a_dear_one(paywall: Paywall, mint: Mint) -> None:
    """The same path at a higher price: the old challenge is not enough, and nothing is spent."""
    cheap, dear = paywall.charge("0.01"), paywall.charge("0.02")
    note = mint.issue(1)
    request = authorized(ask(), credential(await challenge_for(cheap, ask()), note))
    status, slug, _ = await refused(dear, request)
    assert (status, slug) == (402, "payment-insufficient")
    assert mint.spend_requests == 0


async def test_changed_terms_are_named(mint: Mint) -> None:
    """A challenge for another recipient, issued by this very server before a change, is refused by name."""
    before = Paywall([ScripCharge(mint, recipient="old")], secret_key=SECRET, realm="r", ledger="memory:")
    after = Paywall([ScripCharge(mint, recipient="new")], secret_key=SECRET, realm="r", ledger="memory:")
    authorization = credential(await challenge_for(before.charge("0.01"), ask()), mint.issue(1))
    status, slug, response = await refused(after.charge("0.01"), authorized(ask(), authorization))
    assert (status, slug) == (402, "invalid-challenge")
    assert b"recipient" in response.body


async def test_foreign_challenges_are_refused(paywall: Paywall, mint: Mint) -> None:
    """Another secret, another realm, or any one member changed: not ours."""
    gate = paywall.charge("0.01")
    ours = await challenge_for(gate, ask())
    other_secret = Paywall(
        [ScripCharge(mint)],
        secret_key="another secret of thirty-two bytes!",
        realm="shop.example",
        ledger="memory:",
    )
    other_realm = Paywall([ScripCharge(mint)], secret_key=SECRET, realm="other", ledger="memory:")
    forged = [
        await challenge_for(other_secret.charge("0.01"), ask()),
        await challenge_for(other_realm.charge("0.01"), ask()),
        replace(ours, realm="evil"),
        replace(ours, request=encode_object({**ours.decode_request(), "amount": "0"})),
        replace(ours, expires="2999-01-01T00:00:00Z"),
        replace(ours, expires=None),
        replace(ours, opaque=None),
        replace(ours, opaque=encode_object({**ours.decode_opaque(), "path": "/else"})),
        replace(ours, digest="sha-256=:AAAA:"),
        replace(ours, intent="session"),
        replace(ours, method="tempo"),
        replace(ours, header="Payment-Authorization"),
        replace(ours, id="A" * 43),
    ]
    for challenge in forged:
        status, slug, _ = await refused(gate, authorized(ask(), credential(challenge, mint.issue(1))))
        assert (status, slug) in {(402, "invalid-challenge"), (402, "malformed-credential")}, challenge
    assert mint.spend_requests == 0
    await accepted(gate, authorized(ask(), credential(replace(ours, description="anything"), mint.issue(1))))


async def test_an_expired_challenge_is_refused(mint: Mint) -> None:
    """After its time a challenge is `payment-expired`, with a fresh one beside it."""
    paywall = Paywall(
        [ScripCharge(mint)], secret_key=SECRET, realm="shop", ledger="memory:", expires_in=0.001
    )
    gate = paywall.charge("0.01")
    authorization = credential(await challenge_for(gate, ask()), mint.issue(1))
    status, slug, _ = await refused(gate, authorized(ask(), authorization))
    assert (status, slug) == (402, "payment-expired")
    assert mint.spend_requests == 0


async def test_secrets_rotate(mint: Mint) -> None:
    """A challenge under the previous secret is honoured while both are known; the newest one issues."""
    old, new = "the old secret, thirty-two bytes long", "the new secret, thirty-two bytes long"

    def shop(*secrets: str) -> Gate:
        return Paywall([ScripCharge(mint)], secret_key=list(secrets), realm="shop", ledger="memory:").charge(
            "0.01"
        )

    under_old = credential(await challenge_for(shop(old), ask()), mint.issue(1))
    await accepted(shop(old, new), authorized(ask(), under_old))
    under_new = credential(await challenge_for(shop(old, new), ask()), mint.issue(1))
    await accepted(shop(new), authorized(ask(), under_new))
    assert (await refused(shop(new), authorized(ask(), under_old)))[1] == "invalid-challenge"


async def test_two_credentials_are_one_too_many(paywall: Paywall, mint: Mint) -> None:
    """Two Payment credentials are 400, wherever they stand; another scheme beside one is left alone."""
    gate = paywall.charge("0.01")
    authorization = credential(await challenge_for(gate, ask()), mint.issue(1))
    twice = authorized(authorized(ask(), authorization), authorization)
    merged = authorized(ask(), f"{authorization}, {authorization}")
    for request in (twice, merged):
        assert (await refused(gate, request))[:2] == (400, "bad-request")
    await accepted(gate, authorized(ask(), f"Bearer abc, {authorization}"))


@pytest.mark.parametrize(
    "value",
    [
        "Payment !!!",
        "Payment e30",
        "Payment W10",
        "Payment bnVsbA",
        "Payment eyJhIjoxLCJhIjoyfQ",
        "Payment e30=",
        "Payment " + "A" * 60_000,
        "Payment \xff\xfe",
        "payment e30",
    ],
)
async def test_unreadable_credentials_have_their_own_problem(paywall: Paywall, value: str) -> None:
    """What cannot be read is `malformed-credential`, with a fresh challenge, and its text is not repeated."""
    status, slug, response = await refused(paywall.charge("0.01"), authorized(ask(), value))
    assert (status, slug) == (402, "malformed-credential")
    assert value.split()[1].encode("latin-1") not in response.body


@pytest.mark.parametrize("value", ["Bearer x", "Payment", "Payment ", "", "Basic Payment"])
async def test_no_credential_is_payment_required(paywall: Paywall, value: str) -> None:
    """Another scheme, or an empty credential, is none."""
    assert (await refused(paywall.charge("0.01"), authorized(ask(), value)))[1] == "payment-required"


async def test_a_payload_of_another_shape_is_refused(paywall: Paywall) -> None:
    """The payload's shape is checked before the method is asked anything."""
    gate = paywall.charge("0.01")
    bad = Credential(challenge=await challenge_for(gate, ask()), payload={"note": 7}).to_header()
    assert (await refused(gate, authorized(ask(), bad)))[:2] == (402, "invalid-payload")


async def test_spellings_of_one_payload_are_one_credential(paywall: Paywall, mint: Mint) -> None:
    """Hex case and additional members do not make a second credential of a first."""
    gate = paywall.charge("0.01")
    challenge = await challenge_for(gate, ask())
    note = mint.issue(1)
    (await accepted(gate, authorized(ask(), credential(challenge, note)))).with_receipt(
        Response(status=500, headers=(), body=b"")
    )
    await asyncio.sleep(0.01)
    spelled = Credential(challenge=challenge, payload={"extra": 1, "note": note.upper()}).to_header()
    await accepted(gate, authorized(ask(), spelled))
    assert mint.spend_requests == 1


async def test_the_wrong_note_for_a_known_payment_is_refused(paywall: Paywall, mint: Mint) -> None:
    """A challenge that has a payment is not open to a second credential, good or bad."""
    gate = paywall.charge("0.01")
    challenge = await challenge_for(gate, ask())
    await accepted(gate, authorized(ask(), credential(challenge, mint.issue(1))))
    for payload in ({"note": mint.issue(1)}, {"note": 7}):
        header = Credential(challenge=challenge, payload=payload).to_header()  # type: ignore[arg-type]
        assert (await refused(gate, authorized(ask(), header)))[1] == "invalid-challenge"
    assert mint.spend_requests == 1


async def test_several_methods_in_one_402_and_accept_payment(mint: Mint) -> None:
    """Every method offers, in the seller's order; `Accept-Payment` filters and orders, one or many."""
    scrip, gold = ScripCharge(mint), ScripCharge(mint, name="gold")
    paywall = Paywall([scrip, gold], secret_key=SECRET, realm="shop", ledger="memory:")
    gate = paywall.charge("0.01")

    async def offered(wish: str | None) -> list[str]:
        headers = {"Accept-Payment": wish} if wish is not None else None
        _, _, response = await refused(gate, ask(headers=headers))
        assert sum(len(name) + len(value) for name, value in response.headers) < 4096
        return [challenge.method for challenge in challenges(response)]

    assert await offered(None) == ["scrip", "gold"]
    assert await offered("gold/charge, scrip/charge;q=0.5") == ["gold", "scrip"]
    assert await offered("*/*;q=0.1, scrip/charge;q=0") == ["gold"]
    assert await offered("stripe/charge") == ["scrip", "gold"]
    assert await offered("%%%") == ["scrip", "gold"]
    assert await offered("gold/charge" + " " * 100_000) == ["scrip", "gold"]
    # Each is payable.
    _, _, response = await refused(gate, ask())
    for challenge in challenges(response):
        await accepted(gate, authorized(ask(), credential(challenge, mint.issue(1))))


async def test_payment_authorization_mode(mint: Mint) -> None:
    """With `payment_authorization` the challenge names the header, and Authorization is left to the app."""
    paywall = Paywall(
        [ScripCharge(mint)], secret_key=SECRET, realm="shop", ledger="memory:", payment_authorization=True
    )
    gate = paywall.charge("0.01")
    challenge = await challenge_for(gate, ask(headers={"Authorization": "Bearer me"}))
    assert challenge.header == "Payment-Authorization"
    authorization = credential(challenge, mint.issue(1))
    assert (await refused(gate, authorized(ask(), authorization)))[1] == "payment-required"
    await accepted(gate, authorized(ask(), authorization, b"payment-authorization"))


async def test_a_price_by_callable(paywall: Paywall, mint: Mint) -> None:
    """A callable prices each request, and is asked again with the payment: no other price will do."""

    async def by_length(request: Request) -> str:
        return "0.05" if request.header("X-Quality") == "high" else "0.01"

    gate = paywall.charge(by_length)
    low = await challenge_for(gate, ask())
    high_request = ask(headers={"X-Quality": "high"})
    high = await challenge_for(gate, high_request)
    assert (low.decode_request()["amount"], high.decode_request()["amount"]) == ("1", "5")
    cheat = authorized(high_request, credential(low, mint.issue(5)))
    assert (await refused(gate, cheat))[1] == "payment-insufficient"
    await accepted(gate, authorized(high_request, credential(high, mint.issue(5))))


async def test_a_cheap_payment_is_not_redelivered_dear(paywall: Paywall, mint: Mint) -> None:
    """A payment that is owed its delivery is not good for what the same path sells at another price."""
    gate = paywall.charge(lambda request: request.header("X-Price") or "0.01")
    authorization = credential(await challenge_for(gate, ask()), mint.issue(1))
    paid = await accepted(gate, authorized(ask(), authorization))
    await paid.returned()
    dear = authorized(ask(headers={"X-Price": "5.00"}), authorization)
    assert (await refused(gate, dear))[1] == "payment-insufficient"
    await accepted(gate, authorized(ask(), authorization))


async def test_a_price_that_fell_does_not_end_redelivery(paywall: Paywall, mint: Mint) -> None:
    """What was paid for at a higher price is still owed when the price has fallen."""
    prices = ["0.05", "0.05", "0.01"]  # asked for the challenge, for the payment, and for its redelivery
    gate = paywall.charge(lambda request: prices.pop(0))
    request = authorized(ask(), credential(await challenge_for(gate, ask()), mint.issue(5)))
    await (await accepted(gate, request)).returned()
    await accepted(gate, request)
    assert mint.spend_requests == 1


async def test_a_price_that_fell_is_told_so(paywall: Paywall, mint: Mint) -> None:
    """A challenge for more than is asked now is refused, and not as insufficient."""
    dear, cheap = paywall.charge("0.05"), paywall.charge("0.01")
    request = authorized(ask(), credential(await challenge_for(dear, ask()), mint.issue(5)))
    assert (await refused(cheap, request))[1] == "invalid-challenge"


@pytest.mark.parametrize(
    ("price", "expected"),
    [
        (lambda request: "0.00001", (503, "payment-unavailable")),
        (lambda request: str(request.query), (503, "payment-unavailable")),
        (raising(BadRequest("No such size.")), (400, "bad-request")),
        (raising(PaymentRequired("Never mind.")), (503, "payment-unavailable")),
    ],
    ids=["too fine", "from the query", "its own refusal", "a refusal that needs a price"],
)
async def test_a_computed_price_that_cannot_be_is_no_fault(
    paywall: Paywall, price: Callable[[Request], str], expected: tuple[int, str]
) -> None:
    """What a price's callable makes of a stranger's request ends in an answer."""
    assert (await refused(paywall.charge(price), ask(query="size=huge")))[:2] == expected


async def test_a_payment_that_is_forgotten_by_hand_may_be_had_again(
    paywall: Paywall, mint: Mint, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A `Paid` that nobody ended, because of an exception say, lets its lease lapse."""
    monkeypatch.setattr(lease, "SECONDS", 1.0)
    gate = paywall.charge("0.01")
    request = authorized(ask(), credential(await challenge_for(gate, ask()), mint.issue(1)))
    await accepted(gate, request)
    assert (await refused(gate, request))[1] == "payment-in-progress"
    gc.collect()
    await asyncio.sleep(1.1)
    await accepted(gate, request)


async def test_closing_waits_for_what_was_served_by_hand(mint: Mint) -> None:
    """What `with_receipt` began to write down is written when the paywall has closed."""
    paywall = Paywall([ScripCharge(mint)], secret_key=SECRET, realm="shop", ledger="memory:")
    gate = paywall.charge("0.01")
    challenge = await challenge_for(gate, ask())
    paid = await accepted(gate, authorized(ask(), credential(challenge, mint.issue(1))))
    paid.with_receipt(Response(status=200, headers=(), body=b""))
    await paywall.aclose()
    payment = await paywall.ledger.find(challenge.id)
    assert payment is not None
    assert payment.state == "delivered"


def test_queries_differ_whatever_their_characters() -> None:
    """Two queries are never taken for one, and a path cannot write lines of its own into the log."""
    assert ask(query="q=日").query != ask(query="q=中").query
    assert "\n" not in ask(path="/a\nERROR forged").label


async def test_a_price_that_no_method_takes_is_503(paywall: Paywall) -> None:
    """A computed price beyond every method is the seller's trouble: 503, and no empty challenge."""
    gate = paywall.charge(lambda _: "100000")
    assert (await refused(gate, ask()))[:2] == (503, "payment-unavailable")


@pytest.mark.parametrize(
    ("scheme", "peer", "headers", "served"),
    [
        ("https", "203.0.113.9", {}, True),
        ("http", "203.0.113.9", {}, False),
        ("http", "10.0.0.1", {}, False),
        ("http", "127.0.0.1", {}, True),
        ("http", "127.8.8.8", {}, True),
        ("http", "::1", {}, True),
        ("http", "::ffff:127.0.0.1", {}, True),
        ("http", "testclient", {}, True),
        ("http", None, {}, True),
        ("http", "127.0.0.1", {"X-Forwarded-For": "203.0.113.9"}, False),
        ("http", "127.0.0.1", {"Forwarded": "for=203.0.113.9"}, False),
        ("http", "127.0.0.1", {"X-Real-IP": "203.0.113.9"}, False),
        ("https", "127.0.0.1", {"X-Forwarded-For": "203.0.113.9"}, True),
    ],
)
async def test_plain_http_is_for_loopback(
    paywall: Paywall, scheme: str, peer: str | None, headers: dict[str, str], served: bool
) -> None:
    """Neither challenge nor payment goes over plain http, except on this machine with no proxy between."""
    answer = await refused(paywall.charge("0.01"), ask(scheme=scheme, peer=peer, headers=headers))
    assert answer[:2] == ((402, "payment-required") if served else (403, "https-required"))
    if not served:
        assert b"forwarded-allow-ips" in answer[2].body


async def test_insecure_http_can_be_allowed(mint: Mint) -> None:
    """For tests between machines, plain http can be allowed."""
    paywall = Paywall(
        [ScripCharge(mint)], secret_key=SECRET, realm="shop", ledger="memory:", insecure_http=True
    )
    answer = await refused(paywall.charge("0.01"), ask(scheme="http", peer="10.0.0.1"))
    assert answer[:2] == (402, "payment-required")


async def test_browsers_may_read_the_headers(paywall: Paywall, mint: Mint) -> None:
    """A cross-origin request is told which headers its page may read, on the 402 and with the receipt."""
    gate = paywall.charge("0.01")
    request = ask(headers={"Origin": "https://app.example"})
    _, _, response = await refused(gate, request)
    exposed = dict(response.headers)[b"access-control-expose-headers"]
    assert b"WWW-Authenticate" in exposed
    paid = await accepted(gate, authorized(request, credential(challenges(response)[0], mint.issue(1))))
    served = paid.with_receipt(Response(status=200, headers=(), body=b""))
    assert b"Payment-Receipt" in dict(served.headers)[b"access-control-expose-headers"]


async def test_what_happens_is_told(paywall: Paywall, mint: Mint) -> None:
    """A seller hears of challenges and refusals, with their routes."""
    heard: list[object] = []
    paywall.on(ChallengeIssued)(heard.append)
    paywall.on(CredentialRefused)(heard.append)
    gate = paywall.charge("0.01")
    challenge = await challenge_for(gate, ask())
    await refused(gate, authorized(ask(), credential(challenge, "forged")))
    issued, second, refusal = heard
    assert issued == ChallengeIssued("GET /paid", (challenge.id,), ("scrip/charge",), "payment-required")
    assert isinstance(second, ChallengeIssued)
    assert second.problem == "verification-failed"
    assert refusal == CredentialRefused("GET /paid", "verification-failed", "The note is not good.")


async def test_the_operator_reads_what_the_payer_does_not(
    paywall: Paywall, mint: Mint, caplog: pytest.LogCaptureFixture
) -> None:
    """A world that is away is 503 for the payer and a clear line, with no credential, for the operator."""
    gate = paywall.charge("0.01")
    note = mint.issue(1)
    authorization = credential(await challenge_for(gate, ask()), note)
    mint.is_down = True
    with caplog.at_level(logging.INFO, "coinslot"):
        status, slug, response = await refused(gate, authorized(ask(), authorization))
    assert (status, slug) == (503, "payment-unavailable")
    assert (b"retry-after", b"5") in response.headers
    assert "GET /paid: payment-unavailable: the mint is down" in caplog.text
    assert note not in caplog.text
    assert authorization.split()[1] not in caplog.text
    mint.is_down = False
    await accepted(gate, authorized(ask(), authorization))


@pytest.fixture(scope="module")
def shop() -> Gate:
    """A gate that lives as long as the module, for the properties below."""
    return Paywall([ScripCharge(Mint())], secret_key=SECRET, realm="shop", ledger="memory:").charge("0.01")


header_text = st.text(st.characters(max_codepoint=255), max_size=200)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    authorization=st.one_of(header_text, header_text.map(lambda text: "Payment " + text)),
    accept=st.none() | header_text,
    path=st.text(max_size=60),
    query=header_text,
    length=st.none() | header_text,
    body=st.none() | st.binary(max_size=60),
)
async def test_nothing_that_is_sent_breaks_it(
    shop: Gate,
    authorization: str,
    accept: str | None,
    path: str,
    query: str,
    length: str | None,
    body: bytes | None,
) -> None:
    """Arbitrary headers, paths, queries and bodies get a 4xx, never a fault."""
    headers = {"Authorization": authorization}
    if accept is not None:
        headers["Accept-Payment"] = accept
    if length is not None:
        headers["Content-Length"] = length
    decision = await shop.decide(Request.create("POST", path, query=query, headers=headers, body=body))
    assert isinstance(decision, Challenged)
    assert decision.response.status in {400, 402}


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=10,
)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(member=st.sampled_from(list(Challenge.__struct_fields__)), value=json_values, payload=json_values)
async def test_no_almost_right_credential_breaks_it(
    shop: Gate, member: str, value: object, payload: object
) -> None:
    """A real challenge with any one member replaced, and any payload, is refused as what it is."""
    challenge = await challenge_for(shop, ask())
    echoed = {
        name: text for name in Challenge.__struct_fields__ if (text := getattr(challenge, name)) is not None
    }
    echoed[member] = value
    token = encode_base64url(json.dumps({"challenge": echoed, "payload": payload}).encode())
    status, slug, _ = await refused(shop, authorized(ask(), f"Payment {token}"))
    assert status == 402
    assert slug in {"malformed-credential", "invalid-challenge", "invalid-payload", "verification-failed"}


async def test_a_402_reads_no_body_twice_and_no_two_ids_are_the_same(paywall: Paywall) -> None:
    """Two payers never share a challenge, though everything else about their requests is equal."""
    gate = paywall.charge("0.01")
    ids = {(await challenge_for(gate, ask())).id for _ in range(100)}
    assert len(ids) == 100


async def test_it_opens_again_after_closing(paywall: Paywall, mint: Mint) -> None:
    """A paywall that was closed opens its ledger again with the next payment."""
    gate = paywall.charge("0.01")
    await paywall.aclose()
    await accepted(gate, authorized(ask(), credential(await challenge_for(gate, ask()), mint.issue(1))))


async def test_heads_challenge_pays_for_get(paywall: Paywall, mint: Mint) -> None:
    """HEAD shows what GET costs: whoever pays that has paid for GET, and HEAD itself stays free of charge."""
    gate = paywall.charge("0.01")
    authorization = credential(await challenge_for(gate, ask("HEAD")), mint.issue(1))
    assert (await refused(gate, authorized(ask("HEAD"), authorization)))[:2] == (402, "invalid-challenge")
    assert mint.spend_requests == 0
    await accepted(gate, authorized(ask("GET"), authorization))


class Drawing(ScripCharge):
    """Scrip that is paid to another address each time, while there are any."""

    addresses: Iterator[str]

    def prepare(self, price: Price) -> Offer | None:
        offer = super().prepare(price)
        return None if offer is None else replace(offer, is_drawn=True)

    async def draw(self, offer: Offer) -> Offer | None:
        address = next(self.addresses, None)
        return None if address is None else replace(offer, request={**offer.request, "recipient": address})

    def pinned(self, request: JSONObject) -> JSONObject:
        return {name: value for name, value in request.items() if name != "recipient"}


class TestDrawnOffers:
    """Some methods have a recipient, or a memo, for each challenge."""

    @pytest.fixture
    async def drawing(self, mint: Mint) -> AsyncIterator[Paywall]:
        """A paywall with three addresses to give out."""
        method = Drawing(mint)
        method.addresses = iter(["one", "two", "three"])
        async with Paywall([method], secret_key=SECRET, realm="shop.example", ledger="memory:") as made:
            yield made

    async def test_each_challenge_has_its_own(self, drawing: Paywall, mint: Mint) -> None:
        """Two challenges of one price differ, and each is paid as it was made."""
        gate = drawing.charge("0.01")
        one, two = await challenge_for(gate, ask()), await challenge_for(gate, ask())
        assert [each.decode_request()["recipient"] for each in (one, two)] == ["one", "two"]
        for challenge in (two, one):
            await accepted(gate, authorized(ask(), credential(challenge, mint.issue(1))))

    async def test_the_rest_is_pinned(self, drawing: Paywall, mint: Mint) -> None:
        """What is not drawn has to be what is asked now."""
        challenge = await challenge_for(drawing.charge("0.01"), ask())
        dearer = drawing.charge("0.02")
        status, slug, _ = await refused(dearer, authorized(ask(), credential(challenge, mint.issue(1))))
        assert (status, slug) == (402, "payment-insufficient")
        assert mint.spend_requests == 0

    async def test_when_none_is_left_it_is_503(self, drawing: Paywall) -> None:
        """Nothing can be asked for, so nothing is: and no challenge comes with it."""
        gate = drawing.charge("0.01")
        for _ in range(3):
            await challenge_for(gate, ask())
        assert (await refused(gate, ask()))[:2] == (503, "payment-unavailable")

    def test_a_method_has_to_be_able_to(self, mint: Mint) -> None:
        """A pattern that nobody can draw from is found at start-up."""

        class Confused(ScripCharge):
            def prepare(self, price: Price) -> Offer | None:
                offer = super().prepare(price)
                return None if offer is None else replace(offer, is_drawn=True)

        paywall = Paywall([Confused(mint)], secret_key=SECRET, realm="shop.example", ledger="memory:")
        with pytest.raises(ConfigurationError, match="scrip cannot draw the offers it prepares"):
            paywall.charge("0.01")


class Prepaid(ScripCharge):
    """Scrip that is spent before it is shown."""

    def has_moved(self, payload: JSONObject) -> bool:
        return "note" in payload


@pytest.mark.parametrize(
    ("kind", "late", "slug"),
    [(Prepaid, 3600, None), (Prepaid, 0, "payment-expired"), (ScripCharge, 3600, "payment-expired")],
    ids=["in time", "too late", "not moved"],
)
async def test_what_has_moved_may_be_shown_late(
    mint: Mint, kind: type[ScripCharge], late: float, slug: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For an hour after the expiry the method decides; after that, and for other methods, it is over."""
    monkeypatch.setattr(engine, "LATE", late)
    async with Paywall(
        [kind(mint)], secret_key=SECRET, realm="shop.example", ledger="memory:", expires_in=1
    ) as paywall:
        gate = paywall.charge("0.01")
        request = authorized(ask(), credential(await challenge_for(gate, ask()), mint.issue(1)))
        await asyncio.sleep(1.1)
        if slug is None:
            await accepted(gate, request)
        else:
            assert (await refused(gate, request))[:2] == (402, slug)
