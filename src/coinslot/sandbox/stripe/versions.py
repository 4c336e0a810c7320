"""API versions: `2026-10-28.endive` is generally available, `2026-07-29.preview` is not.

Machine payments are in preview. A request with any other version does not see them: the endpoint is an
unrecognized URL and the parameter an unknown one, which is also what Stripe says.
"""

from __future__ import annotations

import re
from typing import Final

from coinslot.sandbox.stripe.errors import invalid

DEFAULT: Final = "2026-10-28.endive"
"""The version of a request that names none."""

FIRST_PREVIEW: Final = "2026-03-04.preview"
"""The first that has deposit mode, as Stripe's guide to machine payments uses it."""

_VERSION: Final = re.compile(r"\d{4}-\d{2}-\d{2}(\.[a-z]+)?")


def read_version(header: str | None) -> str:
    """The version that a request asks for. Raises `ApiError` for what is none."""
    if header is None:
        return DEFAULT
    # The SDKs' beta releases append features: `2026-07-29.preview; some_beta=v1`.
    version = header.partition(";")[0].strip()
    if not _VERSION.fullmatch(version):
        raise invalid(f"Invalid Stripe API version: {header[:80]}")
    return version


def has_machine_payments(version: str) -> bool:
    """Whether the version has shared payment tokens and crypto deposits."""
    return version.endswith(".preview") and version >= FIRST_PREVIEW
