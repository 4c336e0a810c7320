"""Asking a method about money: whatever goes wrong, the answer is a settlement."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager
from typing import TypeAlias

from msgspec import Struct

from coinslot.payments.method import Failed, NotSent, Settled, Settlement, Unknown
from coinslot.payments.payment import Payment


class Question(Struct, frozen=True, kw_only=True):
    """What a method is asked, and about which payment. `what` is the name of the method's function.

    `reference` is the payment's; a proof that is being verified has none yet.
    """

    method: str
    what: str
    challenge_id: str
    reference: str | None = None

    def __str__(self) -> str:
        return f"{self.method} {self.what}"


Watcher: TypeAlias = Callable[[Question], AbstractContextManager[Callable[[Settlement], None]]]
"""Who is told of each question while it is asked, and of its answer. It must not raise."""


def question(payment: Payment, what: str) -> Question:
    """A question about a payment that is written down."""
    return Question(
        method=payment.method, what=what, challenge_id=payment.challenge_id, reference=payment.reference
    )


async def ask(
    asked: Question, answer: Awaitable[Settlement], *, within: float, watcher: Watcher | None = None
) -> Settlement:
    """The answer, or `Unknown` if there is none `within` so many seconds, or it raises."""
    if watcher is None:
        return await _answer(asked, answer, within)
    with watcher(asked) as told:
        settlement = await _answer(asked, answer, within)
        told(settlement)
    return settlement


async def _answer(who: Question, answer: Awaitable[Settlement], within: float) -> Settlement:
    try:
        async with asyncio.timeout(within):
            settlement: object = await answer
    except TimeoutError:
        return Unknown(reason=f"{who}: no answer in {within:g} s")
    except Exception as error:  # noqa: BLE001 - the money may have moved, so this is not a failure
        # The message is the method's and may quote a proof, so only its type and place are told.
        return Unknown(reason=f"{who} raised {where(error)}")
    if isinstance(settlement, Settled | Failed | NotSent | Unknown):
        return settlement
    return Unknown(reason=f"{who} gave no settlement")


def where(error: BaseException) -> str:
    """The type and place of an error, for the log, without its message, which may quote a proof."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    place = f" at {trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}" if trace is not None else ""
    return f"{type(error).__name__}{place}"
