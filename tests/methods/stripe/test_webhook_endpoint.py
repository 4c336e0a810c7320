"""The endpoint by itself: what it has looked at, and how it answers."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import pytest

from coinslot.errors import LedgerError
from coinslot.methods import stripe
from coinslot.methods.stripe import webhook_endpoint
from coinslot.methods.stripe.webhook_endpoint import MAX_BODY, Shop
from coinslot.payments.method import ServerMethod
from coinslot.payments.payment import Payment, State
from coinslot.payments.refunds import Refund, RefundState
from coinslot.sandbox.stripe import sign
from ledgers import make_payment
from shopping import visit

SECRET = "whsec_1"


class Office:
    """Notes what it is asked. Payments are found in `states`, look by look; None is none."""

    def __init__(self, *states: State | None) -> None:
        self.asked: list[tuple[Any, ...]] = []
        self.states = list(states)
        self.fault: Exception | None = None
        self.refund: Refund | None = None

    async def reconsider(self, challenge_id: str, reference: str | None = None) -> Payment | None:
        """Look at a payment."""
        self._note("payment", challenge_id, reference)
        state = self.states.pop(0) if self.states else None
        return None if state is None else make_payment(state=state)

    async def reconsider_refund(self, reference: str) -> Refund | None:
        """Look at a refund."""
        self._note("refund", reference)
        return self.refund

    async def dispute(self, challenge_id: str, disputed: bool) -> Payment | None:
        """Flag a payment."""
        self._note("dispute", challenge_id, disputed)
        return make_payment(disputed=disputed)

    def wake(self) -> None:
        """Wake."""
        self._note("wake")

    def _note(self, *what: Any) -> None:
        self.asked.append(what)
        if self.fault is not None:
            raise self.fault


class Paywall:
    """As much of a paywall as webhooks need."""

    def __init__(self, office: Office, methods: Sequence[ServerMethod] = ()) -> None:
        self.office = office
        self.methods = methods


def hooks_of(office: Office, *methods: ServerMethod) -> stripe.StripeWebhooks:
    """The endpoint of a shop."""
    shop: Shop = Paywall(office, methods)
    return stripe.webhooks(shop, signing_secret=SECRET)


async def deliver(
    hooks: stripe.StripeWebhooks, kind: str, *, account: str | None = None, **about: Any
) -> int:
    """Deliver an event about an object: the status of the answer."""
    event: dict[str, Any] = {"id": "evt_1", "object": "event", "type": kind, "data": {"object": about}}
    if account is not None:
        event["account"] = account
    body = msgspec.json.encode(event)
    return (await hooks.handle(body, sign(SECRET, int(time.time()), body))).status


OURS: dict[str, Any] = {"object": "payment_intent", "id": "pi_1", "metadata": {"mpp_challenge_id": "c1"}}


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webhook_endpoint, "_PAUSES", (0.0, 0.0, 0.0))


class TestHints:
    """What is looked at."""

    @pytest.mark.parametrize(
        ("kind", "about", "asked"),
        [
            ("payment_intent.succeeded", OURS, [("payment", "c1", "pi_1")]),
            ("payment_intent.created", OURS, [("payment", "c1", "pi_1")]),
            (
                "charge.succeeded",
                {**OURS, "object": "charge", "id": "ch_1", "payment_intent": "pi_1"},
                [("payment", "c1", "pi_1")],
            ),
            ("refund.created", {"object": "refund", "id": "re_1"}, [("refund", "re_1")]),
            ("refund.failed", {"object": "refund", "id": "re_1"}, [("refund", "re_1")]),
            ("charge.refund.updated", {"object": "refund", "id": "re_1"}, [("refund", "re_1")]),
            (
                "payment_intent.succeeded",
                {"object": "payment_intent", "id": "pi_1", "payment_method_types": ["crypto"]},
                [("wake",)],
            ),
            (
                "payment_intent.succeeded",
                {**OURS, "payment_method_types": ["crypto"]},
                [("wake",), ("payment", "c1", None)],
            ),
            ("payment_intent.succeeded", {"object": "payment_intent", "id": "pi_1"}, []),
            ("customer.created", {"object": "customer", "id": "cus_1"}, []),
            ("charge.dispute.created", {"object": "dispute", "id": "du_1", "payment_intent": "pi_1"}, []),
            ("refund", {"id": "re_1"}, [("refund", "re_1")]),
        ],
    )
    async def test_an_event_has_what_it_names_looked_at(
        self, kind: str, about: dict[str, Any], asked: list[tuple[Any, ...]]
    ) -> None:
        """By challenge or by refund; a deposit wakes who waits for it; what is unknown is let go."""
        office = Office()
        assert await deliver(hooks_of(office), kind, **about) == 200
        assert office.asked == asked

    async def test_a_connected_account_s_events_are_its_own(
        self, open_shop: Callable[..., stripe.StripeCharge]
    ) -> None:
        """Those of the account that is charged on are looked at, and of no other."""
        charge = open_shop(connect=stripe.Connect(stripe_account="acct_1"))
        for account, looks in (("acct_1", 1), (None, 1), ("acct_2", 0)):
            office = Office()
            assert (
                await deliver(hooks_of(office, charge), "payment_intent.created", account=account, **OURS)
                == 200
            )
            assert len(office.asked) == looks
        office = Office()
        assert await deliver(hooks_of(office), "payment_intent.created", account="acct_1", **OURS) == 200
        assert office.asked == []


class TestAnswers:
    """When an event has to come again."""

    async def test_a_payment_that_is_being_made_is_waited_for(self) -> None:
        """A request has it in hand, and is through in a moment."""
        office = Office(State.SETTLING, State.UNKNOWN, State.SETTLED)
        assert await deliver(hooks_of(office), "payment_intent.succeeded", **OURS) == 200
        assert len(office.asked) == 3

    async def test_one_that_is_not_decided_comes_again(self) -> None:
        """Stripe has said its last word, and it has not been heard."""
        office = Office(*[State.UNKNOWN] * 9)
        assert await deliver(hooks_of(office), "payment_intent.succeeded", **OURS) == 503

    async def test_before_the_last_word_one_look_is_enough(self) -> None:
        """There are more events to come."""
        office = Office(*[State.UNKNOWN] * 9)
        assert await deliver(hooks_of(office), "payment_intent.requires_action", **OURS) == 200
        assert len(office.asked) == 1

    @pytest.mark.parametrize(
        ("state", "said", "status"),
        [
            (RefundState.UNKNOWN, "pending", 503),
            (RefundState.SENT, "pending", 200),
            (RefundState.SENT, "succeeded", 503),
            (RefundState.DONE, "succeeded", 200),
            (RefundState.FAILED, "succeeded", 200),
            (RefundState.DONE, "failed", 503),
            (RefundState.DONE, "canceled", 503),
            (RefundState.FAILED, "failed", 200),
        ],
    )
    async def test_a_refund_that_the_ledger_is_behind_with_comes_again(
        self, state: RefundState, said: str, status: int
    ) -> None:
        """It could not be looked up, then; one that is still on its way has another event to come."""
        office = Office()
        office.refund = Refund(
            id="rf_1", challenge_id="c1", amount=1, state=state, key="rf_1", created_at=0, updated_at=0
        )
        assert await deliver(hooks_of(office), "refund.updated", id="re_1", status=said) == status

    @pytest.mark.parametrize(
        ("kind", "about"), [("payment_intent.created", OURS), ("refund.created", {"id": "re_1"})]
    )
    async def test_without_a_ledger_it_comes_again(self, kind: str, about: dict[str, Any]) -> None:
        """503, whatever it is about."""
        office = Office()
        office.fault = LedgerError("away")
        assert await deliver(hooks_of(office), kind, **about) == 503

    async def test_an_answer_comes_in_time(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Stripe does not wait for ever: 503, and later again."""
        monkeypatch.setattr(webhook_endpoint, "_PATIENCE", 0.01)
        monkeypatch.setattr(webhook_endpoint, "_PAUSES", (60.0,))
        assert await deliver(hooks_of(Office()), "payment_intent.created", **OURS) == 503


class TestHttp:
    """The endpoint as an ASGI app."""

    async def test_events_are_posted(self) -> None:
        """With a signature: 200 with nothing to read. Without: 400 that does not say why."""
        office = Office()
        body = msgspec.json.encode(
            {"id": "evt_1", "type": "refund.created", "data": {"object": {"id": "re_1"}}}
        )
        async with visit(hooks_of(office)) as http:
            refused = await http.post("/", content=body)
            assert (refused.status_code, refused.content) == (400, b"Bad Request")
            headers = {"Stripe-Signature": sign(SECRET, int(time.time()), body)}
            taken = await http.post("/", content=body, headers=headers)
            assert (taken.status_code, taken.content) == (200, b"")
            asked = await http.get("/")
            assert (asked.status_code, asked.headers["allow"]) == (405, "POST")
        assert office.asked == [("refund", "re_1")]

    async def test_a_body_is_read_up_to_a_limit(self) -> None:
        """A stream that never ends is not read to its end."""
        sent = 0

        async def pour() -> Any:
            nonlocal sent
            while True:
                sent += 1
                yield b" " * 4096

        status = await post_stream(hooks_of(Office()), pour())
        assert status == 413
        assert sent <= MAX_BODY // 4096 + 2

    async def test_a_body_that_breaks_off_is_none(self) -> None:
        """Nobody is there for an answer."""
        office = Office()

        async def gone() -> dict[str, Any]:
            return {"type": "http.disconnect"}

        said: list[Any] = []

        async def say(message: Any) -> None:
            said.append(message)

        await hooks_of(office)({"type": "http", "method": "POST", "headers": []}, gone, say)
        assert said[0]["status"] == 400
        assert office.asked == []

    async def test_it_speaks_http_alone(self) -> None:
        """A websocket is closed, and a lifespan is somebody else's."""
        said: list[Any] = []

        async def say(message: Any) -> None:
            said.append(message)

        async def nothing() -> Any:
            await asyncio.Event().wait()

        hooks = hooks_of(Office())
        await hooks({"type": "websocket"}, nothing, say)
        assert said == [{"type": "websocket.close"}]
        with pytest.raises(RuntimeError, match="lifespan"):
            await hooks({"type": "lifespan"}, nothing, say)


async def post_stream(app: Any, chunks: Any) -> int:
    """POST a body of chunks, taken as the app asks for them: the status."""
    said: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": await anext(chunks), "more_body": True}

    async def send(message: Any) -> None:
        said.append(message)

    await app({"type": "http", "method": "POST", "headers": []}, receive, send)
    status: int = said[0]["status"]
    return status
