"""Simulated deposits: Stripe's test helper for stablecoin PaymentIntents, which the sandbox has as well."""

from __future__ import annotations

import asyncio
import os
import re
import sys
import time
from pathlib import Path
from typing import Final, Literal, TypeAlias

import msgspec
from msgspec import Struct

from coinslot.cli.output import CommandError, Exit
from coinslot.cli.waiting import waiting
from coinslot.methods.stripe.api import API_VERSION
from coinslot.methods.stripe.currencies import as_money
from coinslot.methods.stripe.failures import NotDone, Refused, classify
from coinslot.methods.stripe.sdk import stripe
from coinslot.methods.stripe.transport import Transport, check_api_base
from coinslot.protocol import JSONObject

SECRET_KEY = "STRIPE_SECRET_KEY"  # noqa: S105 - a variable's name

Outcome: TypeAlias = Literal["success", "failed"]

# docs.stripe.com/payments/deposit-mode-stablecoin-payments, on testing: the same on every network.
_HASHES: Final[dict[Outcome, str]] = {
    "success": "0x" + "testsuccess".rjust(64, "0"),
    "failed": "0x" + "testfailed".rjust(64, "0"),
}
_WANTED: Final[dict[Outcome, str]] = {"success": "succeeded", "failed": "requires_payment_method"}
_DECIDED: Final = frozenset({"succeeded", "requires_payment_method", "canceled"})

# Wallets that nobody deposits from: addresses in the form of each network.
_WALLETS: Final = {"solana": "1" * 32}
_EVM_WALLET: Final = "0x" + "1" * 40

_TEST_KEY: Final = re.compile(r"(?:sk|rk)_test_\w{1,255}", re.ASCII)
_LIVE_KEY: Final = re.compile(r"(?:sk|rk)_live_", re.ASCII)
_INTENT: Final = re.compile(r"pi_\w{1,250}", re.ASCII)
_TIMEOUT: Final = 30.0
_LOOK_AGAIN: Final = 0.5


class _Token(Struct):
    token_currency: str


class _Address(Struct):
    supported_tokens: list[_Token] = []


class _Details(Struct):
    deposit_addresses: dict[str, _Address] = {}


class _NextAction(Struct):
    crypto_display_details: _Details | None = None


class _Intent(Struct, kw_only=True):
    """A PaymentIntent, as far as a deposit needs it."""

    id: str
    status: str
    amount: int
    currency: str
    livemode: bool
    next_action: _NextAction | None = None

    def addresses(self) -> dict[str, _Address]:
        """Where it waits for deposits, by network. Raises `CommandError` if it does not."""
        details = self.next_action and self.next_action.crypto_display_details
        if self.status != "requires_action" or not details or not details.deposit_addresses:
            raise CommandError(f"{self.id} is {self.status}, and waits for no deposit", Exit.HTTP_ERROR)
        return details.deposit_addresses


class Simulated(Struct, frozen=True, kw_only=True):
    """A PaymentIntent after a deposit. `wanted` is the status that it was to end in; `amount` is in cents."""

    id: str
    status: str
    wanted: str
    amount: int
    currency: str
    network: str
    transaction_hash: str

    @property
    def money(self) -> str:
        """The amount for people."""
        return as_money(self.amount, self.currency)

    def as_json(self) -> dict[str, object]:
        """What --json prints."""
        return {name: getattr(self, name) for name in self.__struct_fields__ if name != "wanted"}


def find_test_key(file: str | None) -> str:
    """The key in `file` (`-` is stdin), or in STRIPE_SECRET_KEY, or what the user types.

    Raises `CommandError`: for a live key too, which is never sent anywhere.
    """
    key = _read_key(file).strip()
    if _LIVE_KEY.match(key):
        raise CommandError(
            "that is a live key: deposits are simulated with a test key (sk_test_…)", Exit.USAGE
        )
    if not _TEST_KEY.fullmatch(key):
        raise CommandError("that is not one of Stripe's secret keys: sk_test_… or rk_test_…", Exit.USAGE)
    return key


def _read_key(file: str | None) -> str:
    if file == "-":
        return sys.stdin.read(512)
    if file is not None:
        try:
            return Path(file).read_text("utf-8")[:512]
        except (OSError, UnicodeDecodeError) as error:
            raise CommandError(f"the key cannot be read from {file}", Exit.NO_ACCOUNT) from error
    if os.environ.get(SECRET_KEY):
        return os.environ[SECRET_KEY]
    if not sys.stdin.isatty():
        raise CommandError(f"there is no key: set {SECRET_KEY}, or use --secret-key-file", Exit.NO_ACCOUNT)
    from getpass import getpass

    return getpass("Stripe's secret key (sk_test_…): ")


def simulate(
    intent_id: str,
    outcome: Outcome,
    *,
    secret_key: str,
    api_base: str | None,
    network: str | None,
    wait_for: float | None,
) -> Simulated:
    """Have the deposit come. With `wait_for`, wait up to so many seconds for what comes of it.

    Raises `CommandError`, and `ConfigurationError` for an `api_base` that a key should not go to.
    """
    if not _INTENT.fullmatch(intent_id):
        raise CommandError(f"{intent_id[:40]!r} is no PaymentIntent: theirs begin with pi_", Exit.USAGE)
    return asyncio.run(_simulate(_Api(secret_key, api_base), intent_id, outcome, network, wait_for))


async def _simulate(
    api: _Api, intent_id: str, outcome: Outcome, network: str | None, wait_for: float | None
) -> Simulated:
    path = f"/v1/payment_intents/{intent_id}"
    try:
        intent = await api.ask("get", path)
        if intent.livemode:
            raise CommandError(f"{intent_id} is of live mode, where nothing is simulated", Exit.USAGE)
        network, address = _choose(intent, network)
        tokens = address.supported_tokens or [_Token("usdc")]
        intent = await api.ask(
            "post",
            f"/v1/test_helpers/payment_intents/{intent_id}/simulate_crypto_deposit",
            transaction_hash=_HASHES[outcome],
            network=network,
            token_currency=tokens[0].token_currency,
            buyer_wallet=_WALLETS.get(network, _EVM_WALLET),
        )
        if wait_for is not None and intent.status not in _DECIDED:
            intent = await _decided(api, path, wait_for)
    finally:
        await api.aclose()
    return Simulated(
        id=intent.id,
        status=intent.status,
        wanted=_WANTED[outcome],
        amount=intent.amount,
        currency=intent.currency,
        network=network,
        transaction_hash=_HASHES[outcome],
    )


def _choose(intent: _Intent, network: str | None) -> tuple[str, _Address]:
    addresses = intent.addresses()
    chosen = network or next(iter(addresses))
    if chosen not in addresses:
        raise CommandError(
            f"{intent.id} takes deposits on {' and '.join(addresses)}, not on {chosen}", Exit.USAGE
        )
    return chosen, addresses[chosen]


async def _decided(api: _Api, path: str, seconds: float) -> _Intent:
    deadline = time.monotonic() + seconds
    with waiting("waiting for Stripe to take the deposit"):
        while (intent := await api.ask("get", path)).status not in _DECIDED:
            if time.monotonic() >= deadline:
                raise CommandError(
                    f"{intent.id} is {intent.status} after {seconds:g} s, and may yet be decided",
                    Exit.TIMEOUT,
                )
            await asyncio.sleep(_LOOK_AGAIN)
    return intent


class _Api:
    """Stripe's API, for PaymentIntents."""

    def __init__(self, secret_key: str, api_base: str | None) -> None:
        self._transport = Transport(_TIMEOUT)
        self._client = stripe.StripeClient(
            secret_key,
            http_client=self._transport,
            base_addresses={"api": check_api_base(api_base)} if api_base else None,
        )

    async def ask(self, verb: str, path: str, **parameters: str) -> _Intent:
        """The PaymentIntent that is answered. Raises `CommandError`."""
        asked: JSONObject = dict(parameters)
        try:
            response = await self._client.raw_request_async(
                verb, path, **asked, stripe_version=API_VERSION, max_network_retries=1 if verb == "get" else 0
            )
        except stripe.StripeError as error:
            # The SDK's error quotes the key's end.
            raise _explain(error) from None
        try:
            return msgspec.convert(response.data, _Intent)
        except msgspec.ValidationError as error:
            raise CommandError("what answered is not Stripe", Exit.BROKEN_ANSWER) from error

    async def aclose(self) -> None:
        """Close the connections."""
        await self._transport.close_async()


def _explain(error: stripe.StripeError) -> CommandError:
    failure = classify(error)
    match failure:
        case NotDone() if isinstance(error, stripe.APIConnectionError):
            return CommandError(str(failure), Exit.NO_CONNECTION)
        case NotDone():
            return CommandError(f"{failure}: nothing was done", Exit.HTTP_ERROR)
        case Refused(code="resource_missing"):
            return CommandError("this account has no such PaymentIntent", Exit.HTTP_ERROR)
        case Refused():
            return CommandError(str(failure), Exit.HTTP_ERROR)
        case _:
            return CommandError(str(failure), Exit.UNDECIDED)
