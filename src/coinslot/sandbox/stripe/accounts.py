"""The sandbox's accounts, and what authenticates them.

An account is made from a name, and everything about it follows from that: `seller` has the secret key
`sk_test_coinslot_seller`, the restricted key `rk_test_…`, the publishable key `pk_test_…`, the id
`acct_coinslot_seller` and the profile `profile_test_coinslotseller`. So the keys can be written down, and are
the same on every machine. Nothing here is worth stealing.
"""

from __future__ import annotations

import base64
import binascii
import re
from typing import Final

from msgspec import Struct

from coinslot.errors import ConfigurationError
from coinslot.sandbox.stripe.errors import ApiError
from coinslot.sandbox.stripe.shapes import Account, BusinessProfile
from coinslot.sandbox.stripe.shapes.private import Owner
from coinslot.sandbox.stripe.state import State

SELLER: Final = "seller"
BUYER: Final = "buyer"
FIRST: Final = (SELLER, BUYER)
"""The accounts that every sandbox has: tokens are issued by one account to another."""

_NAME: Final = re.compile(r"[a-z0-9]{1,32}")
_KEY: Final = re.compile(r"(sk|rk|pk)_test_coinslot_([a-z0-9]{1,32})")


class Keys(Struct, frozen=True):
    """What belongs to the account called `name`."""

    name: str

    @property
    def account(self) -> str:
        """The account's id."""
        return f"acct_coinslot_{self.name}"

    @property
    def secret_key(self) -> str:
        """What a server authenticates with."""
        return f"sk_test_coinslot_{self.name}"

    @property
    def restricted_key(self) -> str:
        """The same, as a restricted key. Nothing is restricted here."""
        return f"rk_test_coinslot_{self.name}"

    @property
    def publishable_key(self) -> str:
        """What a page would have. No endpoint here takes it."""
        return f"pk_test_coinslot_{self.name}"

    @property
    def profile(self) -> str:
        """The business profile: the network id of an MPP challenge."""
        return f"profile_test_coinslot{self.name}"


def open_account(state: State, name: str) -> Keys:
    """The account called `name`, made if there is none. Raises `ConfigurationError` for what is no name."""
    if not _NAME.fullmatch(name):
        raise ConfigurationError(f"an account's name is 1 to 32 of a-z and 0-9, not {name!r}")
    keys = Keys(name)
    if state.find(Owner, keys.account) is None:
        state.add(Owner(id=keys.account, created=state.now, name=name), keys.account)
    return keys


def all_accounts(state: State) -> list[Keys]:
    """Every account, oldest first."""
    return [Keys(owner.name) for owner in state.all(Owner)]


def authenticate(state: State, authorization: str | None, connected: str | None) -> str:
    """The account that a request is made for: of the key in `authorization`, or the `connected` one.

    Both forms of clients are read: Basic with the key as user name, and Bearer. Raises `ApiError`.
    """
    key = _read_key(authorization)
    if key is None:
        raise _unauthorized(
            "You did not provide an API key. You need to provide your API key in the Authorization header, "
            "using Bearer auth (e.g. 'Authorization: Bearer YOUR_SECRET_KEY')."
        )
    found = _KEY.fullmatch(key)
    keys = Keys(found[2]) if found else None
    if found is None or keys is None or state.find(Owner, keys.account) is None:
        raise _unauthorized(f"Invalid API Key provided: {_redacted(key)}")
    if found[1] == "pk":
        raise ApiError(
            403,
            "This API call cannot be made with a publishable API key. Please use a secret API key.",
            code="secret_key_required",
        )
    if connected is None:
        return keys.account
    if state.find(Owner, connected) is None:
        raise ApiError(
            403,
            f"The provided key '{_redacted(key)}' does not have access to account '{connected[:80]}' (or "
            "that account does not exist). Application access may have been revoked.",
            code="account_invalid",
        )
    return connected


def account_of_profile(state: State, profile: str) -> str | None:
    """Whose profile it is."""
    return next((keys.account for keys in all_accounts(state) if keys.profile == profile), None)


def profile_of(account: str) -> str:
    """The profile of an account."""
    return Keys(account.removeprefix("acct_coinslot_")).profile


def describe(state: State, account: str) -> Account:
    """The account as its owner sees it."""
    owner = state.get(Owner, account)
    return Account(
        id=account,
        created=owner.created,
        email=f"{owner.name}@example.com",
        settings={"dashboard": {"display_name": owner.name, "timezone": "Etc/UTC"}},
    )


def describe_profile(state: State, account: str) -> BusinessProfile:
    """The account's public profile."""
    owner = state.get(Owner, account)
    return BusinessProfile(
        id=Keys(owner.name).profile, display_name=owner.name.capitalize(), username=f"coinslot{owner.name}"
    )


def _read_key(authorization: str | None) -> str | None:
    scheme, _, value = (authorization or "").partition(" ")
    value = value.strip()
    if scheme.lower() == "bearer":
        return value or None
    if scheme.lower() != "basic":
        return None
    try:
        user, _, _ = base64.b64decode(value, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return None
    return user or None


def _redacted(key: str) -> str:
    """What kind of key it is. Somebody may well have pasted one that is worth something."""
    kind = re.match(r"(sk|rk|pk)_(test|live)_", key)
    return f"{kind[0] if kind else ''}{'*' * 8}"


def _unauthorized(message: str) -> ApiError:
    return ApiError(401, message, headers={"WWW-Authenticate": 'Basic realm="Stripe"'})
