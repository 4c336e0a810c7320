"""What passes, in SQL: leases, and answers that are kept for a while.

What is over is deleted by the calls that bring something new, which take away more than they bring. So
neither table grows beyond what is alive, whoever dies.
"""

from __future__ import annotations

from typing import Final

from coinslot.payments.answers import Answer
from coinslot.storage.rows import ANSWERS
from coinslot.storage.script import Dialect, Script, ask, change

# Every sixteenth lease takes up to 256 that have lapsed along, and every answer up to four.
SWEEP_EVERY: Final = 16
_LAPSED: Final = 256
_STALE: Final = 4


class PassingScripts:
    """The scripts in one dialect.

    A lease's name is in the column `challenge_id`: at first there were no others.
    """

    def __init__(self, dialect: Dialect) -> None:
        self._lease = (
            "INSERT INTO leases (challenge_id, owner, until) "
            f"SELECT ?, ?, wall_clock() + ? {dialect.hasty_from} WHERE true "
            "ON CONFLICT (challenge_id) DO UPDATE SET owner = excluded.owner, until = excluded.until "
            f"WHERE leases.owner = excluded.owner OR leases.until <= wall_clock()"
        )
        self._release = f"DELETE FROM leases {dialect.hasty_using} WHERE challenge_id = ? AND owner = ?"  # noqa: S608 - constants, as in all that follow
        self._sweep_leases = _sweep("leases", dialect)
        self._keep = (
            f"INSERT INTO answers ({ANSWERS.names}) VALUES ({ANSWERS.marks}) "  # noqa: S608
            "ON CONFLICT (challenge_id) DO UPDATE SET "
            f"{', '.join(f'{column} = excluded.{column}' for column in ANSWERS.columns[1:])} "
            f"WHERE answers.until <= wall_clock()"
        )
        self._find = f"SELECT {ANSWERS.names} FROM answers WHERE challenge_id = ? AND until > wall_clock()"  # noqa: S608
        self._sweep_answers = _sweep("answers", dialect)

    def lease(self, name: str, owner: str, seconds: float) -> Script[bool]:
        """`Leases.lease`."""
        return (yield from change(self._lease, name, owner, seconds)) == 1

    def release(self, name: str, owner: str) -> Script[None]:
        """`Leases.release`."""
        yield from change(self._release, name, owner)

    def sweep_leases(self) -> Script[None]:
        """Delete some leases that have lapsed."""
        yield from change(self._sweep_leases, _LAPSED)

    def keep_answer(self, answer: Answer) -> Script[bool]:
        """`Answers.keep_answer`."""
        row = ANSWERS.to_row(answer)
        yield from change(self._sweep_answers, _STALE)
        return (yield from change(self._keep, *row)) == 1

    def find_answer(self, challenge_id: str) -> Script[Answer | None]:
        """`Answers.find_answer`."""
        rows = yield from ask(self._find, challenge_id)
        return ANSWERS.from_row(rows[0]) if rows else None


def _sweep(table: str, dialect: Dialect) -> str:
    return (
        f"DELETE FROM {table} {dialect.hasty_using} WHERE challenge_id IN ("  # noqa: S608
        f"SELECT challenge_id FROM {table} WHERE until <= wall_clock() "
        f"ORDER BY until LIMIT ? {dialect.skip_locked})"
    )
