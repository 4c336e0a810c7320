"""What is enough to pay with, for an account and for an access key."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st
from msgspec.structs import replace

from coinslot.errors import WalletError
from coinslot.methods.tempo.client.spending import (
    Need,
    check_access_key,
    check_authorization,
    find_shortage,
    limited,
)
from coinslot.methods.tempo.client.survey import Means
from coinslot.methods.tempo.keys import PrivateKey
from coinslot.methods.tempo.wire.key_authorization import KeyAuthorization, TokenLimit
from coinslot.methods.tempo.wire.keychain import KeyInfo
from coinslot.methods.tempo.wire.p256 import P256Key
from coinslot.methods.tempo.wire.signatures import AccessKey
from tempo_buying import ALPHA_USD, PATH_USD

ROOT = PrivateKey(b"\x11" * 32)
KEY = AccessKey(PrivateKey(b"\x22" * 32), ROOT.address)
NOW = 1_900_000_000
AUTHORIZATION = KeyAuthorization(
    chain_id=42431, key_type="secp256k1", key_address=KEY.key_address, expiry=NOW + 60
)
KNOWN = KeyInfo(
    key_type="secp256k1", address=KEY.key_address, expiry=NOW + 60, enforces_limits=True, is_revoked=False
)

units = st.integers(0, 10)


@given(units, st.none() | units, units, units)
def test_everything_has_to_be_covered(balance: int, limit: int | None, amount: int, fee: int) -> None:
    """There is a shortage exactly if the balance, or the key's limit, is below amount and fee together."""
    shortage = find_shortage(
        Need(token=PATH_USD, amount=amount, fee=fee), Means(balance=balance, limit=limit)
    )
    is_limited = limit is not None and limit < amount + fee
    assert (shortage is None) == (balance >= amount + fee and not is_limited)
    if shortage is not None:
        assert (shortage.of_key, shortage.available) == (is_limited, limit if is_limited else balance)


def test_a_shortage_is_told_in_a_sentence() -> None:
    """Who has, or may spend, how much, and what it takes: with the fee if that is known."""
    need = Need(token=PATH_USD, amount=10_000)
    poor = find_shortage(need, Means(balance=5_000))
    assert poor is not None
    assert poor.explain(ROOT, 42431) == (
        f"{ROOT.address} has 0.005 pathUSD on chain 42431; this payment needs 0.01"
    )
    assert poor.describe(42431) == "it has 0.005 pathUSD"
    bound = find_shortage(replace(need, fee=2_500), Means(balance=10**9, limit=12_499))
    assert bound is not None
    assert bound.explain(KEY, 42431) == (
        f"the access key {KEY.key_address} of {ROOT.address} may spend 0.012499 pathUSD on chain 42431; this"
        " payment needs 0.0125 (0.01, and a fee of up to 0.0025)"
    )
    assert bound.describe(42431) == "its access key may spend 0.012499 pathUSD"


@pytest.mark.parametrize(
    ("known", "limits", "expected"),
    [
        (None, None, None),
        (KNOWN, None, 7),
        (replace(KNOWN, enforces_limits=False), None, None),
    ],
)
def test_the_chains_limit_counts_if_the_key_has_any(
    known: KeyInfo | None, limits: None, expected: int | None
) -> None:
    """A key without limits has a remaining limit of zero on the chain, which means nothing."""
    means = limited(Means(balance=9, limit=7), PATH_USD, known, limits)
    assert means == Means(balance=9, limit=expected)


@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        (None, None),
        ((), 0),
        ((TokenLimit(ALPHA_USD, 5),), 0),
        ((TokenLimit(PATH_USD, 5),), 5),
        ((TokenLimit(PATH_USD, 5), TokenLimit(PATH_USD, 6), TokenLimit(ALPHA_USD, 7)), 6),
    ],
)
def test_an_authorization_brings_its_own_limits(
    limits: tuple[TokenLimit, ...] | None, expected: int | None
) -> None:
    """Of a key that the chain does not know yet, the authorization says how much of which token."""
    authorization = replace(AUTHORIZATION, limits=limits)
    means = limited(Means(balance=9, limit=0), PATH_USD, KNOWN, authorization)
    assert means == Means(balance=9, limit=expected)


@pytest.mark.parametrize(
    ("known", "reason"),
    [
        (replace(KNOWN, is_revoked=True, expiry=0), "was revoked"),
        (replace(KNOWN, expiry=NOW), "has expired"),
        (replace(KNOWN, key_type="p256"), "as a key of type p256, and is one of type secp256k1"),
    ],
)
def test_a_key_that_may_not_sign_any_more(known: KeyInfo, reason: str) -> None:
    """Revoked, expired, or authorized as something else: it is named, and nothing is signed."""
    with pytest.raises(WalletError, match=f"{KEY.key_address}.*{reason}.*Nothing was paid"):
        check_access_key(KEY, known, NOW)


@pytest.mark.parametrize("known", [KNOWN, replace(KNOWN, expiry=0)])
def test_a_key_that_may_sign(known: KeyInfo) -> None:
    """One in its time may, and what the chain does not know is judged by its authorization."""
    check_access_key(KEY, known, NOW)
    check_access_key(ROOT, None, NOW)


@pytest.mark.parametrize(
    ("authorization", "reason"),
    [
        (None, "has not authorized"),
        (replace(AUTHORIZATION, chain_id=4217).sign(ROOT), "for chain 4217, not for 42431"),
        (replace(AUTHORIZATION, expiry=NOW).sign(ROOT), "has expired"),
        (AUTHORIZATION.sign(PrivateKey(b"\x33" * 32)), "not for it, or not by"),
        (replace(AUTHORIZATION, key_address=ROOT.address).sign(ROOT), "not for it, or not by"),
        (AUTHORIZATION, "cannot be read: the key authorization is not signed"),
    ],
)
def test_an_authorization_that_authorizes_nothing(
    authorization: KeyAuthorization | None, reason: str
) -> None:
    """Missing, over, of another chain, by somebody else or for another key: nothing is signed on it."""
    with pytest.raises(WalletError, match=reason):
        check_authorization(AccessKey(KEY.key, ROOT.address, authorization), 42431, NOW)


@pytest.mark.parametrize("root", [ROOT, P256Key(b"\x11" * 32)])
def test_a_good_authorization(root: PrivateKey | P256Key) -> None:
    """Signed by the account's own key, of whatever kind, for this key and chain, and not over."""
    good = AUTHORIZATION.sign(root)
    assert check_authorization(AccessKey(KEY.key, root.address, good), 42431, NOW) is good
    endless = replace(AUTHORIZATION, expiry=None).sign(root)
    assert check_authorization(AccessKey(KEY.key, root.address, endless), 42431, NOW) is endless
