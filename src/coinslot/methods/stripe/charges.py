"""Charges at Stripe: made once, brought to an end, and found again.

    make   create the PaymentIntent; if there is no answer, look for it
    find   look for it, by its id or by the challenge's in its metadata; changes nothing

The create has an idempotency key, the proof's reference, so asking twice creates one PaymentIntent. It is
asked for again only while its payer waits, for as long as Stripe keeps the key. A PaymentIntent that is not
there ten minutes after it was last asked for never will be.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Callable
from typing import Final

from msgspec.structs import replace

from coinslot.methods.stripe import outcomes
from coinslot.methods.stripe.api import StripeApi
from coinslot.methods.stripe.attempt import Attempt
from coinslot.methods.stripe.failures import NotDone, Refused, StripeFailure, Unanswered
from coinslot.methods.stripe.metadata import CHALLENGE_ID
from coinslot.methods.stripe.objects import Intent
from coinslot.payments.method import Failed, NotSent, Proof, Settlement, Unknown

logger = logging.getLogger("coinslot.stripe")

INTENT_ID: Final = re.compile(r"pi_[A-Za-z0-9_]{1,128}+")
"""What a PaymentIntent's id looks like."""

REPEATABLE: Final = 23 * 3600.0
"""Seconds for which a create may be repeated: Stripe keeps its idempotency key for a day."""

FINAL: Final = 600.0
"""Seconds after the last attempt from which on a PaymentIntent that is not there never will be."""

_STILL_REPEATED: Final = FINAL / 2  # so that what a dying worker asked for last is long over at the end
_CLOCK_SKEW: Final = 900
_PAUSES: Final = (0.2, 0.5, 1.0, 2.0)  # seconds before each look at what became of it


class Charges:
    """Charges by one account. `timeout` is the most seconds that one takes; `clock` gives Unix seconds."""

    def __init__(self, api: StripeApi, *, timeout: float, clock: Callable[[], float]) -> None:
        self._api = api
        self._timeout = timeout
        self._clock = clock

    async def make(self, proof: Proof) -> Settlement:
        """Create the PaymentIntent, and see that it succeeded.

        Doing so again for the same proof creates no second one: the idempotency key is the proof's reference.
        """
        attempt, now = Attempt.read(proof.recovery), self._clock()
        if now > attempt.begun + REPEATABLE:
            return Unknown(reason=f"{proof.reference} is too old to be asked for again")
        if attempt.token is None:
            return NotSent(reason=f"{proof.reference} came without its token")
        tried = replace(attempt, asked=now, sent=True)
        try:
            async with asyncio.timeout(self._timeout):
                return await self._make(proof, attempt, tried)
        except TimeoutError:
            reason = f"{proof.reference} is not decided after {self._timeout:g} s"
            return Unknown(reason=reason, recovery=tried.to_recovery())

    async def find(self, proof: Proof, *, account: str | None = None) -> Settlement:
        """What Stripe knows of the payment: by the PaymentIntent's id, or by the challenge's in its metadata.

        `NotSent` if the create can be repeated; `Failed` if there is no PaymentIntent so long after the last
        attempt that there never will be one. Where nothing is kept of the attempt any more, `account` is the
        one that the PaymentIntent is of, and `proof.reference` has its id.
        """
        if not proof.recovery.data:
            return await self._find_again(proof, account)
        attempt = Attempt.read(proof.recovery)
        try:
            intent = await self._find_named(proof, attempt) or await self._find(attempt)
        except StripeFailure as failure:
            return Unknown(reason=f"{proof.reference} could not be looked up: {failure}")
        if intent is None:
            return self._absent(proof, attempt)
        if intent.is_open:
            # A look-up changes nothing. Asking for it again does, and brings this one to its end.
            return NotSent(reason=f"{intent.id} is {intent.status}")
        return outcomes.judge(intent, proof)

    async def _find_again(self, proof: Proof, account: str | None) -> Settlement:
        """What has become of a payment that was decided once: by its PaymentIntent, if that is named."""
        if not INTENT_ID.fullmatch(proof.reference):
            return Unknown(reason=f"nothing is kept to look {proof.reference} up by")
        try:
            intent = await self._api.retrieve_intent(proof.reference, account=account)
        except StripeFailure as failure:
            return Unknown(reason=f"{proof.reference} could not be looked up: {failure}")
        return outcomes.judge(intent, proof)

    async def _find_named(self, proof: Proof, attempt: Attempt) -> Intent | None:
        """The PaymentIntent that somebody has named, if it is for this challenge."""
        if not INTENT_ID.fullmatch(proof.reference):
            return None
        intent = await self._api.retrieve_intent(proof.reference, account=attempt.account)
        return intent if intent.metadata.get(CHALLENGE_ID) == attempt.challenge_id else None

    async def _make(self, proof: Proof, attempt: Attempt, tried: Attempt) -> Settlement:
        parameters = {**attempt.parameters, "shared_payment_granted_token": attempt.token}
        try:
            # Half of the time is left for asking what became of it.
            async with asyncio.timeout(self._timeout / 2):
                intent = await self._api.create_intent(
                    parameters, key=proof.reference, account=attempt.account
                )
        except NotDone as failure:
            untried = replace(attempt, asked=tried.asked).to_recovery()
            if attempt.sent:
                return Unknown(reason=f"{failure}; an attempt before may have been heard", recovery=untried)
            return NotSent(reason=str(failure), recovery=untried)
        except Refused as refusal:
            return await self._explain(refusal, proof, attempt)
        except TimeoutError:
            return await self._search(proof, tried, "too slow")
        except Unanswered as failure:
            # An answer from memory is no new attempt.
            asked = attempt.asked if failure.replayed else tried.asked
            return await self._search(proof, replace(tried, asked=asked), str(failure))
        return await self._finish(intent, proof, tried)

    async def _search(self, proof: Proof, tried: Attempt, why: str) -> Settlement:
        """Look for the PaymentIntent of a create that was not answered."""
        logger.warning("no answer to the charge %s: %s", proof.reference, why)
        for pause in _PAUSES:
            await asyncio.sleep(pause)
            try:
                intent = await self._find(tried)
            except StripeFailure as failure:
                why = str(failure)
                continue
            if intent is not None and not self._is_in_progress(intent, tried):
                return await self._finish(intent, proof, tried)
            why = "there is no PaymentIntent for it" if intent is None else f"{intent.id} is {intent.status}"
        return Unknown(reason=f"{proof.reference} was not answered: {why}", recovery=tried.to_recovery())

    def _is_in_progress(self, intent: Intent, tried: Attempt) -> bool:
        """Whether Stripe may be at the PaymentIntent just now: it is there, and nothing came of it yet."""
        waits_for_payer = intent.status == "requires_action"
        return intent.is_open and not waits_for_payer and self._clock() < tried.begun + FINAL

    async def _finish(self, intent: Intent, proof: Proof, tried: Attempt) -> Settlement:
        """Bring a PaymentIntent to its end. What `intent` says may be old, if Stripe answered from memory."""
        known = replace(tried, intent=intent.id)
        try:
            if intent.is_open:
                return outcomes.given_up(await self._cancel(intent, known), proof)
            for pause in _PAUSES:
                if intent.status != "processing":
                    break
                await asyncio.sleep(pause)
                intent = await self._api.retrieve_intent(intent.id, account=known.account)
        except StripeFailure as failure:
            return Unknown(reason=f"{intent.id} is {intent.status}: {failure}", recovery=known.to_recovery())
        outcome = outcomes.judge(intent, proof)
        if isinstance(outcome, Unknown):
            return replace(outcome, recovery=known.to_recovery())
        return outcome

    async def _cancel(self, intent: Intent, known: Attempt) -> Intent:
        """The PaymentIntent, cancelled; or as it is, if it is past that."""
        try:
            return await self._api.cancel_intent(intent.id, account=known.account)
        except Refused:
            return await self._api.retrieve_intent(intent.id, account=known.account)

    async def _explain(self, refusal: Refused, proof: Proof, attempt: Attempt) -> Settlement:
        """Why Stripe refused. Its codes for tokens are not published, so the token itself is asked."""
        logger.info("the charge %s was refused: %s", proof.reference, refusal)
        assert attempt.token is not None  # or nothing would have been asked
        if refusal.is_decline or refusal.is_unknown_token:
            return outcomes.refused(refusal)
        try:
            token = await self._api.granted_token(attempt.token, account=attempt.account)
        except Refused as unknown:
            missing = unknown.code == "resource_missing"
            return outcomes.UNKNOWN_TOKEN if missing else outcomes.refused(refusal)
        except StripeFailure as failure:
            logger.warning("what is wrong with the token is not known: %s", failure)
            return outcomes.refused(refusal)
        return outcomes.judge_token(token, proof, self._clock()) or outcomes.refused(refusal)

    async def _find(self, attempt: Attempt) -> Intent | None:
        if attempt.intent is not None:
            return await self._api.retrieve_intent(attempt.intent, account=attempt.account)
        return await self._api.find_intent(
            attempt.challenge_id,
            since=int(attempt.begun) - _CLOCK_SKEW,
            until=int(attempt.asked) + _CLOCK_SKEW,
            account=attempt.account,
        )

    def _absent(self, proof: Proof, attempt: Attempt) -> Settlement:
        age = self._clock() - attempt.asked
        if age < _STILL_REPEATED:
            return NotSent(reason=f"there is no PaymentIntent for {proof.reference}")
        if age < FINAL:
            return Unknown(reason=f"there is no PaymentIntent for {proof.reference} yet")
        return Failed(reason="The payment never reached Stripe. Nothing was taken.")
