"""Where the command line keeps its session with Link.

One file for each login server, `<data directory>/link/<host>.json`, 0600, with where the tokens are: in the
OS keychain or, on a machine that has none, sealed under a passphrase in the file itself. The addresses that
the tokens are for are bound to them, so that no setting has them sent elsewhere.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, suppress
from pathlib import Path

import msgspec
from msgspec import Struct

from coinslot.cli import files
from coinslot.cli.keychain import KeychainError, open_keychain
from coinslot.cli.keys import KeystoreError, Place, WrongPassphrase
from coinslot.cli.link_lock import locked
from coinslot.cli.sealing import CannotOpen, Damaged, Sealed, seal, unseal
from coinslot.methods.stripe.link_auth import LinkCredentials

_VERSION = 1


class SessionLost(KeystoreError):
    """There was a session, and nothing is left of its tokens."""


class _InKeychain(Struct, frozen=True, kw_only=True, tag="keychain", tag_field="place"):
    """The tokens are in the OS keychain, under `entry`."""

    entry: str


class _Kept(Struct, frozen=True, kw_only=True):
    """The file."""

    version: int
    auth_url: str
    api_url: str
    tokens: _InKeychain | Sealed


class SessionStore:
    """The session with the Link at `auth_url` and `api_url`: a `CredentialStore`.

    `ask_passphrase` is called only if there is no keychain, and once. `directory` is the data directory, the
    platform's own unless given.
    """

    def __init__(
        self,
        auth_url: str,
        api_url: str,
        *,
        ask_passphrase: Callable[[bool], str],
        place: Place | None = None,
        directory: Path | None = None,
    ) -> None:
        """`ask_passphrase` is told whether the passphrase is a new one; `place` insists on one."""
        name = re.sub(r"[^a-z0-9.-]+", "_", auth_url.partition("://")[2].lower())
        self.file = (directory or files.data_directory()) / "link" / f"{name}.json"
        self._auth_url, self._api_url = auth_url, api_url
        self._ask = ask_passphrase
        self._wanted = place
        self._passphrase: str | None = None

    @property
    def place(self) -> Place | None:
        """Where the tokens are; None if there are none."""
        kept = self._read()
        return None if kept is None else "keychain" if isinstance(kept.tokens, _InKeychain) else "file"

    def prepare(self) -> None:
        """Find out whether tokens could be kept, before there are any; asks for a new passphrase if needed.

        Raises `KeychainError`, `KeystoreError`, and what `ask_passphrase` raises.
        """
        if self._wanted != "file" and open_keychain() is not None:
            return
        if self._wanted == "keychain":
            raise KeystoreError("there is no OS keychain here: use --store file")
        self._passphrase = self._ask(True)
        if not self._passphrase:
            raise KeystoreError("an empty passphrase protects nothing: choose one")

    def load(self) -> LinkCredentials | None:
        """The tokens, or None if there are none.

        Raises `WrongPassphrase`, `KeychainError`, or `KeystoreError` if they cannot be had, or are for
        another API than this one.
        """
        kept = self._read()
        if kept is None:
            return None
        if kept.api_url != self._api_url:
            raise KeystoreError(
                f"the session with {kept.auth_url} is for the API at {kept.api_url}, not {self._api_url}:"
                " give that one with --api-url"
            )
        secret = self._take(kept.tokens)
        try:
            return msgspec.json.decode(secret, type=LinkCredentials)
        except msgspec.MsgspecError:
            raise self._damaged() from None

    def save(self, credentials: LinkCredentials) -> None:
        """Keep `credentials` in place of what was kept. Raises `KeychainError` and `CannotWrite`."""
        before = self._read()
        secret = msgspec.json.encode(credentials)
        tokens: _InKeychain | Sealed
        if self._passphrase is not None:
            tokens = seal(secret, self._passphrase, bound_to=self._binding())
        else:
            keychain = open_keychain()
            if keychain is None:
                raise KeystoreError(
                    "the OS keychain is gone, and with it the place for the session: log in again"
                )
            # An entry is never written over: a new one is there before the old one goes.
            tokens = _InKeychain(entry=f"link:{secrets.token_hex(8)}")
            keychain.put(tokens.entry, secret)
        kept = _Kept(version=_VERSION, auth_url=self._auth_url, api_url=self._api_url, tokens=tokens)
        files.replace(self.file, msgspec.json.format(msgspec.json.encode(kept), indent=2) + b"\n")
        if before is not None:
            with suppress(KeychainError):  # what it holds is void, and the new tokens are kept
                self._forget(before)

    def clear(self) -> None:
        """Destroy the tokens, if there are any. Raises `KeychainError`."""
        kept = self._read()
        if kept is not None:
            self._forget(kept)
            self.file.unlink(missing_ok=True)

    def exclusive(self) -> AbstractAsyncContextManager[None]:
        """Held while tokens are refreshed, against other commands."""
        return locked(self.file.with_suffix(".lock"))

    def _take(self, tokens: _InKeychain | Sealed) -> bytes:
        if isinstance(tokens, Sealed):
            if self._passphrase is None:
                self._passphrase = self._ask(False)
            try:
                return unseal(tokens, self._passphrase, bound_to=self._binding())
            except CannotOpen:
                raise WrongPassphrase("that passphrase does not open the session with Link") from None
            except Damaged:
                raise self._damaged() from None
        keychain = open_keychain()
        secret = None if keychain is None else keychain.take(tokens.entry)
        if secret is None:
            raise SessionLost("the OS keychain no longer holds the session with Link: log in again")
        return secret

    def _forget(self, kept: _Kept) -> None:
        if isinstance(kept.tokens, _InKeychain) and (keychain := open_keychain()) is not None:
            keychain.delete(kept.tokens.entry)

    def _read(self) -> _Kept | None:
        try:
            kept = msgspec.json.decode(self.file.read_bytes(), type=_Kept)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise KeystoreError(f"{self.file} cannot be read: {error.strerror}") from error
        except (msgspec.MsgspecError, UnicodeDecodeError):
            raise self._damaged() from None
        if kept.version != _VERSION:
            raise KeystoreError(f"{self.file} was written by a newer coinslot: upgrade this one")
        return kept

    def _binding(self) -> bytes:
        return "\n".join(("coinslot link", str(_VERSION), self._auth_url, self._api_url)).encode()

    def _damaged(self) -> KeystoreError:
        return KeystoreError(f"{self.file} is damaged: delete it, and log in again")
