from __future__ import annotations

import subprocess
import sys
from types import ModuleType

import pytest

import coinslot.intents
import coinslot.protocol


@pytest.mark.parametrize("package", [coinslot.protocol, coinslot.intents])
def test_all(package: ModuleType) -> None:
    """What a package exports is exactly its public names, modules aside."""
    public = {
        name
        for name, value in vars(package).items()
        if not name.startswith("_") and not isinstance(value, ModuleType) and name != "annotations"
    }
    assert set(package.__all__) == public
    assert len(set(package.__all__)) == len(package.__all__)


@pytest.mark.parametrize("package", [coinslot.protocol, coinslot.intents])
def test_documented(package: ModuleType) -> None:
    """Every class and function that is exported has a docstring, and so have its public members."""
    for name in package.__all__:
        value = getattr(package, name)
        if callable(value) and getattr(value, "__module__", "").startswith("coinslot"):
            assert value.__doc__, name
            for member, function in vars(value).items() if isinstance(value, type) else ():
                if callable(function) and not member.startswith("_"):
                    assert function.__doc__, f"{name}.{member}"


def test_light() -> None:
    """Importing the protocol loads nothing that does I/O, and no encoder that may not be needed."""
    unwanted = {
        "asyncio",
        "ssl",
        "socket",
        "sqlite3",
        "logging",
        "random",
        "secrets",
        "rfc8785",
        "http",
        "email",
    }
    script = (
        "import sys, msgspec; had = set(sys.modules); import coinslot.intents; print(*set(sys.modules) - had)"
    )
    loaded = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert unwanted.isdisjoint(loaded.stdout.split())
    assert "coinslot.protocol" in loaded.stdout.split()
