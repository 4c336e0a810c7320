"""The request flows and server cases that tempoxyz/mpp-tools publishes, played against Paywall and Wallet.

The suite leaves content types, `expires` and problem details out of its comparison. Challenge ids are not
compared either: ours bind a nonce and the request's scope, so that no two of them are the same.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx2
import pytest
from msgspec.structs import replace

from coinslot import Challenge, Credential, NoAcceptableChallenge, Paywall, Receipt, Wallet
from coinslot.errors import PaymentInsufficient, VerificationFailed
from coinslot.payments.method import Offer, Payload, Price, Proof, Quote, Settled, Settlement
from coinslot.protocol import JSONObject, challenge_id, encode_object, problem_type
from coinslot.server.asgi import ASGIApp, Receive, Scope, Send
from shopping import with_credential

VECTORS = Path(__file__).parents[3] / "shared" / "vectors"
SECRET = "conformance-secret-32-bytes-minimum"
NOT_HERE = pytest.param({}, marks=pytest.mark.skip(reason="the published vectors are not here"))

Case = dict[str, Any]

# What is not ours to pass yet, and why. Each is asserted to be as it says.
NOT_YET = {
    "discovery_document": "discovery is not part of this release",
    "json_rpc_mcp_payment": "the MCP transport is not part of this release",
}

# Where ours differs on purpose: (what is observed, the reason).
DEVIATIONS: dict[str, tuple[dict[str, Any], str]] = {
    "concurrent_replay_rejected": (
        {"ok": True, "status": 200, "concurrent_statuses": [200, 409]},
        "while one copy is being settled another is told to wait (409) and not to pay anew (402)",
    ),
    "cross_origin_redirect_before_402_rejected": (
        {"ok": True, "status": 200, "authorization_observed": True},
        "each hop is a request to its own origin: the target's challenge is paid to the target, within the "
        "limit, and no credential goes to an origin that did not ask for it",
    ),
    "problem_details_retry_after_no_receipt": (
        {"retry_retry_after": None},
        "Retry-After stands where the same credential is worth sending again (409, 503), not on a refusal",
    ),
}


def cases() -> list[Any]:
    """The flows that a client starts."""
    file = VECTORS / "mpp-tools-flows" / "flows.json"
    if not file.is_file():
        return [NOT_HERE]
    found = json.loads(file.read_text())["cases"]
    return [pytest.param(case, id=case["name"]) for case in found if not case.get("server_only")]


def golden(name: str) -> dict[str, Any]:
    """What the suite says of a flow."""
    results = json.loads((VECTORS / "mpp-tools-flows" / "golden-results.json").read_text())["results"]
    return next(result for result in results if result["name"] == name)


class Scripted:
    """A server method that asks for what a case says, and takes what a case says is right."""

    name = "tempo"
    intent = "charge"

    def __init__(self, case: Case) -> None:
        self.case = case
        self.settled = 0

    def prepare(self, price: Price) -> Offer:
        """The case's request."""
        return Offer(request=dict(self.case.get("request", {})), amount=1, currency="USD")

    def canonical(self, payload: JSONObject) -> JSONObject:
        """As it is."""
        return payload

    async def verify(self, credential: Credential, request: JSONObject) -> Proof:
        """The one signature that the case expects."""
        await asyncio.sleep(0.01)
        problem = self.case.get("expect_problem_details", {}).get("type", "")
        if self.case.get("fail_verification"):
            refusal = PaymentInsufficient if problem.endswith("payment-insufficient") else VerificationFailed
            raise refusal("Payment verification failed.")
        signature = str(credential.payload.get("signature"))
        if signature != self.case["expected_signature"]:
            raise VerificationFailed("Payment verification failed.")
        return Proof(key=f"scripted:{signature}", reference=signature, amount=1, currency="USD")

    async def settle(self, proof: Proof) -> Settlement:
        """At once."""
        self.settled += 1
        reference = self.case.get("receipt", {}).get("reference", proof.reference)
        return Settled(reference=reference)


@dataclass
class Visit:
    """A shop for one case, and the client that visits it."""

    case: Case
    method: Scripted
    http: httpx2.AsyncClient
    bodies: list[bytes]

    async def ask(self, *, retry: bool = False, authorization: str | None = None) -> httpx2.Response:
        """The request of the case, the first time or again."""
        case = self.case
        query = str(case.get("retry_query" if retry else "initial_query", case.get("initial_query", "")))
        body = case.get("retry_body" if retry else "body", case.get("body"))
        headers = {"Accept-Payment": case["accept_payment"]} if "accept_payment" in case else {}
        if "idempotency_key" in case:
            headers["Idempotency-Key"] = case["idempotency_key"]
        kwargs: dict[str, Any] = {"headers": headers, "content": body}
        if authorization is not None:
            kwargs = with_credential(kwargs, authorization)
        path = str(case["path"] if retry else case.get("challenge_path", case["path"]))
        return await self.http.request(case.get("http_method", "GET"), path + query, **kwargs)


@contextlib.asynccontextmanager
async def visiting(case: Case) -> AsyncIterator[Visit]:
    """The shop of a case, on this event loop."""
    method = Scripted(case)
    expires_in = 0.001 if case.get("check_expires") else 300.0
    paywall = Paywall(
        [method], secret_key=SECRET, realm="conformance", ledger="memory:", expires_in=expires_in
    )
    gate = paywall.charge("1")
    bodies: list[bytes] = []

    async def resource(scope: Scope, receive: Receive, send: Send) -> None:
        bodies.append((await receive()).get("body", b""))
        await send({"type": "http.response.start", "status": case.get("force_status", 200), "headers": []})
        await send({"type": "http.response.body", "body": b"{}"})

    is_free = case.get("no_payment") or "force_status" in case
    app: ASGIApp = resource if is_free else gate.asgi(resource)
    async with (
        paywall,
        httpx2.AsyncClient(transport=httpx2.ASGITransport(app=app), base_url="https://conformance") as http,
    ):
        yield Visit(case, method, http, bodies)


def altered(case: Case, challenge: Challenge) -> Challenge:
    """The challenge as the case's client echoes it."""
    if case.get("mismatch_request"):
        request = encode_object({**challenge.decode_request(), "amount": "1"})
        return replace(challenge, request=request)
    if case.get("invalid_challenge_id"):
        return replace(challenge, id="invalid-challenge-id")
    if case.get("omit_challenge_expires"):
        return replace(challenge, expires=None)
    return challenge


async def observe(case: Case) -> dict[str, Any]:
    """Play a flow, and report it in the suite's words."""
    async with visiting(case) as visit:
        first = await visit.ask()
        if first.status_code != 402:
            return {"ok": first.status_code == 200, "status": first.status_code}
        challenge = Challenge.parse(first.headers["www-authenticate"])
        credential = Credential(challenge=altered(case, challenge), payload=case["payload"]).to_header()
        if case.get("skip_authorization"):
            return report(visit, first, first)
        if case.get("concurrent_replay"):
            answers = await asyncio.gather(
                *(visit.ask(retry=True, authorization=credential) for _ in range(2))
            )
            statuses = sorted(answer.status_code for answer in answers)
            return {"ok": True, "status": statuses[0], "concurrent_statuses": statuses}
        return report(visit, first, await visit.ask(retry=True, authorization=credential))


def report(visit: Visit, first: httpx2.Response, last: httpx2.Response) -> dict[str, Any]:
    """What the suite compares of a flow, where the case looks at it."""
    observed: dict[str, Any] = {"ok": last.status_code == 200, "status": last.status_code}
    if last.status_code == 200:
        receipt = Receipt.parse(last.headers["payment-receipt"])
        observed["receipt"] = {
            "status": receipt.status,
            "reference": receipt.reference,
            "method": receipt.method,
        }
    else:
        observed["problem"] = last.json()["type"]
        assert "payment-receipt" not in last.headers
        assert "www-authenticate" in last.headers
    if visit.case.get("check_cache_headers"):
        observed["initial_cache_control"] = first.headers["cache-control"]
        observed["retry_cache_control"] = last.headers["cache-control"]
    if "expect_retry_after" in visit.case:
        observed["retry_retry_after"] = last.headers.get("retry-after")
    if visit.case.get("verify_body_preserved"):
        observed["body_preserved"] = visit.bodies == [visit.case["body"].encode()]
    if "idempotency_key" in visit.case:
        observed["side_effect_count"] = len(visit.bodies)
    return observed


def expected_of(case: Case) -> dict[str, Any]:
    """What the suite's golden result says, in the same words."""
    result = golden(case["name"])
    outcome = result["outcome"]
    expected: dict[str, Any] = {"ok": outcome["ok"], "status": outcome["status"]}
    if result.get("receipt"):
        expected["receipt"] = {name: result["receipt"][name] for name in ("status", "reference", "method")}
    problem = (result.get("problem_details") or {}).get("type", "")
    if problem.startswith("https://paymentauth.org/problems/"):
        expected["problem"] = problem
    for name in ("initial_cache_control", "retry_cache_control", "body_preserved", "side_effect_count"):
        if name in result:
            expected[name] = result[name]
    if "concurrent_statuses" in result:
        expected["concurrent_statuses"] = result["concurrent_statuses"]
    if "expect_retry_after" in case:
        expected["retry_retry_after"] = case["expect_retry_after"]
    return expected


class Buyer:
    """The client half of the suite's method."""

    name = "tempo"
    intent = "charge"

    def __init__(self, payload: JSONObject) -> None:
        self.payload = payload

    async def quote(self, challenge: Challenge) -> Quote | None:
        """Something within the limit."""
        return Quote(amount=Decimal("0.01"), base_units=1, asset="USD", currency="USD", network="suite")

    async def pay(self, challenge: Challenge) -> Payload:
        """The case's payload."""
        return Payload(payload=self.payload)


CLIENT_FLOWS: dict[str, Callable[[Case], Any]] = {}


def client_flow(name: str) -> Callable[[Callable[[Case], Any]], Callable[[Case], Any]]:
    """Register how a flow that tests the client is played."""

    def register(play: Callable[[Case], Any]) -> Callable[[Case], Any]:
        CLIENT_FLOWS[name] = play
        return play

    return register


@client_flow("same_origin_payment_request")
async def same_origin(case: Case) -> dict[str, Any]:
    """A wallet pays the origin that it asked."""
    async with visiting(case) as visit:
        transport = Wallet([Buyer(case["payload"])]).async_transport(visit.http._transport)
        async with httpx2.AsyncClient(transport=transport, base_url="https://conformance") as http:
            response = await http.get(case["path"])
    return {
        "ok": True,
        "status": response.status_code,
        "payment_receipt_observed": "payment-receipt" in response.headers,
    }


@client_flow("plain_payment_request")
async def plain(case: Case) -> dict[str, Any]:
    """Without a wallet a 402 is a 402."""
    async with visiting({**case, "request": {"amount": "1"}}) as visit:
        response = await visit.ask()
    return {"ok": False, "status": response.status_code}


@client_flow("cross_origin_redirect_before_402_rejected")
async def redirected(case: Case) -> dict[str, Any]:
    """A wallet is sent to another origin, which asks for money."""
    seen: list[tuple[str, str]] = []
    target = {
        **case,
        "request": {"amount": "1"},
        "payload": {"signature": "0xredirect"},
        "expected_signature": "0xredirect",
    }
    async with visiting(target) as visit:
        shop = visit.http._transport

        class Network(httpx2.AsyncBaseTransport):
            """Two origins: one that redirects, and the shop."""

            async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
                """Route by host."""
                seen.append((request.url.host, request.headers.get("Authorization", "")))
                if request.url.host == "first":
                    return httpx2.Response(307, headers={"Location": "https://conformance/target"})
                return await shop.handle_async_request(request)

        transport = Wallet([Buyer(target["payload"])]).async_transport(Network())
        async with httpx2.AsyncClient(transport=transport, follow_redirects=True) as http:
            response = await http.get("https://first/start")
    assert all(not authorization for host, authorization in seen if host == "first")
    return {
        "ok": True,
        "status": response.status_code,
        "authorization_observed": any(authorization for _, authorization in seen),
    }


@client_flow("invalid_www_authenticate")
async def invalid_challenge(case: Case) -> dict[str, Any]:
    """A challenge that cannot be read is an error of the client's, and nothing is paid."""

    async def broken(request: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(402, headers={"WWW-Authenticate": 'Payment id="x", realm="r", method="tempo"'})

    transport = Wallet([Buyer(case["payload"])]).async_transport(httpx2.MockTransport(broken))
    async with httpx2.AsyncClient(transport=transport) as http:
        with pytest.raises(NoAcceptableChallenge):
            await http.get("https://conformance/charge")
    return {"ok": False, "status": 402}


@client_flow("no_receipt_header")
async def no_receipt(case: Case) -> dict[str, Any]:
    """A paid answer without a receipt is an answer."""

    async def shop(request: httpx2.Request) -> httpx2.Response:
        if "Authorization" in request.headers:
            return httpx2.Response(200)
        challenge = Challenge.create(
            id="x", realm="conformance", method="tempo", intent="charge", request=case["request"]
        )
        return httpx2.Response(402, headers={"WWW-Authenticate": challenge.to_header()})

    transport = Wallet([Buyer(case["payload"])]).async_transport(httpx2.MockTransport(shop))
    async with httpx2.AsyncClient(transport=transport) as http:
        response = await http.get("https://conformance/charge")
    assert response.extensions["payment"].receipt is None
    return {"ok": response.status_code == 200, "status": response.status_code}


def expected_of_client(name: str) -> dict[str, Any]:
    """What the suite says of a flow that tests the client."""
    result = golden(name)
    return {
        **{key: result["outcome"][key] for key in ("ok", "status")},
        **{
            key: result[key]
            for key in ("payment_receipt_observed", "authorization_observed")
            if key in result
        },
    }


@pytest.mark.parametrize("case", cases())
async def test_flow(case: Case) -> None:
    """Each flow ends as the suite says, or as its deviation does."""
    name = case["name"]
    if name in NOT_YET:
        assert case.get("discovery") or case.get("json_rpc")
        pytest.skip(NOT_YET[name])
    if name in CLIENT_FLOWS:
        observed, expected = await CLIENT_FLOWS[name](case), expected_of_client(name)
    else:
        observed, expected = await observe(case), expected_of(case)
    compared = {key: observed.get(key) for key in expected}
    if name not in DEVIATIONS:
        assert compared == expected
        return
    deviation, _ = DEVIATIONS[name]
    assert compared == {**expected, **deviation}
    assert compared != expected, "it does not deviate any more"


def test_every_deviation_is_of_a_flow_that_there_is() -> None:
    """The tables name flows of the suite."""
    if cases() == [NOT_HERE]:
        pytest.skip("the published vectors are not here")
    names = {parameter.id for parameter in cases()}
    assert names >= {*NOT_YET, *DEVIATIONS, *CLIENT_FLOWS}


def server_cases() -> list[Any]:
    """The suite's cases of a server that verifies a credential."""
    file = VECTORS / "mpp-tools-server" / "cases.json"
    if not file.is_file():
        return [NOT_HERE]
    return [pytest.param(case, id=case["name"]) for case in json.loads(file.read_text())["cases"]]


@pytest.mark.parametrize("case", server_cases())
async def test_server_case(case: Case) -> None:
    """Each credential is accepted or refused as the suite says.

    The suite's challenges carry no scope, which ours always do: it is added here, and the id made anew
    wherever the case's own id is right for its challenge, so that what the case is about decides.
    """
    given = case["input"]
    secret = given["secretKey"].ljust(32, ".")  # the suite's are shorter than a Paywall takes
    echoed = given["credential"]["challenge"]
    members = {**echoed, "request": encode_object(echoed["request"])}
    claimed = members.pop("id")
    if claimed == challenge_id(given["secretKey"].encode(), **members):
        members["opaque"] = encode_object(SCOPE)
        claimed = challenge_id(secret.encode(), **members)
    challenge = Challenge(id=claimed, **members)
    credential = Credential(challenge=challenge, payload=given["credential"]["payload"])

    script = {"request": given["request"], "fail_verification": "verificationError" in given}
    method = Scripted({**script, "expected_signature": "None"})
    paywall = Paywall([method], secret_key=secret, realm=given["realm"], ledger="memory:")

    async def resource(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    transport = httpx2.ASGITransport(app=paywall.charge("1").asgi(resource))
    async with httpx2.AsyncClient(transport=transport, base_url="https://api.example.com") as http:
        response = await http.get("/x", headers={"Authorization": credential.to_header()})
    if case["expected"]["ok"]:
        assert response.status_code == 200
        assert Receipt.parse(response.headers["payment-receipt"]).method == "tempo"
        return
    refused = response.json()["type"]
    expected = case["expected"]["errorType"].replace("_", "-")
    if case["name"] in SERVER_DEVIATIONS:
        slug, _ = SERVER_DEVIATIONS[case["name"]]
        assert refused == problem_type(slug) != problem_type(expected)
    else:
        assert refused == problem_type(expected)


SCOPE: JSONObject = {
    "body": "none",
    "host": "api.example.com",
    "path": "/x",
    "query": "",
    "verb": "GET",
}
SERVER_DEVIATIONS = {
    "method_mismatch_rejected": ("method-unsupported", "400 says that the method is not accepted here"),
    "intent_mismatch_rejected": ("method-unsupported", "400 says that the intent is not accepted here"),
}
