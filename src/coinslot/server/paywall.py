"""The Paywall: what a seller writes down once, and charges with from then on."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeVar

from coinslot.errors import ConfigurationError
from coinslot.payments.back_office import BackOffice
from coinslot.payments.cache import Cache
from coinslot.payments.events import Event, Events
from coinslot.payments.ledger import Ledger
from coinslot.payments.method import Closes, Price, ServerMethod
from coinslot.payments.payment import Payment
from coinslot.payments.refunds import Refund
from coinslot.payments.till import Policy, Till
from coinslot.protocol import Binder
from coinslot.server.engine import Engine
from coinslot.server.gate import Gate, PriceCallable
from coinslot.server.health import Checkup, Health, HealthApp
from coinslot.server.journal import keep_journal
from coinslot.server.limits import Limiter, Limits
from coinslot.server.settings import Secret, resolve_realm, resolve_secrets
from coinslot.storage import open_cache, open_ledger

if TYPE_CHECKING:
    from starlette.applications import Starlette

E = TypeVar("E", bound=Event)


class Paywall:
    """Charges for HTTP resources, with the payment methods it is given.

    - `methods`: the ways to pay, best first. They are offered in this order.
    - `secret_key`: binds challenges to this server: at least 32 bytes, or `MPP_SECRET_KEY`. A list rotates,
      oldest to newest: the last one issues, all are accepted.
    - `ledger`: where payments are kept: `sqlite:///coinslot.db`, `memory:`, or a `Ledger` of your own.
    - `cache`: what many machines share that may be forgotten: `redis://…`, or a `Cache` of your own. Without
      one, the ledger keeps the leases too.
    - `realm`: the protection space, usually the host name, or `MPP_REALM`.
    - `expires_in`: how long a challenge may be paid, in seconds.
    - `settle_timeout`: how long a request waits for its settlement, in seconds, before it is answered 503.
    - `redeliveries`, `redelivery_window`: how often, and for how many seconds, a payment that was settled but
      not delivered is honoured again.
    - `payment_authorization`: read credentials from `Payment-Authorization` and leave `Authorization` to the
      app.
    - `insecure_http`: accept payments over plain http from other machines. For tests only.
    - `limits`: how many prices one client may be told, and how many credentials it may try. None by default.
    - `telemetry`: OpenTelemetry metrics and spans: by default if the process has loaded its SDK when the
      paywall is made or opened.

    Raises `ConfigurationError` for anything that cannot work.
    """

    def __init__(
        self,
        methods: Sequence[ServerMethod],
        *,
        secret_key: Secret | Sequence[Secret] | None = None,
        ledger: str | Ledger = "sqlite:///coinslot.db",
        cache: str | Cache | None = None,
        realm: str | None = None,
        expires_in: float = 300.0,
        settle_timeout: float = 30.0,
        redeliveries: int = 3,
        redelivery_window: float = 24 * 3600.0,
        payment_authorization: bool = False,
        insecure_http: bool = False,
        limits: Limits | None = None,
        telemetry: bool | None = None,
    ) -> None:
        self._methods = _checked(methods)
        self.events = Events()
        self.ledger = open_ledger(ledger) if isinstance(ledger, str) else ledger
        self.cache = open_cache(cache) if isinstance(cache, str) else cache
        self.handlers: list[Callable[..., object]] = []
        self.apps: list[Starlette] = []
        _check_number("expires_in", expires_in, above=0)
        _check_number("settle_timeout", settle_timeout, above=0)
        _check_number("redeliveries", redeliveries, above=-1)
        _check_number("redelivery_window", redelivery_window, above=0)
        policy = Policy(
            settle_timeout=settle_timeout, redeliveries=redeliveries, redelivery_window=redelivery_window
        )
        till = Till(self.ledger, policy=policy, events=self.events, cache=self.cache)
        self.office = BackOffice(till, self._methods, self.events, cache=self.cache)
        till.when_opened = self.office.furnish
        secrets = resolve_secrets(secret_key)
        self._engine = Engine(
            methods=self._methods,
            realm=resolve_realm(realm),
            binder=Binder(secrets),
            till=till,
            events=self.events,
            expires_in=expires_in,
            payment_authorization=payment_authorization,
            insecure_http=insecure_http,
            limiter=None if limits is None else Limiter(limits, secret=secrets[-1], cache=self.cache),
        )
        self._checkup = Checkup(till, self._methods, self.cache)
        keep_journal(self.events)
        self._telemetry = telemetry
        self._is_measured = False
        self._measure()

    def charge(
        self,
        amount: str | PriceCallable,
        *,
        description: str | None = None,
        external_id: str | None = None,
        bind_query: bool = True,
        bind_body: bool = True,
    ) -> Gate:
        """A gate at this price: a decimal string in the currency's unit (`"0.01"`).

        A callable gets the `Request` and returns the decimal string; it is asked again when the payment
        comes, and must give the same answer to be accepted. A challenge pays for one host, method, path,
        query and body; `bind_query=False` and `bind_body=False` let the query or the body differ.

        Raises `AmountError` for an amount that is not exact in a method's currency.
        """
        if not callable(amount) and not isinstance(amount, str):
            raise ConfigurationError(f'the price must be a decimal string such as "0.01", not {amount!r}.')
        template = Price(
            amount="0" if callable(amount) else amount, description=description, external_id=external_id
        )
        return Gate(
            self._engine,
            amount,
            template=template,
            bind_query=bind_query,
            bind_body=bind_body,
            handlers=self.handlers,
        )

    def attach(self, app: Starlette) -> None:
        """Watch over a Starlette or FastAPI app: its handlers under `@paywall.charge` are charged for.

        Call it before the app starts; routes may be added before or after. The middleware goes where
        `app.add_middleware` puts it. Opens the ledger when the app starts, closes it when the app ends. With
        several apps, attach them all before the first one starts.
        """
        from coinslot.server.starlette import attach

        attach(app, self)
        self.apps.append(app)

    def on(self, kind: type[E]) -> Callable[[Callable[[E], object]], Callable[[E], object]]:
        """Subscribe to what happens: `@paywall.on(PaymentSettled)` above a function, plain or async."""

        def subscribe(subscriber: Callable[[E], object]) -> Callable[[E], object]:
            self.events.subscribe(kind, subscriber)  # type: ignore[arg-type]  # emit only calls it with its kind
            return subscriber

        return subscribe

    @property
    def methods(self) -> tuple[ServerMethod, ...]:
        """The ways to pay, best first."""
        return self._methods

    async def health(self) -> Health:
        """Whether payments can be taken, what does not answer, and how many payments are stuck."""
        return await self._checkup.health()

    def health_app(self) -> HealthApp:
        """An ASGI app for probes, to be mounted: `/live` is 200, `/ready` is 200 or 503, both in JSON."""
        return HealthApp(self._checkup)

    async def refund(
        self, payment: Payment | str, amount: int | None = None, *, key: str | None = None
    ) -> Refund:
        """Send back `amount` base units of a payment (or its challenge's id), or all that is left of it.

        With a `key` of your own, asking again for the same payment under the same key makes no second refund:
        it returns the first as it is by then.

        Returns the refund as it is then: `done`, or on its way, which is followed up in the background.
        Raises `RefundError` if nothing was or will be sent, and `OutcomeUnknown` if the ledger failed on the
        way, so that it may be: see what the ledger has before asking for another, or ask with the same key.
        """
        challenge_id = payment if isinstance(payment, str) else payment.challenge_id
        return await self.office.refund(challenge_id, amount, key=key)

    async def open(self) -> None:
        """Open the ledger and begin the background work. An attached app does this when it starts.

        Otherwise the first payment opens the ledger; but then nothing is done in the background: no unknown
        outcome is found out before its payer comes again.
        """
        self._measure()
        await self._engine.till.open()
        await self.office.start()

    async def aclose(self) -> None:
        """Finish what is in flight, then close the methods' connections and the ledger."""
        await self.office.stop()
        await self._engine.till.drain()
        try:
            for method in self._methods:
                if isinstance(method, Closes):  # it may have something to write down
                    await method.aclose()
        finally:
            await self._engine.till.close()

    def _measure(self) -> None:
        """Have OpenTelemetry hear of everything, once, if it is wanted."""
        if self._telemetry is None and "opentelemetry.sdk" in sys.modules:
            self._telemetry = True
        if self._telemetry and not self._is_measured:
            try:
                from coinslot.server.telemetry import Meters, Spans
            except ImportError as error:
                raise ImportError("telemetry needs OpenTelemetry: pip install 'coinslot[otel]'") from error
            self._is_measured = True
            Meters(self.events)
            Spans(self.events)

    async def __aenter__(self) -> Paywall:
        await self.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()


def _checked(methods: Sequence[ServerMethod]) -> tuple[ServerMethod, ...]:
    if not methods:
        raise ConfigurationError("Paywall needs at least one payment method.")
    for method in methods:
        if not isinstance(method, ServerMethod):
            raise ConfigurationError(
                f"{type(method).__name__} is not a payment method for servers: it lacks one of name, intent, "
                "prepare, canonical, verify, settle."
            )
        if not (method.name.isascii() and method.name.isalpha() and method.name.islower()):
            raise ConfigurationError(f"the method name {method.name!r} must be lower-case ASCII letters.")
    kinds = [f"{method.name}/{method.intent}" for method in methods]
    for kind in kinds:
        if kinds.count(kind) > 1:  # a credential could not say which of them it is for
            raise ConfigurationError(f"there are two methods for {kind}; a Paywall takes one of each kind.")
    return tuple(methods)


def _check_number(name: str, value: float, *, above: int) -> None:
    if not value > above:
        raise ConfigurationError(f"{name} has to be more than {above}, not {value!r}.")
