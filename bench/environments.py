"""Where the subjects of the benchmark live: each in an environment of its own, made on first use.

The peers' environments are those of the tests.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

from msgspec import Struct

ROOT = Path(__file__).resolve().parent.parent
BUILD = ROOT / "build"
SUBJECTS = Path(__file__).resolve().parent / "subjects"

sys.path.append(str(ROOT / "tests"))
import peer_programs  # noqa: E402 (it is found through the line above)

# The same server software at the same versions, so that only the payment library differs.
SHARED = ("starlette", "uvicorn", "uvloop", "httptools")
STORE = "aiosqlite"  # what pympp's SQLite store runs on


class Subject(Struct, frozen=True):
    """A library under test: the command that its shop's arguments are put behind, and where its payments go.

    `ledgers` are the kinds its paid route is measured with; a shop without any is not measured there.
    """

    name: str
    version: str
    command: tuple[str, ...]
    ledgers: tuple[str, ...] = ()


def coinslot() -> Subject:
    """Coinslot, in the environment that runs this."""
    command = (sys.executable, str(SUBJECTS / "coinslot_shop.py"))
    return Subject("Coinslot", version("coinslot"), command, ("memory", "SQLite"))


def pympp(say: Callable[[str], None]) -> Subject:
    """pympp, in the tests' environment for it, with a server beside it."""
    say("Setting up pympp, unless it is there")
    python = peer_programs.install_pympp().client[0]
    wanted = [*(f"{name}=={version(name)}" for name in SHARED), STORE]
    ready = Path(python).parent.parent / ".bench-requirements"
    if not (ready.is_file() and ready.read_text().split() == wanted):
        install = [python, "-m", "pip", "install", "-qq", "--disable-pip-version-check", *wanted]
        subprocess.run(install, check=True, stdin=subprocess.DEVNULL, process_group=0)
        ready.write_text("\n".join(wanted))
    release = peer_programs.PYMPP.partition("==")[2]
    return Subject("pympp", release, (python, str(SUBJECTS / "pympp_shop.py")), ("memory", "SQLite"))


def mppx(say: Callable[[str], None]) -> Subject | None:
    """mppx, in the tests' folder for it; None, with the reason said, where there is no Node.js to run it."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        say("Leaving mppx out: Node.js is not installed")
        return None
    say("Setting up mppx, unless it is there")
    node = peer_programs.install_mppx().client[0]
    home = peer_programs.PROGRAMS
    release = json.loads((home / "node_modules" / "mppx" / "package.json").read_text())["version"]
    return Subject("mppx", release, (node, str(SUBJECTS / "mppx_shop.mjs"), str(home)))
