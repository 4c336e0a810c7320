"""The acts: how each kind of case goes, from an empty stage to the last row's being decided."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager, suppress
from typing import Final

import httpx2
import msgspec
from msgspec import Struct

from coinslot.methods.tempo.keys import PrivateKey
from coinslot.sandbox.tempo.granting import ask
from faults.buyers import Buyer, Manner
from faults.cases import DEATHS, LIVES, RAILS, Case
from faults.evidence import Evidence, gather, read_ledger
from faults.points import ANY, Fault, Passage
from faults.stage import House, Stage, stage_for
from faults.truth import violations

SENT: Final[dict[str, str]] = {
    "pull": "tempo eth_sendRawTransactionSync",
    "push": "ledger.insert settling",
    "stripe": "stripe POST /v1/payment_intents",
}
"""The point at which the money moves, by rail; of one that was moved before, the one that says so."""

_AHEAD: Final = 7200.0  # seconds, after which Stripe's absence of a PaymentIntent is final
_UNTIL_DECIDED: Final = 75.0
_BUYERS: Final = 6
_WORKERS: Final = 3
_OUTAGE: Final = 4.0  # seconds; less than a lease
_MANNERS: Final[tuple[Manner, ...]] = ("returns", "returns", "crowds", "vanishes")


class Result(Struct, frozen=True, kw_only=True):
    """What came of a case. Counts are of payments, but for `kills` and `faults`."""

    case: Case
    kills: int
    faults: int
    seconds: float
    violations: list[str]
    states: dict[str, int]
    refunds: int
    trace: list[Passage]
    log: str


async def play(house: House, case: Case) -> Result:
    """Play a case to its end, and look at what is left."""
    began = time.monotonic()
    changes: dict[str, object] = {}
    if case.rail in ("push", "mixed"):
        changes["modes"] = ("pull", "push")
    if case.act == "refund":
        key = PrivateKey.generate()
        changes["refund_key"] = key.to_hex()
        await ask(house.world.places.rpc_url, "tempo_fundAddress", key.address)
    own_servers = case.act == "outage" and case.what.startswith(("postgres", "redis"))
    async with stage_for(
        house, books=case.books, cached=case.cached, own_servers=own_servers, **changes
    ) as stage:
        found: list[str] = []
        evidence = Evidence()
        try:
            await _ACTS[case.act](stage, case)
            found += await _decide(stage)
            evidence = await gather(stage)
            found += [f"the audit has {difference}" for difference in await _audit(stage)]
            found += violations(evidence, stage.buyers, answers_are_lost=_loses_answers(case))
        except Exception as error:  # whatever it is, it must not end the other cases
            found.append(f"the case could not be played: {error!r}")
        return Result(
            case=case,
            kills=stage.kills,
            faults=stage.faults,
            seconds=time.monotonic() - began,
            violations=found,
            states=Counter(str(row.state) for row in evidence.rows.values()),
            refunds=len(evidence.refunds),
            trace=evidence.trace[stage.marked :],
            log=stage.last_words() if found else "",
        )


def _loses_answers(case: Case) -> bool:
    """Whether the ledger may fail to keep an answer while its shop lives on and sends it."""
    is_lost = case.fault is not None and case.fault.point == "ledger.keep_answer"
    return case.act == "outage" or (case.act == "lose" and is_lost)


async def _decide(stage: Stage) -> list[str]:
    """Have a shop find out all that is not decided. What cannot be, as an incident."""
    deadline = time.monotonic() + _UNTIL_DECIDED
    is_ahead = False
    while undecided := await _reconcile(stage):
        if time.monotonic() > deadline:
            return [f"{undecided} are undecided after {_UNTIL_DECIDED:g} s of reconciling"]
        rows, _ = await read_ledger(stage.settings.ledger)
        if not is_ahead and any(row.method == "stripe" and row.recovery.data for row in rows.values()):
            is_ahead = True
            await stage.end_all()
            await stage.start(ahead=_AHEAD)
        await asyncio.sleep(1)
    return []


async def _reconcile(stage: Stage) -> int:
    """How many are undecided after a round."""
    return int((await _told(stage, "/reconcile")).text)


async def _audit(stage: Stage) -> list[str]:
    """What Coinslot's own audit finds."""
    return msgspec.json.decode((await _told(stage, "/audit")).content, type=list[str])


async def _told(stage: Stage, path: str) -> httpx2.Response:
    """What a shop says that lives to tell."""
    while True:
        await stage.be_open()
        answer = await stage.post(path)
        if answer is not None:
            assert answer.status_code == 200, answer.text
            return answer


# What most acts are made of


async def _buy_one(stage: Stage, case: Case, faults: Iterable[Fault] = ()) -> Buyer:
    """One buyer buys one thing, while shops come and go; then they ask for it once more."""
    assert case.rail != "mixed"
    buyer = stage.buyer(case.rail, keyed=case.keyed, manner=case.manner)
    async with _open_shop(stage, faults):
        await buyer.buy(stage.item_url(buyer))
        if buyer.goods:
            await buyer.replay(stage.item_url(buyer))
    await stage.be_open()
    return buyer


async def _crowd(stage: Stage, rng: random.Random) -> None:
    """Buyers of all sorts, one soon after the other."""
    async with asyncio.TaskGroup() as shopping:
        for _ in range(_BUYERS):
            rail, manner = rng.choice(RAILS), rng.choice(_MANNERS)
            if rail == "push" and manner == "vanishes":
                manner = "returns"  # the shop would never hear of that money; an audit does
            buyer = stage.buyer(rail, keyed=rng.random() < 0.6, manner=manner)
            shopping.create_task(_shop_and_ask_again(stage, buyer))
            await asyncio.sleep(rng.uniform(0, 0.3))


async def _shop_and_ask_again(stage: Stage, buyer: Buyer) -> None:
    await buyer.buy(stage.item_url(buyer))
    if buyer.goods:
        await buyer.replay(stage.item_url(buyer))


@asynccontextmanager
async def _open_shop(stage: Stage, faults: Iterable[Fault] = (), *, workers: int = 1) -> AsyncIterator[None]:
    """Shops are open meanwhile: the first have these faults."""
    opening = asyncio.create_task(stage.keep_open(faults, workers=workers))
    try:
        while stage.started < workers and not opening.done():
            await asyncio.sleep(0.02)
        yield
    finally:
        if opening.done():
            opening.result()
        opening.cancel()
        with suppress(asyncio.CancelledError):
            await opening


def _dies_midway(case: Case) -> Fault:
    """The shop dies with the money on its way: right after it moved, or right before."""
    return Fault(point=SENT[case.rail], when="before" if case.act == "resend" else "after")


# The acts


async def _dry(stage: Stage, case: Case) -> None:
    """Nothing goes wrong."""
    await _buy_one(stage, case)


async def _kill(stage: Stage, case: Case) -> None:
    assert case.fault is not None
    await _buy_one(stage, case, [case.fault])
    assert stage.kills == 1, f"{case.fault.point} was never passed"


async def _lose(stage: Stage, case: Case) -> None:
    assert case.fault is not None
    stage.faults += 1
    await _buy_one(stage, case, [case.fault])


async def _resume(stage: Stage, case: Case) -> None:
    faults = [_dies_midway(case), *filter(None, [case.fault])]
    await _buy_one(stage, case, faults)
    assert stage.kills == len(faults), "a point was never passed"


async def _reconciling(stage: Stage, case: Case) -> None:
    """The payer is gone. The next shop finds out by itself what became of their money, and dies at that."""
    await _buy_one(stage, case, [_dies_midway(case)])
    stage.mark()
    await stage.arm(case.fault)
    while await _reconcile(stage):
        await asyncio.sleep(0.5)
    assert stage.kills == 1 + (case.fault is not None), "a point was never passed"


async def _refund(stage: Stage, case: Case) -> None:
    """The seller sends a part of it back, and asks until they are told that it is done or on its way."""
    buyer = await _buy_one(stage, case)
    stage.mark()
    await stage.arm(case.fault)
    (challenge_id,) = buyer.credentials
    part = 33 if case.rail == "stripe" else 330_000
    async with asyncio.timeout(_UNTIL_DECIDED):
        while (
            answer := await stage.post(f"/refund/{challenge_id}?amount={part}")
        ) is None or answer.is_error:
            await asyncio.sleep(1)  # the dead one's lease
            await stage.be_open()
    _, refunds = await read_ledger(stage.settings.ledger)
    assert len(refunds) == 1, f"asked for one refund, and there are {len(refunds)}"
    assert stage.kills == (case.fault is not None), "a point was never passed"


async def _random(stage: Stage, case: Case) -> None:
    rng = random.Random(case.seed)
    faults = [Fault(point=ANY, nth=rng.randrange(1, 160)) for _ in range(LIVES)]
    async with _open_shop(stage, faults):
        await _crowd(stage, rng)


async def _load(stage: Stage, case: Case) -> None:
    rng = random.Random(case.seed)
    async with _open_shop(stage, workers=_WORKERS), asyncio.TaskGroup() as meanwhile:
        meanwhile.create_task(_crowd(stage, rng))
        for _ in range(DEATHS):
            await asyncio.sleep(rng.uniform(0.1, 0.9))
            await stage.kill(rng.randrange(_WORKERS))


async def _outage(stage: Stage, case: Case) -> None:
    rng = random.Random(case.seed)
    subject, _, how = case.what.partition("-")
    async with _open_shop(stage, workers=_WORKERS), asyncio.TaskGroup() as meanwhile:
        meanwhile.create_task(_crowd(stage, rng))
        for _ in range(2):
            await asyncio.sleep(rng.uniform(0.2, 1.0))
            stage.faults += 1
            stage.is_cut_off = True
            await _befall(stage, subject, how)


async def _befall(stage: Stage, subject: str, how: str) -> None:
    """Something happens to a store, or to the way to the chain or to Stripe."""
    if subject in ("tempo", "stripe"):
        await stage.cut(subject, how)
        await asyncio.sleep(_OUTAGE)
        await stage.cut(subject, "off")
        return
    server = stage.postgres if subject == "postgres" else stage.redis
    assert server is not None
    match how:
        case "flush":
            assert stage.redis is not None
            await asyncio.to_thread(stage.redis.flush)
        case "restart":
            await asyncio.to_thread(server.restart)
        case "kill":
            await asyncio.to_thread(server.kill)
            try:
                await asyncio.sleep(_OUTAGE / 2)
            finally:
                await asyncio.to_thread(server.start)
        case "pause":
            server.pause()
            try:
                await asyncio.sleep(_OUTAGE)
            finally:
                server.resume()
        case _:
            raise AssertionError(f"nothing is known of {subject}-{how}")


_ACTS: Final[dict[str, Callable[[Stage, Case], Awaitable[None]]]] = {
    "dry": _dry,
    "kill": _kill,
    "lose": _lose,
    "resume": _resume,
    "resend": _resume,
    "reconcile": _reconciling,
    "refund": _refund,
    "random": _random,
    "load": _load,
    "outage": _outage,
}
