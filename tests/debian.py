"""Servers that are Debian packages: found where they are installed, installed where they are not."""

from __future__ import annotations

import fcntl
import os
import shutil
import socket
import subprocess
import tempfile
from pathlib import Path


def find_program(name: str, *, package: str, folders: str = "/usr/bin") -> Path:
    """The newest program of this name in the folders that match, or on the path.

    It is installed from its package if it is nowhere, which needs root.
    """
    found = _look_for(name, folders)
    if found is None:
        # Runs that start at once wait for each other.
        with Path(tempfile.gettempdir(), "coinslot-apt.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            found = _look_for(name, folders) or _install(name, package, folders)
    return found


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def _look_for(name: str, folders: str) -> Path | None:
    installed = sorted(Path("/").glob(f"{folders.lstrip('/')}/{name}"))
    on_path = shutil.which(name)
    return installed[-1] if installed else Path(on_path) if on_path else None


def _install(name: str, package: str, folders: str) -> Path:
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        raise FileNotFoundError(f"{name} is not installed: install the package {package}")
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    for command in (["update", "-q"], ["install", "-qy", "--no-install-recommends", package]):
        subprocess.run(["apt-get", *command], check=True, env=environment, stdout=subprocess.DEVNULL)
    found = _look_for(name, folders)
    assert found is not None
    return found
