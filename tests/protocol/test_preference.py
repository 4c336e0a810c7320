from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from coinslot.protocol import PaymentRange, Preference, format_preference, parse_preference
from coinslot.protocol.preference import MAX_PREFERENCE
from strategies import hostile_text

TEMPO, SESSION, SOLANA, STRIPE = (
    ("tempo", "charge"),
    ("tempo", "session"),
    ("solana", "charge"),
    ("stripe", "charge"),
)
names = st.sampled_from(["tempo", "stripe", "solana"])
intents = st.sampled_from(["charge", "session"])
offers = st.lists(st.tuples(names, intents), max_size=6)


def rank(value: str, *offered: tuple[str, str]) -> list[tuple[str, str]]:
    """The offers that remain, in the order in which this `Accept-Payment` value puts them."""
    preference = parse_preference(value)
    assert preference is not None
    return [offered[index] for index in preference.rank(offered)]


class TestParse:
    def test_ranges(self) -> None:
        """Ranges keep their order; a weight is in thousandths, and 1 if there is none."""
        value = "tempo/charge, tempo/* ; q=0.25,, */session;Q=0, x4:a_b-1/Pay-2;q=1.00, */*;q=0.001, a/b;q=0."
        preference = parse_preference(value)
        assert preference == Preference(
            (
                PaymentRange("tempo", "charge", 1000),
                PaymentRange("tempo", "*", 250),
                PaymentRange("*", "session", 0),
                PaymentRange("x4:a_b-1", "Pay-2", 1000),
                PaymentRange("*", "*", 1),
                PaymentRange("a", "b", 0),
            )
        )

    @pytest.mark.parametrize(
        "value",
        [
            "",
            ",",
            "tempo",
            "tempo/",
            "/charge",
            "tempo/charge/x",
            "Tempo/charge",
            "tempo/char ge",
            "te*/charge",
            "tempo/charge;",
            "tempo/charge;q",
            "tempo/charge;q=",
            "tempo/charge;q=2",
            "tempo/charge;q=1.001",
            "tempo/charge;q=0.1234",
            "tempo/charge;q=-1",
            "tempo/charge;q=.5",
            "tempo/charge;q=0.5;q=1",
            "tempo/charge;q=１",
            "tempo/charge stripe/charge",
            '"tempo/charge"',
            "tempo/charge, @",
            "tempo/charge," * 400,
        ],
    )
    def test_malformed(self, value: str) -> None:
        """A value that breaks the grammar anywhere, is empty or too long says nothing."""
        assert parse_preference(value) is None

    @given(hostile_text, offers)
    def test_total(self, value: str, offered: list[tuple[str, str]]) -> None:
        """Any value says nothing or ranks any offers."""
        preference = parse_preference(value)
        if preference is not None:
            assert set(preference.rank(offered)) <= set(range(len(offered)))

    def test_limit(self) -> None:
        """A value is read up to the limit and not beyond."""
        assert parse_preference("a/b".ljust(MAX_PREFERENCE)) is not None
        assert parse_preference("a/b".ljust(MAX_PREFERENCE + 1)) is None


class TestRank:
    def test_examples_of_the_draft(self) -> None:
        """draft-httpauth-payment §Challenge Negotiation with Accept-Payment."""
        everything = (STRIPE, SOLANA, SESSION, TEMPO)
        assert rank("tempo/charge, tempo/session, stripe/charge;q=0.5, solana/charge;q=0.3", *everything) == [
            SESSION,
            TEMPO,
            STRIPE,
            SOLANA,
        ]
        assert rank("tempo/*, solana/*;q=0.6, stripe/charge;q=0.2", *everything) == [
            SESSION,
            TEMPO,
            SOLANA,
            STRIPE,
        ]
        assert rank(
            "tempo/charge, tempo/session;q=0, solana/charge;q=0.8, stripe/charge;q=0.4", *everything
        ) == [TEMPO, SOLANA, STRIPE]
        assert rank("tempo/charge, solana/charge", SOLANA, TEMPO, STRIPE) == [SOLANA, TEMPO]

    @pytest.mark.parametrize(
        ("value", "ranked"),
        [
            ("tempo/*, tempo/charge;q=0", [SESSION]),
            ("tempo/charge;q=0.1, tempo/*;q=0.9", [SESSION, TEMPO]),
            ("*/*;q=0.5, stripe/*", [STRIPE, TEMPO, SESSION]),
            ("*/*;q=0, */charge", [TEMPO, STRIPE]),
            ("*/charge;q=0.5, tempo/*;q=0.7, */*;q=0.6", [TEMPO, SESSION, STRIPE]),
            ("tempo/charge;q=0.2, stripe/charge;q=0.5, tempo/charge;q=0.8", [TEMPO, STRIPE]),
            ("*/*", [TEMPO, SESSION, STRIPE]),
        ],
    )
    def test_specificity(self, value: str, ranked: list[tuple[str, str]]) -> None:
        """The most specific range decides, or the heavier of equals; ties keep the server's order."""
        assert rank(value, TEMPO, SESSION, STRIPE) == ranked

    @pytest.mark.parametrize("value", ["bitcoin/charge", "tempo/charge;q=0", "*/*;q=0"])
    def test_nothing_acceptable(self, value: str) -> None:
        """If no offer is acceptable they are all made, in the server's order."""
        assert rank(value, TEMPO) == [TEMPO]
        assert rank("bitcoin/*", TEMPO, STRIPE) == [TEMPO, STRIPE]

    @given(offers, offers)
    def test_what_a_wallet_sends(
        self, payable: list[tuple[str, str]], offered: list[tuple[str, str]]
    ) -> None:
        """What a wallet can pay with is what remains of the offers, in the server's order."""
        preference = parse_preference(format_preference(payable))
        if not payable:
            assert preference is None
            return
        assert preference is not None
        ranked = [offered[index] for index in preference.rank(offered)]
        assert ranked == ([offer for offer in offered if offer in payable] or offered)


def test_format() -> None:
    """Pairs are written in order, each once."""
    assert format_preference([TEMPO, STRIPE, TEMPO, SESSION]) == "tempo/charge, stripe/charge, tempo/session"
    assert format_preference([]) == ""
