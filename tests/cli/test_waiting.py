"""Waiting on a terminal: a spinner while it lasts, and nothing of it afterwards."""

from __future__ import annotations

import os
import pty
import subprocess
import sys

import pytest

from coinslot.cli import waiting

PROGRAM = """
import time
from coinslot.cli.waiting import waiting
from coinslot.cli.output import say
with waiting("waiting for \\x1b[31mgold"):
    time.sleep(0.5)
    say("a line meanwhile")
    time.sleep(0.3)
say("done")
"""


def test_terminal_has_a_spinner() -> None:
    """It turns while lines are printed above it, goes away at the end, and passes on no escape codes."""
    master, slave = pty.openpty()
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": os.environ.get("PYTHONPATH", ""),
        "TERM": "xterm",
    }
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM], stderr=slave, stdout=slave, stdin=slave, env=environment
    ) as process:
        os.close(slave)
        shown = b""
        while True:
            try:
                shown += os.read(master, 65536)
            except OSError:  # the terminal's other end is closed
                break
        process.wait(timeout=30)
    os.close(master)
    text = shown.decode()
    assert {"⠋", "⠙"} <= set(text)
    assert "waiting for \N{REPLACEMENT CHARACTER}[31mgold" in text
    assert text.rstrip().endswith("done")
    assert text.index("a line meanwhile") < text.index("done")


@pytest.mark.parametrize(
    ("url", "environment"),
    [
        ("https://link.com", {"DISPLAY": ":0", "CI": "1"}),
        ("file:///etc/passwd", {"DISPLAY": ":0"}),
        ("-version", {"DISPLAY": ":0"}),
        ("https://link.com", {}),
    ],
    ids=str,
)
def test_browser_stays_closed(monkeypatch: pytest.MonkeyPatch, url: str, environment: dict[str, str]) -> None:
    """In CI, for what is no page, and where nobody would see it."""
    for name in ("CI", "DISPLAY", "WAYLAND_DISPLAY", "BROWSER"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("sys.platform", "linux")
    opened: list[str] = []
    monkeypatch.setattr("webbrowser.open", opened.append)
    waiting.open_page(url, allowed=True)
    assert opened == []


def test_browser_opens_where_there_is_a_screen(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a screen, and unless it was told not to."""
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.setenv("DISPLAY", ":0")
    opened: list[str] = []
    monkeypatch.setattr("webbrowser.open", opened.append)
    for allowed in (False, True):
        waiting.open_page("https://link.com", allowed=allowed)
    assert opened == ["https://link.com"]
