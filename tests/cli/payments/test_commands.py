"""`coinslot payments list`, `show` and `totals`: the books, read without being changed."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from typing import Any

import pytest

from coinslot.payments.method import Recovery
from coinslot.payments.payment import State
from coinslot.payments.refunds import RefundState
from command import Run
from ledgers import NOW, make_payment, make_refund
from seller_books import Books

PATH_USD = "0x20C0000000000000000000000000000000000000"
PAYER = "0x332E76A263D1192CF544a94dc056aDbFA40d5A34"
DAY = 86_400


def lines(run: Run) -> list[dict[str, Any]]:
    """The JSON lines on stdout."""
    assert run.code == 0, run.err
    return [json.loads(line) for line in run.text.splitlines()]


def names(run: Run) -> list[str]:
    """The challenges in them."""
    return [line["challenge_id"] for line in lines(run)]


@pytest.fixture
def filled(books: Books) -> Books:
    """Three days of payments: by Tempo and Stripe, in several states."""
    tempo = make_payment(
        challenge_id="tempo-challenge",
        method="tempo",
        currency=PATH_USD,
        state=State.DELIVERED,
        payer=PAYER,
        reference="0xfeed",
        recovery=Recovery(b"hunter2"),
    )
    books.add(
        tempo,
        make_payment(
            challenge_id="stripe-challenge",
            method="stripe",
            currency="usd",
            amount=150,
            state=State.SETTLED,
            created_at=NOW + DAY,
            route="GET /other",
            disputed=True,
        ),
        make_payment(challenge_id="-dashed-challenge", state=State.FAILED, created_at=NOW + 2 * DAY),
        refunds=(
            make_refund(tempo, id="rf_1", amount=2_500, state=RefundState.DONE, reference="0xback"),
            make_refund(tempo, id="rf_2", amount=500, reason="the bank sleeps"),
        ),
    )
    return books


def test_the_newest_payment_is_first(filled: Books) -> None:
    """A line each, with what it was in its currency's unit; a disputed one is marked."""
    run = filled("list")
    assert (run.code, run.err) == (0, "")
    heading, *rows = (line.split() for line in run.text.splitlines())
    assert heading == ["ID", "MADE", "(UTC)", "METHOD", "AMOUNT", "STATE", "ROUTE", "PAYER"]
    assert [row[0] for row in rows] == ["dashed-cha", "stripe-cha", "tempo-chal"]
    assert rows[1][4:] == ["1.50", "USD", "settled", "!", "GET", "/other"]
    assert rows[2][4:] == ["0.01", "pathUSD", "delivered", "GET", "/paid", "0x332E…5A34"]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--method", "tempo"], ["tempo-challenge"]),
        (["--state", "failed", "--state", "settled"], ["-dashed-challenge", "stripe-challenge"]),
        (["--route", "GET /other"], ["stripe-challenge"]),
        (["--payer", PAYER], ["tempo-challenge"]),
        (["--currency", "usd"], ["stripe-challenge"]),
        (["--disputed"], ["stripe-challenge"]),
        (["--since", "2025-06-16"], ["-dashed-challenge", "stripe-challenge"]),
        (["--until", "2025-06-16"], ["tempo-challenge"]),
        (["--since", "24h"], []),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_filters_are_the_books(filled: Books, options: list[str], expected: list[str]) -> None:
    """Each option leaves what it says, newest first."""
    assert names(filled("list", "--json", *options)) == expected


def test_pages_go_on_where_the_last_one_ended(filled: Books) -> None:
    """--limit says how to go on, and --after does; together the pages are the whole list."""
    first = filled("list", "--json", "--limit", "1")
    assert first.err == "coinslot: there are more: go on with --after dashed-challenge\n"
    second = filled("list", "--json", "--limit", "2", "--after", "dashed-challenge")
    assert second.err == ""
    assert names(first) + names(second) == ["-dashed-challenge", "stripe-challenge", "tempo-challenge"]


@pytest.mark.parametrize(
    "text",
    ["tempo-challenge", "temp", "0xfeed", "0xfe", "0xback"],
    ids=["id", "prefix", "ref", "re", "refund"],
)
def test_a_payment_is_found_by_what_people_have(filled: Books, text: str) -> None:
    """Its id, its reference, that of a refund, and the beginning of one of them."""
    assert filled("show", text, "--json").json["challenge_id"] == "tempo-challenge"


@pytest.mark.parametrize("text", ["dashed-challenge", "dashed"])
def test_an_id_that_begins_with_a_dash_is_found_without_it(filled: Books, text: str) -> None:
    """It would be an option."""
    assert filled("show", text, "--json").json["challenge_id"] == "-dashed-challenge"


def test_money_without_a_challenge_goes_by_its_reference(books: Books) -> None:
    """Of those the ids all begin alike."""
    books.add(
        make_payment(challenge_id="unapplied:tempo:1:0xabcdef", reference="0xabcdef", state=State.UNAPPLIED)
    )
    assert books("list").text.splitlines()[1].startswith("0xabcdef ")
    assert books("show", "0xabcd", "--json").json["state"] == "unapplied"


def test_names_that_fit_nothing_or_several_are_refused(filled: Books) -> None:
    """Nothing is guessed: none is 66, several are 2 and listed."""
    none = filled("show", "nothing")
    assert (none.code, none.err) == (66, "coinslot: there is no payment 'nothing'\n")
    filled.add(make_payment(challenge_id="tempo-chalk"))
    several = filled("show", "tempo")
    assert several.code == 2
    assert "tempo-challenge, tempo-chalk" in several.err


def test_show_has_everything_but_what_is_kept_for_recovery(filled: Books) -> None:
    """The payment and its refunds, for people and for programs."""
    content = filled("show", "tempo-challenge", "--json").json
    assert (content["amount"], content["base_units"], content["asset"]) == ("0.01", "10000", "pathUSD")
    assert [(refund["amount"], refund["state"]) for refund in content["refunds"]] == [
        ("0.0025", "done"),
        ("0.0005", "requested"),
    ]
    people = filled("show", "tempo-challenge").text
    assert PAYER in people
    assert "0.0005 pathUSD requested" in people
    assert "the bank sleeps" in people
    for text in (people, json.dumps(content)):
        assert "hunter2" not in text
        assert b"hunter2".hex() not in text


def test_what_a_payer_wrote_moves_no_cursor(books: Books) -> None:
    """Control characters are shown as such, in a list and in one payment."""
    books.add(
        make_payment(challenge_id="wild", route="GET /\x1b[2J", external_id="\u202eevil", payer="\x9bA")
    )
    for run in (books("list"), books("show", "wild"), books("show", "wild", "--json")):
        assert run.code == 0
        assert not set("\x1b\x9b\u202e") & set(run.text)


def test_totals_are_settled_delivered_and_refunded(filled: Books) -> None:
    """A line for each day, method, currency and route; exact, and refunds where their payment is."""
    tempo, stripe, failed = lines(filled("totals", "--json"))
    assert (tempo["day"], tempo["route"], tempo["asset"]) == ("2025-06-15", "GET /paid", "pathUSD")
    assert (tempo["settled"], tempo["delivered"], tempo["refunded"]) == ("0.01", "0.01", "0.0025")
    assert (tempo["refunding"], tempo["refunding_base_units"]) == ("0.0005", "500")
    assert (stripe["settled"], stripe["delivered"], stripe["payments"]) == ("1.5", "0", 1)
    assert (failed["settled"], failed["settled_base_units"]) == (None, "0")
    people = filled("totals", "--method", "tempo").text.splitlines()
    assert people[0].split() == [
        *("DAY", "METHOD", "ROUTE", "PAYMENTS", "SETTLED", "DELIVERED", "REFUNDED", "GOING", "BACK", "IN"),
    ]
    assert people[1].split()[5:] == ["0.01", "0.01", "0.0025", "0.0005", "pathUSD"]


def test_totals_are_put_together_without_mixing_currencies(books: Books) -> None:
    """--by day adds up the routes, --by none all days; each currency of each method stays by itself."""
    for number in range(4):
        books.add(
            make_payment(
                method="stripe",
                currency="usd" if number % 2 else "jpy",
                amount=number + 1,
                state=State.SETTLED,
                route=f"GET /{number}",
                created_at=NOW + number // 2 * DAY,
            )
        )
    by_day = lines(books("totals", "--by", "day", "--json"))
    assert [(line["day"], line["currency"], line["settled_base_units"]) for line in by_day] == [
        ("2025-06-15", "jpy", "1"),
        ("2025-06-15", "usd", "2"),
        ("2025-06-16", "jpy", "3"),
        ("2025-06-16", "usd", "4"),
    ]
    in_all = lines(books("totals", "--by", "none", "--json"))
    assert [(line["day"], line["route"], line["settled"]) for line in in_all] == [
        (None, None, "4"),
        (None, None, "0.06"),
    ]


def test_empty_books_are_said_to_be_empty(books: Books) -> None:
    """Not an error: 0, nothing on stdout and a sentence on stderr."""
    books.add()
    for command in ("list", "totals"):
        run = books(command)
        assert (run.code, run.out, run.err) == (0, b"", "coinslot: there is no such payment\n")


def test_reading_makes_no_ledger(books: Books) -> None:
    """A ledger that is not there is an error, by default and by name, and is not there afterwards."""
    missing = books("list")
    assert missing.code == 66
    assert missing.err == (
        "coinslot: there is no coinslot.db here: name the ledger with --ledger or COINSLOT_LEDGER\n"
    )
    named = books("totals", "--ledger", "sqlite:///elsewhere.db")
    assert (named.code, "there is no ledger" in named.err) == (66, True)
    assert list(books.file.parent.glob("*.db*")) == []
    assert books("list", "--ledger", "memory:").code == 2
    assert books("list", "--ledger", "mysql://hunter2@host").code == 2


def test_the_ledger_can_be_named_in_the_environment(filled: Books) -> None:
    """COINSLOT_LEDGER, and before it --ledger."""
    filled.file.rename(filled.file.with_name("other.db"))
    assert len(lines(filled("list", "--json", COINSLOT_LEDGER="sqlite:///other.db"))) == 3
    run = filled("list", "--ledger", "sqlite:///nowhere.db", COINSLOT_LEDGER="sqlite:///other.db")
    assert run.code == 66


def test_reading_brings_no_ledger_up_to_date(books: Books) -> None:
    """An earlier release's file is left as it is, and another program's too."""
    books.add()
    with closing(sqlite3.connect(books.file)) as connection:
        connection.execute("PRAGMA user_version = 1")
        connection.commit()
    run = books("list")
    assert (run.code, "earlier release" in run.err) == (66, True)
    with closing(sqlite3.connect(books.file)) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (1,)
    books.file.write_bytes(b"not a database, though it is long enough to be taken for one" * 20)
    assert books("list").code == 1
