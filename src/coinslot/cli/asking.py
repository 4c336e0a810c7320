"""Asking the user before something is done that cannot be taken back."""

from __future__ import annotations

import sys

import typer

from coinslot.cli.output import CommandError, Exit, printable


def confirm(question: str) -> None:
    """Go on only if the user says yes. Raises `CommandError` where there is nobody to ask."""
    if not sys.stdin.isatty():
        raise CommandError("this asks first, and there is no terminal to ask on: say --yes", Exit.USAGE)
    typer.confirm(printable(question), abort=True, err=True)
