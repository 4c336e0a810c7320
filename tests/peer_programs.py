"""Other implementations of the protocol, as published, run as programs: mppx (TypeScript), pympp (Python).

The programs and their interfaces are in `tests/peers/`; the fixtures `mppx`, `mppx_t4` and `pympp` have them
installed. A program starts when it is first needed and then serves every test: starting one takes longer than
a payment does.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any, NamedTuple
from urllib.parse import urlencode

PROGRAMS = Path(__file__).parent / "peers"
BUILD = Path(__file__).parent.parent / "build" / "peers"
SECRET = "a secret that binds challenges, 32 bytes or more"
PYMPP = "pympp[server,tempo]==0.16.0"
BESIDE_PYMPP = ("stripe==16.1.0", "requests>=2.32", "httpx>=0.28")
T4_VIEM = "viem-2.57.13"
PATIENCE = 60.0  # seconds


class Report(NamedTuple):
    """What a client got. `receipt` is the Payment-Receipt header, `credential` the one that it presented."""

    status: int
    body: str
    headers: dict[str, str]
    receipt: str | None
    credential: str | None


class PeerFailed(Exception):
    """A peer's client could not make the request, or would not pay."""


class ProgramFailed(Exception):
    """A peer's program has ended by itself, or says nothing."""


class Program:
    """A program that speaks JSON, one object a line. It runs from when it is first needed until `close`."""

    def __init__(self, *command: str, folder: Path, **environment: str) -> None:
        self._command = command
        self._folder = folder
        self._environment = {**os.environ, **environment}
        self._lock = threading.Lock()
        self._process: subprocess.Popen[str] | None = None
        self._errors: IO[bytes] | None = None
        self._port = 0

    def port(self) -> int:
        """Where it listens, if it is a server."""
        with self._lock:
            self._start()
            if self._port == 0:
                self._port = self._read()["port"]
            return self._port

    def ask(self, request: dict[str, str]) -> dict[str, Any]:
        """Its answer to one request, if it is a client."""
        with self._lock:
            stdin = self._start().stdin
            assert stdin is not None
            with suppress(BrokenPipeError):  # it has ended, and there will be no answer
                stdin.write(json.dumps(request) + "\n")
                stdin.flush()
            return self._read()

    def close(self) -> None:
        """End it."""
        with self._lock:
            self._stop()

    def _start(self) -> subprocess.Popen[str]:
        if self._process is None:
            self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - `_stop` closes it
            self._process = subprocess.Popen(
                self._command,
                env=self._environment,
                cwd=self._folder,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._errors,
                text=True,
            )
        return self._process

    def _read(self) -> dict[str, Any]:
        """The next line. Raises `ProgramFailed` if none comes, and then the program is started anew."""
        process = self._start()
        assert process.stdout is not None
        watchdog = threading.Timer(PATIENCE, process.kill)
        watchdog.start()
        line = process.stdout.readline()
        watchdog.cancel()
        if line:
            answer: dict[str, Any] = json.loads(line)
            return answer
        why = self._stop()
        raise ProgramFailed(f"{self._command} ended, or said nothing for {PATIENCE:g} s: {why}")

    def _stop(self) -> str:
        """End it, if it runs; returns the end of what it complained of."""
        process, self._process, self._port = self._process, None, 0
        if process is None or self._errors is None:
            return ""
        process.terminate()
        process.communicate()
        with self._errors as errors:
            errors.seek(0)
            return errors.read()[-2000:].decode(errors="replace")


class Peer:
    """An implementation: what runs its programs, and one process each of its server and its client."""

    def __init__(self, name: str, *interpreter: str, suffix: str, folder: Path = PROGRAMS) -> None:
        self.name = name
        self.interpreter = interpreter
        self.folder = folder
        self.client = (*interpreter, f"{name}_client{suffix}")
        self._client = Program(*self.client, folder=folder)
        self._server = Program(*interpreter, f"{name}_server{suffix}", folder=folder, SECRET=SECRET)

    def shop(self, rpc_url: str, recipient: str, **settings: str) -> str:
        """The URL of something that its server sells. `settings` are the server's, in lower case."""
        query = urlencode({"rpc_url": rpc_url, "recipient": recipient, **settings})
        return f"http://127.0.0.1:{self._server.port()}/paid?{query}"

    def fetch(self, url: str, key: str, rpc_url: str, **settings: str) -> Report:
        """Make one request with the client, paying with `key` if asked to. Raises `PeerFailed`.

        `settings` are the client's: method, body, mode, chain_id.
        """
        report = self._client.ask({"url": url, "key": key, "rpc_url": rpc_url, **settings})
        if "error" in report:
            raise PeerFailed(report["error"])
        return Report(**report)

    def command(self, name: str) -> str:
        """The path of a command that comes with it."""
        return str(self.folder / "node_modules" / ".bin" / name)

    def close(self) -> None:
        """End its programs."""
        self._server.close()
        self._client.close()


@contextmanager
def mppx_relay(mppx: Peer, rpc_url: str, *, api_key: str, realm: str, **settings: str) -> Iterator[str]:
    """A relay as Tempo's API is one, with mppx behind it: `tests/peers/mppx_relay.mjs`. Gives its base URL.

    It knows the challenges that are bound with `SECRET`, or a `secret` of its own, for this realm. `settings`
    are its environment, in lower case: secret, chain_id, fee_payer_key.
    """
    environment = {"SECRET": SECRET, "RPC_URL": rpc_url, "API_KEY": api_key, "REALM": realm}
    environment |= {name.upper(): value for name, value in settings.items()}
    relay = Program(*mppx.interpreter, "mppx_relay.mjs", folder=mppx.folder, **environment)
    try:
        yield f"http://127.0.0.1:{relay.port()}"
    finally:
        relay.close()


def install_mppx() -> Peer:
    """mppx, from its lock file, in `tests/peers/node_modules`."""
    _install_node_modules(PROGRAMS, PROGRAMS / "package-lock.json")
    return Peer("mppx", _program("node"), suffix=".mjs")


def install_mppx_t4() -> Peer:
    """mppx on the last viem that signs expiring nonces as hardfork T4 takes them, in `build/peers`.

    The programs are the same ones, linked to from there, so that they find that viem.
    """
    home = BUILD / f"mppx-{T4_VIEM}"
    home.mkdir(parents=True, exist_ok=True)
    pinned = PROGRAMS / T4_VIEM
    for source in (PROGRAMS / ".npmrc", *pinned.glob("*.json"), *PROGRAMS.glob("*.mjs")):
        link = home / source.name
        link.unlink(missing_ok=True)
        link.symlink_to(source)
    _install_node_modules(home, pinned / "package-lock.json")
    interpreter = (_program("node"), "--preserve-symlinks", "--preserve-symlinks-main")
    return Peer("mppx", *interpreter, suffix=".mjs", folder=home)


def install_pympp() -> Peer:
    """pympp and Stripe's client, in an environment of their own: `build/peers/pympp`."""
    home = BUILD / "pympp"
    python = str(home / "bin" / "python")
    wanted = (PYMPP, *BESIDE_PYMPP)
    with _installation(home / ".installed", "\n".join(wanted).encode()) as needed:
        if needed:
            _run(sys.executable, "-m", "venv", "--clear", str(home))
            _run(python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *wanted)
    return Peer("pympp", python, suffix=".py")


def _install_node_modules(folder: Path, lock: Path) -> None:
    with _installation(folder / "node_modules" / ".installed", lock.read_bytes()) as needed:
        if needed:
            _run(_program("npm"), "ci", cwd=folder)


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


def _program(name: str) -> str:
    path = shutil.which(name)
    assert path is not None, f"these tests need {name}"
    return path


def _run(*command: str, cwd: Path | None = None) -> None:
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command[0]} failed: {done.stderr[-2000:]}"
