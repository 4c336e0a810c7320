"""Files that only their owner may read, and that appear whole or not at all."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from coinslot.errors import CoinslotError


class CannotWrite(CoinslotError):
    """A file that cannot be written."""


def data_directory() -> Path:
    """The platform's place for application data; `~/.local/share/coinslot` on Linux."""
    import platformdirs

    return platformdirs.user_data_path("coinslot", appauthor=False)


def create(path: Path, data: bytes) -> None:
    """Write a file that must not exist yet. Raises `FileExistsError`, and `CannotWrite`."""
    draft = _draft(path.parent, data)
    try:
        os.link(draft, path)  # fails where the name is taken; a rename would replace it
    except FileExistsError:
        raise
    except OSError as error:
        raise CannotWrite(f"{path} cannot be written: {error.strerror}") from error
    finally:
        draft.unlink()
    _sync_directory(path.parent)


def replace(path: Path, data: bytes) -> None:
    """Write a file in place of whatever has its name. Raises `CannotWrite`."""
    draft = _draft(path.parent, data)
    try:
        draft.replace(path)
    except OSError as error:
        draft.unlink()
        raise CannotWrite(f"{path} cannot be written: {error.strerror}") from error
    _sync_directory(path.parent)


def _draft(directory: Path, data: bytes) -> Path:
    """A file beside the final one, 0600 in a 0700 directory, its bytes on the disk."""
    try:
        for missing in [*reversed(directory.parents), directory]:
            if not missing.exists():
                missing.mkdir(mode=0o700, exist_ok=True)
        draft = directory / f".{secrets.token_hex(8)}"
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as out:
            out.write(data)
            out.flush()
            os.fsync(out.fileno())
    except OSError as error:
        raise CannotWrite(f"{directory} cannot be written: {error.strerror}") from error
    return draft


def _sync_directory(directory: Path) -> None:
    if os.name == "nt":  # a directory cannot be opened there
        return
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
