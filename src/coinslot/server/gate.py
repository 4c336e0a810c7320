"""A Gate: one price on one resource, and the three ways to put it there."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, ParamSpec, TypeAlias, TypeVar

from msgspec import Struct

from coinslot.errors import PaymentError
from coinslot.payments.method import Price
from coinslot.payments.order import Order
from coinslot.payments.payment import Payment
from coinslot.payments.replay import Replay, keep, take
from coinslot.payments.till import Sale, Till
from coinslot.server.exchange import EXPOSED, BodyKind, Request, Response, is_cross_origin, receipt_headers
from coinslot.server.offers import PreparedOffer

if TYPE_CHECKING:
    from coinslot.server.asgi import ASGIApp
    from coinslot.server.engine import Engine

P = ParamSpec("P")
R = TypeVar("R")

PriceCallable: TypeAlias = Callable[[Request], str | Awaitable[str]]


class Challenged(Struct, frozen=True):
    """Nothing to serve: send this response. Not paid, not acceptably, or served before (`Replayed`)."""

    response: Response


class Replayed(Challenged, frozen=True):
    """Paid for and served before: this response is the answer that `Paid.answer` kept, receipt and all."""


class Paid:
    """Paid: serve the resource, with its receipt. Made by `Gate.decide`.

    It ends with `answer` or `with_receipt`, or with `returned` if there is nothing to send after all.
    """

    __match_args__ = ("payment",)

    def __init__(self, sale: Sale, till: Till, order: Order, cross_origin: bool) -> None:
        self._sale = sale
        self._till = till
        self._order = order
        self._cross_origin = cross_origin

    @property
    def payment(self) -> Payment:
        """The settled payment."""
        return self._sale.payment

    def with_receipt(self, response: Response) -> Response:
        """The response to send. A 2xx gets the receipt, and anything below 400 counts as delivered.

        Call it when the response is ready to go: an error response leaves the payment settled, so the payer
        can come again with the same credential.
        """
        self._till.spawn(self._sale.delivered() if response.status < 400 else self._sale.returned())
        return self._receipted(response)

    async def answer(self, response: Response) -> Response:
        """`with_receipt`, for a response that is to be kept if the request has an `Idempotency-Key`.

        The same credential with the same key is then answered with `Replayed`, and is not served again.
        """
        final = self._receipted(response)
        if response.status < 400:
            await keep(self._till, self._order, self.payment, final.status, list(final.headers), final.body)
        self._till.spawn(self._sale.delivered() if response.status < 400 else self._sale.returned())
        return final

    async def returned(self) -> None:
        """It could not be served: the payer may come again with the same credential."""
        await self._sale.returned()

    def _receipted(self, response: Response) -> Response:
        if not 200 <= response.status < 300:
            return response
        headers = receipt_headers(response.headers, self.payment.receipt or "")
        if self._cross_origin:
            headers.append(EXPOSED)
        return Response(status=response.status, headers=tuple(headers), body=response.body)


class Gate:
    """What `paywall.charge(…)` returns. Immutable.

    As a decorator it charges for a handler of an attached app; `asgi` charges for a whole ASGI app; `decide`
    is for everything else.
    """

    def __init__(
        self,
        engine: Engine,
        price: str | PriceCallable,
        *,
        template: Price,
        bind_query: bool,
        bind_body: bool,
        handlers: list[Callable[..., object]],
    ) -> None:
        self.price = price
        self.template = template
        self.bind_query = bind_query
        self.bind_body = bind_body
        self.engine = engine
        self.offers: tuple[PreparedOffer, ...] = () if callable(price) else engine.offers(template)
        self._handlers = handlers

    def __repr__(self) -> str:
        price = "<callable>" if callable(self.price) else self.price
        return f"Gate({price!r})"

    def __call__(self, handler: Callable[P, R]) -> Callable[P, R]:
        """Charge for a handler, of any signature. A parameter typed `Payment` is filled in.

        It goes below the framework's own decorator, so that the framework registers what it returns.
        Raises `ConfigurationError` for what cannot be charged for (a generator, say).
        """
        from coinslot.server.handler import charged

        wrapper = charged(self, handler)
        self._handlers.append(wrapper)
        return wrapper

    def asgi(self, app: ASGIApp) -> ASGIApp:
        """Charge for everything that an ASGI app serves: it sees paid requests and CORS preflights only."""
        from coinslot.server.asgi import PaidApp

        return PaidApp(app, self)

    def body_binding(self, request: Request) -> BodyKind:
        """How a request's body takes part in its challenge."""
        if not self.bind_body:
            return BodyKind.UNBOUND
        kind = request.body_kind
        if kind is BodyKind.DIGEST and request.body is None:  # it was not read
            return BodyKind.UNBOUND
        return kind

    async def decide(self, request: Request) -> Challenged | Paid:
        """Take the payment that came with a request, or say what to answer.

        Nothing that the caller does afterwards can undo it, so validate the request first.
        """
        till = self.engine.till
        try:
            order = await self.engine.admit(self, request)
            if isinstance(order, Replay):
                return _replayed(order, till)
            taken = await take(till, order)
        except PaymentError as error:
            return Challenged(await self.engine.refuse(self, request, error))
        if isinstance(taken, Replay):
            return _replayed(taken, till)
        return Paid(taken, till, order, is_cross_origin(request.headers))


def _replayed(replay: Replay, till: Till) -> Replayed:
    till.spawn(replay.delivered())
    kept = replay.answer
    return Replayed(Response(status=kept.status, headers=kept.headers, body=kept.body))
