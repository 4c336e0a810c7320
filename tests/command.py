"""The real `coinslot` command, in a process of its own."""

from __future__ import annotations

import fcntl
import io
import json
import os
import subprocess
import sys
import termios
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest


@dataclass(frozen=True)
class Run:
    """What a command left behind."""

    code: int
    out: bytes
    err: str

    @property
    def text(self) -> str:
        """Its output as text."""
        return self.out.decode()

    @property
    def json(self) -> Any:
        """Its output as JSON."""
        return json.loads(self.out)


class Command:
    """`coinslot`, with a home directory of its own; no keychain, no terminal and nobody else's settings."""

    def __init__(self, home: Path) -> None:
        self.data = home / "data/coinslot"
        self.environment = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": os.environ.get("PYTHONPATH", ""),
            "HOME": str(home),
            "XDG_DATA_HOME": str(home / "data"),
            "PYTHON_KEYRING_BACKEND": "keyring.backends.null.Keyring",
            "COLUMNS": "80",
        }

    def start(self, *arguments: str, **environment: str) -> subprocess.Popen[bytes]:
        """Run it, and do not wait."""
        return subprocess.Popen(
            [sys.executable, "-W", "error", "-m", "coinslot", *arguments],
            env=self.environment | environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )

    def __call__(self, *arguments: str, stdin: bytes = b"", **environment: str) -> Run:
        """Run it to its end."""
        with self.start(*arguments, **environment) as process:
            out, err = process.communicate(stdin, timeout=60)
        return Run(process.returncode, out, err.decode())

    def unfinished(self) -> list[Path]:
        """The payments that it keeps."""
        return sorted((self.data / "unfinished").glob("*.json"))


class InlineCommand(Command):
    """The same in the test's own process, for what needs none of its own: a fifth of the time."""

    def __init__(self, home: Path, capture: pytest.CaptureFixture[bytes]) -> None:
        super().__init__(home)
        self._capture = capture

    def __call__(self, *arguments: str, stdin: bytes = b"", **environment: str) -> Run:
        """Run it to its end."""
        from coinslot.cli.app import run

        with pytest.MonkeyPatch.context() as patch:
            for name in os.environ:
                patch.delenv(name)
            for name, value in (self.environment | environment).items():
                patch.setenv(name, value)
            patch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(stdin)))
            code = run(arguments)
        out, err = self._capture.readouterr()
        return Run(code, out, err.decode())


class Terminal:
    """The command at a terminal of its own."""

    def __init__(self, command: Command, *arguments: str) -> None:
        self._master, slave = os.openpty()
        self.seen = ""
        self.process = subprocess.Popen(
            [sys.executable, "-m", "coinslot", *arguments],
            env=command.environment | {"TERM": "xterm"},
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(slave, termios.TIOCSCTTY, 0),
        )
        os.close(slave)

    def read_until(self, text: str) -> None:
        """Read what it shows until `text` came since the last time."""
        start = len(self.seen)
        deadline = time.monotonic() + 30
        while text not in self.seen[start:]:
            assert time.monotonic() < deadline, self.seen
            self.seen += os.read(self._master, 4096).decode()

    def type(self, text: str) -> None:
        """Type it."""
        os.write(self._master, text.encode())

    def finish(self) -> int:
        """Read the rest, and return the exit code."""
        while True:
            try:
                chunk = os.read(self._master, 4096)
            except OSError:  # how Linux says that the other side is closed
                break
            if not chunk:
                break
            self.seen += chunk.decode()
        os.close(self._master)
        return self.process.wait(30)
