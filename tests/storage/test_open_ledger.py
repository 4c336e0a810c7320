"""`open_ledger` and `open_cache`: which URL makes which store, and what the others are told."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import coinslot.storage
from coinslot.errors import ConfigurationError
from coinslot.storage import (
    MemoryCache,
    MemoryLedger,
    PostgresLedger,
    RedisCache,
    SQLiteLedger,
    open_cache,
    open_ledger,
)
from ledgers import make_payment


@pytest.mark.parametrize("url", ["memory:", "memory://", "MEMORY:"])
def test_memory(url: str) -> None:
    """A ledger in memory is named by its scheme alone."""
    assert isinstance(open_ledger(url), MemoryLedger)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://user:hunter2@host/db",
        "postgres://host",
        "POSTGRESQL://user@[::1]:5433/db?sslmode=require",
    ],
)
def test_postgres(url: str) -> None:
    """Both spellings of the scheme name a database; nothing connects to it yet, and `repr` is discreet."""
    ledger = open_ledger(url)
    assert isinstance(ledger, PostgresLedger)
    assert "hunter2" not in repr(ledger)


@pytest.mark.parametrize("url", ["redis://:hunter2@host:6379/0", "REDISS://host", "unix:///run/redis.sock"])
def test_redis(url: str) -> None:
    """With TLS or without, or through a socket."""
    cache = open_cache(url)
    assert isinstance(cache, RedisCache)
    assert "hunter2" not in repr(cache)


@pytest.mark.parametrize("url", ["memory:", "memory://"])
def test_a_cache_in_memory(url: str) -> None:
    """A cache in memory is named by its scheme alone."""
    assert isinstance(open_cache(url), MemoryCache)


@pytest.mark.parametrize(
    "url", ["", "redis", "memory:hunter2", "sqlite:///hunter2.db", "memcached://hunter2"]
)
def test_what_names_no_cache_is_told_what_to_write(url: str) -> None:
    """The sentence says what there is, and does not repeat what may hold a password."""
    with pytest.raises(ConfigurationError, match="redis://host:6379/0") as caught:
        open_cache(url)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("module", "driver", "extra", "opening"),
    [
        ("postgres", "asyncpg", "postgres", lambda: open_ledger("postgresql://host/db")),
        ("redis", "redis", "redis", lambda: open_cache("redis://host")),
    ],
)
def test_a_driver_that_is_not_installed_is_named_with_its_extra(
    module: str, driver: str, extra: str, opening: Callable[[], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error comes when the ledger is made, and says what to install."""
    for name in [name for name in sys.modules if name.startswith(f"coinslot.storage.{module}")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, driver, None)
    with pytest.raises(ConfigurationError, match=rf"pip install 'coinslot\[{extra}\]'"):
        opening()


async def test_three_slashes_name_a_relative_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The path is relative to the directory in which the ledger was made, not to a later one."""
    (tmp_path / "data").mkdir()
    monkeypatch.chdir(tmp_path)
    ledger = open_ledger("sqlite:///data/coin slot%20.db")
    monkeypatch.chdir("/")
    await ledger.open()
    await ledger.insert(make_payment())
    await ledger.close()
    assert [file.name for file in (tmp_path / "data").iterdir()] == ["coin slot%20.db"]


def test_four_slashes_name_an_absolute_path(tmp_path: Path) -> None:
    """What follows the third slash is the path, with its own slash."""
    ledger = open_ledger(f"sqlite:///{tmp_path}/coinslot.db")
    assert isinstance(ledger, SQLiteLedger)
    assert ledger.path == tmp_path / "coinslot.db"


@pytest.mark.parametrize(
    ("url", "advice"),
    [
        ("", '"sqlite:///coinslot.db"'),
        ("coinslot.db", '"sqlite:///coinslot.db"'),
        ("mysql://root:hunter2@host/db", '"sqlite:///coinslot.db"'),
        ("redis://:hunter2@host", "may forget"),
        ("postgres+asyncpg://root:hunter2@host/db", '"postgresql://user:password@host/database"'),
        ("memory:hunter2", 'write "memory:"'),
        ("sqlite:coinslot.db", "three slashes"),
        ("sqlite://coinslot.db", "three slashes"),
        ("sqlite:///", 'write "memory:"'),
        ("sqlite:///:memory:", 'write "memory:"'),
        ("sqlite:///coinslot.db?key=hunter2", "no options"),
        ("sqlite:////", "is a directory"),
        ("sqlite:////not/there/coinslot.db", "the directory /not/there is not there"),
    ],
)
def test_what_names_no_ledger_is_told_what_to_write(url: str, advice: str) -> None:
    """Each mistake has its own sentence, and none repeats a password."""
    with pytest.raises(ConfigurationError) as caught:
        open_ledger(url)
    assert advice in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_a_python_without_sqlite_is_told_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the driver cannot be imported, the error says what to install."""
    monkeypatch.delitem(sys.modules, "coinslot.storage.sqlite", raising=False)
    monkeypatch.setitem(sys.modules, "sqlite3", None)
    for name in ("schema", "sqlite_file", "sqlite_thread"):
        monkeypatch.delitem(sys.modules, f"coinslot.storage.{name}", raising=False)
    with pytest.raises(ConfigurationError, match="sqlite3 module"):
        open_ledger(f"sqlite:///{tmp_path}/coinslot.db")


def test_a_ledger_in_memory_loads_no_database() -> None:
    """Neither the package nor what is in memory imports a driver."""
    program = (
        "import sys, coinslot.storage as s; s.open_ledger('memory:'); s.open_cache('memory:');"
        "print({'sqlite3', 'asyncpg', 'redis'} & set(sys.modules)); s.SQLiteLedger;"
        "print('sqlite3' in sys.modules)"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert ran.stdout.split() == ["set()", "True"]


def test_public_names() -> None:
    """Every public name can be had, and no other can."""
    assert all(hasattr(coinslot.storage, name) for name in coinslot.storage.__all__)
    with pytest.raises(AttributeError, match="nothing_like_this"):
        _ = coinslot.storage.nothing_like_this
