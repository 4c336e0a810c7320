"""What a payment is made of, before a node is asked."""

from __future__ import annotations

import math
import time
from decimal import Decimal

import pytest
from hypothesis import given, strategies as st
from msgspec.structs import replace

from coinslot.errors import ChallengeExpired, OverLimit
from coinslot.methods.tempo.client.drafting import VALIDITY, draft_payment, fee_of, priced
from coinslot.methods.tempo.client.survey import Conditions, Means
from coinslot.methods.tempo.keys import PrivateKey
from coinslot.methods.tempo.node import SENDING_MARGIN
from coinslot.methods.tempo.server.verification import check_transaction
from coinslot.methods.tempo.wire import Swap, Transaction
from coinslot.methods.tempo.wire.terms import Terms
from coinslot.protocol import Challenge, JSONObject
from tempo_buying import ALPHA_USD, PATH_USD, asking
from tempo_payments import new_address

NOW = 1_900_000_000.5


def drafted(challenge: Challenge, *, now: float, swap: Swap | None = None) -> Transaction:
    """What an account would pay the challenge with."""
    terms = Terms.from_request(challenge.decode_request())
    return draft_payment(challenge, terms, client_id=None, swap=swap, now=now)


def conditions(*, gas: int = 300_000, base_fee: int = 20 * 10**9, priority_fee: int = 0) -> Conditions:
    """What a node says."""
    return Conditions(means=Means(balance=10**9), gas=gas, base_fee=base_fee, priority_fee=priority_fee)


@given(st.floats(-10, 400))
def test_it_ends_with_the_challenge_and_soon(left: float) -> None:
    """`validBefore` is within the challenge's expiry and the time that chains take, or there is no draft."""
    challenge = asking(expires_at=NOW + left)
    expires = challenge.expires_at()
    assert expires is not None
    end = min(int(NOW) + VALIDITY, math.floor(expires))
    if end <= NOW + SENDING_MARGIN:
        with pytest.raises(ChallengeExpired, match="too soon to be paid"):
            drafted(challenge, now=NOW)
    else:
        assert drafted(challenge, now=NOW).valid_before == end


def test_without_an_expiry_it_ends_soon_all_the_same() -> None:
    """A challenge that is good for ever does not make a transaction that is."""
    endless = replace(asking(), expires=None)
    assert drafted(endless, now=NOW).valid_before == int(NOW) + VALIDITY


@pytest.mark.parametrize("swapped", [False, True])
@pytest.mark.parametrize(
    "details",
    [
        {},
        {"memo": "0x" + "22" * 32},
        {"splits": [{"recipient": new_address(), "amount": "1", "memo": "0x" + "33" * 32}]},
        {"feePayer": True},
    ],
    ids=["plain", "memo", "splits", "sponsored"],
)
def test_our_server_takes_what_our_wallet_drafts(details: JSONObject, swapped: bool) -> None:
    """Whatever the terms, the transaction is one that pays them and does nothing else."""
    challenge = asking(details=details)
    swap = Swap(token_in=ALPHA_USD, token_out=PATH_USD, amount_out=10_000, max_amount_in=10_100)
    transaction = priced(
        drafted(challenge, now=time.time(), swap=swap if swapped else None), conditions(), Decimal(1)
    )
    key = PrivateKey(b"\x11" * 32)
    terms = Terms.from_request(challenge.decode_request())
    signer = check_transaction(transaction.sign(key), challenge, None, terms, time.time())
    assert signer.account == key.address


@given(
    st.integers(21_000, 30_000_000),
    st.integers(0, 10**12),
    st.integers(0, 10**12),
    st.decimals(0, 100, places=6),
)
def test_no_fee_is_above_the_limit(gas: int, base_fee: int, priority_fee: int, limit: Decimal) -> None:
    """What a transaction may cost is at most `max_fee`, to the last base unit, whatever the node says."""
    found = conditions(gas=gas, base_fee=base_fee, priority_fee=priority_fee)
    unpriced = drafted(asking(), now=time.time())
    most = (gas * 5 // 4 + 10_000) * (base_fee * 3 // 2 + priority_fee)
    if most > int(limit * 10**6) * 10**12:
        with pytest.raises(OverLimit) as error:
            priced(unpriced, found, limit)
        assert error.value.price is not None
        assert error.value.price > limit == error.value.limit
        return
    transaction = priced(unpriced, found, limit)
    assert transaction.gas_limit * transaction.max_fee_per_gas <= fee_of(transaction) * 10**12
    assert fee_of(transaction) <= limit * 10**6
    assert transaction.gas_limit > gas
    assert transaction.max_fee_per_gas >= base_fee + priority_fee


def test_somebody_elses_fee_costs_nothing() -> None:
    """Where the seller pays the fee, none of it is the sender's, however high it is."""
    transaction = priced(
        drafted(asking(details={"feePayer": True}), now=time.time()),
        conditions(base_fee=10**15),
        Decimal(0),
    )
    assert fee_of(transaction) == 0
    assert transaction.max_fee_per_gas > 10**15
