"""Clients and servers of Stripe, as published, run as programs: stripe-node, mppx and pympp.

The programs are in `tests/peers/stripe/`. mppx comes from the other peers' `node_modules`; what is wanted
beside it is installed when it is first needed.
"""

from __future__ import annotations

import base64
import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from peer_programs import BUILD, PROGRAMS, SECRET, install_pympp

FOLDER = PROGRAMS / "stripe"
MPPX_COMMAND = PROGRAMS / "node_modules" / "mppx" / "dist" / "bin.js"


def node() -> str:
    """Node.js, with Stripe's client installed beside the programs."""
    npm, program = shutil.which("npm"), shutil.which("node")
    assert npm is not None, "these tests need npm"
    assert program is not None, "these tests need Node.js"
    with _needed(
        FOLDER / "node_modules" / ".installed", (FOLDER / "package-lock.json").read_text()
    ) as needed:
        if needed:
            subprocess.run([npm, "ci"], cwd=FOLDER, capture_output=True, check=True)
    return program


def pympp_python() -> str:
    """The Python of an environment that has pympp and Stripe's client."""
    (python,) = install_pympp().interpreter
    return python


def stripe_sdk(version: str) -> Path:
    """A version of Stripe's client for Python, unpacked and not installed: a folder to import from."""
    home = BUILD / f"stripe-{version}"
    with _needed(home / ".installed", version) as needed:
        if needed:
            install = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
            target = ["--no-deps", "--upgrade", "--target", str(home), f"stripe=={version}"]
            subprocess.run([*install, *target], capture_output=True, check=True)
    return home


def run(command: Sequence[str], **settings: str) -> Any:
    """What a program reports, in one line of JSON. `settings` are its environment, in lower case."""
    done = subprocess.run(
        command,
        env=_environment(settings),
        cwd=FOLDER,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stdout, done.stderr[-2000:]
    return json.loads(done.stdout)


@contextmanager
def serving_program(command: Sequence[str], **settings: str) -> Iterator[str]:
    """Run a server; gives its URL."""
    environment = _environment({"secret": SECRET, **settings})
    with subprocess.Popen(command, env=environment, cwd=FOLDER, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield f"http://127.0.0.1:{json.loads(process.stdout.readline())['port']}"
        finally:
            process.terminate()


def reference(receipt: str) -> str:
    """What a Payment-Receipt names."""
    padded = receipt + "=" * (-len(receipt) % 4)
    named: str = json.loads(base64.urlsafe_b64decode(padded))["reference"]
    return named


def _environment(settings: dict[str, str]) -> dict[str, str]:
    return {**os.environ, **{name.upper(): value for name, value in settings.items()}}


@contextmanager
def _needed(stamp: Path, wanted: str) -> Iterator[bool]:
    """Whether something has to be installed, with other runs of the tests locked out until it is."""
    BUILD.mkdir(parents=True, exist_ok=True)
    digest = hashlib.sha256(wanted.encode()).hexdigest()
    with (BUILD / "stripe.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        needed = not stamp.exists() or stamp.read_text() != digest
        yield needed
        if needed:
            stamp.write_text(digest)
