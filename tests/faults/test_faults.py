"""Some thirty deaths of each kind; `make faults` plays all there are."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from faults.cases import Case
from faults.run import play_all
from faults.stage import House

CASES = [
    "kill:sqlite:pull:key:returns:ledger.insert settling:before:1",
    "kill:sqlite:pull:key:returns:ledger.keep_answer:after:1",
    "kill:sqlite:push:nokey:returns:ledger.replace settling→settled:after:1",
    "kill:sqlite:stripe:key:crowds:stripe POST /v1/payment_intents:after:1",
    "kill:sqlite+redis:pull:nokey:crowds:tempo eth_sendRawTransactionSync:after:1",
    "kill:sqlite+redis:stripe:key:returns:ledger.replace settled→delivered:before:1",
    "kill:postgres:pull:key:crowds:handler:after:1",
    "kill:postgres:push:key:returns:ledger.insert settling:after:1",
    "kill:postgres:stripe:nokey:returns:answer body 200:before:1",
    "kill:postgres+redis:pull:nokey:returns:tempo eth_sendRawTransactionSync:before:1",
    "kill:postgres+redis:stripe:key:returns:ledger.replace settling→settled:before:1",
    "kill:postgres+redis:push:nokey:crowds:ledger.replace settled→delivered:after:1",
    "resume:sqlite:stripe:key:returns:ledger.replace settling→settled:after:1",
    "resend:postgres:stripe:key:returns:stripe POST /v1/payment_intents:after:1",
    "reconcile:sqlite:pull:key:vanishes:ledger.replace settling→settled:before:1",
    "refund:sqlite:pull:key:returns:tempo eth_sendRawTransactionSync:after:1",
    "refund:postgres+redis:stripe:key:returns:stripe POST /v1/refunds:after:1",
    "lose:postgres:pull:key:returns:ledger.insert settling:after:1",
    "lose:sqlite+redis:stripe:key:returns:stripe POST /v1/payment_intents:after:1",
    "random:sqlite:mixed:key:returns:17",
    "load:postgres+redis:mixed:key:returns:18",
]


@pytest.fixture(scope="module")
def house() -> Iterator[House]:
    """What all cases share."""
    with House() as opened:
        yield opened


async def test_no_death_costs_anybody_money(house: House) -> None:
    """Whenever a shop dies: what came in is booked, nobody pays twice, and who comes back has their goods."""
    results = await play_all(house, map(Case.parse, CASES))
    assert "\n".join(f"{result.case}: {each}" for result in results for each in result.violations) == ""
    assert sum(result.kills for result in results) >= 30


@pytest.mark.parametrize("name", CASES)
def test_a_case_can_be_played_again_by_its_name(name: str) -> None:
    """Its name says everything about it."""
    assert str(Case.parse(name)) == name
