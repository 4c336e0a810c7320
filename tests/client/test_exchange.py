"""The exchange by itself: whatever the world answers, one request makes one payment.

Nothing here sends anything. A test plays the world: it takes each step and says what came of it.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Iterable
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TypeVar

import pytest
from hypothesis import given, strategies as st
from msgspec.structs import replace

from coinslot.client import Outcome, PaymentRecord
from coinslot.client.exchange import MAX_CHALLENGES, MAX_TRIES, Exchange, Rules
from coinslot.client.origin import Origin
from coinslot.client.steps import (
    AskDead,
    AskQuote,
    Lost,
    Pay,
    Peek,
    ReadBody,
    RequestHead,
    ResponseHead,
    Send,
    Wait,
)
from coinslot.errors import (
    CoinslotError,
    InsufficientFunds,
    NoAcceptableChallenge,
    PaymentUndecided,
    WalletError,
)
from coinslot.payments.method import ClientMethod, Payload, Quote
from coinslot.protocol import Challenge, Receipt, problem_body
from stall import Purse, RevocablePurse, offer

SHOP = Origin("https", "shop.example")
PATIENCE = 60.0
PENDING = problem_body("payment-in-progress", "Wait.")

T = TypeVar("T")


class Reset(Exception):
    """An HTTP library's error."""


@dataclass
class World:
    """Takes an exchange's steps. `replies` are to requests, in order; after them, answers are lost."""

    replies: Iterable[ResponseHead | Lost]
    peeks: Iterable[bytes | Lost] = ()
    deaths: Iterable[bool | Exception] = ()
    now: float = 1_900_000_000.0
    waited: float = 0.0
    sent: list[dict[str, str]] = field(default_factory=list)
    died: int = 0

    def __post_init__(self) -> None:
        self._replies = iter(self.replies)
        self._peeks = iter(self.peeks)
        self._deaths = iter(self.deaths)

    def exchange(
        self,
        *methods: ClientMethod,
        earlier: PaymentRecord | None = None,
        origin: Origin = SHOP,
    ) -> Exchange:
        """An exchange of this world's."""
        rules = Rules(
            methods=methods, max_amount=Decimal("1.00"), patience=PATIENCE, trusted_realms=frozenset()
        )
        head = RequestHead(method="GET", origin=origin, target="/paid", fields=())
        keys = iter(f"key-{number}" for number in range(9))
        return Exchange(head, rules, now=lambda: self.now, new_key=lambda: next(keys), earlier=earlier)

    def run(self, exchange: Exchange) -> None:
        """Take its steps to the end."""
        steps = exchange.run()
        try:
            step = next(steps)
            while True:
                try:
                    result = self.take(step)
                except Exception as error:
                    step = steps.throw(error)
                else:
                    step = steps.send(result)
        except StopIteration:
            return

    def attempt(self, exchange: Exchange) -> Exception | None:
        """Run it; the error that it ends with, of those that it may."""
        try:
            self.run(exchange)
        except (WalletError, Reset) as error:
            return error
        return None

    def take(self, step: object) -> object:
        """What comes of a step."""
        match step:
            case Send(fields):
                self.sent.append(fields)
                return next(self._replies, Lost(Reset("no answer")))
            case ReadBody():
                return b""
            case Peek():
                return next(self._peeks, PENDING)
            case AskQuote(method, challenge):
                return finish(method.quote(challenge))
            case Pay(method, challenge):
                return finish(method.pay(challenge))
            case AskDead():
                dead = next(self._deaths, False)
                if isinstance(dead, Exception):
                    raise dead
                self.died += dead
                return dead
            case Wait(seconds):
                assert seconds > 0
                self.now += seconds
                self.waited += seconds
                return None
            case _:
                raise AssertionError(step)

    @property
    def presented(self) -> list[dict[str, str]]:
        """The requests that were sent with a payment."""
        return [fields for fields in self.sent if "Idempotency-Key" in fields]


def finish(coroutine: Coroutine[object, object, T]) -> T:
    """The result of a coroutine that waits for nothing."""
    try:
        coroutine.send(None)
    except StopIteration as end:
        result: T = end.value
        return result
    raise AssertionError("it waits")


def answer(status: int = 200, *fields: tuple[str, str]) -> ResponseHead:
    """An answer with these header fields."""
    return ResponseHead(status=status, fields=fields)


def asks(*challenges: Challenge | str) -> ResponseHead:
    """A 402."""
    texts = [c if isinstance(c, str) else c.to_header() for c in challenges or [offer(expires_in=None)]]
    return answer(402, *(("www-authenticate", text) for text in texts))


PROBLEM = ("content-type", "application/problem+json")

challenge_texts = st.one_of(
    st.builds(lambda units: offer(units, expires_in=None).to_header(), st.integers(0, 200)),
    st.sampled_from(["Payment", "Payment id=1", "Bearer", ""]),
    st.text(max_size=40).map(lambda text: f"Payment {text}"),
)
replies = st.one_of(
    st.builds(lambda: Lost(Reset("lost"))),
    st.builds(lambda texts: asks(*texts), st.lists(challenge_texts, min_size=1, max_size=3)),
    st.builds(asks),
    st.builds(
        answer,
        st.sampled_from([200, 204, 302, 400, 401, 402, 403, 404, 409, 410, 500, 502, 503, 504]),
        st.sampled_from([PROBLEM, ("content-type", "text/html"), ("payment-receipt", "e30")]),
        st.tuples(st.just("retry-after"), st.sampled_from(["0", "1", "30", "1e9", "9" * 9, "soon", ""])),
    ),
)
worlds = st.builds(
    World,
    # Most of these worlds ask for a payment, or they would show little.
    st.builds(
        lambda first, rest: [*first, *rest], st.sampled_from([[], [asks()]]), st.lists(replies, max_size=40)
    ),
    st.lists(
        st.one_of(st.just(PENDING), st.binary(max_size=20), st.builds(lambda: Lost(Reset("lost")))),
        max_size=9,
    ),
    st.lists(st.one_of(st.booleans(), st.just(CoinslotError("no idea"))), max_size=4),
)


@given(worlds)
def test_no_sequence_of_answers_makes_a_second_payment(world: World) -> None:
    """A method that cannot tell whether a proof is dead pays once at most, and sends one credential."""
    purse = Purse()
    exchange = world.exchange(purse)
    world.attempt(exchange)
    assert len(purse.paid) == len(exchange.records) <= 1
    assert all(fields == world.presented[0] for fields in world.presented)
    assert len(world.presented) <= MAX_TRIES


@given(worlds)
def test_a_second_payment_needs_a_death_certificate(world: World) -> None:
    """There is one payment, and one more for at most one that is certainly dead; never a third."""
    purse = RevocablePurse()
    exchange = world.exchange(purse)
    world.attempt(exchange)
    assert len(purse.paid) == len(exchange.records) <= 1 + min(world.died, 1)
    assert len({fields["Authorization"] for fields in world.presented}) == len(purse.paid)
    assert len({fields["Idempotency-Key"] for fields in world.presented}) == len(purse.paid)
    if len(exchange.records) == 2:
        assert exchange.records[0].outcome is Outcome.REFUSED


@given(worlds, st.booleans())
def test_there_are_two_ways_out_after_a_payment(world: World, revocable: bool) -> None:
    """Once a credential was sent, the end is an answer, or an error that holds the payment, in time."""
    exchange = world.exchange(RevocablePurse() if revocable else Purse())
    error = world.attempt(exchange)
    if exchange.records and error is not None:
        assert isinstance(error, PaymentUndecided)
        assert error.payment is exchange.records[-1]
    assert bool(world.presented) == bool(exchange.records)
    assert world.waited <= 2 * PATIENCE


@given(worlds, st.booleans())
def test_a_payment_brought_along_is_never_added_to(world: World, same_place: bool) -> None:
    """An exchange that starts with a payment makes none, and presents it only where it was made for."""
    first = World([asks()])
    begun = first.exchange(Purse())
    with pytest.raises(PaymentUndecided):
        first.run(begun)
    purse = RevocablePurse()
    origin = Origin("https", "shop.example" if same_place else "elsewhere.example")
    exchange = world.exchange(purse, earlier=begun.records[0], origin=origin)
    world.attempt(exchange)
    assert not purse.paid
    assert len(exchange.records) == 1
    assert {fields["Authorization"] for fields in world.presented} <= {
        begun.records[0].credential.to_header()
    }
    assert len(world.presented) == (len(world.sent) if same_place else 0)


def test_patience_is_counted_from_the_first_presentation() -> None:
    """The waits of a payment that stays undecided grow, and sum up to no more than the wallet's patience."""
    world = World([asks()], ())
    with pytest.raises(PaymentUndecided):
        world.run(world.exchange(Purse()))
    assert 0 < world.waited <= PATIENCE
    assert len(world.presented) == MAX_TRIES


def test_a_slow_quote_can_be_too_late() -> None:
    """The time left is looked at again once the method has said its price, which may have taken a while."""

    class Slow(Purse):
        async def quote(self, challenge: Challenge) -> Quote | None:
            world.now += 120
            return await super().quote(challenge)

    world = World([])
    world._replies = iter([asks(offer(expires="2030-03-17T17:47:40Z"))])
    purse = Slow()
    with pytest.raises(WalletError, match="expired"):
        world.run(world.exchange(purse))
    assert len(purse.quoted) == 1
    assert not purse.paid


def test_many_challenges_are_not_all_looked_at() -> None:
    """A 402 with hundreds of challenges costs the method no more than a few questions."""
    purse = Purse()
    world = World([asks(*(offer(500, expires_in=None) for _ in range(200)))])
    with pytest.raises(NoAcceptableChallenge):
        world.run(world.exchange(purse))
    assert len(purse.quoted) == MAX_CHALLENGES


def test_the_first_request_fails_as_it_is() -> None:
    """An answer that is lost before anything was paid is the HTTP library's own error."""
    error = Reset("refused")
    world = World([Lost(error)])
    with pytest.raises(Reset) as caught:
        world.run(world.exchange(Purse()))
    assert caught.value is error


@pytest.mark.parametrize("failure", [InsufficientFunds("none left"), KeyError("a defect")])
def test_a_method_that_fails_to_pay_is_heard(failure: Exception) -> None:
    """What `pay` raises reaches the caller, and nothing is presented."""

    class Broken(Purse):
        async def pay(self, challenge: Challenge) -> Payload:
            raise failure

    world = World([asks()])
    with pytest.raises(type(failure)) as caught:
        world.run(world.exchange(Broken()))
    assert caught.value is failure
    assert not world.presented


def test_what_the_method_made_is_in_the_record() -> None:
    """Whoever has the record can ask the method about its proof, with all that the method said of it."""

    class Mortal(Purse):
        async def pay(self, challenge: Challenge) -> Payload:
            made.append(replace(await super().pay(challenge), lapses=1_900_000_000))
            return made[0]

    made: list[Payload] = []
    world = World([asks(), answer(500)])
    exchange = world.exchange(Mortal())
    world.run(exchange)
    assert [record.payload for record in exchange.records] == made


def test_an_undecided_payment_of_the_method_is_not_covered_by_another_offer() -> None:
    """If `pay` itself cannot tell whether money moved, no other challenge is paid."""

    class Lossy(Purse):
        async def pay(self, challenge: Challenge) -> Payload:
            raise PaymentUndecided("the transaction was sent and not heard of")

    gold = Purse(name="gold")
    world = World([asks(offer(expires_in=None), offer(method="gold", expires_in=None))])
    with pytest.raises(PaymentUndecided) as caught:
        world.run(world.exchange(Lossy(), gold))
    assert caught.value.payment is None
    assert not gold.paid


def test_a_second_payment_of_unknown_fate_is_heard_of() -> None:
    """If the method cannot tell whether the second payment moved money, the first is no answer."""

    class Lossy(RevocablePurse):
        async def pay(self, challenge: Challenge) -> Payload:
            if self.paid:
                raise PaymentUndecided("the transaction was sent and not heard of")
            return await super().pay(challenge)

    world = World([asks(), asks()], deaths=[True])
    with pytest.raises(PaymentUndecided, match="not heard of"):
        world.run(world.exchange(Lossy()))


def test_a_bare_refusal_of_a_dead_payment() -> None:
    """A 402 that asks for nothing ends it, with the payment known to be refused."""
    world = World([asks(), answer(402)], deaths=[True])
    exchange = world.exchange(RevocablePurse())
    world.run(exchange)
    assert [record.outcome for record in exchange.records] == [Outcome.REFUSED]
    assert len(world.sent) == 2


@pytest.mark.parametrize(
    "say",
    [
        lambda: answer(503, PROBLEM),
        lambda: asks(),
        lambda: answer(200),
    ],
)
def test_defects_after_a_payment_do_not_lose_it(say: Callable[[], ResponseHead]) -> None:
    """Whatever raises once a credential was sent, a driver or a method, the error holds the payment."""

    class Faulty(World):
        def take(self, step: object) -> object:
            if isinstance(step, Send) and "Idempotency-Key" in step.fields and say().status == 200:
                raise KeyError("a defect of the driver's")
            if isinstance(step, Peek | AskDead):
                raise KeyError("a defect further on")
            return super().take(step)

    world = Faulty([asks(), say()])
    exchange = world.exchange(RevocablePurse())
    with pytest.raises(PaymentUndecided) as caught:
        world.run(exchange)
    assert caught.value.payment is exchange.records[0]
    assert isinstance(caught.value.__cause__, KeyError)


def test_a_refusal_that_a_receipt_contradicts() -> None:
    """A 402 with a receipt says that it was paid: then it is, and nothing is paid in its place."""
    receipt = Receipt(method="coin", reference="r", timestamp="2030-01-06T12:00:00Z").to_header()
    odd = answer(402, *asks().fields, ("payment-receipt", receipt))
    world = World([asks(), odd], deaths=[True])
    exchange = world.exchange(RevocablePurse())
    world.run(exchange)
    (record,) = exchange.records
    assert (record.outcome, record.reference) == (Outcome.PAID, "r")
