"""Where a buyer's shared payment tokens come from.

Anything that is called with `TokenTerms` and returns a token will do: a function that asks a server, a Link
wallet, or `OwnAccount`, the buyer's own account at Stripe.
"""

from __future__ import annotations

import hashlib
from contextlib import suppress
from typing import Final, Protocol, runtime_checkable

from msgspec import Struct, field

from coinslot.errors import ConfigurationError, WalletError
from coinslot.methods.stripe.api import StripeApi
from coinslot.methods.stripe.failures import Refused, StripeFailure
from coinslot.methods.stripe.objects import IssuedToken
from coinslot.methods.stripe.sdk import stripe
from coinslot.protocol import JSONObject

_ISSUED: Final = "/v1/shared_payment/issued_tokens"
_GRANTED: Final = "/v1/shared_payment/granted_tokens"
_TEST_HELPER: Final = "/v1/test_helpers/shared_payment/granted_tokens"


class TokenTerms(Struct, frozen=True, kw_only=True):
    """What a token has to be good for, and no more: `amount`, in the minor unit of `currency`, once.

    `network_id` is the seller's profile; `expires_at` is in Unix seconds. The rest is what the challenge says
    of the purchase: where (`realm`) and what, and which types of payment methods the seller takes.
    """

    amount: int
    currency: str
    network_id: str
    expires_at: int
    payment_method_types: tuple[str, ...]
    challenge_id: str
    realm: str
    description: str | None = None
    external_id: str | None = None
    metadata: dict[str, str] = field(default_factory=dict)


class TokenSource(Protocol):
    """Gives tokens."""

    async def __call__(self, terms: TokenTerms, /) -> str:
        """A token for these terms (`spt_…`). Raises a `WalletError` if there is none."""
        ...


@runtime_checkable
class TakesBack(Protocol):
    """A source that can take a token back."""

    async def take_back(self, token: str) -> bool:
        """See to it that it is not charged any more. True only if it certainly never was."""
        ...


class OwnAccount:
    """Tokens for a payment method in an account of one's own.

    Stripe issues no token to the account that asks for it. So one who tries their own shop, in test mode,
    gets it from the test helper, which makes tokens for nobody else.
    """

    def __init__(self, api: StripeApi, payment_method: str) -> None:
        self._api = api
        self._payment_method = payment_method

    async def __call__(self, terms: TokenTerms, /) -> str:
        """A token for these terms, and the same one if it is asked for again. Raises `WalletError`."""
        try:
            token = await self._issue(terms)
        except StripeFailure as failure:
            raise WalletError(f"no token was issued: {failure}. Nothing was paid.") from failure
        if token.status != "active":
            raise WalletError(
                f"the token is {token.status}: its payment method's owner has to act first. Nothing was paid."
            )
        return token.id

    async def take_back(self, token: str) -> bool:
        """Revoke a token; True only if Stripe says that it was not charged, and cannot be any more."""
        try:
            return await self._take_back(_ISSUED, f"{_ISSUED}/{token}")
        except Refused as refusal:
            if refusal.code != "resource_missing":
                return False
        except StripeFailure:
            return False
        try:
            return await self._take_back(_TEST_HELPER, f"{_GRANTED}/{token}")
        except StripeFailure:
            return False

    async def aclose(self) -> None:
        """Close the connections to Stripe."""
        await self._api.aclose()

    async def _issue(self, terms: TokenTerms) -> IssuedToken:
        parameters: JSONObject = {
            "payment_method": self._payment_method,
            "usage_limits": {
                "currency": terms.currency,
                "max_amount": terms.amount,
                "expires_at": terms.expires_at,
            },
        }
        issue: JSONObject = {
            **parameters,
            "seller_details": {"network_business_profile": terms.network_id},
        }
        try:
            return await self._api.issue_token(_ISSUED, issue, key=self._key(terms, "issued"))
        except Refused:
            if not await self._is_own_shop(terms):
                raise
        return await self._api.issue_token(_TEST_HELPER, parameters, key=self._key(terms, "granted"))

    async def _take_back(self, issuer: str, path: str) -> bool:
        """Revoke a token of this endpoint's, and read it afterwards.

        One that waits for its payer belongs to a PaymentIntent that could still succeed.
        """
        token = await self._api.read_token(path)
        if token.is_waiting:
            return False
        if token.deactivated_reason is None:
            with suppress(Refused):  # it has just ended otherwise: how, is read
                await self._api.revoke_token(f"{issuer}/{token.id}/revoke")
            token = await self._api.read_token(path)
        return token.is_dead

    async def _is_own_shop(self, terms: TokenTerms) -> bool:
        try:
            profile = await self._api.own_profile()
        except StripeFailure:
            return False
        return profile.id == terms.network_id and not profile.livemode

    def _key(self, terms: TokenTerms, kind: str) -> str:
        """An idempotency key: the same terms, for the same challenge, are the same token."""
        said = "\n".join((terms.challenge_id, terms.realm, str(terms.expires_at), self._payment_method))
        return f"mpp_{kind}_{hashlib.sha256(said.encode()).hexdigest()}"


def own_account(
    *,
    secret_key: str | None,
    client: stripe.StripeClient | None,
    payment_method: str | None,
    api_version: str | None,
    api_base: str | None,
    timeout: float,
) -> OwnAccount:
    """`OwnAccount`, from settings. Raises `ConfigurationError`."""
    if payment_method is None or not payment_method.startswith("pm_"):
        raise ConfigurationError("payment_method is what is paid with, the id of a PaymentMethod (pm_…)")
    api = StripeApi(
        secret_key=secret_key, client=client, api_version=api_version, api_base=api_base, timeout=timeout
    )
    return OwnAccount(api, payment_method)
