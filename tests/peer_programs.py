"""Other implementations of the protocol, as published, run as programs: mppx (TypeScript), pympp (Python).

The programs and their interfaces are in `tests/peers/`; the fixtures `mppx` and `pympp` have them installed.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

PROGRAMS = Path(__file__).parent / "peers"
BUILD = Path(__file__).parent.parent / "build" / "peers"
SECRET = "a secret that binds challenges, 32 bytes or more"
PYMPP = "pympp[server,tempo]==0.16.0"


class Report(NamedTuple):
    """What a peer's client got; `receipt` is the Payment-Receipt header."""

    status: int
    body: str
    headers: dict[str, str]
    receipt: str | None


class PeerFailed(Exception):
    """A peer's client could not make the request, or would not pay."""


class Peer(NamedTuple):
    """An implementation's server and client programs, as command lines."""

    name: str
    server: tuple[str, ...]
    client: tuple[str, ...]

    @contextmanager
    def serve(self, rpc_url: str, recipient: str, **settings: str) -> Iterator[str]:
        """Run the server; gives the URL of what it sells. `settings` are its environment, in lower case."""
        environment = _environment(RPC_URL=rpc_url, RECIPIENT=recipient, SECRET=SECRET, **settings)
        with subprocess.Popen(
            self.server, env=environment, cwd=PROGRAMS, stdout=subprocess.PIPE, text=True
        ) as process:
            try:
                assert process.stdout is not None
                port = json.loads(process.stdout.readline())["port"]
                yield f"http://127.0.0.1:{port}/paid"
            finally:
                process.terminate()

    def fetch(self, url: str, key: str, rpc_url: str, **settings: str) -> Report:
        """Make one request with the client, paying with `key` if asked to. Raises `PeerFailed`.

        `settings` are its environment, in lower case: method, body, mode, chain_id.
        """
        environment = _environment(URL=url, KEY=key, RPC_URL=rpc_url, **settings)
        done = subprocess.run(
            self.client,
            env=environment,
            cwd=PROGRAMS,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        try:
            report = json.loads(done.stdout)
        except json.JSONDecodeError:
            raise PeerFailed(f"{self.name} crashed: {done.stderr[-2000:]}") from None
        if "error" in report:
            raise PeerFailed(report["error"])
        return Report(**report)


def install_mppx() -> Peer:
    """mppx, from its lock file, in `tests/peers/node_modules`."""
    lock = PROGRAMS / "package-lock.json"
    npm, node = _program("npm"), _program("node")
    with _installation(PROGRAMS / "node_modules" / ".installed", lock.read_bytes()) as needed:
        if needed:
            _run(npm, "ci", cwd=PROGRAMS)
    return Peer("mppx", (node, "mppx_server.mjs"), (node, "mppx_client.mjs"))


def install_pympp() -> Peer:
    """pympp, in an environment of its own: `build/peers/pympp`."""
    home = BUILD / "pympp"
    python = str(home / "bin" / "python")
    with _installation(home / ".installed", PYMPP.encode()) as needed:
        if needed:
            _run(sys.executable, "-m", "venv", "--clear", str(home))
            _run(python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", PYMPP)
    return Peer("pympp", (python, "pympp_server.py"), (python, "pympp_client.py"))


@contextmanager
def _installation(stamp: Path, wanted: bytes) -> Iterator[bool]:
    """Whether something has to be installed, with other runs of the tests locked out until it is."""
    BUILD.mkdir(parents=True, exist_ok=True)
    digest = hashlib.sha256(wanted).hexdigest()
    with (BUILD / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        needed = not stamp.exists() or stamp.read_text() != digest
        yield needed
        if needed:
            stamp.write_text(digest)


def _environment(**settings: str) -> dict[str, str]:
    return {**os.environ, **{name.upper(): value for name, value in settings.items()}}


def _program(name: str) -> str:
    path = shutil.which(name)
    assert path is not None, f"these tests need {name}"
    return path


def _run(*command: str, cwd: Path | None = None) -> None:
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command[0]} failed: {done.stderr[-2000:]}"
