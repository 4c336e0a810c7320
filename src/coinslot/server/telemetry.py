"""Telemetry: OpenTelemetry metrics of what happens to payments, and a span for each question to a method.

A subscriber like any other: where it is not wanted, nothing of this is loaded. What metrics are told apart by
has few values: states, problem types, methods, currencies. Amounts are integers in base units, to be read for
each `coinslot.currency`. Spans have a payment's reference and challenge; never a credential, a proof, or the
message of an error, which may quote one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from opentelemetry.metrics import Counter, MeterProvider, get_meter
from opentelemetry.trace import StatusCode, TracerProvider, get_tracer

from coinslot.errors import PaymentError
from coinslot.payments.asking import Question
from coinslot.payments.events import (
    ChallengeIssued,
    CredentialRefused,
    Event,
    Events,
    PaymentDelivered,
    PaymentDisputed,
    PaymentFailed,
    PaymentSettled,
    PaymentUnapplied,
    PaymentUndelivered,
    PaymentUnknown,
    RefundEnded,
)
from coinslot.payments.method import Failed, NotSent, Settled, Settlement, Unknown
from coinslot.payments.payment import Payment, State

# Sums are exported as 64 bits. What is larger than this, in a currency of many decimals, would overflow them.
_LARGEST_AMOUNT: Final = 10**12

_PAYMENTS: Final = (
    PaymentSettled,
    PaymentDelivered,
    PaymentFailed,
    PaymentUnknown,
    PaymentUndelivered,
    PaymentUnapplied,
)

_OUTCOMES: Final = ((Settled, "settled"), (Failed, "failed"), (NotSent, "not-sent"), (Unknown, "unknown"))


class Meters:
    """The instruments, fed by events. `provider` is OpenTelemetry's global one unless it is given."""

    def __init__(self, events: Events, provider: MeterProvider | None = None) -> None:
        meter = get_meter("coinslot", meter_provider=provider)
        self._challenges = meter.create_counter(
            "coinslot.challenges", "{answer}", "Answers with a price, by problem type"
        )
        self._refused = meter.create_counter(
            "coinslot.credentials.refused", "{credential}", "Credentials not honoured, by problem type"
        )
        self._payments = meter.create_counter(
            "coinslot.payments", "{payment}", "Payments, by the state reached"
        )
        self._amounts = meter.create_counter(
            "coinslot.payments.amount", "{base_unit}", "Their amounts, by the state reached"
        )
        self._settling = meter.create_histogram(
            "coinslot.settle.duration", "s", "From a payment's being written down to its settlement"
        )
        self._refunds = meter.create_counter("coinslot.refunds", "{refund}", "Refunds that ended")
        self._refunded = meter.create_counter("coinslot.refunds.amount", "{base_unit}", "Their amounts")
        self._disputes = meter.create_counter(
            "coinslot.disputes", "{payment}", "Payments that became, or ceased to be, disputed"
        )
        for kind in (ChallengeIssued, CredentialRefused, *_PAYMENTS, PaymentDisputed, RefundEnded):
            events.subscribe(kind, self._count)

    def _count(self, event: Event) -> None:
        match event:
            case ChallengeIssued(problem=problem):
                self._challenges.add(1, {"coinslot.problem": problem})
            case CredentialRefused(problem=problem):
                self._refused.add(1, {"coinslot.problem": problem})
            case PaymentDisputed(payment):
                self._disputes.add(1, _of(payment) | {"coinslot.disputed": payment.disputed})
            case RefundEnded(payment, refund):
                attributes = _of(payment) | {"coinslot.state": str(refund.state)}
                self._refunds.add(1, attributes)
                _add(self._refunded, refund.amount, attributes)
            case _:
                self._reached(event.payment)

    def _reached(self, payment: Payment) -> None:
        attributes = _of(payment) | {"coinslot.state": str(payment.state)}
        _add(self._amounts, payment.amount, attributes)
        if payment.state is State.FAILED:
            attributes["coinslot.problem"] = (payment.reason or "").partition(":")[0]
        self._payments.add(1, attributes)
        if payment.state is State.SETTLED and payment.settled_at is not None:
            self._settling.record(max(0.0, payment.settled_at - payment.created_at), _of(payment))


class Spans:
    """A span around every `verify`, `settle`, `look_up` and `repay`."""

    def __init__(self, events: Events, provider: TracerProvider | None = None) -> None:
        self._tracer = get_tracer("coinslot", tracer_provider=provider)
        events.watcher = self._watch

    @contextmanager
    def _watch(self, question: Question) -> Iterator[Callable[[Settlement], None]]:
        attributes = {"coinslot.method": question.method, "coinslot.challenge": question.challenge_id}
        if question.reference is not None:
            attributes["coinslot.reference"] = question.reference
        with self._tracer.start_as_current_span(
            f"coinslot {question.what}",
            attributes=attributes,
            record_exception=False,
            set_status_on_exception=False,
        ) as span:

            def told(settlement: Settlement) -> None:
                outcome = next(name for kind, name in _OUTCOMES if isinstance(settlement, kind))
                span.set_attribute("coinslot.outcome", outcome)
                if isinstance(settlement, Unknown | NotSent):
                    span.set_status(StatusCode.ERROR)

            try:
                yield told
            except PaymentError as error:
                span.set_attribute("coinslot.problem", error.slug)
                raise
            except BaseException as error:
                span.set_status(StatusCode.ERROR, type(error).__name__)
                raise


def _of(payment: Payment) -> dict[str, str | bool]:
    return {"coinslot.method": f"{payment.method}/{payment.intent}", "coinslot.currency": payment.currency}


def _add(counter: Counter, amount: int, attributes: dict[str, str | bool]) -> None:
    if amount <= _LARGEST_AMOUNT:
        counter.add(amount, attributes)
