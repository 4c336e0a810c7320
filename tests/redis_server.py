"""A Redis server of one's own: real, on a free port, with a password, and gone afterwards.

with RedisServer() as server:
    url = server.url
"""

from __future__ import annotations

import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Final, Self

import redis

from debian import find_program, free_port

PASSWORD: Final = "hunter2-and-a-half"
PATIENCE: Final = 60.0  # seconds


class RedisServer:
    """One server, which keeps nothing on disk. `start` before anything else; `close` in the end."""

    def __init__(self) -> None:
        self.port: Final = free_port()
        self._program = find_program("redis-server", package="redis-server")
        self._folder = Path(tempfile.mkdtemp(prefix="coinslot-redis-"))
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def url(self) -> str:
        """Where it is."""
        return f"redis://:{PASSWORD}@127.0.0.1:{self.port}/0"

    def start(self) -> Self:
        """Start, or start again, empty, on the same port; and wait until it answers."""
        assert self._process is None
        options = ("--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no")
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [self._program, *options, "--requirepass", PASSWORD], stdout=log, stderr=log, cwd=self._folder
            )
        deadline = time.monotonic() + PATIENCE
        while not self._answers():
            log_so_far = (self._folder / "log").read_text(errors="replace")
            assert self._process.poll() is None, log_so_far
            assert time.monotonic() < deadline, log_so_far
            time.sleep(0.02)
        return self

    def stop(self) -> None:
        """Shut down in order."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End it at once."""
        self._end(signal.SIGKILL)

    def restart(self) -> None:
        """Stop and start. What was in it is gone."""
        self.stop()
        self.start()

    def pause(self) -> None:
        """Stand still: connections are accepted by the kernel, and nothing is answered."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Go on."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def flush(self) -> None:
        """Forget everything."""
        with self.client() as client:
            client.flushall()

    def client(self) -> redis.Redis:
        """A plain client, to look at what is in it. Close it."""
        return redis.Redis.from_url(self.url)

    def close(self) -> None:
        """End it and delete its folder."""
        self.kill()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _answers(self) -> bool:
        with self.client() as client:
            try:
                return bool(client.ping())
            except redis.ConnectionError:
                return False

    def _end(self, how: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.send_signal(how)
            process.wait(PATIENCE)
