"""A secret under a passphrase: scrypt (RFC 7914) to a key, ChaCha20-Poly1305 (RFC 8439) under that key."""

from __future__ import annotations

import os
import unicodedata

from msgspec import Struct

_N, _R, _P = 2**17, 8, 1
"""scrypt's cost: 128 MiB and about half a second, the first of the settings OWASP gives."""

_N_LIMIT, _R_LIMIT, _P_LIMIT = 2**20, 8, 4
"""The most that a file may ask for, so that a damaged or planted one cannot take all memory."""


class CannotOpen(Exception):
    """Wrong passphrase, or changed bytes: the cipher cannot tell which."""


class Damaged(Exception):
    """Not something that `seal` makes."""


class Sealed(Struct, frozen=True, kw_only=True, tag="file", tag_field="place"):
    """A secret, encrypted; `n`, `r` and `p` are scrypt's."""

    n: int
    r: int
    p: int
    salt: bytes
    nonce: bytes
    ciphertext: bytes

    def __repr__(self) -> str:
        return "Sealed(<redacted>)"

    def __rich_repr__(self) -> list[tuple[str, object]]:
        # msgspec's own would show it wherever rich prints a traceback.
        return []


def seal(secret: bytes, passphrase: str, *, bound_to: bytes) -> Sealed:
    """Encrypt `secret`. `bound_to` must be the same when it is opened; it is not kept here."""
    from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

    salt, nonce = os.urandom(16), os.urandom(12)
    cipher = ChaCha20Poly1305(_derive(passphrase, salt, _N, _R, _P))
    return Sealed(
        n=_N, r=_R, p=_P, salt=salt, nonce=nonce, ciphertext=cipher.encrypt(nonce, secret, bound_to)
    )


def unseal(sealed: Sealed, passphrase: str, *, bound_to: bytes) -> bytes:
    """The secret. Raises `CannotOpen` or `Damaged`."""
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

    if not (0 < sealed.n <= _N_LIMIT and 0 < sealed.r <= _R_LIMIT and 0 < sealed.p <= _P_LIMIT):
        raise Damaged
    try:
        cipher = ChaCha20Poly1305(_derive(passphrase, sealed.salt, sealed.n, sealed.r, sealed.p))
        return cipher.decrypt(sealed.nonce, sealed.ciphertext, bound_to)
    except InvalidTag:
        raise CannotOpen from None
    except ValueError:  # n is no power of two, or the nonce is not twelve bytes
        raise Damaged from None


def _derive(passphrase: str, salt: bytes, n: int, r: int, p: int) -> bytes:
    from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

    # The same letters typed on two systems can come as different code points.
    typed = unicodedata.normalize("NFKC", passphrase)
    return Scrypt(salt=salt, length=32, n=n, r=r, p=p).derive(typed.encode())
