from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, strategies as st
from msgspec.structs import replace

from coinslot.errors import ConfigurationError, PaymentUnavailable, VerificationFailed
from coinslot.methods import tempo
from coinslot.methods.tempo.node import CHAIN_LAG
from coinslot.methods.tempo.server.fee_policy import FeeBudget, FeePayerPolicy, check_sponsored
from tempo_payments import GWEI, issue, unsigned

NOW = 1_800_000_000.0
SPONSORED = issue(
    tempo.charge("0x742d35Cc6634C0532925a3b844Bc9e7595f8fE00", fee_payer=tempo.PrivateKey(b"\x22" * 32)),
    expires_at=NOW + 300,
)
GOOD = unsigned(SPONSORED, now=NOW)
DOLLAR = 10**18


class Clock:
    """A clock that goes only when it is told to."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_the_ceiling_of_the_fee_is_exact() -> None:
    """What a transaction can cost is its gas limit times its fee cap, in attodollars."""
    assert check_sponsored(GOOD, FeePayerPolicy(), NOW) == 1_000_000 * 20 * GWEI


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"nonce_key": 0}, "lane of expiring nonces"),
        ({"gas_limit": 2_000_001}, "gas limit is more than 2000000"),
        ({"max_fee_per_gas": 100 * GWEI + 1, "gas_limit": 1}, "fee per gas may be more than"),
        ({"max_fee_per_gas": 60 * GWEI, "max_priority_fee_per_gas": 50 * GWEI + 1}, "priority fee per gas"),
        ({"max_fee_per_gas": 50 * GWEI + 1}, r"fee may come to 0.050000000001, more than 0.05"),
        ({"valid_before": int(NOW) + 91}, "valid for longer than 90 s"),
    ],
    ids=str,
)
def test_each_limit_is_named(changes: dict[str, Any], reason: str) -> None:
    """One step beyond a limit is refused, by the name of the limit."""
    with pytest.raises(VerificationFailed, match=f"does not pay the fee of this transaction: .*{reason}"):
        check_sponsored(replace(GOOD, **changes), FeePayerPolicy(), NOW)


@pytest.mark.parametrize(
    "changes",
    [{"max_gas": 0}, {"max_fee": "0"}, {"max_fee": "-1"}, {"max_fee": "a cent"}, {"max_in_flight": -1}],
    ids=str,
)
def test_limits_that_limit_everything_are_refused(changes: dict[str, Any]) -> None:
    """A policy is checked when it is made."""
    with pytest.raises(ConfigurationError, match=next(iter(changes))):
        FeePayerPolicy(**changes)


class TestBudget:
    """What all payments together may cost."""

    def test_the_fees_under_way_are_bounded(self, clock: Clock) -> None:
        """Beyond the sum nothing is sponsored until something is finished."""
        budget = FeeBudget(FeePayerPolicy(max_in_flight_fee="0.10", max_in_flight_per_payer=9), clock)
        budget.reserve("a", "payer", 6 * DOLLAR // 100, NOW + 25)
        with pytest.raises(PaymentUnavailable, match="Too many sponsored payments are under way") as refusal:
            budget.reserve("b", "payer", 5 * DOLLAR // 100, NOW + 25)
        assert refusal.value.retry_after
        budget.release("a")
        budget.reserve("b", "payer", 5 * DOLLAR // 100, NOW + 25)
        assert budget.at_stake == 5 * DOLLAR // 100

    def test_their_number_is_bounded(self, clock: Clock) -> None:
        """In all, and of one payer."""
        budget = FeeBudget(FeePayerPolicy(max_in_flight=3, max_in_flight_per_payer=2), clock)
        budget.reserve("a", "one", 1, NOW + 25)
        budget.reserve("b", "one", 1, NOW + 25)
        with pytest.raises(PaymentUnavailable, match="of this account are under way"):
            budget.reserve("c", "one", 1, NOW + 25)
        budget.reserve("c", "two", 1, NOW + 25)
        with pytest.raises(PaymentUnavailable, match="Too many sponsored payments are under way"):
            budget.reserve("d", "three", 1, NOW + 25)

    def test_the_same_transaction_is_reserved_for_once(self, clock: Clock) -> None:
        """Whoever presents it again takes no second place."""
        budget = FeeBudget(FeePayerPolicy(max_in_flight=1), clock)
        budget.reserve("a", "payer", 7, NOW + 25)
        budget.reserve("a", "payer", 7, NOW + 25)
        assert budget.at_stake == 7

    def test_what_cannot_come_any_more_is_free(self, clock: Clock) -> None:
        """An outcome that nobody found out holds its place until the chain is past its validBefore."""
        budget = FeeBudget(FeePayerPolicy(max_in_flight=1), clock)
        budget.reserve("a", "payer", 1, NOW + 25)
        clock.now = NOW + 25 + CHAIN_LAG
        with pytest.raises(PaymentUnavailable):
            budget.reserve("b", "payer", 1, NOW + 60)
        clock.now += 1
        budget.reserve("b", "payer", 1, NOW + 60)

    def test_who_costs_fees_for_nothing_is_not_sponsored_for_an_hour(self, clock: Clock) -> None:
        """Reverted payments of one payer are counted, and others go on."""
        budget = FeeBudget(FeePayerPolicy(max_reverts_per_payer=2), clock)
        for key in ("a", "b"):
            budget.reserve(key, "payer", 1, NOW + 25)
            budget.lose(key)
        with pytest.raises(PaymentUnavailable, match="reverted at the seller's expense") as refusal:
            budget.reserve("c", "payer", 1, NOW + 25)
        assert refusal.value.retry_after == 3600
        budget.reserve("c", "another", 1, NOW + 25)
        clock.now += 3600
        budget.reserve("d", "payer", 1, clock.now + 25)

    def test_losses_of_all_together_are_bounded(self, clock: Clock) -> None:
        """Payers without number cannot cost more than the policy says in an hour."""
        budget = FeeBudget(FeePayerPolicy(max_lost_fee="0.10"), clock)
        for number in range(9):
            budget.reserve(str(number), f"payer {number}", DOLLAR // 100, NOW + 25)
            budget.lose(str(number))
        budget.reserve("10", "payer 10", DOLLAR // 100, NOW + 25)
        with pytest.raises(PaymentUnavailable, match="not sponsored right now"):
            budget.reserve("11", "payer 11", 1, NOW + 25)

    def test_an_empty_purse_is_noticed(self, clock: Clock) -> None:
        """A balance below what is under way sponsors nothing, and the operator reads whose it is."""
        budget = FeeBudget(FeePayerPolicy(), clock)
        budget.reserve("a", "payer", 2 * 10**12 + 1, NOW + 25)
        budget.check_funds(3, 0, "0xtoken", "0xpayer")
        with pytest.raises(PaymentUnavailable) as refusal:
            budget.check_funds(2, 0, "0xtoken", "0xpayer")
        assert refusal.value.log == (
            "the fee payer 0xpayer holds 0.000002 of 0xtoken: too little for the fees under way"
        )

    @given(
        st.lists(st.tuples(st.sampled_from("rlx"), st.integers(0, 5), st.integers(1, 10**17)), max_size=60)
    )
    def test_it_never_promises_more_than_it_may(self, steps: list[tuple[str, int, int]]) -> None:
        """Whatever comes, what is at stake stays within the limit, and so do the losses by one payment."""
        clock = Clock()
        budget = FeeBudget(FeePayerPolicy(max_in_flight_fee="0.20", max_lost_fee="0.30"), clock)
        lost = 0
        for step, key, fee in steps:
            clock.now += 1
            if step == "r":
                try:
                    budget.reserve(str(key), f"payer {key}", fee, clock.now + 25)
                except PaymentUnavailable:
                    continue
            elif step == "l":
                before = budget.at_stake
                budget.lose(str(key))
                lost += before - budget.at_stake
            else:
                budget.release(str(key))
            assert budget.at_stake <= DOLLAR // 5
            assert lost <= 3 * DOLLAR // 10
