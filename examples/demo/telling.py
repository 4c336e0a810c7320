"""How the story is told on a terminal."""

from __future__ import annotations

import subprocess

from rich.console import Console
from rich.table import Table
from rich.text import Text

console = Console(highlight=False)


def facts(**rows: object) -> None:
    """Names and values, aligned."""
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    for name, value in rows.items():
        style = {200: "green", 402: "yellow"}.get(value) if isinstance(value, int) else None
        table.add_row(name.replace("_", " "), Text(str(value), style=style or ""))
    console.print(table)


def show_command(*command: str) -> None:
    """A command, and what it prints."""
    console.print(f"[dim]$ {' '.join(command)}[/]")
    shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    console.print(shown.strip(), markup=False, soft_wrap=True)


def show_balances(before: tuple[int, int], after: tuple[int, int]) -> None:
    """What buyer and seller had, and have now, in base units."""
    table = Table(box=None, pad_edge=False)
    for name in ("", "before", "after", "difference"):
        table.add_column(name, justify="right" if name else "left")
    for name, was, now in zip(("buyer", "seller"), before, after, strict=True):
        table.add_row(name, units(was), units(now), f"{'+' if now >= was else ''}{units(now - was)}")
    console.print(table)
    console.print("[dim]The buyer also paid the chain's fee.[/]")


def units(amount: int) -> str:
    """Base units as a decimal, exactly."""
    sign, digits = ("-" if amount < 0 else ""), str(abs(amount)).rjust(7, "0")
    return f"{sign}{digits[:-6]}.{digits[-6:]}"
