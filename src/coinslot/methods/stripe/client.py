"""The buyer's half of Stripe: pays with shared payment tokens that are good for one price and one seller."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Iterable
from typing import Final

from coinslot.errors import (
    ChallengeExpired,
    ConfigurationError,
    MalformedChallenge,
    NoAcceptableChallenge,
    UnexpectedTerms,
    WalletError,
)
from coinslot.intents import from_base_units
from coinslot.methods.stripe.currencies import find_currency
from coinslot.methods.stripe.sdk import stripe
from coinslot.methods.stripe.sources import TakesBack, TokenSource, TokenTerms, own_account
from coinslot.methods.stripe.terms import Terms
from coinslot.methods.stripe.tokens import TOKEN
from coinslot.payments.method import Closes, Payload, Quote
from coinslot.protocol import Challenge, JSONObject

logger = logging.getLogger("coinslot.stripe")

VALIDITY: Final = 300
"""Seconds for which a token is good where the challenge has no end."""

AFTERWARDS: Final = 60
"""Seconds for which a token outlives its challenge: a server may begin to settle at the last moment."""

_SENDING_MARGIN: Final = 2.0


def account(
    secret_key: str | None = None,
    *,
    payment_method: str | None = None,
    client: stripe.StripeClient | None = None,
    spt: TokenSource | None = None,
    currencies: Iterable[str] = ("usd",),
    sellers: Iterable[str] | None = None,
    api_version: str | None = None,
    api_base: str | None = None,
    timeout: float = 30.0,
    clock: Callable[[], float] = time.time,
) -> StripeAccount:
    """Pay by card or Link, with a token for each payment.

    The tokens are issued by your account at Stripe, whose `secret_key` it is (or `client`, a
    `stripe.StripeClient` of your own), for its `payment_method` (`pm_…`). Or they come from `spt`, an
    asynchronous function that is called with `TokenTerms` and returns a token.

    `currencies` are those that are paid in; mind that limits are numbers, whatever the currency. `sellers`,
    if given, are the only profiles that are paid. `api_version` and `api_base` take the place of the version
    that is asked for and of Stripe's own address. `timeout` is for each request to Stripe, in seconds;
    `clock` tells the time in Unix seconds.

    Raises `ConfigurationError`.
    """
    own = (secret_key, client, payment_method, api_version, api_base)
    if spt is not None and any(setting is not None for setting in own):
        raise ConfigurationError("tokens come from spt, or from an account at Stripe: give one of them")
    source = spt or own_account(
        secret_key=secret_key,
        client=client,
        payment_method=payment_method,
        api_version=api_version,
        api_base=api_base,
        timeout=timeout,
    )
    return StripeAccount(
        source=source,
        currencies=frozenset(find_currency(code).code for code in _several("currencies", currencies)),
        sellers=None if sellers is None else frozenset(_several("sellers", sellers)),
        clock=clock,
    )


class StripeAccount:
    """The client method `stripe/charge`. Made by `account`."""

    name: str = "stripe"
    intent: str = "charge"

    def __init__(
        self,
        *,
        source: TokenSource,
        currencies: frozenset[str],
        sellers: frozenset[str] | None,
        clock: Callable[[], float],
    ) -> None:
        self._source = source
        self._currencies = currencies
        self._sellers = sellers
        self._clock = clock

    async def quote(self, challenge: Challenge) -> Quote | None:
        """What the challenge would cost, or None if it is for another method, or no charge. Asks nobody.

        Raises `UnexpectedTerms`.
        """
        terms = self._terms(challenge)
        if terms is None:
            return None
        self._check(terms)
        currency = find_currency(terms.currency)
        return Quote(
            amount=from_base_units(terms.amount, currency.decimals),
            base_units=terms.amount,
            asset=currency.symbol,
            currency=currency.code,
            network=self.name,
            recipient=terms.network_id,
        )

    async def pay(self, challenge: Challenge) -> Payload:
        """Get a token for exactly this price. It costs nothing until the seller charges it.

        Raises `ChallengeExpired`, `UnexpectedTerms`, `NoAcceptableChallenge`, or `WalletError` if there is no
        token to be had.
        """
        terms = self._terms(challenge)
        if terms is None:
            raise NoAcceptableChallenge("this challenge is not one that Stripe can pay")
        self._check(terms)
        token = await self._source(
            TokenTerms(
                amount=terms.amount,
                currency=terms.currency,
                network_id=terms.network_id,
                expires_at=self._expiry(challenge),
                payment_method_types=terms.payment_method_types,
                challenge_id=challenge.id,
                realm=challenge.realm,
                description=terms.description,
                external_id=terms.external_id,
                metadata=terms.metadata,
            )
        )
        if not TOKEN.fullmatch(token):
            raise WalletError("what was given as a token is none (spt_…). Nothing was paid.")
        payload: JSONObject = {"spt": token}
        if terms.external_id is not None:
            payload["externalId"] = terms.external_id
        return Payload(payload=payload)

    async def is_dead(self, payload: Payload) -> bool:
        """Whether the payment's token was not charged, and is taken back: then it never will be.

        Only tokens of your own account can be taken back. What another source has given may be charged until
        it expires, and nobody here could tell.
        """
        token = payload.payload.get("spt")
        if (
            not isinstance(self._source, TakesBack)
            or not isinstance(token, str)
            or not TOKEN.fullmatch(token)
        ):
            return False
        return await self._source.take_back(token)

    async def aclose(self) -> None:
        """Let the source of the tokens close its connections, if it has any."""
        if isinstance(self._source, Closes):
            await self._source.aclose()

    def _terms(self, challenge: Challenge) -> Terms | None:
        if challenge.method != self.name or challenge.intent != self.intent:
            return None
        try:
            terms = Terms.from_request(challenge.decode_request())
        except MalformedChallenge as error:
            logger.info("a challenge of %r cannot be paid: %s", challenge.realm, error)
            return None
        return terms if terms.amount > 0 else None

    def _check(self, terms: Terms) -> None:
        if terms.currency not in self._currencies:
            raise UnexpectedTerms(f"{terms.currency!r} is not a currency that this account pays in")
        if self._sellers is not None and terms.network_id not in self._sellers:
            raise UnexpectedTerms(f"{terms.network_id!r} is not among the sellers that this account pays")

    def _expiry(self, challenge: Challenge) -> int:
        now, expires = self._clock(), challenge.expires_at()
        if expires is None:
            expires = now + VALIDITY
        if expires <= now + _SENDING_MARGIN:
            raise ChallengeExpired(f"the challenge expires at {challenge.expires}: too soon to be paid")
        return math.ceil(expires) + AFTERWARDS


def _several(name: str, values: Iterable[str]) -> tuple[str, ...]:
    if isinstance(values, str):
        raise ConfigurationError(f"{name} is a list, not one of them")
    return tuple(values)
