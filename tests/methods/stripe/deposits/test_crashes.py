"""Workers that die while they look after money: whoever comes next ends up with the same books."""

from __future__ import annotations

from contextlib import suppress
from typing import Any, Final

import pytest

from coinslot.storage.memory import MemoryLedger
from deposit_shop import OVER, Payer, Seller, World, recipient, unapplied
from mortal_ledger import Killed, MortalLedger

SETTINGS: Final[dict[str, Any]] = {"pool": 2}


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
async def test_being_killed_at_any_write_changes_nothing_in_the_end(
    world: World, buyer: Payer, *, after: bool
) -> None:
    """One payment to a deposit, one to the reusable address, one that is wrong: each ends as it should."""
    kills = 0
    for at in range(3 if after else 1, 200, 4):
        ledger = MemoryLedger()
        known = {each["id"] for each in await world.intents()}
        first = Seller(world, ledger, **SETTINGS)
        offer = first.sell()
        await first.open()
        good, bad = await first.asked(offer), await first.asked(offer)
        spare = await first.asked(offer)  # the pool is empty
        assert await world.intent_at(recipient(spare)) is None
        for challenge in (good, spare):
            paid = await buyer.pay(challenge)
            await first.take(challenge, paid, buyer.key.address)
        wrong = await buyer.pay(bad, amount=9_999)
        await first.close()

        mortal = MortalLedger(ledger, at=at, after=after)
        second = Seller(world, mortal.as_ledger, **SETTINGS)
        second.sell()
        is_over = False
        with suppress(Killed):
            await _look_after(second, world)
            is_over = True
        mortal.spare()
        await second.close()
        third = Seller(world, ledger, **SETTINGS)
        third.sell()
        await _look_after(third, world)
        assert [payment.reference for payment in await unapplied(ledger)] == [wrong]
        made = [each for each in await world.intents() if each["id"] not in known]
        told = {each["metadata"].get("mpp_challenge_id") for each in made if each["status"] == "succeeded"}
        assert told == {good.id, spare.id}
        assert sum(each["status"] == "requires_action" for each in made) == 2
        for each in made:
            if each["status"] == "requires_action":
                await world.stripe.ask("POST", f"/v1/payment_intents/{each['id']}/cancel", world.keys)
        await third.close()
        if is_over:
            break
        kills += 1
    else:
        pytest.fail("it never got to its end")
    assert kills > 4


async def _look_after(seller: Seller, world: World) -> None:
    """All that is to be done, until long after."""
    await seller.open()
    for _ in range(3):
        await world.later(OVER / 2)
        await seller.tend(6)
