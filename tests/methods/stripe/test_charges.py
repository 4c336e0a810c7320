"""Charges at the sandbox: the money moves once, and what is said of it is what is certain."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeAlias

import pytest
import stripe as sdk
from msgspec.structs import replace

import coinslot
from coinslot.methods import stripe
from coinslot.methods.stripe import api, charges
from coinslot.methods.stripe.charges import FINAL, REPEATABLE
from coinslot.methods.stripe.outcomes import UNKNOWN_TOKEN
from coinslot.payments.method import Failed, NotSent, Recovery, Settled, Settlement, Unknown
from faulty_stripe import FaultyStripe, says, with_status
from stripe_payments import Clock, Purchase, Stripe

OpenShop: TypeAlias = Callable[..., stripe.StripeCharge]

DECLINES = {
    "pm_card_visa_chargeDeclined": "generic_decline",
    "pm_card_visa_chargeDeclinedInsufficientFunds": "insufficient_funds",
    "pm_card_visa_chargeDeclinedVelocityLimitExceeded": "card_velocity_exceeded",
    "pm_card_chargeDeclinedExpiredCard": "expired_card",
    "pm_card_chargeDeclinedIncorrectCvc": "incorrect_cvc",
    "pm_card_chargeDeclinedProcessingError": "processing_error",
    # What a thief should not learn.
    "pm_card_visa_chargeDeclinedStolenCard": "generic_decline",
    "pm_card_visa_chargeDeclinedLostCard": "generic_decline",
    "pm_card_chargeDeclinedFraudulent": "generic_decline",
}


@asynccontextmanager
async def own_client(key: str, url: str) -> AsyncIterator[sdk.StripeClient]:
    """A client as a seller may have one already, with an HTTP client that the SDK brings."""
    http = sdk.AIOHTTPClient()
    yield sdk.StripeClient(key, base_addresses={"api": url}, http_client=http)
    await http.close_async()  # type: ignore[no-untyped-call]  # the SDK's


def failed(reason: str, slug: str = "verification-failed") -> Failed:
    """A failure, as it is told."""
    return Failed(reason=reason, slug=slug)


def settled(intents: list[Any]) -> Settlement:
    """That the one PaymentIntent there is paid."""
    (intent,) = intents
    assert intent["status"] == "succeeded"
    return Settled(reference=intent["id"])


class TestSuccess:
    """A good token is charged, once."""

    async def test_the_seller_has_the_money(self, charge: stripe.StripeCharge, world: Stripe) -> None:
        """One PaymentIntent over the price, with the metadata that all such payments have."""
        purchase = await Purchase.begin(charge, await world.token(), external_id="order-7")
        assert await purchase.settle() == settled(await world.intents(purchase.challenge))
        (intent,) = await world.intents(purchase.challenge)
        assert (intent["amount_received"], intent["currency"]) == (100, "usd")
        assert intent["metadata"] == {
            "machine_payment": "true",
            "mpp_sdk": f"coinslot/{coinslot.__version__}",
            "mpp_intent": "charge",
            "mpp_challenge_id": purchase.challenge.id,
        }

    async def test_settling_again_is_the_same_success(
        self, charge: stripe.StripeCharge, world: Stripe
    ) -> None:
        """After a crash between Stripe and ledger, our own replayed answer is the payment."""
        purchase = await Purchase.begin(charge, await world.token())
        first = await purchase.settle()
        assert await purchase.settle() == await purchase.look_up() == first
        assert first == settled(await world.intents(purchase.challenge))

    async def test_yen_have_no_decimals(self, open_shop: OpenShop, world: Stripe) -> None:
        """100 yen are charged as 100, by a token over 100."""
        charge = open_shop(currency="jpy")
        purchase = await Purchase.begin(charge, await world.token(currency="jpy"), "100")
        assert await purchase.settle() == settled(await world.intents(purchase.challenge))

    async def test_a_client_of_ones_own_is_used(self, world: Stripe) -> None:
        """With a `StripeClient` in place of a key, and the HTTP client that it has, which is not closed."""
        async with own_client(world.seller.secret_key, world.url) as client:
            charge = stripe.charge(client=client, network_id=world.seller.profile)
            await charge.aclose()
            purchase = await Purchase.begin(charge, await world.token())
            assert await purchase.settle() == settled(await world.intents(purchase.challenge))

    async def test_connect_decides_where_the_money_goes(self, open_shop: OpenShop, world: Stripe) -> None:
        """Fee, destination and group are on the PaymentIntent; nothing of them is in the challenge."""
        connect = stripe.Connect(
            application_fee_amount=10,
            on_behalf_of=world.buyer.account,
            destination=world.buyer.account,
            transfer_group="order-7",
        )
        charge = open_shop(connect=connect)
        purchase = await Purchase.begin(charge, await world.token())
        assert isinstance(await purchase.settle(), Settled)
        (intent,) = await world.intents(purchase.challenge)
        assert intent["application_fee_amount"] == 10
        assert intent["on_behalf_of"] == intent["transfer_data"]["destination"] == world.buyer.account
        assert intent["transfer_group"] == "order-7"
        assert "acct_" not in str(purchase.challenge.decode_request())

    async def test_a_direct_charge_is_made_and_found_on_the_connected_account(
        self, open_shop: OpenShop, world: Stripe
    ) -> None:
        """With `stripe_account`, payment and look-up are that account's."""
        shop = await world.open_account("shop")
        charge = open_shop(connect=stripe.Connect(stripe_account=shop.account), network_id=shop.profile)
        purchase = await Purchase.begin(charge, await world.token(seller=shop))
        first = await purchase.settle()
        assert first == settled(await world.intents(purchase.challenge, shop))
        assert await purchase.look_up() == first
        assert await world.intents(purchase.challenge) == []

    async def test_customer_and_receipt_are_the_sellers_business(
        self, open_shop: OpenShop, world: Stripe
    ) -> None:
        """Both are on the PaymentIntent, and in no challenge."""
        customer = await world.ask("POST", "/v1/customers", world.seller, {"email": "a@example.com"})
        charge = open_shop(customer=customer["id"], receipt_email="b@example.com")
        purchase = await Purchase.begin(charge, await world.token())
        assert isinstance(await purchase.settle(), Settled)
        (intent,) = await world.intents(purchase.challenge)
        assert (intent["customer"], intent["receipt_email"]) == (customer["id"], "b@example.com")
        assert "example.com" not in str(purchase.challenge.decode_request())


class TestRefusals:
    """Where no money moves, the payer learns why, in one sentence, and for good."""

    @pytest.mark.parametrize(("card", "code"), DECLINES.items())
    async def test_a_decline_has_its_code(
        self, charge: stripe.StripeCharge, world: Stripe, card: str, code: str
    ) -> None:
        """The bank's code if there is one, else Stripe's; the look-up and a repetition say the same."""
        purchase = await Purchase.begin(charge, await world.token(card=card))
        outcome = failed(f"The payment was declined ({code}).")
        assert await purchase.settle() == await purchase.settle() == await purchase.look_up() == outcome

    async def test_a_token_over_less_than_the_price(self, charge: stripe.StripeCharge, world: Stripe) -> None:
        """The token's limit and the price are both told, in the currency's unit."""
        purchase = await Purchase.begin(charge, await world.token(amount=99))
        assert await purchase.settle() == failed(
            "The token allows 0.99 USD, and the price is 1.00 USD.", "payment-insufficient"
        )

    async def test_a_token_in_another_currency(self, charge: stripe.StripeCharge, world: Stripe) -> None:
        """It is told which one it is for."""
        purchase = await Purchase.begin(charge, await world.token(currency="eur"))
        assert await purchase.settle() == failed("The token is for EUR, and the price is in USD.")

    async def test_a_token_that_was_revoked(self, charge: stripe.StripeCharge, world: Stripe) -> None:
        """The buyer took it back after they presented it."""
        token = await world.token()
        purchase = await Purchase.begin(charge, token)
        await world.revoke(token)
        assert await purchase.settle() == failed("The token was revoked.")

    async def test_a_token_that_expired(self, charge: stripe.StripeCharge, world: Stripe) -> None:
        """It was good when it was presented, and is not any more."""
        purchase = await Purchase.begin(charge, await world.token(expires_in=2))
        await asyncio.sleep(2.1)
        assert await purchase.settle() == failed(
            "The token expired before it was charged.", "payment-expired"
        )

    async def test_a_token_that_was_used(self, charge: stripe.StripeCharge, world: Stripe) -> None:
        """One that paid for another challenge of the seller's pays for no second one."""
        token = await world.token()
        assert isinstance(await (await Purchase.begin(charge, token)).settle(), Settled)
        again = await Purchase.begin(charge, token)
        assert await again.settle() == failed("The token has been used already.")
        assert await world.intents(again.challenge) == []

    @pytest.mark.parametrize("whose", ["nobody's", "somebody else's"])
    async def test_a_token_that_is_not_the_sellers(
        self, charge: stripe.StripeCharge, world: Stripe, whose: str
    ) -> None:
        """A made-up token, and one for another seller, are the same to Stripe."""
        token = "spt_madeup"
        if whose == "somebody else's":
            token = await world.token(seller=await world.open_account("rival"))
        purchase = await Purchase.begin(charge, token)
        assert await purchase.settle() == failed(
            "Stripe knows no such token: it does not exist, or was not made for this seller."
        )

    async def test_what_stripe_refuses_for_another_reason(self, open_shop: OpenShop, world: Stripe) -> None:
        """A customer that there is not: Stripe's code is told, and the token is not blamed."""
        charge = open_shop(customer="cus_nobody")
        purchase = await Purchase.begin(charge, await world.token())
        assert await purchase.settle() == failed("Stripe refused the payment (resource_missing).")

    async def test_a_refusal_is_told_even_if_its_reason_cannot_be_found_out(
        self, charge: stripe.StripeCharge, world: Stripe
    ) -> None:
        """If the token cannot be asked about, the refusal itself is certain all the same."""
        purchase = await Purchase.begin(charge, await world.token(amount=99))
        await world.fault("error", method="GET", path="/v1/shared_payment/*", times=2)
        outcome = await purchase.settle()
        assert isinstance(outcome, Failed)
        assert outcome.reason.startswith("Stripe refused the payment (")


class TestAuthentication:
    """A bank that wants the payer: the payment is given up for certain, or has gone through."""

    CARD = "pm_card_authenticationRequired"
    GIVEN_UP = failed(
        "The payer's bank wants them to authenticate. The payment was cancelled and nothing was taken.",
        "payment-action-required",
    )

    async def test_it_is_cancelled(self, charge: stripe.StripeCharge, world: Stripe) -> None:
        """Or the payer could authenticate later, and pay for what they were told they did not pay for."""
        purchase = await Purchase.begin(charge, await world.token(card=self.CARD))
        assert await purchase.settle() == self.GIVEN_UP
        (intent,) = await world.intents(purchase.challenge)
        assert intent["status"] == "canceled"
        assert await purchase.look_up() == failed("The payment was cancelled, and nothing was taken.")

    async def test_it_is_cancelled_when_the_answer_was_lost(
        self, charge: stripe.StripeCharge, world: Stripe
    ) -> None:
        """The PaymentIntent that is found waits for the payer: it is brought to its end."""
        await world.fault("drop", when="after")
        purchase = await Purchase.begin(charge, await world.token(card=self.CARD))
        assert await purchase.settle() == self.GIVEN_UP

    async def test_unless_the_payer_was_faster(self, charge: stripe.StripeCharge, world: Stripe) -> None:
        """If it cannot be cancelled because it was paid meanwhile, then it was paid."""
        purchase = await Purchase.begin(charge, await world.token(card=self.CARD))
        await world.fault("drop", path="*/cancel")
        assert isinstance(await purchase.settle(), Unknown)
        (intent,) = await world.intents(purchase.challenge)
        assert isinstance(await purchase.look_up(), NotSent)
        await world.authenticate(intent["id"])
        assert await purchase.settle() == await purchase.look_up() == Settled(reference=intent["id"])

    async def test_an_authentication_that_failed_is_a_refusal(
        self, charge: stripe.StripeCharge, world: Stripe
    ) -> None:
        """Whoever looks afterwards finds that the bank wants them to authenticate."""
        purchase = await Purchase.begin(charge, await world.token(card=self.CARD))
        await world.fault("drop", path="*/cancel")
        assert isinstance(await purchase.settle(), Unknown)
        (intent,) = await world.intents(purchase.challenge)
        await world.authenticate(intent["id"], succeeded=False)
        outcome = await purchase.look_up()
        assert isinstance(outcome, Failed)
        assert outcome.slug == "payment-action-required"


class TestNotSent:
    """What Stripe did not begin with is as good as it was."""

    @pytest.mark.parametrize("code", ["rate_limit", "lock_timeout"])
    async def test_a_rate_limit_is_no_failure(
        self, charge: stripe.StripeCharge, world: Stripe, code: str
    ) -> None:
        """429: not sent; the next try is the payment, and the only one."""
        await world.fault("rate_limit", code=code)
        purchase = await Purchase.begin(charge, await world.token())
        outcome = await purchase.settle()
        assert isinstance(outcome, NotSent)
        assert code in outcome.reason
        assert isinstance(await purchase.look_up(), NotSent)
        assert await purchase.settle() == settled(await world.intents(purchase.challenge))

    @pytest.mark.parametrize("with_client", [False, True])
    async def test_a_stripe_that_cannot_be_reached(
        self, open_shop: OpenShop, world: Stripe, with_client: bool
    ) -> None:
        """Connection refused: nothing was sent, whoever's HTTP client it is."""
        nowhere = "http://127.0.0.1:9"
        async with own_client(world.seller.secret_key, nowhere) as client:
            others = {"secret_key": None, "api_base": None, "client": client}
            charge = open_shop(**(others if with_client else {"api_base": nowhere}))
            purchase = await Purchase.begin(charge, "spt_any")
            outcome = await purchase.settle()
            assert isinstance(outcome, NotSent)
            assert "cannot be reached" in outcome.reason
            assert isinstance(await purchase.look_up(), Unknown)

    @pytest.mark.parametrize(
        ("settings", "why"),
        [
            ({"secret_key": "sk_test_wrong"}, "401"),
            ({"connect": stripe.Connect(stripe_account="acct_nobody")}, "403"),
            ({"api_version": "2026-10-28.endive"}, "parameter_unknown"),
        ],
        ids=["key", "account", "version"],
    )
    async def test_what_the_seller_has_to_put_right(
        self, open_shop: OpenShop, world: Stripe, settings: dict[str, Any], why: str
    ) -> None:
        """A key, an account or a version that does not work is not the payer's fault: nothing was sent."""
        token = await world.token()
        charge = open_shop(**settings)
        outcome = await (await Purchase.begin(charge, token)).settle()
        assert isinstance(outcome, NotSent)
        assert why in outcome.reason
        assert isinstance(await (await Purchase.begin(open_shop(), token)).settle(), Settled)

    async def test_a_second_try_that_is_not_sent_does_not_speak_for_the_first(
        self, impatient: stripe.StripeCharge, world: Stripe
    ) -> None:
        """Once Stripe may have heard of it, `NotSent` would promise too much."""
        await world.fault("drop")
        purchase = await Purchase.begin(impatient, await world.token())
        assert isinstance(await purchase.settle(), Unknown)
        await world.fault("rate_limit")
        assert isinstance(await purchase.settle(), Unknown)


class TestUnknown:
    """A lost answer is found again; what is not found is not guessed at."""

    @pytest.mark.parametrize("kind", ["drop", "error"])
    async def test_a_lost_answer_is_found_at_once(
        self, charge: stripe.StripeCharge, world: Stripe, kind: str
    ) -> None:
        """The connection broke, or Stripe said 500, after the money moved: it is there."""
        await world.fault(kind, when="after")
        purchase = await Purchase.begin(charge, await world.token())
        assert await purchase.settle() == settled(await world.intents(purchase.challenge))

    async def test_what_did_not_arrive_is_asked_for_again(
        self, impatient: stripe.StripeCharge, world: Stripe
    ) -> None:
        """The connection broke before: unknown, then not there, then charged, once."""
        await world.fault("drop", when="before")
        purchase = await Purchase.begin(impatient, await world.token())
        assert isinstance(await purchase.settle(), Unknown)
        assert isinstance(await purchase.look_up(), NotSent)
        assert await purchase.settle() == settled(await world.intents(purchase.challenge))

    async def test_a_slow_answer_is_found_later(self, impatient: stripe.StripeCharge, world: Stripe) -> None:
        """Longer than anybody waits: unknown, and the look-up delivers."""
        await world.fault("delay", seconds=1.5)
        purchase = await Purchase.begin(impatient, await world.token())
        assert isinstance(await purchase.settle(), Unknown)
        await asyncio.sleep(1)
        assert await purchase.look_up() == settled(await world.intents(purchase.challenge))

    async def test_two_workers_at_once_make_one_payment(
        self, charge: stripe.StripeCharge, world: Stripe
    ) -> None:
        """409 idempotency_key_in_use: somebody else is at it, and both find the one payment."""
        await world.fault("delay", seconds=0.4)
        purchase = await Purchase.begin(charge, await world.token())
        first = asyncio.create_task(purchase.settle())
        await asyncio.sleep(0.1)
        second = await purchase.settle()
        assert await first == second == settled(await world.intents(purchase.challenge))

    async def test_a_stored_500_is_final_ten_minutes_after_it(
        self, open_shop: OpenShop, world: Stripe, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Stripe answers from memory from then on, and nothing was created: that is no new attempt."""
        clock = Clock()
        charge = open_shop(clock=clock)
        monkeypatch.setattr(charges, "_PAUSES", (0.1,))
        await world.fault("error", when="before")
        purchase = await Purchase.begin(charge, await world.token())
        assert isinstance(await purchase.settle(), Unknown)
        clock.ahead = FINAL / 2 - 30
        assert isinstance(await purchase.look_up(), NotSent)
        assert isinstance(await purchase.settle(), Unknown)
        clock.ahead = FINAL + 1
        assert await purchase.look_up() == failed("The payment never reached Stripe. Nothing was taken.")

    async def test_absent_is_final_ten_minutes_after_the_last_attempt(
        self, open_shop: OpenShop, world: Stripe
    ) -> None:
        """Until then it may be asked for again, and later it may still show up."""
        clock = Clock()
        charge = open_shop(clock=clock, settle_timeout=1)
        purchase = await Purchase.begin(charge, await world.token())
        for ahead, expected in (
            (0, NotSent),
            (FINAL / 2 + 1, Unknown),
            (FINAL - 1, Unknown),
            (FINAL, Failed),
        ):
            clock.ahead = ahead
            assert isinstance(await purchase.look_up(), expected)
        clock.ahead = FINAL / 2 - 1
        await world.fault("drop")
        assert isinstance(await purchase.settle(), Unknown)
        clock.ahead = FINAL + 1
        assert isinstance(await purchase.look_up(), Unknown)

    async def test_stripes_memory_is_not_trusted_for_longer_than_it_lasts(
        self, open_shop: OpenShop, world: Stripe
    ) -> None:
        """After 23 hours nothing is created any more: the idempotency key may be forgotten."""
        clock = Clock()
        charge = open_shop(clock=clock)
        purchase = await Purchase.begin(charge, await world.token())
        clock.ahead = REPEATABLE + 1
        assert isinstance(await purchase.settle(), Unknown)
        assert await world.intents(purchase.challenge) == []
        clock.ahead = 0
        assert isinstance(await purchase.settle(), Settled)

    async def test_a_look_up_that_fails_says_nothing(
        self, charge: stripe.StripeCharge, world: Stripe
    ) -> None:
        """Whatever keeps it from looking, it does not know."""
        purchase = await Purchase.begin(charge, await world.token())
        await purchase.settle()
        await world.fault("rate_limit", method="GET")
        assert isinstance(await purchase.look_up(), Unknown)

    async def test_a_payment_is_found_among_many(
        self, charge: stripe.StripeCharge, world: Stripe, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """It is on the third page; with fewer pages to look at, it is unknown and not absent."""
        purchase = await Purchase.begin(charge, await world.token())
        first = await purchase.settle()
        for _ in range(4):
            await (await Purchase.begin(charge, await world.token())).settle()
        monkeypatch.setattr(api, "_PAGE", 2)
        assert await purchase.look_up() == first
        monkeypatch.setattr(api, "_MAX_PAGES", 2)
        assert isinstance(await purchase.look_up(), Unknown)

    async def test_another_amount_is_not_the_payment(
        self, charge: stripe.StripeCharge, world: Stripe
    ) -> None:
        """A PaymentIntent that somebody else marked with our challenge's id settles nothing."""
        purchase = await Purchase.begin(charge, await world.token())
        form = {
            "amount": 50,
            "currency": "usd",
            "confirm": "true",
            "payment_method": "pm_card_visa",
            "payment_method_types[0]": "card",
            "metadata[mpp_challenge_id]": purchase.challenge.id,
        }
        await world.ask("POST", "/v1/payment_intents", world.seller, form)
        assert isinstance(await purchase.look_up(), Unknown)


class TestOddAnswers:
    """What the sandbox never says, and Stripe or something in between may."""

    CREATE = "POST /v1/payment_intents"

    async def begin(self, open_shop: OpenShop, world: Stripe, faulty: FaultyStripe) -> Purchase:
        """A payment over the faulty way."""
        return await Purchase.begin(open_shop(api_base=faulty.url), await world.token())

    @pytest.mark.parametrize("status", ["processing", "requires_confirmation", "requires_action"])
    async def test_an_old_answer_is_not_believed(
        self, open_shop: OpenShop, world: Stripe, faulty: FaultyStripe, status: str
    ) -> None:
        """What is said from memory may have moved on: the PaymentIntent as it is now decides."""
        faulty.rewrites[self.CREATE] = [with_status(status)]
        purchase = await self.begin(open_shop, world, faulty)
        assert await purchase.settle() == settled(await world.intents(purchase.challenge))

    @pytest.mark.parametrize("status", ["processing", "requires_capture", "a_new_one"])
    async def test_what_is_not_decided_is_looked_up_by_its_id(
        self, open_shop: OpenShop, world: Stripe, faulty: FaultyStripe, status: str
    ) -> None:
        """Unknown for as long as it is, and then what it has become; the list is not needed for that."""
        purchase = await self.begin(open_shop, world, faulty)
        faulty.rewrites[self.CREATE] = [with_status(status)]
        await world.fault("error", method="GET", path="/v1/payment_intents/pi_*", times=2)
        assert isinstance(await purchase.settle(), Unknown)
        faulty.rewrites["GET /v1/payment_intents"] = [says(200, {"data": [], "has_more": False})]
        if status != "processing":  # then the fault was not for the settlement
            assert isinstance(await purchase.look_up(), Unknown)
        assert await purchase.look_up() == settled(await world.intents(purchase.challenge))

    @pytest.mark.parametrize(
        "nonsense",
        [b"<html>", {}, [], {"id": "pi_1"}, {"error": "invalid_grant"}, {"id": 1, "status": "succeeded"}],
    )
    @pytest.mark.parametrize("status", [200, 502])
    async def test_nonsense_is_no_answer(
        self, open_shop: OpenShop, world: Stripe, faulty: FaultyStripe, nonsense: Any, status: int
    ) -> None:
        """Whatever a proxy says instead of Stripe, the PaymentIntent is looked for, and found."""
        faulty.rewrites[self.CREATE] = [says(status, nonsense)]
        purchase = await self.begin(open_shop, world, faulty)
        assert await purchase.settle() == settled(await world.intents(purchase.challenge))

    async def test_a_payment_in_the_making_is_waited_for(
        self, open_shop: OpenShop, world: Stripe, faulty: FaultyStripe
    ) -> None:
        """Found before anything came of it, it is neither failed nor cancelled, but looked at again."""
        faulty.rewrites[self.CREATE] = [says(502, b"")]
        unpaid = {"id": "pi_1", "status": "requires_payment_method", "amount": 100, "currency": "usd"}
        purchase = await self.begin(open_shop, world, faulty)
        page = {
            "data": [{**unpaid, "metadata": {"mpp_challenge_id": purchase.challenge.id}}],
            "has_more": False,
        }
        faulty.rewrites["GET /v1/payment_intents"] = [says(200, page), says(400, {"error": {}})]
        assert await purchase.settle() == settled(await world.intents(purchase.challenge))

    async def test_a_refused_token_that_is_gone(
        self, open_shop: OpenShop, world: Stripe, faulty: FaultyStripe
    ) -> None:
        """A refusal whose token cannot be found any more: there is no such token."""
        error = {"type": "invalid_request_error", "code": "a_new_one"}
        faulty.rewrites[self.CREATE] = [says(400, {"error": error})]
        purchase = await self.begin(open_shop, world, faulty)
        path = f"GET /v1/shared_payment/granted_tokens/{purchase.token}"
        faulty.rewrites[path] = [says(404, {"error": {**error, "code": "resource_missing"}})]
        assert await purchase.settle() == UNKNOWN_TOKEN


async def test_nothing_is_created_without_the_token(charge: stripe.StripeCharge, world: Stripe) -> None:
    """A proof as it is written down settles nothing."""
    purchase = await Purchase.begin(charge, await world.token())
    assert isinstance(await charge.settle(purchase.proof), NotSent)
    assert await world.intents(purchase.challenge) == []


async def test_the_ledger_never_has_the_token(impatient: stripe.StripeCharge, world: Stripe) -> None:
    """Neither the proof nor what is learned on the way holds it: the proof's key is its fingerprint."""
    await world.fault("drop")
    purchase = await Purchase.begin(impatient, await world.token())
    for _ in range(2):
        proof = purchase.proof
        written = f"{proof.key} {proof.reference} {proof.recipient} {proof.recovery.data.decode()}"
        assert purchase.token.removeprefix("spt_") not in written
        assert isinstance(await purchase.settle(), Unknown | Settled)


class TestNamed:
    """A PaymentIntent that somebody names is looked at, and believed if it is the right one."""

    async def test_it_is_looked_at_without_a_list(self, charge: stripe.StripeCharge, world: Stripe) -> None:
        """By its id alone."""
        purchase = await Purchase.begin(charge, await world.token())
        first = await purchase.settle()
        assert isinstance(first, Settled)
        await world.fault("rate_limit", method="GET", path="/v1/payment_intents", times=5)
        assert await charge.look_up(replace(purchase.proof, reference=first.reference)) == first

    async def test_another_s_is_not_believed(self, charge: stripe.StripeCharge, world: Stripe) -> None:
        """It is for another challenge: there is none for this one."""
        another = await (await Purchase.begin(charge, await world.token())).settle()
        assert isinstance(another, Settled)
        purchase = await Purchase.begin(charge, await world.token())
        assert isinstance(await charge.look_up(replace(purchase.proof, reference=another.reference)), NotSent)

    async def test_what_was_decided_once_is_looked_at_again(
        self, charge: stripe.StripeCharge, world: Stripe
    ) -> None:
        """When nothing is kept of it but what it was over."""
        purchase = await Purchase.begin(charge, await world.token())
        first = await purchase.settle()
        assert isinstance(first, Settled)
        bare = replace(purchase.proof, recovery=Recovery())
        assert await charge.look_up(replace(bare, reference=first.reference)) == first
        other = replace(bare, reference=first.reference, amount=99)
        assert isinstance(await charge.look_up(other), Unknown)
        assert isinstance(await charge.look_up(bare), Unknown)
        assert isinstance(await charge.look_up(replace(bare, reference="pi_unknown")), Unknown)
