"""Identifiers as Stripe writes them: a prefix that names the kind, then letters and digits at random."""

from __future__ import annotations

import secrets
import string
from typing import Final

_ALPHABET: Final = string.ascii_letters + string.digits


def new_id(prefix: str, *, length: int = 24) -> str:
    """Such as `pi_3…`, with `length` characters after the prefix's underscore."""
    return f"{prefix}_{random_text(length)}"


def random_text(length: int) -> str:
    """Letters and digits that nobody can guess."""
    return "".join(secrets.choice(_ALPHABET) for _ in range(length))
