"""Twice the input takes the decoders twice the work, counted in function calls: no clock, no luck."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import suppress
from types import FrameType

import pytest

from coinslot.methods.tempo.wire import rlp
from coinslot.methods.tempo.wire.key_authorization import KeyAuthorization, KeyAuthorizationError
from coinslot.methods.tempo.wire.transaction import Transaction, TransactionError
from tempo_strategies import ROOT

TOKEN = b"\x20" * 20
BASE: rlp.Items = (
    b"\x01",
    b"",
    b"\x01",
    b"\x01",
    ((TOKEN, b"", b""),),
    (),
    b"",
    b"",
    b"",
    b"",
    b"",
    b"\x00",
    (),
)
KEY: rlp.Items = (b"\x01", b"", TOKEN)
SIGNATURE = ROOT.sign(bytes(32))


def within(at: int, item: rlp.Item, first: bytes = b"\x76") -> bytes:
    """An envelope with another item in one place."""
    return first + rlp.encode((*BASE[:at], item, *BASE[at + 1 :], SIGNATURE))


def authorizing(*fields: rlp.Item) -> rlp.Items:
    """A key authorization with these fields after the required ones."""
    return ((*KEY, *fields), SIGNATURE)


ENVELOPES: dict[str, Callable[[int], bytes]] = {
    "calls": lambda n: within(4, ((TOKEN, b"", b""),) * n),
    "calldata": lambda n: within(4, ((TOKEN, b"", bytes(25 * n)),)),
    "empty strings in the access list": lambda n: within(5, (b"",) * n),
    "sequences in the access list": lambda n: within(5, ((),) * n),
    "authorizations": lambda n: within(12, ((b"\x01",) * 3,) * n),
    "a long integer": lambda n: within(3, b"\x01" * n),
    "a long signature": lambda n: b"\x76" + rlp.encode((*BASE, b"\x02" * n)),
    "calls handed over": lambda n: within(4, ((TOKEN, b"", b""),) * n, b"\x78"),
    "limits": lambda n: b"\x76" + rlp.encode((*BASE, authorizing(b"", ((TOKEN, b"\x01"),) * n))),
    "bytes without a meaning": lambda n: b"\x76" + b"\x80" * n,
    "sequences one after another": lambda n: b"\x76" + rlp.encode(((),) * n),
}
AUTHORIZATIONS: dict[str, Callable[[int], bytes]] = {
    "limits": lambda n: rlp.encode(authorizing(b"", ((TOKEN, b"\x01"),) * n)),
    "scopes": lambda n: rlp.encode(authorizing(b"", b"", ((TOKEN, ()),) * n)),
    "rules": lambda n: rlp.encode(authorizing(b"", b"", ((TOKEN, ((b"abcd", ()),) * n),))),
    "recipients": lambda n: rlp.encode(authorizing(b"", b"", ((TOKEN, ((b"abcd", (TOKEN,) * n),)),))),
    "fields": lambda n: rlp.encode(authorizing(*(b"\x01",) * n)),
}


def work(read: Callable[[bytes], object], data: bytes) -> int:
    """How many functions, of Python and of C, are called to read `data` or refuse it."""
    count = 0

    def note(frame: FrameType, event: str, argument: object) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    sys.setprofile(note)
    try:
        with suppress(TransactionError, KeyAuthorizationError):
            read(data)
    finally:
        sys.setprofile(None)
    return count


def check(read: Callable[[bytes], object], build: Callable[[int], bytes]) -> None:
    """Assert that twice as much is at most twice the work, give or take what does not depend on the size."""
    once, twice = work(read, build(400)), work(read, build(800))
    assert once > 1
    assert twice <= 2 * once + 20


@pytest.mark.parametrize("build", ENVELOPES.values(), ids=ENVELOPES)
def test_transactions(build: Callable[[int], bytes]) -> None:
    """Envelopes of whatever is repeated in them."""
    check(Transaction.decode, build)
    check(Transaction.decode_sponsored, build)


@pytest.mark.parametrize("build", AUTHORIZATIONS.values(), ids=AUTHORIZATIONS)
def test_key_authorizations(build: Callable[[int], bytes]) -> None:
    """Key authorizations of whatever is repeated in them."""
    check(KeyAuthorization.decode, build)
