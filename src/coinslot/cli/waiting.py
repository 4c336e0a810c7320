"""Waiting for what takes its time: somebody who decides on a page in a browser, or a network."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

from coinslot.cli.output import printable, say


@contextmanager
def waiting(what: str) -> Iterator[None]:
    """Show that `what` is waited for while the block runs: a spinner on a terminal, else a line."""
    if not sys.stderr.isatty():
        say(f"coinslot: {what}")
        yield
        return
    from rich.console import Console
    from rich.text import Text

    with Console(stderr=True, highlight=False).status(Text(printable(what)), spinner="dots"):
        yield


def open_page(url: str, *, allowed: bool) -> None:
    """Open `url` in the user's browser, if there is one to be seen; nothing happens if not.

    Not in CI, nor where there is no screen. BROWSER names another program than the system's.
    """
    if not allowed or os.environ.get("CI") or not _is_page(url) or not _has_screen():
        return
    import webbrowser

    webbrowser.open(url)


def _is_page(url: str) -> bool:
    parts = urlsplit(url)
    return parts.scheme in ("https", "http") and bool(parts.hostname)


def _has_screen() -> bool:
    if sys.platform in ("win32", "darwin") or "BROWSER" in os.environ:
        return True
    return "DISPLAY" in os.environ or "WAYLAND_DISPLAY" in os.environ
