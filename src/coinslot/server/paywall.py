"""The Paywall: what a seller writes down once, and charges with from then on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeVar

from coinslot.errors import ConfigurationError
from coinslot.payments.events import Event, Events
from coinslot.payments.ledger import Ledger
from coinslot.payments.method import Closes, Price, ServerMethod
from coinslot.payments.till import Policy, Till
from coinslot.protocol import Binder
from coinslot.server.engine import Engine
from coinslot.server.gate import Gate, PriceCallable
from coinslot.server.settings import Secret, resolve_realm, resolve_secrets
from coinslot.storage import open_ledger

if TYPE_CHECKING:
    from starlette.applications import Starlette

E = TypeVar("E", bound=Event)


class Paywall:
    """Charges for HTTP resources, with the payment methods it is given.

    - `methods`: the ways to pay, best first. They are offered in this order.
    - `secret_key`: binds challenges to this server: at least 32 bytes, or `MPP_SECRET_KEY`. A list rotates,
      oldest to newest: the last one issues, all are accepted.
    - `ledger`: where payments are kept: `sqlite:///coinslot.db`, `memory:`, or a `Ledger` of your own.
    - `realm`: the protection space, usually the host name, or `MPP_REALM`.
    - `expires_in`: how long a challenge may be paid, in seconds.
    - `settle_timeout`: how long a request waits for its settlement, in seconds, before it is answered 503.
    - `redeliveries`, `redelivery_window`: how often, and for how many seconds, a payment that was settled but
      not delivered is honoured again.
    - `payment_authorization`: read credentials from `Payment-Authorization` and leave `Authorization` to the
      app.
    - `insecure_http`: accept payments over plain http from other machines. For tests only.

    Raises `ConfigurationError` for anything that cannot work.
    """

    def __init__(
        self,
        methods: Sequence[ServerMethod],
        *,
        secret_key: Secret | Sequence[Secret] | None = None,
        ledger: str | Ledger = "sqlite:///coinslot.db",
        realm: str | None = None,
        expires_in: float = 300.0,
        settle_timeout: float = 30.0,
        redeliveries: int = 3,
        redelivery_window: float = 24 * 3600.0,
        payment_authorization: bool = False,
        insecure_http: bool = False,
    ) -> None:
        self._methods = _checked(methods)
        self.events = Events()
        self.ledger = open_ledger(ledger) if isinstance(ledger, str) else ledger
        self.handlers: list[Callable[..., object]] = []
        self.apps: list[Starlette] = []
        _check_number("expires_in", expires_in, above=0)
        _check_number("settle_timeout", settle_timeout, above=0)
        _check_number("redeliveries", redeliveries, above=-1)
        _check_number("redelivery_window", redelivery_window, above=0)
        policy = Policy(
            settle_timeout=settle_timeout, redeliveries=redeliveries, redelivery_window=redelivery_window
        )
        self._engine = Engine(
            methods=self._methods,
            realm=resolve_realm(realm),
            binder=Binder(resolve_secrets(secret_key)),
            till=Till(self.ledger, policy=policy, events=self.events),
            events=self.events,
            expires_in=expires_in,
            payment_authorization=payment_authorization,
            insecure_http=insecure_http,
        )

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

    async def open(self) -> None:
        """Open the ledger. An attached app does this when it starts; otherwise the first payment does."""
        await self._engine.till.open()

    async def aclose(self) -> None:
        """Finish what is in flight, then close the ledger and the methods' connections."""
        await self._engine.till.close()
        for method in self._methods:
            if isinstance(method, Closes):
                await method.aclose()

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
