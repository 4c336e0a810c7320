"""`coinslot payments export`: the books as CSV and JSON lines, exact and harmless."""

from __future__ import annotations

import csv
import io
import json
import os
from pathlib import Path

import pytest
from hypothesis import given, strategies as st

from coinslot.cli.payments.exporting import COLUMNS, as_cell
from coinslot.payments.payment import State
from coinslot.payments.refunds import RefundState
from command import Terminal
from ledgers import NOW, make_payment, make_refund
from seller_books import Books

HEADER = (
    "challenge_id,state,disputed,created_at,settled_at,delivered_at,method,intent,route,amount,base_units,"
    "asset,currency,refunded,refunded_base_units,refunding_base_units,reference,payer,recipient,external_id,"
    "attempts,reason"
)
"""What programs rely on, and the documentation says."""


@pytest.fixture
def filled(books: Books) -> Books:
    """Two payments, one of which went back in part."""
    paid = make_payment(
        challenge_id="first", method="stripe", currency="usd", amount=150, state=State.DELIVERED
    )
    books.add(
        paid,
        make_payment(
            challenge_id="second", created_at=NOW + 1, amount=2**200, external_id='=HYPERLINK("http://x")'
        ),
        refunds=(
            make_refund(paid, amount=50, state=RefundState.DONE),
            make_refund(paid, amount=25),
            make_refund(paid, amount=75, state=RefundState.FAILED),
        ),
    )
    return books


def test_csv_has_the_documented_header_and_exact_amounts(filled: Books) -> None:
    """Oldest first; base units always, and the decimal amount where the currency is known."""
    run = filled("export")
    assert (run.code, run.err) == (0, "coinslot: exported 2 payments\n")
    assert run.text.splitlines()[0] == HEADER
    first, second = csv.DictReader(io.StringIO(run.text))
    assert (first["challenge_id"], first["amount"], first["base_units"]) == ("first", "1.5", "150")
    assert (first["refunded"], first["refunded_base_units"], first["refunding_base_units"]) == (
        "0.5",
        "50",
        "25",
    )
    assert (second["amount"], second["base_units"], second["settled_at"]) == ("", str(2**200), "")
    assert second["external_id"] == '\'=HYPERLINK("http://x")'


def test_json_lines_have_the_refunds(filled: Books) -> None:
    """The same payments, each with its refunds, and texts as they are."""
    first, second = (json.loads(line) for line in filled("export", "--format", "jsonl").text.splitlines())
    assert [refund["state"] for refund in first["refunds"]] == ["done", "requested", "failed"]
    assert (second["refunds"], second["external_id"]) == ([], '=HYPERLINK("http://x")')


def test_filters_and_a_file(filled: Books, tmp_path: Path) -> None:
    """-o writes what was asked for into a file, in place of what it held, and nothing to stdout."""
    target = tmp_path / "books.csv"
    target.write_text("what was there before")
    run = filled("export", "-o", str(target), "--method", "stripe")
    assert (run.code, run.out) == (0, b"")
    assert [row["challenge_id"] for row in csv.DictReader(io.StringIO(target.read_text()))] == ["first"]
    assert [file.name for file in tmp_path.iterdir() if "books" in file.name] == ["books.csv"]


def test_a_file_appears_whole_or_not_at_all(filled: Books, tmp_path: Path) -> None:
    """An export that ends with an error leaves the file as it was, and no draft; one that cannot be is 23."""
    target = tmp_path / "books.csv"
    target.write_text("what was there before")
    assert filled("export", "-o", str(target), "--ledger", "sqlite:///nowhere.db").code == 66
    assert target.read_text() == "what was there before"
    assert list(tmp_path.glob(".books*")) == []
    assert filled("export", "-o", str(tmp_path / "nowhere" / "x.csv")).code == 23


def test_what_is_no_file_is_not_replaced(filled: Books, tmp_path: Path) -> None:
    """A pipe, or a device, is written to; a link's target is what is replaced."""
    os.mkfifo(tmp_path / "pipe")
    reader = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    assert filled("export", "-o", str(tmp_path / "pipe")).code == 0
    assert os.read(reader, 65_536).decode().startswith(HEADER)
    os.close(reader)
    assert (tmp_path / "pipe").is_fifo()
    (tmp_path / "link").symlink_to(tmp_path / "books.csv")
    assert filled("export", "-o", str(tmp_path / "link")).code == 0
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "books.csv").read_text().startswith(HEADER)


@given(st.text(alphabet=st.sampled_from("=+-@\t\r\n;, 'a")))
def test_no_cell_begins_like_a_formula(text: str) -> None:
    """Nor does any part of one that a spreadsheet could take for a cell; and what was there is all there."""
    cell = as_cell("external_id", text)
    for separator in ";\t\r\n":
        assert not any(part[:1] in set("=+-@") for part in cell.split(separator) if part)
    assert cell.replace("'", "") == text.replace("'", "")


def test_nothing_else_is_touched() -> None:
    """Numbers, ids and plain texts are as they are."""
    assert as_cell("external_id", "order-7") == "order-7"
    assert as_cell("challenge_id", "-abc") == "-abc"
    assert (as_cell("disputed", False), as_cell("reason", None), as_cell("attempts", 3)) == ("false", "", "3")
    assert ",".join(COLUMNS) == HEADER


def test_a_reader_that_leaves_is_met_with_silence(filled: Books) -> None:
    """`| head`: no word and no traceback."""
    process = filled.command.start("payments", "export", COINSLOT_LEDGER=f"sqlite:////{filled.file}")
    assert process.stdout is not None
    process.stdout.close()
    _, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (23, b"")


def test_a_terminal_sees_no_control_characters(books: Books) -> None:
    """What a payer wrote cannot move its cursor."""
    books.add(make_payment(external_id="\x1b[2J"))
    books.command.environment["COINSLOT_LEDGER"] = f"sqlite:////{books.file}"
    terminal = Terminal(books.command, "payments", "export")
    assert terminal.finish() == 0
    assert "\x1b" not in terminal.seen
