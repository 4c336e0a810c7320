"""The page on going live: what it says of the examples is so."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from coinslot.methods.stripe.api import API_VERSION

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "going-live.md").read_text()
EXAMPLES = ("crypto", "spt", "both")


@pytest.mark.parametrize("name", EXAMPLES)
def test_every_variable_of_an_example_is_on_the_page(name: str) -> None:
    """The table says what each is in the sandbox, in test mode and live; the example's docstring names it."""
    example = (ROOT / "examples" / f"{name}.py").read_text()
    read = set(re.findall(r"os\.environ(?:\.get\(|\[)\"(\w+)\"", example))
    assert "STRIPE_SECRET_KEY" in read
    described = set(re.findall(r"^\| `(\w+)` \|", PAGE, re.MULTILINE))
    assert read <= described
    _, docstring, _ = example.split('"""', 2)
    assert all(variable in docstring for variable in read)


def test_the_version_is_the_one_that_is_asked_for() -> None:
    """Of all preview versions the page names one: Coinslot's."""
    assert set(re.findall(r"`(\d{4}-\d\d-\d\d\.\w+)`", PAGE)) == {API_VERSION}
