"""Shared payment tokens (SPTs) as credentials carry them, and what is kept of them.

A token can be charged by one seller, up to a limit, until it expires; to others it is worth nothing. It is a
secret all the same, so neither ledgers nor logs ever have it: they have its fingerprint.
"""

from __future__ import annotations

import hashlib
import logging
import re
from typing import Final

TOKEN: Final = re.compile(r"spt_[A-Za-z0-9_]{1,128}+")
"""What a token looks like."""

_ANYWHERE: Final = re.compile(r"spt_[A-Za-z0-9_]++")


def fingerprint(token: str) -> str:
    """SHA-256 of the token, in hexadecimal: the same for no other."""
    return hashlib.sha256(token.encode()).hexdigest()


class _WithoutTokens(logging.Filter):
    """Takes tokens out of log records."""

    def filter(self, record: logging.LogRecord) -> bool:
        message = record.getMessage()
        if "spt_" in message:
            record.msg, record.args = _ANYWHERE.sub("spt_…", message), ()
        return True


def keep_out_of_logs() -> None:
    """Take tokens out of the SDK's log, which quotes what it sends and what Stripe says."""
    logger = logging.getLogger("stripe")
    if not any(isinstance(each, _WithoutTokens) for each in logger.filters):
        logger.addFilter(_WithoutTokens())
