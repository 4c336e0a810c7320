"""`coinslot payments refund`, `reconcile` and `audit`, with a Paywall whose money is scrip."""

from __future__ import annotations

import json
import time
from pathlib import Path
from types import ModuleType

import pytest

from coinslot.payments.method import Failed, Movement, Recovery, Unknown
from coinslot.payments.payment import Payment, State
from coinslot.payments.refunds import RefundState
from command import Terminal
from ledgers import make_payment
from seller_books import Books


@pytest.fixture
def paid(books: Books, shop: ModuleType) -> Payment:
    """A payment of 150 that was delivered."""
    payment = make_payment(
        challenge_id="paid",
        amount=150,
        currency="scrip",
        payer="bearer",
        state=State.DELIVERED,
        created_at=time.time() - 60,
    )
    books.add(payment)
    return payment


def test_a_refund_says_what_it_does_and_does_it(books: Books, shop: ModuleType, paid: Payment) -> None:
    """In part and then the rest; the payer has it, and the books say so."""
    part = books("refund", "paid", "--base-units", "50", "--yes")
    assert part.code == 0
    assert "50 base units of scrip of 150 base units of scrip is to go back to bearer" in part.err
    rest = books("refund", "paid", "--yes", "--json")
    assert (rest.code, rest.json["state"], rest.json["base_units"]) == (0, "done", "100")
    assert "what is left of" in rest.err
    assert sorted(shop.method.repaid.values()) == [50, 100]
    assert [refund.state for refund in books.refunds("paid")] == [RefundState.DONE] * 2
    over = books("refund", "paid", "--yes")
    assert (over.code, "all of the payment has been sent back" in over.err) == (4, True)


@pytest.mark.parametrize(
    ("options", "code", "said"),
    [
        (["--base-units", "151"], 4, "151 is not between 1 and 150"),
        (["--amount", "1.00"], 2, "say it in --base-units"),
        (["--amount", "1.00", "--base-units", "1"], 2, "give one of them"),
        ([], 2, "say --yes"),
    ],
    ids=["too-much", "unknown-decimals", "both", "nobody-to-ask"],
)
def test_refunds_that_cannot_be_made_send_nothing(
    books: Books, shop: ModuleType, paid: Payment, options: list[str], code: int, said: str
) -> None:
    """Each says why; nothing is written, nothing is sent."""
    run = books("refund", "paid", *options, *(["--yes"] if options else []))
    assert (run.code, run.out) == (code, b"")
    assert said in run.err
    assert (shop.method.repaid, books.refunds("paid")) == ({}, [])


def test_an_amount_is_in_the_currencys_unit(books: Books, shop: ModuleType) -> None:
    """--amount 0.50 of a payment in dollars is 50 cents, to the cent."""
    shop.method.name = "stripe"
    books.add(
        make_payment(challenge_id="dear", method="stripe", currency="usd", amount=150, state=State.DELIVERED)
    )
    nothing = books("refund", "dear", "--amount", "0", "--yes")
    assert (nothing.code, shop.method.repaid) == (4, {})
    run = books("refund", "dear", "--amount", "0.50", "--yes")
    assert (run.code, list(shop.method.repaid.values())) == (0, [50])
    assert "0.50 USD of 1.50 USD is to go back" in run.err


def test_a_refund_that_takes_its_time_is_waited_for(books: Books, shop: ModuleType, paid: Payment) -> None:
    """It is on its way when it is sent, and done a moment later; --no-wait ends with 75 in between."""
    shop.method.after = lambda key: Unknown(reason="slow", reference=f"back-{key}")
    early = books("refund", "paid", "--base-units", "50", "--yes", "--no-wait", "--json")
    assert (early.code, early.json["state"]) == (75, "sent")
    late = books("refund", "paid", "--yes", "--json")
    assert (late.code, late.json["state"]) == (0, "done")
    assert "waiting for the refund rf_" in late.err


def test_a_refund_that_fails_is_5(books: Books, shop: ModuleType, paid: Payment) -> None:
    """Its reason is in the answer, and the payment has all its money to give back still."""
    shop.method.before = lambda _: Failed(reason="the account is closed")
    run = books("refund", "paid", "--yes")
    assert (run.code, "the account is closed" in run.text) == (5, True)
    shop.method.before = None
    assert books("refund", "paid", "--yes").code == 0


def test_a_terminal_is_asked(books: Books, shop: ModuleType) -> None:
    """No sends nothing, and Ctrl-C at the question neither; what a payer wrote moves no cursor."""
    books.add(make_payment(challenge_id="paid", state=State.DELIVERED, payer="\x1b[2Jevil"))
    books.command.environment["PYTHONPATH"] = str(Path(__file__).parents[2])  # where scrip is
    for answer, code in (("n\n", 1), ("\x03", 1)):
        terminal = Terminal(books.command, "payments", "refund", "paid")
        terminal.read_until("Send it? [y/N]")
        terminal.type(answer)
        assert terminal.finish() == code
        assert "\x1b[2J" not in terminal.seen
    assert books.refunds("paid") == []


def test_reconcile_reports_what_it_found(books: Books, shop: ModuleType) -> None:
    """What became of each payment; 75 while something is undecided, 0 when nothing is."""
    spent = shop.method.mint.issue(100)
    shop.method.mint.spent[spent] = 100
    now = time.time()
    stuck = {"currency": "scrip", "state": State.UNKNOWN, "created_at": now, "expires_at": now + 300}
    books.add(
        make_payment(challenge_id="found", recovery=Recovery(spent.encode()), **stuck),
        make_payment(challenge_id="unspent", recovery=Recovery(b"another"), **stuck),
    )
    run = books("reconcile", "--json")
    assert run.code == 75
    (finding,) = (json.loads(line) for line in run.text.splitlines())
    assert (finding["id"], finding["was"], finding["is"]) == ("found", "unknown", "settled")
    assert "found out 1 outcome\n" in run.err
    assert "1 not decided yet" in run.err
    assert (books.find("found").state, books.find("unspent").state) == (State.SETTLED, State.UNKNOWN)
    shop.method.mint.spent["another"] = 100
    done = books("reconcile")
    assert (done.code, done.text.splitlines()[1].split()[:4]) == (
        0,
        ["payment", "unspent", "unknown", "settled"],
    )


def test_an_audit_without_a_difference_is_0(books: Books, shop: ModuleType, paid: Payment) -> None:
    """The summary says what was compared."""
    shop.method.movements_known = [
        Movement(reference=paid.reference, amount=150, currency="scrip", at=paid.created_at)
    ]
    run = books("audit")
    assert (run.code, run.out) == (0, b"")
    assert "compared 1 payment with 1 movement from" in run.err


def test_every_difference_is_a_line(books: Books, shop: ModuleType, paid: Payment) -> None:
    """10, for people and as JSON, with what the ledger has and what the world has."""
    shop.method.movements_known = [
        Movement(reference="stray", amount=7, currency="scrip", at=time.time() - 30, payer="somebody")
    ]
    run = books("audit")
    assert run.code == 10
    assert {line.split()[0] for line in run.text.splitlines()} == {"unrecorded", "unconfirmed"}
    assert run.err.endswith("coinslot: 2 differences\n")
    found = {line["kind"]: line for line in map(json.loads, books("audit", "--json").text.splitlines())}
    assert found["unrecorded"]["received_base_units"] == "7"
    assert (found["unconfirmed"]["challenge_id"], found["unconfirmed"]["recorded_base_units"]) == (
        "paid",
        "150",
    )
    assert books("audit", "--until", "24h").code == 0
