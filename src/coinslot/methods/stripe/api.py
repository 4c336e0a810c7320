"""Stripe's API, as far as charges need it: through the official SDK, with failures that speak of money.

The endpoints are in preview, so the SDK has no types for most of them; requests are made with its raw
requests, and answers read into the few members that matter here (`objects`).
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Mapping
from typing import Final, Generic, TypeVar

import msgspec
from msgspec import Struct

from coinslot.errors import ConfigurationError
from coinslot.methods.stripe.deposit_objects import DepositAddress, DepositIntent
from coinslot.methods.stripe.failures import NotDone, Unanswered, classify
from coinslot.methods.stripe.metadata import CHALLENGE_ID, REFUND_KEY
from coinslot.methods.stripe.objects import (
    ChargedIntent,
    Dispute,
    GrantedToken,
    Intent,
    IssuedToken,
    Profile,
    Refund,
)
from coinslot.methods.stripe.sdk import stripe
from coinslot.methods.stripe.tokens import keep_out_of_logs
from coinslot.methods.stripe.transport import Transport, check_api_base
from coinslot.protocol import JSONObject

API_VERSION: Final = "2026-07-29.preview"
"""The version that is asked for: shared payment tokens are in preview. mppx and pympp ask for the same."""

_SECRET_KEY: Final = re.compile(r"(?:sk|rk)_(?:test|live)_\w{1,255}+", re.ASCII)
_VERSION: Final = re.compile(r"\d{4}-\d{2}-\d{2}\.[a-z]+", re.ASCII)

_SEARCHABLE: Final = re.compile(r"[\w-]{1,255}+", re.ASCII)

_INTENTS: Final = "/v1/payment_intents"
_REFUNDS: Final = "/v1/refunds"
_PAGE: Final = 100
_MAX_PAGES: Final = 20

T = TypeVar("T")


class _Page(Struct, Generic[T]):
    data: list[T]
    has_more: bool


class StripeApi:
    """The calls. Each raises a `StripeFailure`.

    Made with a `secret_key`, it has connections of its own; a `client` is used as its owner configured it,
    except for the API version and for repeating by itself what moves money. `timeout` is in seconds;
    `livemode` says whether real money moves, if there was a `secret_key` to tell by.
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
        self.livemode = None if secret_key is None else "_live_" in secret_key[:8]
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
        self, key: str, *, since: int, until: int, account: str | None, name: str = CHALLENGE_ID
    ) -> Intent | None:
        """The PaymentIntent for a challenge among those that were created then; None if there is none.

        It is known by its metadata: the challenge's id, or another `key` under another `name`.

        Stripe's search is a minute behind. Its list is not, and what is not on it is not there.
        """
        created: JSONObject = {"created": {"gte": since, "lte": until}}
        async for intent in self.list_all(_INTENTS, Intent, created, account=account):
            if intent.metadata.get(name) == key:
                return intent
        return None

    async def create_refund(self, parameters: JSONObject, *, key: str, account: str | None) -> Refund:
        """Give money back. `key` is the idempotency key: with it, it is given back once."""
        return await self._ask("post", _REFUNDS, Refund, parameters, key=key, account=account)

    async def retrieve_refund(self, refund_id: str, *, account: str | None) -> Refund:
        """A refund as it is now."""
        return await self._ask("get", f"{_REFUNDS}/{refund_id}", Refund, {}, account=account)

    async def find_refund(self, key: str, *, intent_id: str, account: str | None) -> Refund | None:
        """The refund of a PaymentIntent that has our `key` in its metadata; None if there is none."""
        async for refund in self.list_all(_REFUNDS, Refund, {"payment_intent": intent_id}, account=account):
            if refund.metadata.get(REFUND_KEY) == key:
                return refund
        return None

    async def own_refunds(self, intent_id: str, *, account: str | None) -> list[str]:
        """The ids of a PaymentIntent's refunds that have a key of ours."""
        found = self.list_all(_REFUNDS, Refund, {"payment_intent": intent_id}, account=account)
        return [refund.id async for refund in found if REFUND_KEY in refund.metadata]

    async def is_disputed(self, intent_id: str, *, account: str | None) -> bool:
        """Whether the payer's bank wants the money of a PaymentIntent back, or has taken it."""
        parameters: JSONObject = {"payment_intent": intent_id}
        found = self.list_all("/v1/disputes", Dispute, parameters, account=account)
        return any([dispute.is_against_seller async for dispute in found])

    async def create_deposit(self, parameters: JSONObject, *, key: str) -> DepositIntent:
        """Create a PaymentIntent in deposit mode. `key` is the idempotency key."""
        return await self._ask("post", _INTENTS, DepositIntent, parameters, key=key)

    async def retrieve_deposit(self, intent_id: str) -> DepositIntent:
        """The same as it is now."""
        return await self._ask("get", f"{_INTENTS}/{intent_id}", DepositIntent, {})

    async def label_intent(self, intent_id: str, metadata: Mapping[str, str]) -> Intent:
        """Add metadata to a PaymentIntent, which changes nothing else."""
        return await self._ask("post", f"{_INTENTS}/{intent_id}", Intent, {"metadata": {**metadata}})

    async def create_deposit_address(self, parameters: JSONObject, *, key: str) -> DepositAddress:
        """Have an address for any number of payments. `key` is the idempotency key."""
        return await self._ask("post", "/v1/crypto/deposit_addresses", DepositAddress, parameters, key=key)

    async def list_all(
        self,
        path: str,
        kind: type[T],
        parameters: JSONObject,
        *,
        account: str | None,
        pages: int | None = None,
    ) -> AsyncIterator[T]:
        """What is on a list, the newest first, a page at a time.

        `kind` has an `id`. Raises `Unanswered` if there are more than `pages` of it.
        """
        asked, pages = {**parameters, "limit": _PAGE}, pages or _MAX_PAGES
        for _ in range(pages):
            page: _Page[T] = await self._ask("get", path, _Page[kind], asked, account=account)  # type: ignore[valid-type]  # generic Structs are built when asked for
            for each in page.data:
                yield each
            if not page.has_more or not page.data:
                return
            asked["starting_after"] = str(getattr(page.data[-1], "id"))  # noqa: B009 - of any kind
        raise Unanswered(f"there is more on the list of {path} than {_PAGE * pages}")

    async def retrieve_charged(self, intent_id: str) -> ChargedIntent:
        """A PaymentIntent as it is now, with its charge."""
        expanded: JSONObject = {"expand": ["latest_charge"]}
        return await self._ask("get", f"{_INTENTS}/{intent_id}", ChargedIntent, expanded)

    async def search_intent(self, challenge_id: str) -> str | None:
        """The id of the PaymentIntent for a challenge, whenever it was created.

        The search knows of what is a minute old, and of challenges whose ids it can be asked for.
        """
        if not _SEARCHABLE.fullmatch(challenge_id):
            return None
        query: JSONObject = {"query": f"metadata['{CHALLENGE_ID}']:'{challenge_id}'"}
        page: _Page[Intent] = await self._ask("get", f"{_INTENTS}/search", _Page[Intent], query)
        return page.data[0].id if len(page.data) == 1 else None

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

    async def read_token(self, path: str) -> IssuedToken:
        """A token as it is now."""
        return await self._ask("get", path, IssuedToken, {})

    async def revoke_token(self, path: str) -> None:
        """See to it that a token is not charged any more."""
        await self._ask("post", path, IssuedToken, {})

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
