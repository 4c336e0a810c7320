"""Whose key pays: the one that --account names, COINSLOT_PRIVATE_KEY's, or an account of the keystore."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Protocol

from coinslot.cli.keys import Account, Keystore
from coinslot.cli.output import CommandError, Exit
from coinslot.errors import ConfigurationError

if TYPE_CHECKING:
    from coinslot.methods.tempo.keys import PrivateKey

PRIVATE_KEY = "COINSLOT_PRIVATE_KEY"
ACCOUNT = "COINSLOT_ACCOUNT"
PASSPHRASE = "COINSLOT_PASSPHRASE"  # noqa: S105 - a variable's name


class Payer(Protocol):
    """An address, and the key to it once that is needed."""

    @property
    def label(self) -> str:
        """What people call it."""
        ...

    @property
    def address(self) -> str:
        """The account's address, EIP-55 checksummed."""
        ...

    @property
    def place(self) -> str:
        """Where its key is: `keychain`, `file` or `environment`."""
        ...

    def unlock(self) -> PrivateKey:
        """The private key. May ask for a passphrase; raises `KeystoreError` or `CommandError`."""
        ...


def find_payer(name: str | None) -> Payer:
    """The payer for `--account name`.

    Without a name COINSLOT_PRIVATE_KEY comes first, then the account that COINSLOT_ACCOUNT names, then the
    default account. Raises `NoAccount`, or `CommandError` if COINSLOT_PRIVATE_KEY is not a key.
    """
    if name is None and PRIVATE_KEY in os.environ:
        return _Given(os.environ[PRIVATE_KEY])
    keystore = Keystore()
    return _Kept(keystore, keystore.find(name or os.environ.get(ACCOUNT)))


def ask_passphrase(*, twice: bool = False) -> str:
    """COINSLOT_PASSPHRASE, or what the user types. Raises `CommandError` where there is nobody to ask."""
    if PASSPHRASE in os.environ:
        return os.environ[PASSPHRASE]
    if not _has_terminal():
        raise CommandError(
            f"the key is under a passphrase and there is no terminal to ask on: set {PASSPHRASE}",
            Exit.NO_ACCOUNT,
        )
    from getpass import getpass

    passphrase = getpass("Passphrase: ")
    if twice and getpass("The same again: ") != passphrase:
        raise CommandError("the two passphrases differ: nothing was made", Exit.NO_ACCOUNT)
    return passphrase


class _Given:
    """The key in COINSLOT_PRIVATE_KEY."""

    label = PRIVATE_KEY
    place = "environment"

    def __init__(self, text: str) -> None:
        from coinslot.methods.tempo.keys import PrivateKey

        try:
            self._key = PrivateKey.from_hex(text.strip())
        except ConfigurationError as error:
            raise CommandError(f"{PRIVATE_KEY} is not a key: {error}", Exit.NO_ACCOUNT) from None
        self.address = self._key.address

    def unlock(self) -> PrivateKey:
        return self._key


class _Kept:
    """An account of the keystore."""

    def __init__(self, keystore: Keystore, account: Account) -> None:
        self._keystore = keystore
        self._account = account
        self.label = account.name
        self.address = account.address
        self.place: str = account.place

    def unlock(self) -> PrivateKey:
        from coinslot.methods.tempo.keys import PrivateKey

        key = PrivateKey(self._keystore.secret(self._account, ask_passphrase))
        if key.address != self._account.address:
            raise CommandError(
                f"the key that is kept for {self.label!r} is that of {key.address}, not of {self.address}",
                Exit.NO_ACCOUNT,
            )
        return key


def _has_terminal() -> bool:
    if os.name == "nt":
        import sys

        return sys.stdin.isatty()
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY))
    except OSError:
        return False
    return True
