"""Misconfiguration fails at once, in one sentence that says what to do."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from coinslot import AmountError, ConfigurationError, Paywall
from coinslot.server.settings import resolve_realm, resolve_secrets
from scrip import Mint, ScripCharge

SECRET = "a secret of at least thirty-two bytes"


@pytest.mark.parametrize(
    ("secret", "environ", "message"),
    [
        (None, {}, "MPP_SECRET_KEY"),
        ("", {}, "MPP_SECRET_KEY"),
        ("short", {}, "5 bytes"),
        (None, {"MPP_SECRET_KEY": "short"}, "32"),
        (["x" * 32, "short"], {}, r"secret_key\[1\]"),
        ([], {}, "MPP_SECRET_KEY"),
    ],
)
def test_secrets_that_cannot_work(secret: Any, environ: dict[str, str], message: str) -> None:
    """A missing or short secret is named, and its text is not repeated."""
    with pytest.raises(ConfigurationError, match=message) as raised:
        resolve_secrets(secret, environ)
    assert "short" not in str(raised.value)


def test_secrets_that_work() -> None:
    """Text and bytes, one or several, from the argument or the environment."""
    assert resolve_secrets("é" * 16, {}) == ["é".encode() * 16]
    assert resolve_secrets([b"a" * 32, "b" * 32], {}) == [b"a" * 32, b"b" * 32]
    assert resolve_secrets(None, {"MPP_SECRET_KEY": "c" * 32}) == [b"c" * 32]


def test_the_realm_comes_from_the_argument_then_the_environment(caplog: pytest.LogCaptureFixture) -> None:
    """The argument wins, then `MPP_REALM`, then the platform; with none it is localhost, and says so."""
    assert resolve_realm("a", {"MPP_REALM": "b"}) == "a"
    assert resolve_realm(None, {"MPP_REALM": "b", "VERCEL_URL": "c"}) == "b"
    assert resolve_realm(None, {"VERCEL_URL": "c"}) == "c"
    with caplog.at_level(logging.WARNING):
        assert resolve_realm(None, {}) == "localhost"
    assert "MPP_REALM" in caplog.text


@pytest.mark.parametrize("realm", ["a|b", "café", "a\nb"])
def test_a_realm_that_cannot_be_bound_is_refused(realm: str) -> None:
    """A realm goes into a header and into the binding, so it is plain ASCII without the separator."""
    with pytest.raises(ConfigurationError, match="printable ASCII"):
        resolve_realm(realm, {})


def test_methods_are_checked() -> None:
    """No methods, or something that is no method, is refused by name."""
    with pytest.raises(ConfigurationError, match="at least one"):
        Paywall([], secret_key=SECRET, ledger="memory:")
    with pytest.raises(ConfigurationError, match="object is not a payment method"):
        Paywall([object()], secret_key=SECRET, ledger="memory:")  # type: ignore[list-item]
    with pytest.raises(ConfigurationError, match="lower-case"):
        Paywall([ScripCharge(Mint(), name="Scrip2")], secret_key=SECRET, ledger="memory:")


@pytest.mark.parametrize(
    "setting",
    [{"expires_in": 0}, {"settle_timeout": -1}, {"redeliveries": -1}, {"redelivery_window": float("nan")}],
)
def test_numbers_that_cannot_work(setting: dict[str, Any]) -> None:
    """A time or a count that cannot work is named."""
    with pytest.raises(ConfigurationError, match=next(iter(setting))):
        Paywall([ScripCharge(Mint())], secret_key=SECRET, realm="shop", ledger="memory:", **setting)


def test_two_methods_of_a_kind_are_refused() -> None:
    """A credential names a method and an intent, so there is one of each."""
    with pytest.raises(ConfigurationError, match="two methods for scrip/charge"):
        Paywall([ScripCharge(Mint()), ScripCharge(Mint())], secret_key=SECRET, ledger="memory:")


@pytest.mark.parametrize(
    ("price", "error"),
    [
        ("0.001", AmountError),
        ("1e2", AmountError),
        ("-1", AmountError),
        ("free", AmountError),
        ("", AmountError),
        ("1000000", ConfigurationError),
        (0.01, ConfigurationError),
        (None, ConfigurationError),
    ],
)
def test_prices_are_checked_when_they_are_written_down(price: Any, error: type[Exception]) -> None:
    """A price that cannot be charged exactly fails where it is written, before any request."""
    paywall = Paywall([ScripCharge(Mint())], secret_key=SECRET, realm="shop", ledger="memory:")
    with pytest.raises(error):
        paywall.charge(price)


def test_nothing_shows_a_secret() -> None:
    """Neither the paywall nor its gates say the secret."""
    paywall = Paywall([ScripCharge(Mint())], secret_key=SECRET, realm="shop", ledger="memory:")
    assert SECRET not in repr(paywall) + repr(paywall.charge("0.01"))
