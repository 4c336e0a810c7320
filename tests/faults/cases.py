"""Cases: what is to go wrong, as a value whose name says it all.

    kill:sqlite:pull:key:returns:ledger.insert settling:before:1
    load:postgres+redis:mixed:key:returns:17

kill        one buyer; the shop dies at a point
resume      it died right after the money had moved, and dies again where it goes on from there
resend      the same, but it died right before
reconcile   as resume, with the payer gone: it dies where it finds out by itself
refund      it dies where it sends money back
lose        nothing dies, and one call, or its answer, is lost
random      several buyers, and one shop after the other that dies anywhere
load        several buyers and several workers, which are killed from outside at any moment
outage      several buyers and several workers, while a store, the chain or Stripe is cut off, slow or emptied
"""

from __future__ import annotations

import random
from typing import Final, Literal

from msgspec import Struct

from faults.buyers import Manner, Rail
from faults.points import Fault, Kind, Passage, when_of
from faults.stage import Books

Act = Literal["dry", "kill", "resume", "resend", "reconcile", "refund", "lose", "random", "load", "outage"]
Rails = Rail | Literal["mixed"]

RAILS: Final[tuple[Rail, ...]] = ("pull", "push", "stripe")
STORES: Final[tuple[tuple[Books, bool], ...]] = (
    ("sqlite", False),
    ("postgres", False),
    ("sqlite", True),
    ("postgres", True),
)
LIVES: Final = 4
"""How many shops die in one random case."""

DEATHS: Final = 8
"""How many workers are killed in one case under load."""

OUTAGES: Final[dict[str, tuple[str, ...]]] = {
    "postgres": ("pause", "kill", "restart"),
    "redis": ("flush", "pause", "kill", "restart"),
    "tempo": ("refused", "unanswered", "slow"),
    "stripe": ("refused", "unanswered", "slow"),
}

_BY_CHANCE: Final[tuple[tuple[Act, int], ...]] = (("random", 4), ("load", 3))

# Before these nothing has begun, and after them nothing is changed: killing there is killing elsewhere.
_READS: Final = (
    "ledger.open", "ledger.close", "ledger.select", "ledger.find", "ledger.count", "cache.open",
    "cache.close", "event",
)  # fmt: skip


class Case(Struct, frozen=True, kw_only=True):
    """One case. `what` is an outage's subject and kind; `seed` is for what is left to chance."""

    act: Act
    books: Books
    cached: bool
    rail: Rails
    keyed: bool = True
    manner: Manner = "returns"
    fault: Fault | None = None
    what: str = ""
    seed: int = 0

    @property
    def stores(self) -> str:
        """The ledger, and the cache if there is one."""
        return self.books + ("+redis" if self.cached else "")

    @property
    def kills(self) -> int:
        """How many processes are going to be killed."""
        return {"dry": 0, "lose": 0, "outage": 0, "random": LIVES, "load": DEATHS}.get(
            self.act, 2 if self.act in ("resume", "resend", "reconcile") else 1
        )

    def __str__(self) -> str:
        parts = [self.act, self.stores, self.rail, "key" if self.keyed else "nokey", self.manner]
        if self.fault is not None:
            parts += [self.fault.point, self.fault.when, str(self.fault.nth)]
        elif self.act != "dry":
            parts += [*filter(None, [self.what]), str(self.seed)]
        return ":".join(parts)

    @classmethod
    def parse(cls, name: str) -> Case:
        """The case of this name. Raises `ValueError`."""
        act, stores, rail, key, manner, *rest = name.split(":")
        fault, what, seed = None, "", 0
        if len(rest) == 3:
            point, when, nth = rest
            kind: Kind = "lose" if act == "lose" else "kill"
            fault = Fault(point=point, when=when_of(when), nth=int(nth), kind=kind)
        elif rest:
            *subject, number = rest
            what, seed = "".join(subject), int(number)
        return cls(
            act=act,  # type: ignore[arg-type]  # a name that was printed, or the act is not found
            books="postgres" if stores.startswith("postgres") else "sqlite",
            cached=stores.endswith("+redis"),
            rail=rail,  # type: ignore[arg-type]  # as above
            keyed=key == "key",
            manner=manner,  # type: ignore[arg-type]  # as above
            fault=fault,
            what=what,
            seed=seed,
        )


def dry_runs() -> list[Case]:
    """One of each kind, to see which points there are."""
    return [
        Case(act="dry", books=books, cached=cached, rail=rail, keyed=keyed)
        for books, cached in STORES
        for rail in RAILS
        for keyed in (True, False)
    ]


def strikes(trace: list[Passage], kind: Kind = "kill") -> list[Fault]:
    """A fault for each point that a dry run passed and that changes something, before and after."""
    names = dict.fromkeys(
        passage.point
        for passage in trace
        if not passage.point.startswith(_READS) and not passage.point.endswith((" reconcile", " health"))
    )
    return [
        Fault(point=name, when=when_of(when), kind=kind) for name in names for when in ("before", "after")
    ]


def chance_cases(seed: int) -> list[Case]:
    """Random deaths, loads and outages."""
    rng = random.Random(seed)
    cases = [
        Case(act=act, books=books, cached=cached, rail="mixed", seed=rng.randrange(10**6))
        for act, times in _BY_CHANCE
        for books, cached in STORES
        for _ in range(times)
    ]
    for subject, kinds in OUTAGES.items():
        cached = subject == "redis"
        stores: tuple[Books, ...] = ("postgres",) if subject == "postgres" else ("sqlite", "postgres")
        cases += [
            Case(
                act="outage",
                books=books,
                cached=cached,
                rail="mixed",
                what=f"{subject}-{kind}",
                seed=rng.randrange(10**6),
            )
            for books in stores
            for kind in kinds
        ]
    return cases
