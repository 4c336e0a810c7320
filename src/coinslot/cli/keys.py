"""Where the command line keeps private keys.

Each account is one JSON file, `<data directory>/accounts/<name>.json`, with its name, its address and where
its key is: in the OS keychain or, on a machine that has none, sealed under a passphrase in the file itself.

Files are 0600 in a 0700 directory; they appear whole or not at all, and an existing one is never replaced.
Name and address are bound to the sealed key: nobody can pass one account's file off as another's.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, TypeAlias

import msgspec
from msgspec import Struct

from coinslot.cli import files
from coinslot.cli.keychain import Keychain, open_keychain
from coinslot.cli.sealing import CannotOpen, Damaged, Sealed, seal, unseal
from coinslot.errors import CoinslotError

Place: TypeAlias = Literal["keychain", "file"]

AskPassphrase: TypeAlias = Callable[[], str]
"""Called only when a passphrase is needed, which is never for a key in the keychain."""

_VERSION = 1
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")


class KeystoreError(CoinslotError):
    """A key that cannot be kept, found or opened."""


class NoAccount(KeystoreError):
    """There is no account by that name, or none at all."""


class AccountExists(KeystoreError):
    """The name is taken. Keys are never written over."""


class WrongPassphrase(KeystoreError):
    """The passphrase does not open this account's file."""


class InKeychain(Struct, frozen=True, kw_only=True, tag="keychain", tag_field="place"):
    """The key is in the OS keychain, under the account's address."""


class Account(Struct, frozen=True, kw_only=True):
    """A name for a key. `created` is RFC 3339, in UTC."""

    version: int
    name: str
    address: str
    created: str
    key: InKeychain | Sealed

    @property
    def place(self) -> Place:
        """Where the key is."""
        return "keychain" if isinstance(self.key, InKeychain) else "file"


class Keystore:
    """One user's accounts.

    `directory` is the data directory, the platform's own unless given.
    """

    def __init__(self, directory: Path | None = None) -> None:
        directory = directory or files.data_directory()
        self._accounts = directory / "accounts"
        self._default = directory / "default"

    def accounts(self) -> list[Account]:
        """Every account, by name. Raises `KeystoreError` if a file cannot be read."""
        return [self._read(file) for file in sorted(self._accounts.glob("[!.]*.json"))]

    def find(self, name: str | None = None) -> Account:
        """The account called `name`, or the default one. Raises `NoAccount`."""
        name = name or self.default_name()
        if name is None and any(self._accounts.glob("[!.]*.json")):
            raise NoAccount("no account is the default one: name one, or use `coinslot account default NAME`")
        if name is None:
            raise NoAccount("there is no account yet: make one with `coinslot account create`")
        file = self._file(name)
        if not file.exists():
            raise NoAccount(f"there is no account called {name!r}: see `coinslot account list`")
        return self._read(file)

    def default_name(self) -> str | None:
        """The account that is used when none is named: the first one made, until `set_default`."""
        with suppress(OSError, UnicodeDecodeError):
            name = self._default.read_text("utf-8").strip()
            if _NAME.fullmatch(name) and self._file(name).exists():
                return name
        return None

    def set_default(self, name: str) -> None:
        """Make `name` the default account. Raises `NoAccount`."""
        self._write_default(self.find(name).name)

    def add(
        self,
        name: str,
        secret: bytes,
        address: str,
        *,
        ask_passphrase: AskPassphrase,
        place: Place | None = None,
    ) -> Account:
        """Keep `secret` as the account `name`.

        It goes into the OS keychain, or into the account's file if there is none; `place` insists on one of
        them. Raises `AccountExists`, `KeychainError`, `CannotWrite`, or `KeystoreError` if it cannot be had.
        """
        if self._file(name).exists():
            raise AccountExists(
                f"there is an account called {name!r} already: choose another name with --name"
            )
        keychain = None if place == "file" else open_keychain()
        key: InKeychain | Sealed
        if keychain is not None:
            keychain.put(address, secret)
            key = InKeychain()
        elif place == "keychain":
            raise KeystoreError("there is no OS keychain here: use --store file")
        else:
            passphrase = ask_passphrase()
            if not passphrase:
                raise KeystoreError("an empty passphrase protects nothing: choose one")
            key = seal(secret, passphrase, bound_to=_binding(name, address))
        created = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
        account = Account(version=_VERSION, name=name, address=address, created=created, key=key)
        try:
            files.create(
                self._file(name), msgspec.json.format(msgspec.json.encode(account), indent=2) + b"\n"
            )
        except FileExistsError:
            raise AccountExists(
                f"an account called {name!r} was made meanwhile: choose another name"
            ) from None
        if self.default_name() is None:
            self._write_default(name)
        return account

    def secret(self, account: Account, ask_passphrase: AskPassphrase) -> bytes:
        """The private key. Raises `WrongPassphrase`, `KeychainError`, or `KeystoreError` if it is gone."""
        if isinstance(account.key, Sealed):
            binding = _binding(account.name, account.address)
            try:
                return unseal(account.key, ask_passphrase(), bound_to=binding)
            except CannotOpen:
                raise WrongPassphrase(f"that passphrase does not open the account {account.name!r}") from None
            except Damaged:
                raise KeystoreError(
                    f"{self._file(account.name)} is damaged: restore it from a backup"
                ) from None
        secret = _keychain_of(account).take(account.address)
        if secret is None:
            raise KeystoreError(f"the OS keychain no longer holds the key of the account {account.name!r}")
        return secret

    def remove(self, name: str) -> None:
        """Forget the account and destroy its key. Raises `NoAccount`, `KeychainError` or `KeystoreError`."""
        account = self.find(name)
        shared = any(other.address == account.address and other.name != name for other in self.accounts())
        if isinstance(account.key, InKeychain) and not shared:
            _keychain_of(account).delete(account.address)
        self._file(name).unlink()
        remaining = self.accounts()
        if self.default_name() is None and len(remaining) == 1:
            self._write_default(remaining[0].name)

    def _file(self, name: str) -> Path:
        if not _NAME.fullmatch(name):
            raise KeystoreError(
                f"{name!r} cannot name an account: use up to 64 lower-case letters, digits, '.', '_' and '-'"
            )
        return self._accounts / f"{name}.json"

    def _read(self, file: Path) -> Account:
        try:
            data = file.read_bytes()
            if msgspec.json.decode(data, type=_Versioned).version != _VERSION:
                raise KeystoreError(f"{file} was written by a newer coinslot: upgrade this one")
            account = msgspec.json.decode(data, type=Account)
        except OSError as error:
            raise KeystoreError(f"{file} cannot be read: {error.strerror}") from error
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise KeystoreError(f"{file} is damaged: restore it from a backup, or move it away") from error
        if account.name != file.stem:
            raise KeystoreError(f"{file} is the account {account.name!r}: name the file after it")
        return account

    def _write_default(self, name: str) -> None:
        files.replace(self._default, f"{name}\n".encode())


class _Versioned(Struct):
    version: int


def _binding(name: str, address: str) -> bytes:
    return "\n".join(("coinslot account", str(_VERSION), name, address.lower())).encode()


def _keychain_of(account: Account) -> Keychain:
    keychain = open_keychain()
    if keychain is None:
        raise KeystoreError(
            f"the key of {account.name!r} is in the OS keychain, and there is none to be had here"
        )
    return keychain
