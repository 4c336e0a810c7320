"""Offers made ready: everything of a challenge that does not change from request to request, made once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from coinslot.errors import ConfigurationError
from coinslot.payments.method import DrawsOffers, Offer, Price, ServerMethod
from coinslot.protocol import Binder, JSONObject, encode_object
from coinslot.protocol.auth_params import quote

AUTHORIZATION: Final = "Authorization"
PAYMENT_AUTHORIZATION: Final = "Payment-Authorization"


class PreparedOffer:
    """One method's offer at one price, ready to be issued."""

    __slots__ = ("_head", "_header", "_price", "_realm", "method", "offer", "request")

    def __init__(
        self, method: ServerMethod, offer: Offer, price: Price, *, realm: str, header: str | None
    ) -> None:
        self.method = method
        self.offer = offer
        self.request = encode_object(offer.request)
        self._price = price
        self._realm = realm
        self._header = header
        parts = [
            f"realm={quote(realm)}",
            f"method={quote(method.name)}",
            f"intent={quote(method.intent)}",
            f"request={quote(self.request)}",
        ]
        if price.description is not None:
            parts.append(f"description={quote(price.description)}")
        if header is not None:
            parts.append(f"header={quote(header)}")
        self._head = ", ".join(parts)

    async def drawn(self) -> PreparedOffer | None:
        """The offer for one challenge: this one, unless it is a pattern. None if there is none to be had."""
        if not self.offer.is_drawn:
            return self
        assert isinstance(self.method, DrawsOffers)  # `prepare` sees to that
        offer = await self.method.draw(self.offer)
        if offer is None:
            return None
        return PreparedOffer(self.method, offer, self._price, realm=self._realm, header=self._header)

    def pinned(self, request: JSONObject) -> JSONObject:
        """What all challenges of this offer have in common in their requests."""
        if not self.offer.is_drawn:
            return request
        assert isinstance(self.method, DrawsOffers)  # as above
        return self.method.pinned(request)

    def issue(self, binder: Binder, *, expires: str, digest: str | None, opaque: str) -> tuple[str, bytes]:
        """A fresh challenge: its id, and the `WWW-Authenticate` value.

        `expires`, `digest` and `opaque` are ours, so none of them needs quoting.
        """
        challenge_id = binder.issue(
            realm=self._realm,
            method=self.method.name,
            intent=self.method.intent,
            request=self.request,
            expires=expires,
            digest=digest,
            opaque=opaque,
            header=self._header,
        )
        bound = f', digest="{digest}"' if digest is not None else ""
        value = f'Payment id="{challenge_id}", {self._head}{bound}, expires="{expires}", opaque="{opaque}"'
        return challenge_id, value.encode("latin-1")


def prepare(
    methods: Sequence[ServerMethod], price: Price, *, realm: str, payment_authorization: bool
) -> tuple[PreparedOffer, ...]:
    """What each method asks for this price, in the seller's order.

    Raises `AmountError` for an amount that no method can take exactly, `ConfigurationError` if none offers.
    """
    header = PAYMENT_AUTHORIZATION if payment_authorization else None
    offers = tuple(
        PreparedOffer(method, offer, price, realm=realm, header=header)
        for method in methods
        if (offer := method.prepare(price)) is not None
    )
    for prepared in offers:
        if prepared.offer.is_drawn and not isinstance(prepared.method, DrawsOffers):
            raise ConfigurationError(f"the method {prepared.method.name} cannot draw the offers it prepares")
    if not offers:
        names = ", ".join(method.name for method in methods)
        raise ConfigurationError(f"no method ({names}) can take a payment of {price.amount}.")
    return offers
