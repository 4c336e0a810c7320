"""Answers in memory."""

from __future__ import annotations

import heapq
import threading
from collections.abc import Callable
from typing import Final

from coinslot.payments.answers import Answer

# What an answer takes beside its body, roughly.
_OVERHEAD: Final = 1024


class MemoryAnswers:
    """Keeps answers of at most `room` bytes together: beyond that, the one that would end first goes."""

    def __init__(self, room: int, clock: Callable[[], float]) -> None:
        self._answer_room = room
        self._answer_clock = clock
        self._answer_lock = threading.Lock()
        self._answers: dict[str, Answer] = {}
        self._endings: list[tuple[float, str]] = []

    async def keep_answer(self, answer: Answer) -> bool:
        """Keep a payment's answer, if it has none."""
        with self._answer_lock:
            self._drop_answers(until=self._answer_clock())
            if answer.challenge_id in self._answers:
                return False
            self._answers[answer.challenge_id] = answer
            self._answer_room -= _size(answer)
            heapq.heappush(self._endings, (answer.until, answer.challenge_id))
            self._drop_answers(until=float("-inf"))
            return True

    async def find_answer(self, challenge_id: str) -> Answer | None:
        """The answer that is kept, unless its time is over."""
        with self._answer_lock:
            answer = self._answers.get(challenge_id)
            return None if answer is None or answer.until <= self._answer_clock() else answer

    def _drop_answers(self, *, until: float) -> None:
        """Drop those whose time is over, and more while there is too little room."""
        while self._endings and (self._endings[0][0] <= until or self._answer_room < 0):
            _, challenge_id = heapq.heappop(self._endings)
            self._answer_room += _size(self._answers.pop(challenge_id))


def _size(answer: Answer) -> int:
    return _OVERHEAD + len(answer.body)
