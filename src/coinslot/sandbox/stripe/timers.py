"""What happens by itself: deposits settle, charges are disputed, refunds come through or do not, and deposits
and tokens expire. Nothing is lost by a restart.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Final

from msgspec import Struct

from coinslot.sandbox.stripe import deposits, disputes, refunding, tokens
from coinslot.sandbox.stripe.errors import ApiError
from coinslot.sandbox.stripe.state import State

logger = logging.getLogger("coinslot.sandbox.stripe")

_ACTIONS: Final[dict[str, Callable[[State, str], object]]] = {
    deposits.SETTLE: lambda state, id_: deposits.finish(state, id_, "succeeds"),
    deposits.FAIL: lambda state, id_: deposits.finish(state, id_, "fails"),
    deposits.EXPIRE: deposits.expire,
    disputes.INQUIRE: lambda state, id_: disputes.begin(state, id_, inquiry=True),
    disputes.OPEN: lambda state, id_: disputes.begin(state, id_, inquiry=False),
    refunding.FAIL: refunding.fail,
    refunding.SUCCEED: refunding.succeed,
    tokens.EXPIRE: tokens.expire,
}


class Round(Struct, frozen=True):
    """What came of looking: whether anything was done, and when there is something to do next."""

    done: bool
    next: float | None


def run_due(state: State) -> Round:
    """Do what is due."""
    rows = state.sql.execute(
        "SELECT sequence, action, subject FROM timers WHERE due <= ? ORDER BY due, sequence", (state.moment,)
    ).fetchall()
    for sequence, action, subject in rows:
        state.sql.execute("DELETE FROM timers WHERE sequence = ?", (sequence,))
        try:
            with state.attempt():
                _ACTIONS[action](state, subject)
        except ApiError as error:
            logger.warning("%s of %s came to nothing: %s", action, subject, error)
    (due,) = state.sql.execute("SELECT min(due) FROM timers").fetchone()
    return Round(bool(rows), None if due is None else float(due))
