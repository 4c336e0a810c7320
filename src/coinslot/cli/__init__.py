"""The `coinslot` command: accounts, paid requests and the sandbox, from a shell."""

from __future__ import annotations

import sys

__all__ = ["main"]


def main() -> None:
    """Run the command that `sys.argv` asks for, and end the process with its exit code."""
    try:
        from coinslot.cli.app import run
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] == "coinslot":
            raise
        sys.exit(f"coinslot: the command line needs {error.name}: pip install 'coinslot[cli]'")
    sys.exit(run(sys.argv[1:]))
