"""Telemetry: what OpenTelemetry hears of payments, what it never hears, and that it is not there unasked."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import AsyncIterator, Mapping

import pytest
from msgspec.structs import replace
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import HistogramDataPoint, InMemoryMetricReader, NumberDataPoint
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from coinslot import Credential, Paywall
from coinslot.payments.events import PaymentDisputed, PaymentSettled, PaymentUnapplied, RefundEnded
from coinslot.payments.method import Failed, NotSent, Proof, Settlement, Unknown
from coinslot.payments.payment import State
from coinslot.payments.refunds import Refund, RefundState
from coinslot.protocol import JSONObject
from coinslot.server.asgi import ASGIApp, Receive, Scope, Send
from coinslot.server.telemetry import Meters, Spans
from ledgers import make_payment
from scrip import Mint, ScripCharge, credential
from shopping import challenge_of, pay, visit

SECRET = "a secret of at least thirty-two bytes"

METHOD = {"coinslot.method": "scrip/charge", "coinslot.currency": "scrip"}


class Observatory:
    """A paywall with all that OpenTelemetry hears of it."""

    def __init__(self, paywall: Paywall) -> None:
        self._reader = InMemoryMetricReader()
        self._spans = InMemorySpanExporter()
        self.paywall = paywall
        Meters(paywall.events, MeterProvider([self._reader], shutdown_on_exit=False))
        self.tracers = TracerProvider(shutdown_on_exit=False)
        self.tracers.add_span_processor(SimpleSpanProcessor(self._spans))
        Spans(paywall.events, self.tracers)

    @property
    def app(self) -> ASGIApp:
        """What is sold, for 0.01."""

        async def bare(scope: Scope, receive: Receive, send: Send) -> None:
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"data"})

        return self.paywall.charge("0.01").asgi(bare)

    @property
    def spans(self) -> list[ReadableSpan]:
        """The spans that have ended, in order."""
        return list(self._spans.get_finished_spans())

    def metric(self, name: str) -> dict[frozenset[tuple[str, object]], int | float]:
        """A metric's value (a histogram's count) by its attributes."""
        data = self._reader.get_metrics_data()
        found: dict[frozenset[tuple[str, object]], int | float] = {}
        for resource in data.resource_metrics if data is not None else ():
            for scope in resource.scope_metrics:
                for metric in scope.metrics:
                    for point in metric.data.data_points if metric.name == name else ():
                        assert isinstance(point, NumberDataPoint | HistogramDataPoint)
                        value = point.value if isinstance(point, NumberDataPoint) else point.count
                        found[frozenset((point.attributes or {}).items())] = value
        return found


def by(**attributes: object) -> frozenset[tuple[str, object]]:
    """The attributes of a metric, without the prefix that all of them have."""
    return frozenset((f"coinslot.{name}", value) for name, value in attributes.items())


def of_scrip(**attributes: object) -> frozenset[tuple[str, object]]:
    """The attributes of a metric about payments in scrip."""
    return frozenset(METHOD.items()) | by(**attributes)


@pytest.fixture
async def observatory(mint: Mint) -> AsyncIterator[Observatory]:
    """A paywall that is watched."""
    async with Paywall(
        [ScripCharge(mint)], secret_key=SECRET, realm="shop", ledger="memory:", telemetry=False
    ) as paywall:
        yield Observatory(paywall)


async def test_a_payment_is_measured(observatory: Observatory, mint: Mint) -> None:
    """A challenge, a settlement with its amount and its time, a delivery."""
    async with visit(observatory.app) as http:
        await pay(http, mint, "GET", "/x")
    assert observatory.metric("coinslot.challenges") == {by(problem="payment-required"): 1}
    once = {of_scrip(state="settled"): 1, of_scrip(state="delivered"): 1}
    assert observatory.metric("coinslot.payments") == once
    assert observatory.metric("coinslot.payments.amount") == once  # 0.01 is one base unit
    assert observatory.metric("coinslot.settle.duration") == {of_scrip(): 1}


async def test_refusals_are_measured(observatory: Observatory) -> None:
    """A credential that is not honoured counts by its reason, and so does the price it was told."""
    async with visit(observatory.app) as http:
        await http.get("/x", headers={"Authorization": "Payment e30"})
    assert observatory.metric("coinslot.credentials.refused") == {by(problem="malformed-credential"): 1}
    assert observatory.metric("coinslot.challenges") == {by(problem="malformed-credential"): 1}


async def test_failures_are_measured_by_reason(observatory: Observatory, mint: Mint) -> None:
    """A payment that failed counts by its problem type, without the text that goes with it."""
    mint.before = lambda note: Failed(reason=f"{note} is void", slug="payment-expired")
    async with visit(observatory.app) as http:
        await pay(http, mint, "GET", "/x")
    assert observatory.metric("coinslot.payments") == {of_scrip(state="failed", problem="payment-expired"): 1}


async def test_what_comes_afterwards_is_measured(observatory: Observatory) -> None:
    """Money that pays for nothing, disputes and refunds are told by state, amount and currency."""
    events = observatory.paywall.events
    payment = make_payment(amount=500, currency="scrip")
    refund = Refund(
        id="rf_1", challenge_id="c", amount=200, state=RefundState.DONE, key="k", created_at=1, updated_at=2
    )
    events.emit(PaymentUnapplied(replace(payment, state=State.UNAPPLIED)))
    events.emit(PaymentDisputed(replace(payment, disputed=True)))
    events.emit(RefundEnded(payment, refund))
    assert observatory.metric("coinslot.payments.amount") == {of_scrip(state="unapplied"): 500}
    assert observatory.metric("coinslot.disputes") == {of_scrip(disputed=True): 1}
    assert observatory.metric("coinslot.refunds") == {of_scrip(state="done"): 1}
    assert observatory.metric("coinslot.refunds.amount") == {of_scrip(state="done"): 200}


async def test_sums_do_not_overflow(observatory: Observatory) -> None:
    """An amount in a currency of eighteen decimals is counted as a payment, and not summed up."""
    payment = make_payment(amount=10**20, currency="scrip", state=State.SETTLED, settled_at=1.0)
    observatory.paywall.events.emit(PaymentSettled(payment))
    assert observatory.metric("coinslot.payments") == {of_scrip(state="settled"): 1}
    assert observatory.metric("coinslot.payments.amount") == {}


async def test_spans(observatory: Observatory, mint: Mint) -> None:
    """Every question is a span of the request that asks it, with what its payment is found by."""
    tracer = observatory.tracers.get_tracer("test")
    async with visit(observatory.app) as http:
        challenge = challenge_of(await http.get("/x"))
        headers = {"Authorization": credential(challenge, mint.issue(1))}
        with tracer.start_as_current_span("request"):
            await http.get("/x", headers=headers)
    verify, settle, request = observatory.spans
    assert (verify.name, settle.name) == ("coinslot verify", "coinslot settle")
    for span in (verify, settle):
        assert span.parent is not None
        assert span.parent.span_id == request.context.span_id
        assert (
            dict(span.attributes or {}).items()
            >= {
                "coinslot.method": "scrip",
                "coinslot.challenge": challenge.id,
            }.items()
        )
    assert settle.attributes is not None
    assert settle.attributes["coinslot.outcome"] == "settled"
    assert "coinslot.reference" in settle.attributes


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [(Unknown(reason="it is not known"), "unknown"), (NotSent(reason="it was not sent"), "not-sent")],
)
async def test_spans_of_what_went_wrong(
    observatory: Observatory, mint: Mint, answer: Settlement, outcome: str
) -> None:
    """A question without a good answer is an error, and so is asking again what became of it."""
    mint.before = lambda _: answer
    async with visit(observatory.app) as http:
        headers = {"Authorization": credential(challenge_of(await http.get("/x")), mint.issue(1))}
        await http.get("/x", headers=headers)
        await http.get("/x", headers=headers)
    _, settle, look_up, _ = observatory.spans
    assert settle.status.status_code is StatusCode.ERROR
    assert (settle.attributes or {})["coinslot.outcome"] == outcome
    assert look_up.name == "coinslot look_up"


async def test_a_refusal_is_no_error(observatory: Observatory, mint: Mint) -> None:
    """A proof that is bad is the payer's affair: its span has the reason and is not an error."""
    async with visit(observatory.app) as http:
        await pay(http, mint, "GET", "/x", note="no such note")
    (verify,) = observatory.spans
    assert verify.status.status_code is StatusCode.UNSET
    assert (verify.attributes or {})["coinslot.problem"] == "verification-failed"


class LeakyScrip(ScripCharge):
    """Scrip whose errors quote the proof."""

    async def verify(self, credential: Credential, request: JSONObject) -> Proof:
        """Fails, and says with what."""
        raise RuntimeError(f"cannot parse {credential}")


async def test_nothing_secret_is_told(mint: Mint) -> None:
    """No attribute, event or status of a span has a proof, not even when an error's message has."""
    async with Paywall(
        [LeakyScrip(mint)], secret_key=SECRET, realm="shop", ledger="memory:", telemetry=False
    ) as paywall:
        observatory = Observatory(paywall)
        async with visit(observatory.app) as http:
            await pay(http, mint, "GET", "/x", note="the secret of the note")
        (verify,) = observatory.spans
    assert verify.status.status_code is StatusCode.ERROR
    assert "the secret of the note" not in verify.to_json()


def run(code: str) -> str:
    """What a fresh interpreter prints."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_a_missing_extra_is_named() -> None:
    """Telemetry that is asked for, without OpenTelemetry's API, says what to install."""
    code = (
        "import sys\n"
        "sys.path.insert(0, 'tests')\n"
        "sys.modules['opentelemetry.metrics'] = None\n"
        "from coinslot import Paywall\n"
        "from scrip import Mint, ScripCharge\n"
        "try:\n"
        f"    Paywall([ScripCharge(Mint())], secret_key={SECRET!r}, realm='r', telemetry=True)\n"
        "except ImportError as error:\n"
        "    print(error)\n"
    )
    assert "pip install 'coinslot[otel]'" in run(code)


MADE: Mapping[str, str] = {
    "unasked": "",
    "with the SDK": "import opentelemetry.sdk",
}


@pytest.mark.parametrize("before", MADE.values(), ids=MADE)
def test_it_is_there_if_the_sdk_is(before: str) -> None:
    """A process that has loaded the SDK is measured; in another one nothing of OpenTelemetry is loaded."""
    code = (
        f"{before}\n"
        "import sys\n"
        "sys.path.insert(0, 'tests')\n"
        "from coinslot import Paywall, ChallengeIssued\n"
        "from scrip import Mint, ScripCharge\n"
        f"p = Paywall([ScripCharge(Mint())], secret_key={SECRET!r}, realm='r', ledger='memory:')\n"
        "print(ChallengeIssued in p.events, 'opentelemetry' in sys.modules, p.events.watcher is not None)"
    )
    assert run(code) == ("True True True" if before else "False False False")
