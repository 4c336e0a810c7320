"""The page on deposit addresses says what is so."""

from __future__ import annotations

import re
from inspect import signature
from pathlib import Path
from typing import Any

import pytest

from coinslot import Paywall
from coinslot.methods import stripe

PAGE = Path(__file__).parents[2] / "docs" / "deposits.md"


def test_its_paywall_can_be_made(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a key in the place of the dots."""
    monkeypatch.setenv("MPP_SECRET_KEY", "s" * 32)
    (block,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    namespace: dict[str, Any] = {}
    exec(compile(block.replace("…", "1"), str(PAGE), "exec"), namespace)
    assert isinstance(namespace["paywall"], Paywall)


@pytest.mark.parametrize("name", ["pool", "prices", "hold", "grace", "lifetime", "idle", "watch"])
def test_its_numbers_are_the_defaults(name: str) -> None:
    """Each row of the table."""
    found = re.search(rf"^\| `{name}` \| ([\d,]+)(?: (s|h|days))? \|", PAGE.read_text(), re.MULTILINE)
    assert found is not None
    unit = {None: 1, "s": 1, "h": 3600, "days": 24 * 3600}[found[2]]
    assert int(found[1].replace(",", "")) * unit == signature(stripe.deposits).parameters[name].default
