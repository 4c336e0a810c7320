"""A PostgreSQL server of one's own: real, on a free port, and gone afterwards.

    with PostgresServer() as server:
        url = server.new_database()

It refuses to run as root, so there it runs as nobody. It does not wait for the disk: what is tested is what
survives its processes, not a power cut.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from itertools import count
from pathlib import Path
from typing import Final, Self

from debian import find_program, free_port

PASSWORD: Final = "hunter2-and-a-half"
PATIENCE: Final = 60.0  # seconds

_SETTINGS: Final = (
    "fsync=off",
    "full_page_writes=off",
    "max_connections=300",
    "shared_buffers=64MB",
    "listen_addresses=127.0.0.1",
)


class PostgresServer:
    """One server with its data. `start` before anything else; `close` in the end.

    `settings` are added to its own, as in `fsync=on`.
    """

    def __init__(self, *settings: str) -> None:
        self._settings: Final = (*_SETTINGS, *settings)
        self.port: Final = free_port()
        self._programs = find_program(
            "postgres", package="postgresql", folders="/usr/lib/postgresql/*/bin"
        ).parent
        self._folder = Path(tempfile.mkdtemp(prefix="coinslot-postgres-"))
        self._numbers = count()
        self._process: subprocess.Popen[bytes] | None = None
        self._initialise()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def url(self) -> str:
        """The URL of its own database, which has the right to make others."""
        return self._url("postgres")

    def new_database(self) -> str:
        """The URL of a new and empty database."""
        name = f"shop_{next(self._numbers)}"
        self.query(f"CREATE DATABASE {name}")
        return self._url(name)

    def query(self, sql: str, url: str | None = None) -> str:
        """What psql answers, without headings, columns parted by `|`."""
        options = ("-qAtX", "-v", "ON_ERROR_STOP=1", "-c", sql)
        command: list[str | Path] = [self._programs / "psql", *options, url or self.url]
        answer: str = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        return answer.strip()

    def start(self) -> Self:
        """Start, or start again on the same port with the same data, and wait until it answers."""
        assert self._process is None
        command: list[str | Path] = [self._programs / "postgres", "-D", self._data, "-p", str(self.port)]
        for setting in (*self._settings, f"unix_socket_directories={self._folder}"):
            command += ["-c", setting]
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(_as_nobody(command), stdout=log, stderr=log, cwd="/")
        self._wait_until_ready()
        return self

    def stop(self) -> None:
        """Shut down in order: connections are closed, everything is written."""
        self._end(signal.SIGINT)

    def kill(self) -> None:
        """End it as a power cut would, all of its processes at once."""
        if self._process is not None:
            self.pause()
            for process in self._children():
                os.kill(process, signal.SIGKILL)
            self._end(signal.SIGKILL)

    def restart(self) -> None:
        """Stop and start."""
        self.stop()
        self.start()

    def pause(self) -> None:
        """Stand still: connections are accepted by the kernel, and nothing is answered."""
        assert self._process is not None
        os.kill(self._process.pid, signal.SIGSTOP)  # first, so that it starts nothing more
        for process in self._children():
            os.kill(process, signal.SIGSTOP)

    def resume(self) -> None:
        """Go on."""
        assert self._process is not None
        for process in (*self._children(), self._process.pid):
            os.kill(process, signal.SIGCONT)

    def close(self) -> None:
        """End it and delete its data."""
        self.kill()
        shutil.rmtree(self._folder, ignore_errors=True)

    def log(self) -> str:
        """What it wrote into its log."""
        return (self._folder / "log").read_text(errors="replace")

    @property
    def _data(self) -> Path:
        return self._folder / "data"

    def _url(self, database: str) -> str:
        return f"postgresql://coinslot:{PASSWORD}@127.0.0.1:{self.port}/{database}"

    def _initialise(self) -> None:
        password = self._folder / "password"
        password.write_text(PASSWORD)
        if os.geteuid() == 0:
            nobody = pwd.getpwnam("nobody")
            for path in (self._folder, password):
                os.chown(path, nobody.pw_uid, nobody.pw_gid)
        command: list[str | Path] = [
            self._programs / "initdb",
            "--username=coinslot",
            f"--pwfile={password}",
            "--auth=scram-sha-256",
            "--encoding=UTF8",
            "--locale=C.UTF-8",
            "--no-sync",
            self._data,
        ]
        subprocess.run(_as_nobody(command), check=True, stdout=subprocess.DEVNULL, cwd="/")

    def _wait_until_ready(self) -> None:
        assert self._process is not None
        options = ("-q", "-h", "127.0.0.1", "-p", str(self.port))
        command: list[str | Path] = [self._programs / "pg_isready", *options]
        deadline = time.monotonic() + PATIENCE
        while subprocess.run(command, check=False).returncode != 0:
            assert self._process.poll() is None, self.log()[-2000:]
            assert time.monotonic() < deadline, self.log()[-2000:]
            time.sleep(0.02)

    def _children(self) -> list[int]:
        """Its processes but the first one: each has a session of its own, so there is no group to signal."""
        assert self._process is not None
        pid = self._process.pid
        try:
            children = Path(f"/proc/{pid}/task/{pid}/children").read_text()
        except FileNotFoundError:  # it has ended
            return []
        return [int(child) for child in children.split()]

    def _end(self, how: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.send_signal(how)
            process.wait(PATIENCE)


def _as_nobody(command: list[str | Path]) -> list[str | Path]:
    if os.geteuid() != 0:
        return command
    nobody = pwd.getpwnam("nobody")
    return [
        "setpriv",
        f"--reuid={nobody.pw_uid}",
        f"--regid={nobody.pw_gid}",
        "--clear-groups",
        "--",
        *command,
    ]
