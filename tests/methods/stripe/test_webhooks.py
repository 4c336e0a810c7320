"""Webhooks of a real Stripe in a box, at a real paywall: whatever comes, and however, the ledger is right."""

from __future__ import annotations

import asyncio
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest

from coinslot.payments.events import PaymentDisputed
from coinslot.payments.payment import Payment, State
from coinslot.payments.refunds import RefundState
from coinslot.sandbox.stripe import ThreadedStripeSandbox
from faulty_stripe import FaultyStripe, with_status
from stripe_payments import INTENTS, Stripe
from stripe_shop import Shop, eventually

DISPUTES = "/v1/disputes*"


class TestPayments:
    """What becomes of payments."""

    async def test_a_payment_that_nobody_came_back_for_is_settled(self, shop: Shop) -> None:
        """Stripe says so, the shop looks and writes it down; and its payer is served when they come."""
        async with shop.open():
            credential = await shop.lose()
            assert (await shop.payment(credential)).state is State.UNKNOWN
            await shop.hears("payment_intent.succeeded", 503)  # it could not look
            await shop.world.clear_faults()
            settled = await shop.becomes(credential, State.SETTLED)
            assert settled.reference.startswith("pi_")
            assert (await shop.present(credential)).status_code == 200
        assert shop.served == 1

    async def test_events_of_a_sale_change_nothing(self, shop: Shop) -> None:
        """They come while it is made, and are waited out; and again, late, in any order."""
        async with shop.open():
            sold = await shop.sell()
            assert sold.state is State.DELIVERED
            await shop.hears("payment_intent.succeeded")
            for event in list(reversed(await shop.events())) * 2:
                assert await shop.deliver(event) == 200
            assert await shop.paywall.ledger.find(sold.challenge_id) == sold
        assert {status for _, status in shop.heard} == {200}

    async def test_a_declined_payment_stays_failed(self, shop: Shop) -> None:
        """Whatever events there are about it."""
        async with shop.open():
            credential = await shop.order("pm_card_visa_chargeDeclined")
            assert (await shop.present(credential)).status_code == 402
            failed = await shop.payment(credential)
            for event in await shop.events():
                assert await shop.deliver(event) == 200
            assert await shop.payment(credential) == failed
            assert failed.state is State.FAILED

    async def test_a_payment_that_was_called_failed_and_was_not(
        self, shop: Shop, faulty: FaultyStripe, caplog: pytest.LogCaptureFixture
    ) -> None:
        """It is settled, the operator is told, and its payer gets what they paid for."""
        faulty.rewrites[f"POST {INTENTS}"] = [with_status("canceled")]
        async with shop.open(listening=False, api_base=faulty.url):
            credential = await shop.order()
            assert (await shop.present(credential)).status_code == 402
            assert (await shop.payment(credential)).state is State.FAILED
        async with shop.open():
            for event in await shop.events():
                assert await shop.deliver(event) == 200
            settled = await shop.payment(credential)
            assert settled.state is State.SETTLED
            assert settled.reference.startswith("pi_")
            assert "had failed" in caplog.text
            assert (await shop.present(credential)).status_code == 200

    async def test_the_shop_restarts_in_between(self, shop: Shop) -> None:
        """Events that found it closed come again, and settle what was open."""
        async with shop.open():
            credential = await shop.lose()
        await shop.world.clear_faults()
        await asyncio.sleep(0.5)  # deliveries fail meanwhile
        async with shop.open(reconciling=False):
            await shop.becomes(credential, State.SETTLED)
            assert (await shop.present(credential)).status_code == 200

    async def test_stripe_restarts_in_between(self, tmp_path: Path) -> None:
        """What it had to tell is told when it is back."""
        settings: dict[str, Any] = {"state": tmp_path / "stripe.db", "retry_delays": [0.3] * 30}
        with ThreadedStripeSandbox(**settings) as sandbox:
            url = sandbox.url
            world = Stripe(url)
            shop = Shop(world, world.seller, tmp_path)
            async with shop.open():
                credential = await shop.lose()
            await world.aclose()
        with ThreadedStripeSandbox(port=int(url.rpartition(":")[2]), **settings):
            async with shop.open(reconciling=False):
                await shop.becomes(credential, State.SETTLED)


class TestDisputes:
    """The flag says what Stripe says, whatever order that was told in."""

    @pytest.mark.parametrize(
        ("evidence", "disputed"), [("winning_evidence", False), ("losing_evidence", True)]
    )
    async def test_a_dispute_is_flagged_until_it_is_won(
        self, shop: Shop, evidence: str, disputed: bool
    ) -> None:
        """It is told as an event too; and every event again, in the other order, changes nothing."""
        async with shop.open():
            flags: list[bool] = []

            @shop.paywall.on(PaymentDisputed)
            def told(event: PaymentDisputed) -> None:
                flags.append(event.payment.disputed)

            sold = await shop.sell("pm_card_createDispute")
            await eventually(lambda: flagged(shop, sold, True))
            await shop.end_dispute(sold.reference, evidence)
            await shop.hears("charge.dispute.closed")
            assert await flagged(shop, sold, disputed)
            # Two webhooks at once may both tell of the same change.
            assert [flag for flag, _ in groupby(flags)] == ([True] if disputed else [True, False])
            for event in reversed(await shop.events()):
                assert await shop.deliver(event) == 200
            assert await flagged(shop, sold, disputed)

    async def test_an_inquiry_is_flagged(self, shop: Shop) -> None:
        """The bank asks for the money, though it has not taken it yet."""
        async with shop.open():
            sold = await shop.sell("pm_card_createDisputeInquiry")
            await eventually(lambda: flagged(shop, sold, True))

    async def test_a_dispute_that_cannot_be_read_comes_again(self, shop: Shop) -> None:
        """The answer is 503, and the flag is set as soon as Stripe can be asked."""
        async with shop.open():
            await shop.world.fault("rate_limit", method="GET", path=DISPUTES, times=1000)
            sold = await shop.sell("pm_card_createDispute")
            await shop.hears("charge.dispute.created", 503)
            assert await flagged(shop, sold, False)
            await shop.world.clear_faults()
            await eventually(lambda: flagged(shop, sold, True))


class TestRefunds:
    """What becomes of refunds."""

    async def test_a_pending_refund_is_done_when_stripe_says_so(self, shop: Shop) -> None:
        """It was on its way until then; more than was paid never goes back."""
        async with shop.open():
            sold = await shop.sell("pm_card_pendingRefund")
            refund = await shop.refund(sold)
            assert (refund.state, refund.reference) == (RefundState.SENT, refund.reference)
            await shop.refund_becomes(refund, RefundState.DONE)

    async def test_a_refund_that_comes_back_can_be_made_again(self, shop: Shop) -> None:
        """It was done, and is failed: its amount is free for another."""
        async with shop.open():
            sold = await shop.sell("pm_card_refundFail")
            refund = await shop.refund(sold, 40)
            assert refund.state is RefundState.DONE
            failed = await shop.refund_becomes(refund, RefundState.FAILED)
            assert "expired_or_canceled_card" in (failed.reason or "")
            assert (await shop.refund(sold)).amount == 100

    async def test_a_refund_that_comes_back_while_stripe_is_away(self, shop: Shop) -> None:
        """It is not missed: the event comes until it was looked at."""
        async with shop.open():
            sold = await shop.sell("pm_card_refundFail")
            refund = await shop.refund(sold)
            await shop.world.fault("rate_limit", method="GET", path="/v1/refunds*", times=1000)
            await shop.hears("refund.failed", 503)
            assert (await shop.refund_becomes(refund, RefundState.DONE)).reference == refund.reference
            await shop.world.clear_faults()
            await shop.refund_becomes(refund, RefundState.FAILED)

    async def test_old_endpoints_are_told_of_charges_alone(self, shop: Shop) -> None:
        """`charge.refunded` has us look at the charge's refunds."""
        async with shop.open(listening=False):
            sold = await shop.sell("pm_card_pendingRefund")
            refund = await shop.refund(sold)
            (event,) = [each for each in await shop.events() if each["type"] == "charge.refunded"]

            async def is_through() -> bool:
                return any(each["type"] == "refund.updated" for each in await shop.events())

            await eventually(is_through)
            assert await shop.deliver(event) == 200
            await shop.refund_becomes(refund, RefundState.DONE)

    async def test_a_refund_from_the_dashboard_is_nobody_s(self, shop: Shop) -> None:
        """It has no row here, and its events change nothing."""
        async with shop.open():
            sold = await shop.sell()
            await shop.world.ask("POST", "/v1/refunds", shop.keys, {"payment_intent": sold.reference})
            await shop.hears("refund.created")
            await shop.hears("charge.refunded")
            assert await shop.paywall.ledger.select_refunds(sold.challenge_id) == []


async def flagged(shop: Shop, sold: Payment, disputed: bool) -> bool:
    """Whether the ledger's flag is this."""
    payment = await shop.paywall.ledger.find(sold.challenge_id)
    assert payment is not None
    return payment.disputed is disputed
