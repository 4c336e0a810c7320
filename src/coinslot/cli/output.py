"""What a command says beside its results, and the code it ends with.

Results go to stdout. Everything else, errors included, is lines on stderr.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from decimal import Decimal
from enum import IntEnum

from coinslot import errors
from coinslot.cli.keychain import KeychainError
from coinslot.cli.keys import AccountExists, KeystoreError


class Exit(IntEnum):
    """How a command ended. The numbers are curl's where curl has one for it."""

    OK = 0
    FAILURE = 1
    USAGE = 2
    OVER_LIMIT = 3
    CANNOT_PAY = 4
    REFUSED = 5
    NO_HOST = 6
    NO_CONNECTION = 7
    DIFFERENCES = 10
    HTTP_ERROR = 22
    CANNOT_WRITE = 23
    TIMEOUT = 28
    TOO_MANY_REDIRECTS = 47
    BROKEN_ANSWER = 56
    TLS = 60
    NO_PAYMENT = 66
    NO_ACCOUNT = 69
    UNDECIDED = 75
    INTERRUPTED = 130


MEANINGS: dict[Exit, str] = {
    Exit.OK: "done",
    Exit.FAILURE: "anything that has no code of its own",
    Exit.USAGE: "wrong usage; nothing was sent",
    Exit.OVER_LIMIT: "the price is above --max; nothing was paid",
    Exit.CANNOT_PAY: "this account cannot, or will not, pay that; nothing was paid",
    Exit.REFUSED: "the server refused the payment",
    Exit.NO_HOST: "the host's name does not resolve",
    Exit.NO_CONNECTION: "no connection to the host",
    Exit.DIFFERENCES: "the ledger and the world differ",
    Exit.HTTP_ERROR: "-f, and the status is 400 or more",
    Exit.CANNOT_WRITE: "the answer could not be written",
    Exit.TIMEOUT: "no answer in time; nothing was paid",
    Exit.TOO_MANY_REDIRECTS: "too many redirects",
    Exit.BROKEN_ANSWER: "the connection broke",
    Exit.TLS: "the host's certificate cannot be trusted",
    Exit.NO_PAYMENT: "no such ledger, or no such payment",
    Exit.NO_ACCOUNT: "no account, or its key cannot be had",
    Exit.UNDECIDED: "a payment was sent and its outcome is not known",
    Exit.INTERRUPTED: "interrupted",
}

_CODES: tuple[tuple[type[errors.CoinslotError], Exit], ...] = (
    (errors.OverLimit, Exit.OVER_LIMIT),
    (errors.PaymentUndecided, Exit.UNDECIDED),
    (errors.WalletError, Exit.CANNOT_PAY),
    (errors.AmountError, Exit.USAGE),
    (errors.ConfigurationError, Exit.USAGE),
    (AccountExists, Exit.FAILURE),
    (KeystoreError, Exit.NO_ACCOUNT),
    (KeychainError, Exit.NO_ACCOUNT),
)


class CommandError(errors.CoinslotError):
    """A command that cannot go on. The message is one sentence; `code` is what to exit with."""

    def __init__(self, message: str, code: Exit = Exit.FAILURE) -> None:
        super().__init__(message)
        self.code = code

    def as_member(self) -> dict[str, object]:
        """The `error` member of what --json prints."""
        return {"code": int(self.code), "message": str(self)}


class ReaderLeft(Exception):
    """Whoever read stdout has seen enough (`| head`). The command ends without a word."""


def exit_table(*codes: Exit, but: Mapping[Exit, str] | None = None) -> str:
    """The codes and what they mean, a line each, for a command's `--help`; `but` is what differs there."""
    meanings = {**MEANINGS, **(but or {})}
    return "\n".join(f"{code.value:>3}  {meanings[code]}" for code in codes)


def code_of(error: BaseException) -> Exit:
    """The code to exit with because of `error`."""
    if isinstance(error, CommandError):
        return error.code
    if isinstance(error, KeyboardInterrupt):
        return Exit.INTERRUPTED
    if isinstance(error, ReaderLeft):
        return Exit.CANNOT_WRITE
    return next((code for kind, code in _CODES if isinstance(error, kind)), Exit.FAILURE)


def failed(error: BaseException) -> int:
    """Say what went wrong, on stderr, and return the exit code.

    The traceback of anything is shown if COINSLOT_DEBUG is set.
    """
    if os.environ.get("COINSLOT_DEBUG"):
        import traceback

        say("".join(traceback.format_exception(error)).rstrip())
    elif isinstance(error, errors.CoinslotError | ImportError):
        say(f"coinslot: {error}")
    elif not isinstance(error, KeyboardInterrupt | ReaderLeft):
        # Its message is not for people, and may hold anything.
        say(f"coinslot: unexpected {type(error).__name__}: run it again with COINSLOT_DEBUG=1 to see where")
    return code_of(error)


def say(line: str) -> None:
    """A line on stderr, fit for a terminal whatever is in it. Nothing happens if nobody reads it."""
    with suppress(BrokenPipeError):
        print(printable(line), file=sys.stderr, flush=True)


def printable(text: str) -> str:
    """`text` without characters that could move a terminal's cursor, or turn its lines around."""
    return "".join(c if c.isprintable() or c in "\n\t" else "\N{REPLACEMENT CHARACTER}" for c in text)


def plain(amount: Decimal) -> str:
    """An amount for people: `0.01`, not `0.010000` nor `1E-2`."""
    return f"{amount.normalize():f}"


def print_line(text: str) -> None:
    """A line of the result, on stdout. Raises `ReaderLeft`."""
    with reader_may_leave():
        print(text, flush=True)


def print_json(content: object) -> None:
    """`content` on stdout, indented. Raises `ReaderLeft`."""
    print_line(json.dumps(content, indent=2))


def print_table(
    rows: Sequence[tuple[str, ...]],
    *,
    headings: Sequence[str] = (),
    numbers: Sequence[str] = (),
    folds: bool = True,
) -> None:
    """Aligned columns on stdout; without headings, the first column names what is in the others.

    Columns whose headings are among `numbers` are aligned to the right. The headings are bold on a terminal.
    Cells are folded to fit in it, unless `folds` is False; never in a pipe. Raises `ReaderLeft`.
    """
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(highlight=False, emoji=False)
    if not (folds and console.is_terminal):
        console.width = 1000
    table = Table(box=None, pad_edge=False, show_header=bool(headings), header_style="bold")
    for number in range(len(rows[0])):
        is_name = number == 0 and not headings and len(rows[0]) > 1
        heading = headings[number] if headings else ""
        table.add_column(
            heading,
            style="bold" if is_name else "",
            justify="right" if heading in numbers else "left",
            overflow="fold",
        )
    for row in rows:
        table.add_row(*(Text(printable(cell)) for cell in row))
    with reader_may_leave():
        console.print(table)
        sys.stdout.flush()


@contextmanager
def reader_may_leave() -> Iterator[None]:
    """Turn a broken pipe on stdout into `ReaderLeft`."""
    try:
        yield
    except BrokenPipeError:
        # The interpreter flushes stdout once more as it exits, and would complain.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise ReaderLeft from None
