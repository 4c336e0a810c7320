"""The keystore: one file an account, keys in the keychain or sealed."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import keyring
import keyring.backends.fail
import keyring.backends.null
import pytest

from coinslot.cli.files import CannotWrite
from coinslot.cli.keychain import KeychainError
from coinslot.cli.keys import AccountExists, Keystore, KeystoreError, NoAccount, WrongPassphrase
from keychains import MemoryKeychain

SECRET = bytes(range(1, 33))
ADDRESS = "0x6370eF2f4Db3611D657b90667De398a2Cc2a370C"


@pytest.fixture
def keystore(tmp_path: Path) -> Keystore:
    """An empty keystore."""
    return Keystore(tmp_path / "coinslot")


def passphrase() -> str:
    """The right one."""
    return "korrekt"


def never() -> str:
    """For where nobody must be asked."""
    raise AssertionError("asked for a passphrase")


def add(keystore: Keystore, name: str = "default", secret: bytes = SECRET, address: str = ADDRESS) -> None:
    """An account whose passphrase, if it gets one, is the right one."""
    keystore.add(name, secret, address, ask_passphrase=passphrase)


def test_sealed_key_opens_with_its_passphrase(keystore: Keystore, no_keychain: None) -> None:
    """Where there is no keychain a key goes into its file, at scrypt's full cost, and comes out again."""
    add(keystore)
    account = keystore.find()
    assert (account.name, account.address, account.place) == ("default", ADDRESS, "file")
    assert keystore.secret(account, passphrase) == SECRET
    with pytest.raises(WrongPassphrase, match="does not open the account 'default'"):
        keystore.secret(account, lambda: "wrong")


@pytest.mark.usefixtures("no_keychain", "cheap")
def test_file_shows_no_key_and_only_its_owner_reads_it(keystore: Keystore, tmp_path: Path) -> None:
    """The file is 0600 in a 0700 directory, holds no plain key, and nothing else is left beside it."""
    add(keystore)
    (file,) = (tmp_path / "coinslot/accounts").iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    assert stat.S_IMODE(file.parent.parent.stat().st_mode) == 0o700
    assert SECRET not in file.read_bytes()
    assert SECRET.hex().encode() not in file.read_bytes()
    assert "redacted" in repr(keystore.find())


@pytest.mark.usefixtures("no_keychain", "cheap")
def test_composed_and_decomposed_letters_are_one_passphrase(keystore: Keystore) -> None:
    """The same passphrase typed on another system, as other code points, opens the key."""
    keystore.add("default", SECRET, ADDRESS, ask_passphrase=lambda: "caf\N{LATIN SMALL LETTER E WITH ACUTE}")
    assert keystore.secret(keystore.find(), lambda: "cafe\N{COMBINING ACUTE ACCENT}") == SECRET


@pytest.mark.usefixtures("no_keychain", "cheap")
def test_sealed_key_belongs_to_its_name_and_address(keystore: Keystore, tmp_path: Path) -> None:
    """An account's file renamed, or with another address, does not open: it cannot pass for another."""
    add(keystore)
    accounts = tmp_path / "coinslot/accounts"
    content = json.loads((accounts / "default.json").read_text())
    for change in ({"name": "other"}, {"name": "other2", "address": "0x" + "11" * 20}):
        (accounts / f"{change['name']}.json").write_text(json.dumps(content | change))
        with pytest.raises(WrongPassphrase):
            keystore.secret(keystore.find(change["name"]), passphrase)


@pytest.mark.usefixtures("no_keychain")
def test_empty_passphrase_is_refused(keystore: Keystore) -> None:
    """A key is never sealed under nothing."""
    with pytest.raises(KeystoreError, match="empty passphrase"):
        keystore.add("default", SECRET, ADDRESS, ask_passphrase=str)
    assert keystore.accounts() == []


def test_keychain_is_used_where_there_is_one(
    keystore: Keystore, keychain: MemoryKeychain, tmp_path: Path
) -> None:
    """The key goes into the keychain under its address, and nobody is asked for a passphrase."""
    keystore.add("default", SECRET, ADDRESS, ask_passphrase=never)
    account = keystore.find()
    assert account.place == "keychain"
    assert keystore.secret(account, never) == SECRET
    assert list(keychain.entries) == [("coinslot", ADDRESS)]
    assert SECRET.hex() not in (tmp_path / "coinslot/accounts/default.json").read_text()


@pytest.mark.usefixtures("cheap")
def test_place_can_be_insisted_on(keystore: Keystore, keychain: MemoryKeychain) -> None:
    """`place` puts the key into a file beside a keychain, and refuses where there is no keychain."""
    keystore.add("filed", SECRET, ADDRESS, ask_passphrase=passphrase, place="file")
    assert keystore.find("filed").place == "file"
    assert keychain.entries == {}
    keyring.set_keyring(keyring.backends.null.Keyring())  # type: ignore[no-untyped-call]  # keyring is not annotated there
    with pytest.raises(KeystoreError, match="no OS keychain"):
        keystore.add("kept", SECRET, ADDRESS, ask_passphrase=never, place="keychain")


@pytest.mark.parametrize("fault", ["is_locked", "is_full", "forgets"])
def test_keychain_that_does_not_keep_the_key_makes_no_account(
    keystore: Keystore, keychain: MemoryKeychain, fault: str
) -> None:
    """An account whose key could not be had again is never made: money sent to it would be lost."""
    setattr(keychain, fault, True)
    with pytest.raises(KeychainError, match="--store file"):
        keystore.add("default", SECRET, ADDRESS, ask_passphrase=never)
    assert keystore.accounts() == []


def test_keychain_that_lost_or_locks_the_key_says_so(keystore: Keystore, keychain: MemoryKeychain) -> None:
    """A locked keychain, a broken entry, one that is gone and a keychain out of reach are told apart."""
    add(keystore)
    account = keystore.find()
    keychain.is_locked = True
    with pytest.raises(KeychainError, match="unlock it"):
        keystore.secret(account, never)
    keychain.is_locked = False
    keychain.entries["coinslot", ADDRESS] = "not a key"
    with pytest.raises(KeychainError, match="is not a key"):
        keystore.secret(account, never)
    keychain.entries.clear()
    with pytest.raises(KeystoreError, match="no longer holds"):
        keystore.secret(account, never)
    keyring.set_keyring(keyring.backends.fail.Keyring())  # type: ignore[no-untyped-call]  # keyring is not annotated there
    with pytest.raises(KeystoreError, match="none to be had here"):
        keystore.secret(account, never)


def test_broken_keyring_configuration_is_reported(
    keystore: Keystore, keychain: MemoryKeychain, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A backend named by the user that does not load is an error, not a reason to use another place."""

    def fail() -> None:
        raise ModuleNotFoundError("no_such_backend")

    monkeypatch.setattr(keyring, "get_keyring", fail)
    with pytest.raises(KeychainError, match="PYTHON_KEYRING_BACKEND"):
        add(keystore)


@pytest.mark.usefixtures("keychain")
def test_existing_account_is_never_replaced(keystore: Keystore) -> None:
    """A second account of the same name is refused, and the first keeps its key."""
    add(keystore)
    with pytest.raises(AccountExists, match="'default' already"):
        add(keystore, secret=bytes(32), address="0x" + "22" * 20)
    assert keystore.find().address == ADDRESS


@pytest.mark.usefixtures("no_keychain", "cheap")
def test_account_made_by_another_process_meanwhile_is_not_replaced(
    keystore: Keystore, tmp_path: Path
) -> None:
    """Of two that make the same name at once one wins and the other is told; no draft is left behind."""

    def slowly() -> str:
        add(Keystore(tmp_path / "coinslot"), secret=bytes([7]) * 32)
        return passphrase()

    with pytest.raises(AccountExists, match="meanwhile"):
        keystore.add("default", SECRET, ADDRESS, ask_passphrase=slowly)
    assert keystore.secret(keystore.find(), passphrase) == bytes([7]) * 32
    assert [file.name for file in (tmp_path / "coinslot/accounts").iterdir()] == ["default.json"]


@pytest.mark.usefixtures("keychain")
def test_first_account_is_the_default_until_another_is_chosen(keystore: Keystore) -> None:
    """The default stays when accounts are added, moves on request, and passes to the last one left."""
    for number, name in enumerate(("b", "a", "c")):
        add(keystore, name, address=f"0x{number:040x}")
    assert [account.name for account in keystore.accounts()] == ["a", "b", "c"]
    assert keystore.find().name == "b"
    keystore.set_default("c")
    assert keystore.find().name == "c"
    keystore.remove("c")
    with pytest.raises(NoAccount, match="account default NAME"):
        keystore.find()
    keystore.remove("b")
    assert keystore.find().name == "a"


def test_what_is_missing_is_said(keystore: Keystore) -> None:
    """No account at all and none by that name are told apart."""
    with pytest.raises(NoAccount, match="account create"):
        keystore.find()
    with pytest.raises(NoAccount, match="'nobody'"):
        keystore.find("nobody")
    with pytest.raises(NoAccount, match="'nobody'"):
        keystore.set_default("nobody")


@pytest.mark.usefixtures("keychain")
@pytest.mark.parametrize("name", ["", "../x", "a/b", ".x", "A", "a" * 65, "a\n", "ä"])
def test_names_stay_inside_the_directory(keystore: Keystore, name: str) -> None:
    """A name is a plain file name on every system, whatever is asked for."""
    with pytest.raises(KeystoreError, match="cannot name an account"):
        add(keystore, name)


def test_removing_destroys_the_key(keystore: Keystore, keychain: MemoryKeychain) -> None:
    """The keychain's entry goes with the account, unless another account has the same key."""
    add(keystore, "one")
    add(keystore, "two")
    keystore.remove("one")
    assert keystore.secret(keystore.find("two"), never) == SECRET
    keystore.remove("two")
    assert keychain.entries == {}
    assert keystore.accounts() == []


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is damaged"),
        (b"\xff", "is damaged"),
        (b'{"version": 1}', "is damaged"),
        (b'{"version": 2, "whatever": []}', "newer coinslot"),
        (
            b'{"version":1,"name":"b","address":"0x","created":"","key":{"place":"keychain"}}',
            "the account 'b'",
        ),
    ],
)
def test_file_that_cannot_be_understood_is_left_alone(
    keystore: Keystore, tmp_path: Path, content: bytes, message: str
) -> None:
    """A damaged file, one of a later version and one under another's name are errors that name the file."""
    file = tmp_path / "coinslot/accounts/a.json"
    file.parent.mkdir(parents=True)
    file.write_bytes(content)
    with pytest.raises(KeystoreError, match=message) as caught:
        keystore.find("a")
    assert str(file) in str(caught.value)
    assert file.read_bytes() == content


@pytest.mark.usefixtures("no_keychain", "cheap")
@pytest.mark.parametrize(
    "change", [{"n": 2**40}, {"n": 3}, {"n": 0}, {"r": 10**6}, {"p": 10**6}, {"nonce": "AAAA"}, {"n": -2}]
)
def test_planted_parameters_cost_nothing(
    keystore: Keystore, tmp_path: Path, change: dict[str, object]
) -> None:
    """scrypt's parameters from a file are held to a limit before any memory is taken."""
    add(keystore)
    file = tmp_path / "coinslot/accounts/default.json"
    content = json.loads(file.read_text())
    content["key"] |= change
    file.write_text(json.dumps(content))
    with pytest.raises(KeystoreError, match="damaged"):
        keystore.secret(keystore.find(), passphrase)


@pytest.mark.usefixtures("keychain")
def test_directory_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    """Nothing is half made where there is no room for a directory."""
    (tmp_path / "taken").write_text("a file")
    keystore = Keystore(tmp_path / "taken/coinslot")
    with pytest.raises(CannotWrite, match="taken/coinslot/accounts cannot be written"):
        add(keystore)
    assert keystore.accounts() == []
