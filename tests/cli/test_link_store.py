"""Where the session with Link is kept: what breaks it, and what does not."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from coinslot.cli.keychain import KeychainError
from coinslot.cli.keys import KeystoreError, Place, WrongPassphrase
from coinslot.cli.link_lock import locked
from coinslot.cli.link_store import SessionStore
from coinslot.methods.stripe.link_auth import LinkCredentials
from keychains import MemoryKeychain

FIRST = LinkCredentials(access_token="a1", refresh_token="r1", expires_at=1.5, scope="s")
SECOND = LinkCredentials(access_token="a2", refresh_token="r2")
AUTH, API = "https://login.link.com", "https://api.link.com"

Open = Callable[..., SessionStore]


@pytest.fixture
def open_store(tmp_path: Path) -> Open:
    """Opens the store of one user, as a new command would."""

    def open_it(
        passphrase: str = "korrekt", place: Place | None = None, api: str = API, auth: str = AUTH
    ) -> SessionStore:
        return SessionStore(auth, api, ask_passphrase=lambda _: passphrase, place=place, directory=tmp_path)

    return open_it


def test_sealed_session_comes_back(open_store: Open, no_keychain: None, cheap: None) -> None:
    """What was kept is there for the next command, that saves over it without asking for a new passphrase."""
    store = open_store()
    assert (store.load(), store.place) == (None, None)
    store.prepare()
    store.save(FIRST)
    again = open_store()
    assert (again.load(), again.place) == (FIRST, "file")
    again.save(SECOND)
    assert open_store().load() == SECOND
    with pytest.raises(WrongPassphrase):
        open_store("falsch").load()


def test_session_in_the_keychain_comes_back(open_store: Open, keychain: MemoryKeychain) -> None:
    """One entry at a time, and none when it is cleared."""
    store = open_store()
    store.prepare()
    for credentials in (FIRST, SECOND):
        store.save(credentials)
        assert (open_store().load(), len(keychain.entries)) == (credentials, 1)
    open_store().clear()
    assert (open_store().load(), keychain.entries, store.file.exists()) == (None, {}, False)


def test_failed_save_leaves_the_session(open_store: Open, keychain: MemoryKeychain) -> None:
    """A keychain that takes no more loses nothing that it has."""
    open_store().save(FIRST)
    keychain.is_full = True
    with pytest.raises(KeychainError):
        open_store().save(SECOND)
    assert open_store().load() == FIRST


def test_sessions_with_two_links_are_apart(open_store: Open, keychain: MemoryKeychain) -> None:
    """A sandbox's session and Link's own do not get into each other's way."""
    sandbox = "http://127.0.0.1:4280"
    open_store().save(FIRST)
    open_store(api=sandbox, auth=sandbox).save(SECOND)
    assert (open_store().load(), open_store(api=sandbox, auth=sandbox).load()) == (FIRST, SECOND)


def test_sealed_tokens_are_bound_to_their_addresses(open_store: Open, no_keychain: None, cheap: None) -> None:
    """A file whose address was changed does not open: its tokens are not sent there."""
    store = open_store()
    store.prepare()
    store.save(FIRST)
    kept = json.loads(store.file.read_bytes())
    store.file.write_text(json.dumps(kept | {"api_url": "https://evil.example"}))
    with pytest.raises(WrongPassphrase):
        open_store(api="https://evil.example").load()
    with pytest.raises(KeystoreError, match="is for the API at"):
        open_store().load()


@pytest.mark.parametrize("content", [b"", b"{}", b"\xff", b'{"version": 1}'])
def test_damaged_file_is_said_to_be(open_store: Open, keychain: MemoryKeychain, content: bytes) -> None:
    """What is no session is an error that says what to do."""
    store = open_store()
    store.save(FIRST)
    store.file.write_bytes(content)
    with pytest.raises(KeystoreError, match="delete it, and log in again"):
        store.load()


def test_file_of_a_newer_version_is_left_alone(open_store: Open, keychain: MemoryKeychain) -> None:
    """It is not read as if it were ours."""
    store = open_store()
    store.save(FIRST)
    store.file.write_text(store.file.read_text().replace('"version": 1', '"version": 2'))
    with pytest.raises(KeystoreError, match="newer coinslot"):
        store.load()


def test_lost_entry_is_said_to_be(open_store: Open, keychain: MemoryKeychain) -> None:
    """A session whose tokens the keychain no longer has is over."""
    open_store().save(FIRST)
    keychain.entries.clear()
    with pytest.raises(KeystoreError, match="log in again"):
        open_store().load()


def test_place_can_be_insisted_on(open_store: Open, no_keychain: None, cheap: None) -> None:
    """A keychain that is not there, and an empty passphrase, are found before a login is begun."""
    with pytest.raises(KeystoreError, match="--store file"):
        open_store(place="keychain").prepare()
    with pytest.raises(KeystoreError, match="empty passphrase"):
        open_store(passphrase="").prepare()


def test_file_can_be_preferred_to_the_keychain(
    open_store: Open, keychain: MemoryKeychain, cheap: None
) -> None:
    """--store file leaves the keychain alone, now and when the session is refreshed."""
    store = open_store(place="file")
    store.prepare()
    store.save(FIRST)
    later = open_store()
    assert later.load() == FIRST
    later.save(SECOND)
    assert (open_store().load(), keychain.entries) == (SECOND, {})


async def test_lock_is_held_against_other_programs(tmp_path: Path) -> None:
    """While another program has it, one waits; it is free as soon as that one ends, however it ends."""
    program = (
        "import asyncio, pathlib, sys, os\n"
        "from coinslot.cli.link_lock import locked\n"
        "async def hold():\n"
        "    async with locked(pathlib.Path(sys.argv[1])):\n"
        "        print('held', flush=True)\n"
        "        sys.stdin.readline()\n"
        "        os._exit(1)\n"
        "asyncio.run(hold())\n"
    )
    lock = tmp_path / "lock"
    with subprocess.Popen(
        [sys.executable, "-c", program, str(lock)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdin is not None
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3), locked(lock):
                pass
        holder.stdin.write(b"\n")
        holder.stdin.flush()
        async with asyncio.timeout(10), locked(lock):
            assert lock.stat().st_mode & 0o077 == 0
