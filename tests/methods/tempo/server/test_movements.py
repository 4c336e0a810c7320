from __future__ import annotations

import time
from collections.abc import AsyncIterator

import pytest
from msgspec.structs import replace

from coinslot.errors import NotApplied
from coinslot.methods import tempo
from coinslot.methods.tempo.keys import PrivateKey
from coinslot.methods.tempo.server.charge import TempoCharge
from coinslot.methods.tempo.wire.terms import Terms
from coinslot.payments.audit import audit
from coinslot.payments.back_office import BackOffice
from coinslot.payments.differences import Difference, Kind, Summary, Sums
from coinslot.payments.events import Events
from coinslot.payments.method import Audits, Movement, Proof, Repayment, Settled
from coinslot.payments.order import Order, fingerprint
from coinslot.payments.till import Policy, Till
from coinslot.protocol import Challenge, Credential
from coinslot.sandbox.tempo import ThreadedDevnet
from coinslot.storage.memory import MemoryLedger
from faulty_node import FaultyNode, edits
from tempo_payments import (
    credential,
    issue,
    mined,
    new_address,
    pays,
    pushed,
    unsigned,
    verified,
)

PATH_USD, ALPHA_USD = (token.address for token in tempo.TESTNET.tokens[:2])
HOUR = 3600.0


@pytest.fixture
async def shop(devnet: ThreadedDevnet, node: FaultyNode) -> AsyncIterator[TempoCharge]:
    """A server method with a partner, and a refund account that has money."""
    purse = PrivateKey.generate()
    devnet.fund(purse.address)
    splits = [tempo.Split(new_address(), share="0.25")]
    method = tempo.charge(new_address(), rpc_url=node.url, splits=splits, refund_account=purse)
    yield method
    await method.aclose()


async def moved(
    shop: TempoCharge,
    *,
    since: float | None = None,
    until: float | None = None,
    also: frozenset[str] = frozenset(),
) -> list[Movement]:
    """What the chain says, of the last hour unless told otherwise."""
    since = time.time() - HOUR if since is None else since
    until = time.time() + HOUR if until is None else until
    return [one async for one in shop.movements(since=since, until=until, recipients=also)]


async def sold(shop: TempoCharge, payer: PrivateKey, price: str = "0.01") -> Settled:
    challenge = issue(shop, price)
    settled = await shop.settle(await verified(shop, challenge, unsigned(challenge).sign(payer)))
    assert isinstance(settled, Settled)
    return settled


class TestMovements:
    """What the chain knows of a seller's money."""

    async def test_a_payment_came_in(self, charge: TempoCharge, payer: PrivateKey) -> None:
        """Who paid how much, by which transaction, and when the block was."""
        assert isinstance(charge, Audits)
        before = int(time.time())
        settled = await sold(charge, payer)
        (movement,) = await moved(charge)
        assert before - 2 <= movement.at <= time.time() + 2
        assert movement == Movement(
            reference=settled.reference, amount=10_000, currency=PATH_USD, at=movement.at, payer=payer.address
        )

    async def test_a_split_payment_is_one_sum(
        self, node: FaultyNode, shop: TempoCharge, payer: PrivateKey
    ) -> None:
        """What partners got of it counts; what they got otherwise does not."""
        settled = await sold(shop, payer)
        (split,) = Terms.from_request(issue(shop).decode_request()).splits
        elsewhere = issue(shop, recipient=split.recipient)
        await mined(node, pays(elsewhere)(unsigned(elsewhere)).sign(payer))
        (movement,) = await moved(shop)
        assert (movement.reference, movement.amount) == (settled.reference, 10_000)

    async def test_only_the_time_that_is_asked_about(self, charge: TempoCharge, payer: PrivateKey) -> None:
        """`since` is inclusive and `until` is not; ranges side by side have each movement once."""
        for _ in range(3):
            await sold(charge, payer)
        everything = await moved(charge)
        assert len(everything) == 3
        first, last = everything[0].at, everything[-1].at
        assert await moved(charge, since=first, until=last + 1) == everything
        assert await moved(charge, since=last + 1) == []
        assert await moved(charge, until=first) == []
        middle = everything[1].at
        sides = await moved(charge, until=middle), await moved(charge, since=middle)
        assert [*sides[0], *sides[1]] == everything

    async def test_other_recipients_are_asked_about(
        self, node: FaultyNode, charge: TempoCharge, payer: PrivateKey
    ) -> None:
        """Those that the ledger knows of, beside the method's own."""
        other = tempo.charge(new_address(), rpc_url=node.url)
        settled = await sold(other, payer)
        assert await moved(charge) == []
        recipient = str(issue(other).decode_request()["recipient"])
        (movement,) = await moved(charge, also=frozenset({recipient}))
        assert movement.reference == settled.reference
        await other.aclose()

    async def test_refunds_are_known_by_their_memos(
        self, devnet: ThreadedDevnet, node: FaultyNode, payer: PrivateKey
    ) -> None:
        """What else the refund account sends is the seller's own business."""
        purse = PrivateKey.generate()
        devnet.fund(purse.address)
        shop = tempo.charge(new_address(), rpc_url=node.url, refund_account=purse)
        settled = await sold(shop, payer)
        recipient = str(issue(shop).decode_request()["recipient"])
        paid = Proof(
            key="tempo:42431:x",
            reference=settled.reference,
            amount=10_000,
            currency=PATH_USD,
            recipient=recipient,
        )
        repayment = Repayment(key="rf_1", challenge_id="x", paid=paid, amount=4_000)
        done = await shop.repay(replace(repayment, recovery=await shop.draft_repayment(repayment)))
        assert isinstance(done, Settled)
        elsewhere = issue(tempo.charge(new_address()))
        await mined(devnet, unsigned(elsewhere).sign(purse))
        (back,) = [one for one in await moved(shop) if one.is_refund]
        assert (back.reference, back.amount, back.payer) == (done.reference, 4_000, payer.address)
        await shop.aclose()

    async def test_a_node_need_not_say_the_time_with_each_log(
        self, node: FaultyNode, charge: TempoCharge, payer: PrivateKey
    ) -> None:
        """Then the blocks are asked for it."""
        await sold(charge, payer)
        expected = await moved(charge)
        node.behaviours["eth_getLogs"] = edits(
            lambda logs: [{name: log[name] for name in log if name != "blockTimestamp"} for log in logs]
        )
        assert await moved(charge) == expected
        assert len(expected) == 1

    async def test_transfers_of_nothing_are_nothing(
        self, devnet: ThreadedDevnet, charge: TempoCharge, payer: PrivateKey
    ) -> None:
        """Anybody can make them."""
        challenge = issue(charge)
        await mined(devnet, pays(challenge, amount=0)(unsigned(challenge)).sign(payer))
        assert await moved(charge) == []


async def differences(till: Till, shop: TempoCharge) -> tuple[list[Difference], Summary]:
    """What an audit of the last hour finds."""
    summary = Summary()
    now = time.time()
    found = [
        one async for one in audit(till.ledger, [shop], since=now - HOUR, until=now + HOUR, summary=summary)
    ]
    return found, summary


class TestAudit:
    """The ledger and the chain, compared."""

    async def test_everything_is_accounted_for(
        self, devnet: ThreadedDevnet, node: FaultyNode, shop: TempoCharge, payer: PrivateKey
    ) -> None:
        """Pulled, pushed, split, late and sent back: no difference, until somebody pays past the till."""
        till = Till(MemoryLedger(), policy=Policy(), events=Events())
        await till.open()
        office = BackOffice(till, [shop], till.events)

        async def take(challenge: Challenge, presented: Credential) -> None:
            sale = await till.take(
                Order(
                    method=shop,
                    credential=presented,
                    fingerprint=fingerprint(presented),
                    request=challenge.decode_request(),
                    route="GET /paid",
                    expires_at=challenge.expires_at() or 0.0,
                )
            )
            await sale.delivered()

        pulled = issue(shop)
        await take(pulled, credential(pulled, unsigned(pulled).sign(payer)))
        shown = issue(shop, "0.03")
        await take(shown, pushed(shown, await mined(devnet, unsigned(shown).sign(payer))))
        late = issue(shop, "0.05", expires_at=time.time() - 20)
        with pytest.raises(NotApplied, match="made after"):
            await take(late, pushed(late, await mined(devnet, unsigned(late).sign(payer))))
        found, _ = await differences(till, shop)
        assert [(one.kind, one.challenge_id) for one in found] == [(Kind.UNREFUNDED, late.id)]
        await office.refund(late.id)
        await office.refund(shown.id, 1_000)
        found, summary = await differences(till, shop)
        assert found == []
        assert summary == Summary(
            payments=3,
            movements=5,
            sums={
                ("tempo", PATH_USD): Sums(
                    recorded=90_000, received=90_000, refunds_recorded=51_000, refunds_received=51_000
                )
            },
        )
        astray = issue(shop)
        reference = await mined(devnet, unsigned(astray).sign(payer))
        found, _ = await differences(till, shop)
        (unknown,) = found
        assert (unknown.kind, unknown.reference) == (Kind.UNRECORDED, reference)
        assert (unknown.received, unknown.payer) == (10_000, payer.address)

    async def test_a_node_that_does_not_answer_is_a_difference(
        self, node: FaultyNode, charge: TempoCharge
    ) -> None:
        """Nothing is said of what could not be asked."""
        till = Till(MemoryLedger(), policy=Policy(), events=Events())
        await till.open()
        await node.stop()
        found, _ = await differences(till, charge)
        (silent,) = found
        assert silent.kind is Kind.NOT_AUDITED
        assert "the node at 127.0.0.1 cannot be reached" in silent.detail
        await node.start()
