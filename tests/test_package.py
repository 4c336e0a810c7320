"""The package as a whole: light to import, its names where they should be, its rooms closed to each other."""

from __future__ import annotations

import ast
import importlib
import subprocess
import sys
from pathlib import Path

import pytest

import coinslot

SOURCE = Path(coinslot.__file__).parent


def run(code: str) -> str:
    """What a fresh interpreter prints."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.mark.parametrize("module", ["coinslot", "coinslot.protocol", "coinslot.errors", "coinslot.intents"])
def test_importing_it_loads_nothing_heavy(module: str) -> None:
    """No event loop, TLS, database, framework, HTTP client or chain comes with the import."""
    heavy = ["asyncio", "ssl", "sqlite3", "starlette", "fastapi", "httpx2", "coincurve", "typer", "rich"]
    assert run(f"import sys, {module}; print([m for m in {heavy!r} if m in sys.modules])") == "[]"


def test_importing_it_is_quick() -> None:
    """`import coinslot` takes at most 30 ms beyond `import msgspec`, in the best of five tries."""
    code = "import msgspec, time; t = time.perf_counter(); import coinslot; print(time.perf_counter() - t)"
    assert min(float(run(code)) for _ in range(5)) < 0.030


def test_every_public_name_is_there() -> None:
    """`__all__` names what is there, and nothing else is public."""
    for name in coinslot.__all__:
        assert getattr(coinslot, name) is not None
    public = {name for name in dir(coinslot) if not name.startswith("_")}
    modules = {path.stem for path in SOURCE.iterdir()}
    imported = {"annotations", "import_module", "TYPE_CHECKING"}
    assert public - modules - imported == set(coinslot.__all__) - {"__version__"}
    with pytest.raises(AttributeError, match="no_such_name"):
        coinslot.no_such_name  # noqa: B018 - the access is the test


def test_type_checkers_are_told_the_same() -> None:
    """The imports that type checkers see are the table that loads names at run time."""
    tree = ast.parse((SOURCE / "__init__.py").read_text())
    seen = {
        (node.module, alias.name)
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("coinslot.")
        for alias in node.names
    }
    assert seen == {(home, name) for home, names in coinslot._HOMES.items() for name in names}


@pytest.mark.parametrize("room", ["protocol", "intents", "payments", "storage", "server", "client"])
def test_no_method_is_named_in_the_core(room: str) -> None:
    """The core knows payment methods by their contract alone."""
    for path in (SOURCE / room).rglob("*.py"):
        text = path.read_text().lower()
        for method in ("tempo", "stripe", "tip-20", "evm"):
            assert method not in text, f"{path.relative_to(SOURCE)} names {method}"


def test_every_module_can_be_imported_alone() -> None:
    """No module needs another to be imported first."""
    names = [
        ".".join(("coinslot", *path.relative_to(SOURCE).with_suffix("").parts)).removesuffix(".__init__")
        for path in SOURCE.rglob("*.py")
        if path.name != "__main__.py"
    ]
    for name in names:
        importlib.import_module(name)


def test_what_is_kept_out_of_repr_is_kept_out_of_tracebacks() -> None:
    """A Struct that has a `repr` of its own has one for rich too, whose tracebacks go by msgspec's."""
    careless = [
        (path.stem, node.name)
        for path in SOURCE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ClassDef) and any(ast.unparse(base) == "Struct" for base in node.bases)
        if {"__repr__"} == {"__repr__", "__rich_repr__"} & {getattr(each, "name", "") for each in node.body}
    ]
    assert careless == []


def test_a_missing_extra_is_named() -> None:
    """A method whose library is not installed says which extra brings it."""
    code = (
        "import sys\n"
        "sys.modules['coincurve'] = None\n"
        "try:\n"
        "    from coinslot.methods import tempo\n"
        "    tempo.charge('0x' + '11' * 20)\n"
        "except ImportError as error:\n"
        "    print(error)\n"
    )
    assert "pip install 'coinslot[tempo]'" in run(code)
