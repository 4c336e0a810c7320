"""The operating system's keychain, through `keyring`.

An entry goes by the account's address, not by its name: no entry can ever be written over another key.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from coinslot.errors import CoinslotError

if TYPE_CHECKING:
    from keyring.backend import KeyringBackend

SERVICE = "coinslot"
"""What the entries stand under."""


class KeychainError(CoinslotError):
    """The keychain is not there, or would not do it."""


class Keychain:
    """macOS Keychain, Windows Credential Locker, Secret Service or KWallet. Made by `open_keychain`."""

    def __init__(self, backend: KeyringBackend) -> None:
        self._backend = backend

    def put(self, address: str, secret: bytes) -> None:
        """Keep `secret`, and make sure that it can be had again. Raises `KeychainError`."""
        with _refusals("take the key: unlock it and try again, or use --store file"):
            if self._backend.get_password(SERVICE, address) is None:
                self._backend.set_password(SERVICE, address, secret.hex())
            kept = self._backend.get_password(SERVICE, address)
        if kept != secret.hex():
            raise KeychainError("the OS keychain did not give the key back as it was: use --store file")

    def take(self, address: str) -> bytes | None:
        """The secret of `address`, or None if there is none. Raises `KeychainError`."""
        with _refusals("give the key: unlock it and try again"):
            kept = self._backend.get_password(SERVICE, address)
        try:
            return None if kept is None else bytes.fromhex(kept)
        except ValueError:
            raise KeychainError(f"what the OS keychain holds for {address} is not a key") from None

    def delete(self, address: str) -> None:
        """Destroy the secret of `address`, if there is one. Raises `KeychainError`."""
        with _refusals("delete the key: unlock it and try again"):
            if self._backend.get_password(SERVICE, address) is not None:
                self._backend.delete_password(SERVICE, address)


def open_keychain() -> Keychain | None:
    """This machine's keychain; None where `keyring` has no backend that it recommends.

    Raises `KeychainError` if the user's own configuration of `keyring` does not work.
    """
    import keyring

    try:
        backend = keyring.get_keyring()
        recommended = backend.priority >= 1  # 0 and less: none, a null one, or a file in plain text
    except Exception as error:  # whatever a backend that the user named may raise while it loads
        raise KeychainError(
            "the backend that PYTHON_KEYRING_BACKEND or keyringrc.cfg names does not load: correct it"
        ) from error
    return Keychain(backend) if recommended else None


@contextmanager
def _refusals(would_not: str) -> Iterator[None]:
    from keyring.errors import KeyringError

    try:
        yield
    except KeyringError as error:
        raise KeychainError(f"the OS keychain would not {would_not}") from error
