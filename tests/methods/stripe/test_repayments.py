"""Refunds: made once, found again, and never more than was paid."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from msgspec.structs import replace

from coinslot.errors import RefundError
from coinslot.methods import stripe
from coinslot.methods.stripe.charges import FINAL, REPEATABLE
from coinslot.methods.stripe.objects import Refund as StripeRefund
from coinslot.methods.stripe.repayments import judge
from coinslot.payments.method import Failed, NotSent, Repayment, Repays, Settled, Settlement, Unknown
from coinslot.payments.payment import Payment, State
from coinslot.payments.refunds import RefundState
from faulty_stripe import FaultyStripe, says
from stripe_payments import Clock, Purchase, Stripe
from stripe_shop import Shop

REFUNDS = "/v1/refunds*"


async def made(shop: Shop, sold: Payment) -> list[Any]:
    """The refunds of a sale, as Stripe has them, oldest first."""
    listed = await shop.world.ask("GET", f"/v1/refunds?payment_intent={sold.reference}", shop.keys)
    return [*reversed(listed["data"])]


class TestPaywall:
    """Refunds at a real paywall."""

    async def test_a_payment_goes_back_in_parts(self, shop: Shop) -> None:
        """Each has a row, and a refund at Stripe that names it; together they are what was paid."""
        async with shop.open():
            sold = await shop.sell()
            first, second = await shop.refund(sold, 30), await shop.refund(sold)
            assert [(each.amount, each.state) for each in (first, second)] == [
                (30, RefundState.DONE),
                (70, RefundState.DONE),
            ]
            there = await made(shop, sold)
            assert [each["id"] for each in there] == [first.reference, second.reference]
            assert there[0]["metadata"] == {
                "machine_payment": "true",
                "mpp_challenge_id": sold.challenge_id,
                "coinslot_refund": first.key,
            }
            with pytest.raises(RefundError, match="has been sent back"):
                await shop.refund(sold)
            assert len(await made(shop, sold)) == 2

    async def test_what_was_not_delivered_is_not_handed_over_after_a_refund(self, shop: Shop) -> None:
        """The credential is good for nothing then."""
        async with shop.open():
            credential = await shop.lose()
            await shop.world.clear_faults()
            await shop.paywall.office.reconsider((await shop.payment(credential)).challenge_id)
            settled = await shop.payment(credential)
            assert settled.state is State.SETTLED
            assert (await shop.refund(settled)).state is RefundState.DONE
            assert (await shop.present(credential)).status_code == 403
        assert shop.served == 0

    @pytest.mark.parametrize("when", ["before", "after"])
    async def test_a_lost_answer_is_made_up_for(self, shop: Shop, when: str) -> None:
        """Whether it was done or not: in the end it is, once, after a restart too."""
        async with shop.open():
            sold = await shop.sell()
            await shop.world.fault("drop", when=when, path=REFUNDS)
            await shop.world.fault("rate_limit", method="GET", path=REFUNDS, times=100)
            refund = await shop.refund(sold)
            assert refund.state is RefundState.UNKNOWN
            await shop.world.clear_faults()
        async with shop.open():
            await shop.paywall.office.reconcile()
            done = await shop.refund_becomes(refund, RefundState.DONE)
            (there,) = await made(shop, sold)
            assert (there["id"], there["amount"]) == (done.reference, 100)

    async def test_stripe_that_would_not_begin_is_asked_again(self, shop: Shop) -> None:
        """Nothing was sent, so it is sent later."""
        async with shop.open():
            sold = await shop.sell()
            await shop.world.fault("rate_limit", path=REFUNDS)
            refund = await shop.refund(sold)
            assert refund.state is RefundState.REQUESTED
            await shop.paywall.office.reconcile()
            await shop.refund_becomes(refund, RefundState.DONE)
            assert len(await made(shop, sold)) == 1

    async def test_what_the_dashboard_refunded_is_refused(self, shop: Shop) -> None:
        """The row says why, and nothing more goes back."""
        async with shop.open():
            sold = await shop.sell()
            await shop.world.ask("POST", "/v1/refunds", shop.keys, {"payment_intent": sold.reference})
            refund = await shop.refund(sold)
            assert refund.state is RefundState.FAILED
            assert "refunded already, elsewhere" in (refund.reason or "")


async def paid(
    method: stripe.StripeCharge, world: Stripe, card: str = "pm_card_visa", seller: Any = None
) -> Repayment:
    """A repayment of all of a new payment."""
    purchase = await Purchase.begin(method, await world.token(card=card, seller=seller))
    settled = await purchase.settle()
    assert isinstance(settled, Settled)
    proof = replace(purchase.proof, reference=settled.reference)
    key = f"rf_{purchase.challenge.id}"
    return Repayment(key=key, challenge_id=purchase.challenge.id, paid=proof, amount=100)


async def drafted(method: stripe.StripeCharge, repayment: Repayment) -> Repayment:
    """The repayment, written down."""
    return replace(repayment, recovery=await method.draft_repayment(repayment))


async def count(world: Stripe, repayment: Repayment) -> int:
    """How many refunds Stripe has of the payment."""
    listed = await world.ask("GET", f"/v1/refunds?payment_intent={repayment.paid.reference}", world.seller)
    return len(listed["data"])


class TestMethod:
    """The method by itself."""

    async def test_asking_again_gives_back_once(self, charge: stripe.StripeCharge, world: Stripe) -> None:
        """By the same key, and it is found by that too, or by its id."""
        assert isinstance(charge, Repays)
        repayment = await drafted(charge, await paid(charge, world))
        assert isinstance(await charge.look_up_repayment(repayment), NotSent)
        first = await charge.repay(repayment)
        assert isinstance(first, Settled)
        assert await charge.repay(repayment) == first
        assert await charge.look_up_repayment(repayment) == first
        named = Repayment(
            key="x", challenge_id="x", paid=repayment.paid, amount=100, reference=first.reference
        )
        assert await charge.look_up_repayment(named) == first
        assert await count(world, repayment) == 1

    async def test_a_draft_stays_as_it_was_made(self, charge: stripe.StripeCharge, world: Stripe) -> None:
        """A key is used with the same parameters always."""
        repayment = await drafted(charge, await paid(charge, world))
        assert await charge.draft_repayment(repayment) == repayment.recovery

    async def test_a_key_that_stripe_has_forgotten_is_not_used_again(
        self, open_shop: Callable[..., stripe.StripeCharge], world: Stripe
    ) -> None:
        """After a day it is looked for alone; if it is not there, it never will be."""
        clock = Clock()
        charge = open_shop(clock=clock)
        repayment = await drafted(charge, await paid(charge, world))
        clock.ahead = REPEATABLE + 1
        assert isinstance(await charge.repay(repayment), Unknown)
        assert isinstance(await charge.look_up_repayment(repayment), Unknown)
        clock.ahead = REPEATABLE + FINAL + 1
        assert isinstance(await charge.look_up_repayment(repayment), Failed)
        assert await count(world, repayment) == 0

    async def test_an_error_that_stripe_remembers_ends(
        self, open_shop: Callable[..., stripe.StripeCharge], world: Stripe
    ) -> None:
        """The key brings the same 500 for a day: after a while there is no refund, and none to come."""
        clock = Clock()
        charge = open_shop(clock=clock)
        repayment = await drafted(charge, await paid(charge, world))
        await world.fault("error", path=REFUNDS)
        assert isinstance(await charge.repay(repayment), Unknown)
        assert isinstance(await charge.repay(repayment), Unknown)
        clock.ahead = FINAL + 1
        assert isinstance(await charge.repay(repayment), Failed)

    async def test_an_error_after_the_fact_is_no_failure(
        self, charge: stripe.StripeCharge, world: Stripe
    ) -> None:
        """The refund is there, and found."""
        repayment = await drafted(charge, await paid(charge, world))
        await world.fault("error", when="after", path=REFUNDS)
        assert isinstance(await charge.repay(repayment), Settled)
        assert await count(world, repayment) == 1

    async def test_a_refusal_is_believed_when_there_is_no_refund(
        self, faulty: FaultyStripe, open_shop: Callable[..., stripe.StripeCharge], world: Stripe
    ) -> None:
        """What cannot be done twice may have been done once."""
        charge = open_shop(api_base=faulty.url)
        repayment = await drafted(charge, await paid(charge, world))
        refusal = {"error": {"type": "invalid_request_error", "code": "charge_already_refunded"}}
        faulty.rewrites["POST /v1/refunds"] = [says(400, refusal), says(400, {"error": {"code": "x"}})]
        assert isinstance(await charge.repay(repayment), Settled)
        faulty.rewrites["GET /v1/refunds"] = [says(200, {"data": [], "has_more": False})]
        outcome = await charge.repay(repayment)
        assert isinstance(outcome, Failed)
        assert outcome.reason.endswith(": x.")

    async def test_a_pending_refund_is_named_and_followed(
        self, charge: stripe.StripeCharge, world: Stripe
    ) -> None:
        """It is unknown, with its id, until it is through."""
        repayment = await drafted(charge, await paid(charge, world, "pm_card_pendingRefund"))
        pending = await charge.repay(repayment)
        assert isinstance(pending, Unknown)
        assert (pending.reference or "").startswith("re_")
        looked = await charge.look_up_repayment(replace(repayment, reference=pending.reference))
        assert isinstance(looked, Unknown | Settled)

    @pytest.mark.parametrize(
        ("reference", "amount", "currency", "why"),
        [
            ("mpp_x", 100, "usd", "not the id"),
            ("pi_unknown", 100, "usd", "cannot be read"),
            (None, 101, "usd", "over less"),
            (None, 1, "kwd", "no such amount"),
        ],
    )
    async def test_what_cannot_go_back_is_not_begun(
        self,
        charge: stripe.StripeCharge,
        world: Stripe,
        reference: str | None,
        amount: int,
        currency: str,
        why: str,
    ) -> None:
        """Each with the reason, and nothing is asked for."""
        repayment = await paid(charge, world)
        proof = replace(repayment.paid, reference=reference or repayment.paid.reference, currency=currency)
        with pytest.raises(RefundError, match=why):
            await charge.draft_repayment(replace(repayment, paid=proof, amount=amount))
        assert await count(world, repayment) == 0

    async def test_what_was_not_paid_does_not_go_back(
        self, faulty: FaultyStripe, open_shop: Callable[..., stripe.StripeCharge], world: Stripe
    ) -> None:
        """A PaymentIntent that has not succeeded has nothing to give."""
        charge = open_shop(api_base=faulty.url)
        repayment = await paid(charge, world)
        path = f"GET /v1/payment_intents/{repayment.paid.reference}"
        faulty.rewrites[path] = [lambda status, body: (status, {**body, "status": "requires_capture"})]
        with pytest.raises(RefundError, match="requires_capture"):
            await charge.draft_repayment(repayment)


class TestConnect:
    """Platforms."""

    @pytest.mark.parametrize("keeps", [False, True])
    async def test_a_transfer_is_taken_back(
        self, open_shop: Callable[..., stripe.StripeCharge], world: Stripe, keeps: bool
    ) -> None:
        """And the fee, unless the platform wants it otherwise."""
        connected = await world.open_account("connected")
        charge = open_shop(
            connect=stripe.Connect(
                destination=connected.account,
                application_fee_amount=10,
                reverse_transfer=not keeps,
                refund_application_fee=not keeps,
            )
        )
        repayment = await drafted(charge, await paid(charge, world))
        assert (b"refund_application_fee" in repayment.recovery.data) is not keeps
        settled = await charge.repay(repayment)
        assert isinstance(settled, Settled)
        refund = await world.ask("GET", f"/v1/refunds/{settled.reference}", world.seller)
        assert (refund["transfer_reversal"] is None) is keeps

    async def test_a_direct_charge_is_refunded_on_its_account(
        self, open_shop: Callable[..., stripe.StripeCharge], world: Stripe
    ) -> None:
        """Where the PaymentIntent is; and it is looked for there, whatever the settings are by now."""
        connected = await world.open_account("connected")
        charge = open_shop(
            network_id=connected.profile, connect=stripe.Connect(stripe_account=connected.account)
        )
        repayment = await drafted(charge, await paid(charge, world, seller=connected))
        settled = await charge.repay(repayment)
        assert isinstance(settled, Settled)
        assert await open_shop().look_up_repayment(repayment) == settled
        named = replace(repayment, reference=settled.reference)
        assert await open_shop().look_up_repayment(named) == settled


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        ("succeeded", Settled),
        ("failed", Failed),
        ("canceled", Failed),
        ("pending", Unknown),
        ("requires_action", Unknown),
        ("a_new_one", Unknown),
        (None, Unknown),
    ],
)
def test_every_status_means_something(status: str | None, kind: type[Settlement]) -> None:
    """What is not over is on its way, under its name."""
    outcome = judge(StripeRefund(id="re_1", amount=1, currency="usd", created=1, status=status))
    assert isinstance(outcome, kind)
    if not isinstance(outcome, Failed | NotSent):
        assert outcome.reference == "re_1"
