"""Stripe's API, as far as charges need it: through the official SDK, with failures that speak of money.

The endpoints are in preview, so the SDK has no types for most of them; requests are made with its raw
requests, and answers read into the few members that matter here.
"""

from __future__ import annotations

import re
from typing import Final, TypeVar

import msgspec
from msgspec import Struct, field

from coinslot.errors import ConfigurationError
from coinslot.methods.stripe.failures import NotDone, Unanswered, classify
from coinslot.methods.stripe.metadata import CHALLENGE_ID
from coinslot.methods.stripe.sdk import stripe
from coinslot.methods.stripe.tokens import keep_out_of_logs
from coinslot.methods.stripe.transport import Transport, check_api_base
from coinslot.protocol import JSONObject

API_VERSION: Final = "2026-07-29.preview"
"""The version that is asked for: shared payment tokens are in preview. mppx and pympp ask for the same."""

_SECRET_KEY: Final = re.compile(r"(?:sk|rk)_(?:test|live)_\w{1,255}+", re.ASCII)
_VERSION: Final = re.compile(r"\d{4}-\d{2}-\d{2}\.[a-z]+", re.ASCII)

_INTENTS: Final = "/v1/payment_intents"
_PAGE: Final = 100
_MAX_PAGES: Final = 20

T = TypeVar("T")


class PaymentFault(Struct, frozen=True):
    """Why the last attempt to pay a PaymentIntent failed."""

    code: str | None = None
    decline_code: str | None = None


class Intent(Struct, frozen=True, kw_only=True):
    """A PaymentIntent. `amount` is in minor units."""

    id: str
    status: str
    amount: int
    currency: str
    metadata: dict[str, str] = field(default_factory=dict)
    last_payment_error: PaymentFault | None = None

    @property
    def is_open(self) -> bool:
        """Whether it waits for somebody: for the payer, or for a first attempt to pay it."""
        unpaid = self.status == "requires_payment_method" and self.last_payment_error is None
        return unpaid or self.status in ("requires_action", "requires_confirmation")


class UsageLimits(Struct, frozen=True, kw_only=True):
    """What a token is good for: `max_amount` in minor units, `expires_at` in Unix seconds."""

    currency: str
    max_amount: int
    expires_at: int | None = None


class Captured(Struct, frozen=True):
    """What was taken already, in minor units."""

    value: int = 0


class UsageDetails(Struct, frozen=True):
    """How a token was used."""

    amount_captured: Captured | None = None


class GrantedToken(Struct, frozen=True, kw_only=True):
    """A token as the seller sees it. `deactivated_reason` is consumed, expired, resolved or revoked."""

    usage_limits: UsageLimits
    usage_details: UsageDetails | None = None
    deactivated_reason: str | None = None

    @property
    def left(self) -> int:
        """How much can still be charged, in minor units."""
        used = self.usage_details.amount_captured if self.usage_details is not None else None
        return self.usage_limits.max_amount - (used.value if used is not None else 0)


class IssuedToken(Struct, frozen=True, kw_only=True):
    """A token as its issuer sees it. `status` is active, requires_action or deactivated."""

    id: str
    status: str = "active"

    def __repr__(self) -> str:
        return f"IssuedToken(<redacted>, status={self.status!r})"


class Profile(Struct, frozen=True, kw_only=True):
    """An account's public profile: `id` is the network id of challenges."""

    id: str
    livemode: bool


class _Page(Struct):
    data: list[Intent]
    has_more: bool


class StripeApi:
    """The calls. Each raises a `StripeFailure`.

    Made with a `secret_key`, it has connections of its own; a `client` is used as its owner configured it,
    except for the API version and for repeating by itself what moves money. `timeout` is in seconds.
    Raises `ConfigurationError`.
    """

    def __init__(
        self,
        *,
        secret_key: str | None,
        client: stripe.StripeClient | None,
        api_version: str | None,
        api_base: str | None,
        timeout: float,
    ) -> None:
        self._version = _check_version(api_version)
        self._transport: Transport | None = None
        if (secret_key is None) == (client is None):
            raise ConfigurationError("give Stripe's secret_key, or a StripeClient as client: one of them")
        if secret_key is not None:
            self._transport = Transport(timeout)
            client = stripe.StripeClient(
                _check_key(secret_key),
                http_client=self._transport,
                base_addresses={"api": check_api_base(api_base)} if api_base is not None else None,
            )
        elif api_base is not None:
            raise ConfigurationError("a client has its own base_addresses; api_base goes with a secret_key")
        assert client is not None  # or there was a key to make one with
        self._client = client
        keep_out_of_logs()

    async def create_intent(self, parameters: JSONObject, *, key: str, account: str | None) -> Intent:
        """Create a PaymentIntent. `key` is the idempotency key: with it, it is created once."""
        return await self._ask("post", _INTENTS, Intent, parameters, key=key, account=account)

    async def retrieve_intent(self, intent_id: str, *, account: str | None) -> Intent:
        """A PaymentIntent as it is now."""
        return await self._ask("get", f"{_INTENTS}/{intent_id}", Intent, {}, account=account)

    async def cancel_intent(self, intent_id: str, *, account: str | None) -> Intent:
        """See to it that a PaymentIntent is never paid."""
        parameters: JSONObject = {"cancellation_reason": "abandoned"}
        return await self._ask("post", f"{_INTENTS}/{intent_id}/cancel", Intent, parameters, account=account)

    async def find_intent(
        self, challenge_id: str, *, since: int, until: int, account: str | None
    ) -> Intent | None:
        """The PaymentIntent for a challenge among those that were created then; None if there is none.

        Stripe's search is a minute behind. Its list is not, and what is not on it is not there.
        """
        parameters: JSONObject = {"created": {"gte": since, "lte": until}, "limit": _PAGE}
        for _ in range(_MAX_PAGES):
            page = await self._ask("get", _INTENTS, _Page, parameters, account=account)
            for intent in page.data:
                if intent.metadata.get(CHALLENGE_ID) == challenge_id:
                    return intent
            if not page.has_more or not page.data:
                return None
            parameters = {**parameters, "starting_after": page.data[-1].id}
        raise Unanswered(f"there are more than {_PAGE * _MAX_PAGES} PaymentIntents around the attempt")

    async def granted_token(self, token: str, *, account: str | None) -> GrantedToken:
        """What a token is good for."""
        path = f"/v1/shared_payment/granted_tokens/{token}"
        return await self._ask("get", path, GrantedToken, {}, account=account)

    async def own_profile(self) -> Profile:
        """The profile of the account that asks."""
        return await self._ask("get", "/v2/network/business_profiles/me", Profile, {})

    async def issue_token(self, path: str, parameters: JSONObject, *, key: str) -> IssuedToken:
        """Have a token made, by the endpoint at `path`; with the same `key`, the same one."""
        return await self._ask("post", path, IssuedToken, parameters, key=key)

    async def aclose(self) -> None:
        """Close the connections, if they are its own."""
        if self._transport is not None:
            await self._transport.close_async()

    async def _ask(
        self,
        verb: str,
        path: str,
        kind: type[T],
        parameters: JSONObject,
        *,
        key: str | None = None,
        account: str | None = None,
    ) -> T:
        try:
            response = await self._client.raw_request_async(
                verb,
                path,
                **parameters,
                stripe_version=self._version,
                stripe_account=account,
                idempotency_key=key,
                # Reading is repeated by the SDK. What moves money is not: its caller knows what to do.
                max_network_retries=1 if verb == "get" else 0,
            )
        except stripe.StripeError as error:
            # The SDK's error quotes tokens, and a traceback would show it.
            raise classify(error) from None
        except ImportError as error:
            raise NotDone(
                "this StripeClient has no asynchronous HTTP client: pip install 'stripe[async]', or give it"
                " an http_client that has"
            ) from error
        try:
            return msgspec.convert(response.data, kind)
        except msgspec.ValidationError as error:
            raise Unanswered("Stripe's answer is not of the shape that is documented") from error


def _check_key(secret_key: str) -> str:
    if not _SECRET_KEY.fullmatch(secret_key):
        what = "this is a publishable key" if secret_key.startswith("pk_") else "this is none"
        raise ConfigurationError(f"secret_key is one of Stripe's, sk_… or rk_…; {what}")
    return secret_key


def _check_version(api_version: str | None) -> str:
    if api_version is not None and not _VERSION.fullmatch(api_version):
        raise ConfigurationError(f"api_version is a version such as {API_VERSION}")
    return api_version or API_VERSION
