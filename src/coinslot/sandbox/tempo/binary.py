"""Where the node's program comes from: the npm package `@foundry-rs/anvil`, installed once per user."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Final

import platformdirs

from coinslot.errors import ConfigurationError

ANVIL_VERSION: Final = "1.7.1"
_PACKAGE: Final = f"@foundry-rs/anvil@{ANVIL_VERSION}"
_INSTALL_TIMEOUT: Final = 300


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def anvil_binary(progress: Callable[[str], None] = _say) -> Path:
    """The path of the anvil program, installed if it is not there yet.

    `COINSLOT_ANVIL` names one of your own; it has to be 1.7.1, or one that behaves alike. Otherwise it is in
    the user's cache directory, where npm installs it the first time (45 MB; `progress` is told). Any number
    of processes may do that at once. Raises `ConfigurationError`.
    """
    if named := os.environ.get("COINSLOT_ANVIL"):
        path = Path(named)
        if not os.access(path, os.X_OK) or path.is_dir():
            raise ConfigurationError(f"COINSLOT_ANVIL names {named}, which is not a program")
        return path
    home = Path(platformdirs.user_cache_dir("coinslot")) / f"anvil-{ANVIL_VERSION}"
    installed = _find(home)
    if installed is None:
        progress(f"Installing the Tempo node ({_PACKAGE}) into {home}; this happens once.")
        _install(home)
        installed = _find(home)
    if installed is None:
        raise ConfigurationError(
            f"npm installed {_PACKAGE} without a program for this platform; set COINSLOT_ANVIL to an anvil"
        )
    return installed


def _find(home: Path) -> Path | None:
    return next(home.glob("node_modules/@foundry-rs/anvil-*/bin/anvil"), None)


def _install(home: Path) -> None:
    """Install beside `home`, then move it there: nobody sees half of it, and of two the first wins."""
    npm = shutil.which("npm")
    if npm is None:
        raise ConfigurationError(
            "the Tempo sandbox needs npm (Node.js) to install its node once; install it, "
            f"or set COINSLOT_ANVIL to the anvil of {_PACKAGE}"
        )
    home.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=home.parent, prefix=".anvil-") as scratch:
        _run_npm(
            [npm, "install", "--prefix", scratch, "--no-audit", "--no-fund", "--ignore-scripts", _PACKAGE]
        )
        try:
            (Path(scratch) / "node_modules").rename(_make(home) / "node_modules")
        except OSError:
            if _find(home) is None:
                raise


def _make(home: Path) -> Path:
    home.mkdir(exist_ok=True)
    return home


def _run_npm(command: list[str]) -> None:
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=_INSTALL_TIMEOUT,
            check=False,
            stdin=subprocess.DEVNULL,
        )
    except subprocess.TimeoutExpired as error:
        raise ConfigurationError(f"npm did not install {_PACKAGE} within {_INSTALL_TIMEOUT} s") from error
    if done.returncode != 0:
        reason = "\n".join(done.stderr.strip().splitlines()[-10:])
        raise ConfigurationError(f"npm could not install {_PACKAGE}:\n{reason}")
