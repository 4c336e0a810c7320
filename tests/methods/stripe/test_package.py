from __future__ import annotations

import subprocess
import sys

import pytest

from coinslot.methods import stripe


def run(program: str) -> str:
    """What a program prints in an interpreter of its own."""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    return done.stdout + done.stderr


def test_every_public_name_is_there() -> None:
    """What `__all__` promises can be had, and `dir` shows it."""
    assert dir(stripe) == sorted(stripe.__all__)
    for name in stripe.__all__:
        assert getattr(stripe, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'push'"):
        stripe.push  # type: ignore[attr-defined]  # noqa: B018 - that is the point


def test_importing_the_method_loads_nothing() -> None:
    """SDK and HTTP client are loaded when a charge or an account is made."""
    heavy = "{'stripe', 'httpx2', 'httpx', 'requests', 'asyncio', 'ssl'}"
    program = f"import sys; from coinslot.methods import stripe; print({heavy} & sys.modules.keys())"
    assert run(program).strip() == "set()"


@pytest.mark.parametrize("missing", ["httpx2", "stripe"])
@pytest.mark.parametrize("name", ["charge", "account"])
def test_a_missing_dependency_names_the_extra(missing: str, name: str) -> None:
    """The error says what to install."""
    program = (
        f"import sys; sys.modules[{missing!r}] = None; from coinslot.methods import stripe as s; s.{name}"
    )
    assert "ImportError" in run(program)
    assert "pip install 'coinslot[stripe]'" in run(program)
