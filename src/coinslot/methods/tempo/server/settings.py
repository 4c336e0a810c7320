"""What a seller configures, checked when it is given."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from coinslot.errors import ConfigurationError
from coinslot.methods.tempo.wire.memo import MEMO_LENGTH
from coinslot.methods.tempo.wire.terms import MODES, PULL, PUSH


def check_modes(modes: Sequence[str] | None, *, pays_fees: bool) -> tuple[str, ...]:
    """The modes in the specification's order. Raises `ConfigurationError`."""
    if modes is None:
        return (PULL,) if pays_fees else MODES
    if isinstance(modes, str) or not modes or not set(modes) <= set(MODES):
        raise ConfigurationError(f"modes is a list of {' and '.join(repr(mode) for mode in MODES)}")
    if pays_fees and PUSH in modes:
        raise ConfigurationError("who pushes a transaction pays its fee: fee_payer goes with pull only")
    return tuple(mode for mode in MODES if mode in modes)


def unique_memo(memo: Callable[[], bytes]) -> Callable[[], bytes]:
    """Raises `ConfigurationError` unless it makes 32 bytes, and others each time."""
    if not callable(memo):
        raise ConfigurationError(
            "memo is a function that makes a new one for each challenge: "
            "with a constant memo one transfer would pay for any of them"
        )
    one, other = memo(), memo()
    if {type(one), type(other)} != {bytes} or {len(one), len(other)} != {MEMO_LENGTH}:
        raise ConfigurationError(f"memo has to make {MEMO_LENGTH} bytes")
    if one == other:
        raise ConfigurationError("memo made the same twice: it has to make a new one for each challenge")
    return memo
