"""`--paywall MODULE:NAME`: a seller's own module, found or explained."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import pytest

from seller_books import Books


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("nowhere:paywall", "there is no module nowhere here"),
        ("corner_shop.inner:paywall", "there is no module corner_shop.inner here"),
        ("corner_shop:nothing", "corner_shop has no nothing"),
        ("corner_shop:method", "corner_shop:method is a Audited, and not a Paywall"),
        (":paywall", "'' is not the name of a module"),
    ],
)
def test_what_is_no_paywall_is_said_in_one_sentence(
    books: Books, shop: ModuleType, spec: str, said: str
) -> None:
    """No such module, no such name in it, and something else than a Paywall are 2."""
    run = books("reconcile", "--paywall", spec)
    assert (run.code, run.out) == (2, b"")
    assert said in run.err
    assert run.err.count("\n") == 1


def test_without_one_the_command_says_what_to_give(books: Books) -> None:
    """2, and nothing is imported."""
    run = books("reconcile")
    assert (run.code, "--paywall MODULE:NAME" in run.err) == (2, True)


def test_a_module_that_fails_is_told_from_one_that_is_not_there(books: Books, tmp_path: Path) -> None:
    """What it lacks is named. What it raises may hold anything, so only the type is."""
    (tmp_path / "lacking_shop.py").write_text("import something_that_is_not_installed")
    lacking = books("reconcile", "--paywall", "lacking_shop")
    assert (lacking.code, "No module named 'something_that_is_not_installed'" in lacking.err) == (2, True)
    (tmp_path / "broken_shop.py").write_text("{}['hunter2']")
    broken = books("reconcile", "--paywall", "broken_shop")
    assert (broken.code, "broken_shop raised KeyError" in broken.err) == (2, True)
    assert "hunter2" not in broken.err
    (tmp_path / "mistaken_shop.py").write_text("from coinslot import Paywall\npaywall = Paywall([])")
    mistaken = books("reconcile", "--paywall", "mistaken_shop")
    assert (mistaken.code, mistaken.err) == (2, "coinslot: Paywall needs at least one payment method.\n")


def test_a_ledger_that_is_not_there_is_not_made(books: Books, shop: ModuleType, tmp_path: Path) -> None:
    """Run in another directory than the server's, the command says so."""
    run = books("reconcile")
    assert (run.code, "there is no ledger" in run.err) == (66, True)
    assert list(tmp_path.glob("*.db*")) == []
