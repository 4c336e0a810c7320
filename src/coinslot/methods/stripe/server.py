"""The seller's half of Stripe: charges that payers make with shared payment tokens."""

from __future__ import annotations

import re
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Final

from msgspec.structs import replace

from coinslot.errors import (
    ConfigurationError,
    InvalidChallenge,
    InvalidPayload,
    MalformedChallenge,
    PaymentUnavailable,
    RefundError,
)
from coinslot.intents import ChargeRequest
from coinslot.methods.stripe import audit
from coinslot.methods.stripe.api import StripeApi
from coinslot.methods.stripe.attempt import Attempt
from coinslot.methods.stripe.charges import INTENT_ID, Charges
from coinslot.methods.stripe.connect import Connect
from coinslot.methods.stripe.currencies import Currency, find_currency
from coinslot.methods.stripe.failures import Refused
from coinslot.methods.stripe.metadata import CHALLENGE_ID, check_metadata, payment_metadata
from coinslot.methods.stripe.repayments import Repayments
from coinslot.methods.stripe.sdk import stripe
from coinslot.methods.stripe.terms import Terms
from coinslot.methods.stripe.tokens import TOKEN, fingerprint
from coinslot.payments.method import Movement, Offer, Price, Proof, Recovery, Repayment, Settlement
from coinslot.protocol import Credential, JSONObject

_MAX_EXTERNAL_ID: Final = 1024
_TYPE: Final = re.compile(r"[a-z][a-z0-9_]{0,63}")


def charge(
    *,
    network_id: str,
    secret_key: str | None = None,
    client: stripe.StripeClient | None = None,
    payment_method_types: Sequence[str] = ("card", "link"),
    currency: str = "usd",
    metadata: Mapping[str, str] | None = None,
    connect: Connect | None = None,
    customer: str | None = None,
    receipt_email: str | None = None,
    api_version: str | None = None,
    api_base: str | None = None,
    settle_timeout: float = 25.0,
    clock: Callable[[], float] = time.time,
) -> StripeCharge:
    """Charge cards and Link, by shared payment tokens.

    `network_id` is your Stripe profile (`profile_…`), for which payers have tokens made; `secret_key` is your
    account's, or `client` a `stripe.StripeClient` of your own. `payment_method_types` are what you take.
    `currency` is the one of your prices.

    `metadata` is put on each PaymentIntent, and into challenges, where everybody can read it. `connect`,
    `customer` (an id) and `receipt_email` are put on each PaymentIntent and shown to nobody.

    `api_version` and `api_base` take the place of the version that is asked for and of Stripe's own address.
    What became of a payment that is not decided after `settle_timeout` seconds is found out later. `clock`
    tells the time in Unix seconds.

    Raises `ConfigurationError`.
    """
    return StripeCharge(
        api=StripeApi(
            secret_key=secret_key,
            client=client,
            api_version=api_version,
            api_base=api_base,
            timeout=settle_timeout,
        ),
        network_id=_named("network_id", network_id),
        payment_method_types=_types(payment_method_types),
        currency=find_currency(currency),
        metadata=check_metadata(metadata or {}),
        connect=connect or Connect(),
        extras={
            name: _named(name, value)
            for name, value in (("customer", customer), ("receipt_email", receipt_email))
            if value is not None
        },
        settle_timeout=settle_timeout,
        clock=clock,
    )


class StripeCharge:
    """The server method `stripe/charge`. Made by `charge`."""

    name: str = "stripe"
    intent: str = "charge"

    def __init__(
        self,
        *,
        api: StripeApi,
        network_id: str,
        payment_method_types: tuple[str, ...],
        currency: Currency,
        metadata: dict[str, str],
        connect: Connect,
        extras: dict[str, str],
        settle_timeout: float,
        clock: Callable[[], float],
    ) -> None:
        self._api = api
        self._charges = Charges(api, timeout=settle_timeout, clock=clock)
        self._repayments = Repayments(api, connect=connect, clock=clock)
        self._network_id = network_id
        self._types = payment_method_types
        self._currency = currency
        self._metadata = metadata
        self._connect = connect
        self._extras = extras
        self._clock = clock

    def prepare(self, price: Price) -> Offer | None:
        """The offer for this price, or None if Stripe does not charge so little in this currency.

        Raises `AmountError`, and `ConfigurationError` if `connect` takes more than the price.
        """
        amount = self._currency.to_minor(price.amount)
        if amount is None:
            return None
        self._connect.check(amount)
        details: JSONObject = {"networkId": self._network_id, "paymentMethodTypes": [*self._types]}
        if self._metadata:
            details["metadata"] = {**self._metadata}
        request = ChargeRequest(
            amount=str(amount),
            currency=self._currency.code,
            description=price.description,
            external_id=price.external_id,
            method_details=details,
        )
        return Offer(request=request.to_object(), amount=amount, currency=self._currency.code)

    def canonical(self, payload: JSONObject) -> JSONObject:
        """The payload of draft-stripe-charge §Credential Schema. Raises `InvalidPayload`."""
        token, external_id = payload.get("spt"), payload.get("externalId")
        if not isinstance(token, str) or not TOKEN.fullmatch(token):
            raise InvalidPayload("The payload's spt is not a shared payment token (spt_…).")
        if external_id is None:
            return {"spt": token}
        if not isinstance(external_id, str) or len(external_id) > _MAX_EXTERNAL_ID:
            raise InvalidPayload(
                f"The payload's externalId is not a string of at most {_MAX_EXTERNAL_ID} characters."
            )
        return {"spt": token, "externalId": external_id}

    async def verify(self, credential: Credential, request: JSONObject) -> Proof:
        """Check that the challenge's terms are still offered. Whether the token is good is for Stripe to say.

        Raises `InvalidChallenge`, or `PaymentUnavailable` if the settings do not allow such a payment.
        """
        terms = self._terms(request)
        try:
            self._connect.check(terms.amount)
        except ConfigurationError as error:
            raise PaymentUnavailable(
                "The seller cannot take this payment right now. Nothing was taken.", log=str(error)
            ) from error
        challenge, now = credential.challenge, self._clock()
        print_ = fingerprint(str(credential.payload["spt"]))
        attempt = Attempt(
            challenge_id=challenge.id,
            parameters=self._parameters(terms, challenge.id),
            account=self._connect.stripe_account,
            begun=now,
            asked=now,
        )
        return Proof(
            key=f"{self.name}:{print_}",
            reference=f"mpp_{challenge.id}_{print_}",
            amount=terms.amount,
            currency=terms.currency,
            recipient=terms.network_id,
            recovery=attempt.to_recovery(),
        )

    def complete(self, proof: Proof, credential: Credential) -> Proof:
        """The proof with the token, which is never written down."""
        token = str(credential.payload["spt"])
        return replace(proof, recovery=Attempt.read(proof.recovery).with_token(token))

    async def settle(self, proof: Proof) -> Settlement:
        """Create the PaymentIntent, and see that it succeeded."""
        return await self._charges.make(proof)

    async def look_up(self, proof: Proof) -> Settlement:
        """What Stripe knows of the payment."""
        return await self._charges.find(proof, account=self.account)

    async def draft_repayment(self, repayment: Repayment) -> Recovery:
        """A refund of the PaymentIntent, partial or whole. Raises `RefundError`."""
        paid = repayment.paid
        if not INTENT_ID.fullmatch(paid.reference):
            raise RefundError(f"{paid.reference} is not the id of a PaymentIntent")
        if repayment.amount % find_currency(paid.currency).step:
            raise RefundError(f"Stripe takes no such amount in {paid.currency}: {repayment.amount}")
        return await self._repayments.draft(repayment, intent_id=paid.reference, amount=repayment.amount)

    async def repay(self, repayment: Repayment) -> Settlement:
        """Create the refund. It is `Unknown` for as long as it is pending at Stripe."""
        return await self._repayments.make(repayment)

    async def look_up_repayment(self, repayment: Repayment) -> Settlement:
        """What Stripe knows of the refund."""
        return await self._repayments.find(repayment)

    @property
    def account(self) -> str | None:
        """The connected account on which payments are made, if it is not the key's own."""
        return self._connect.stripe_account

    async def challenge_of(self, intent_id: str) -> str | None:
        """The challenge that a PaymentIntent was to pay; None for other business, or one that is unknown.

        Raises a `StripeFailure`.
        """
        try:
            intent = await self._api.retrieve_intent(intent_id, account=self.account)
        except Refused:
            return None
        return intent.metadata.get(CHALLENGE_ID)

    async def is_disputed(self, intent_id: str) -> bool:
        """Whether the payer's bank wants the money of a PaymentIntent back, or has taken it.

        Raises a `StripeFailure`.
        """
        return await self._api.is_disputed(intent_id, account=self.account)

    async def refunds_of(self, intent_id: str) -> list[str]:
        """The ids of a PaymentIntent's refunds that were made here. Raises a `StripeFailure`."""
        return await self._api.own_refunds(intent_id, account=self.account)

    def movements(self, *, since: float, until: float, recipients: frozenset[str]) -> AsyncIterator[Movement]:  # noqa: ARG002 - says so
        """The account's charges of challenges, and refunds of them, that were created then.

        `recipients` does not matter: an account has all its payments on one list. Raises a `StripeFailure`.
        """
        return audit.movements(self._api, since=since, until=until, account=self.account)

    async def aclose(self) -> None:
        """Close the connections to Stripe."""
        await self._api.aclose()

    def _terms(self, request: JSONObject) -> Terms:
        try:
            terms = Terms.from_request(request)
        except MalformedChallenge as error:
            raise InvalidChallenge(f"The challenge cannot be read: {error}.") from error
        if terms.network_id != self._network_id or terms.currency != self._currency.code:
            raise InvalidChallenge("The challenge asks for a kind of payment that is not offered any more.")
        return terms

    def _parameters(self, terms: Terms, challenge_id: str) -> JSONObject:
        """What the PaymentIntent is created with, but the token (§Settlement Procedure)."""
        metadata = payment_metadata(terms.metadata, challenge_id=challenge_id, intent=self.intent)
        return {
            "amount": terms.amount,
            "currency": terms.currency,
            "confirm": True,
            "automatic_payment_methods": {"enabled": True, "allow_redirects": "never"},
            "metadata": {**metadata},
            **self._extras,
            **self._connect.to_parameters(),
        }


def _types(payment_method_types: Sequence[str]) -> tuple[str, ...]:
    types = () if isinstance(payment_method_types, str) else tuple(payment_method_types)
    if not types or not all(_TYPE.fullmatch(each) for each in types):
        raise ConfigurationError("payment_method_types is a list of Stripe's types, such as ['card', 'link']")
    return types


def _named(name: str, value: str) -> str:
    if not 0 < len(value) <= 255 or not value.isprintable():
        raise ConfigurationError(f"{name} is not a string of 1 to 255 characters")
    return value
