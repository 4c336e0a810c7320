"""Who pays, as a credential says it (draft-tempo-charge §Credential Structure)."""

from __future__ import annotations

import re
from typing import Final

from coinslot.methods.tempo.keys import checksum_address

_SOURCE: Final = re.compile(r"did:pkh:eip155:([1-9][0-9]{0,18}):(0x[0-9a-fA-F]{40})")


def parse_source(source: str) -> tuple[int, str] | None:
    """Chain id and EIP-55 address of a `did:pkh:eip155:…` identifier, or None if it is no such thing."""
    match = _SOURCE.fullmatch(source)
    return (int(match[1]), checksum_address(match[2])) if match else None


def format_source(chain_id: int, address: str) -> str:
    """The identifier of an account on a chain."""
    return f"did:pkh:eip155:{chain_id}:{address}"
