"""Money back to those who paid: refunds at Stripe, made once and found again.

    draft    is there something to give back, and what has to be asked for
    make     ask for it; if there is no answer, look for it
    find     what became of it; changes nothing

As with charges, asking twice gives back once: each repayment's key is its idempotency key, for as long as
Stripe keeps it. The key is in the refund's metadata too, and by that a refund is found whose answer was lost.
Nothing is asked for again that is not looked for first.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Final

import msgspec
from msgspec import Struct

from coinslot.errors import RefundError
from coinslot.methods.stripe.api import StripeApi
from coinslot.methods.stripe.charges import FINAL, REPEATABLE
from coinslot.methods.stripe.connect import Connect
from coinslot.methods.stripe.failures import NotDone, Refused, StripeFailure, Unanswered
from coinslot.methods.stripe.metadata import refund_metadata
from coinslot.methods.stripe.objects import Intent, Refund
from coinslot.payments.method import Failed, NotSent, Recovery, Repayment, Settled, Settlement, Unknown
from coinslot.protocol import JSONObject

logger = logging.getLogger("coinslot.stripe")

# docs.stripe.com/error-codes
_REFUSALS: Final = {
    "charge_already_refunded": "all of it has been refunded already, elsewhere",
    "charge_disputed": "the payer's bank has taken it back in a dispute",
    "refund_disputed_payment": "the payer's bank has taken it back in a dispute",
    "charge_not_refundable": "there is nothing of it that could be refunded",
    "insufficient_funds": "there is not enough in the account to refund it",
    "balance_insufficient": "there is not enough in the account to refund it",
}


class Draft(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A refund that is to be asked for, to the last parameter, and when that was decided, in Unix seconds.

    `account` is the connected account that the PaymentIntent is of.
    """

    parameters: JSONObject
    intent: str
    begun: float
    account: str | None = None

    @classmethod
    def read(cls, recovery: Recovery) -> Draft:
        """The draft in `recovery`. Raises `msgspec.DecodeError` for anything else."""
        return msgspec.json.decode(recovery.data, type=cls)

    def to_recovery(self) -> Recovery:
        """The draft for the ledger."""
        return Recovery(msgspec.json.encode(self))


class Repayments:
    """Refunds by one account. `connect` says what becomes of a platform's fees; `clock` gives the time."""

    def __init__(self, api: StripeApi, *, connect: Connect, clock: Callable[[], float]) -> None:
        self._api = api
        self._connect = connect
        self._clock = clock

    async def draft(self, repayment: Repayment, *, intent_id: str, amount: int) -> Recovery:
        """What is to be asked for: `amount` minor units of a PaymentIntent. Raises `RefundError`.

        What was drafted once stays: a key that is used again, with other parameters, is a mistake to Stripe.
        """
        if repayment.recovery.data:
            return repayment.recovery
        account = self._connect.stripe_account
        try:
            intent = await self._api.retrieve_intent(intent_id, account=account)
        except StripeFailure as failure:
            raise RefundError(f"{intent_id} cannot be read: {failure}") from failure
        if intent.status != "succeeded":
            raise RefundError(f"{intent_id} is {intent.status}: there is nothing of it to give back")
        if amount > intent.amount:
            raise RefundError(f"{intent_id} is over less than {amount} minor units")
        parameters: JSONObject = {
            "payment_intent": intent_id,
            "amount": amount,
            "metadata": {**refund_metadata(challenge_id=repayment.challenge_id, key=repayment.key)},
            **self._platform(intent),
        }
        draft = Draft(parameters=parameters, intent=intent_id, begun=self._clock(), account=account)
        return draft.to_recovery()

    async def make(self, repayment: Repayment) -> Settlement:
        """Ask for it. Doing so again for the same repayment gives nothing back a second time."""
        draft = Draft.read(repayment.recovery)
        if self._clock() > draft.begun + REPEATABLE:
            return Unknown(reason=f"{repayment.key} is too old to be asked for again")
        try:
            refund = await self._api.create_refund(draft.parameters, key=repayment.key, account=draft.account)
        except NotDone as failure:
            # An attempt before may have been heard. The next look-up finds what came of it.
            return NotSent(reason=str(failure))
        except Refused as refusal:
            # What cannot be done now may have been done before, under a key that Stripe has forgotten.
            return await self._search(repayment, draft, otherwise=_refused(refusal, draft))
        except Unanswered as failure:
            logger.warning("no answer to the refund %s: %s", repayment.key, failure)
            reason = f"{repayment.key} was not answered: {failure}"
            is_over = failure.replayed and self._clock() > draft.begun + FINAL
            never = Failed(reason="Stripe could not make the refund. Nothing was sent.")
            return await self._search(
                repayment, draft, otherwise=never if is_over else Unknown(reason=reason)
            )
        return judge(refund)

    async def find(self, repayment: Repayment) -> Settlement:
        """What became of it: by its id, or by our key among the refunds of its PaymentIntent.

        `NotSent` if it can be asked for; `Failed` if it is not there so long after it was last asked for that
        it never will be.
        """
        try:
            if repayment.reference is not None:
                account = self._connect.stripe_account
                if repayment.recovery.data:
                    account = Draft.read(repayment.recovery).account
                return judge(await self._api.retrieve_refund(repayment.reference, account=account))
            draft = Draft.read(repayment.recovery)
            refund = await self._api.find_refund(repayment.key, intent_id=draft.intent, account=draft.account)
        except StripeFailure as failure:
            return Unknown(reason=f"{repayment.key} could not be looked up: {failure}")
        return judge(refund) if refund is not None else self._absent(repayment, draft)

    async def _search(self, repayment: Repayment, draft: Draft, *, otherwise: Settlement) -> Settlement:
        """The refund, if there is one for this repayment."""
        try:
            refund = await self._api.find_refund(repayment.key, intent_id=draft.intent, account=draft.account)
        except StripeFailure as failure:
            return Unknown(reason=f"{repayment.key} could not be looked up: {failure}")
        return otherwise if refund is None else judge(refund)

    def _absent(self, repayment: Repayment, draft: Draft) -> Settlement:
        age = self._clock() - draft.begun
        if age < REPEATABLE:
            return NotSent(reason=f"there is no refund for {repayment.key}")
        if age < REPEATABLE + FINAL:
            return Unknown(reason=f"there is no refund for {repayment.key} yet")
        return Failed(reason="The refund never reached Stripe. Nothing was sent.")

    def _platform(self, intent: Intent) -> JSONObject:
        """What a platform gets back from those whom it passed the money on to."""
        parameters: JSONObject = {}
        if intent.transfer_data is not None and self._connect.reverse_transfer:
            parameters["reverse_transfer"] = True
        if intent.application_fee_amount and self._connect.refund_application_fee:
            parameters["refund_application_fee"] = True
        return parameters


def judge(refund: Refund) -> Settlement:
    """What a refund's status says (docs.stripe.com/api/refunds/object)."""
    match refund.status:
        case "succeeded":
            return Settled(reference=refund.id)
        case "failed":
            why = refund.failure_reason or "no reason given"
            return Failed(reason=f"The refund {refund.id} failed ({why}). The money is back in the account.")
        case "canceled":
            return Failed(reason=f"The refund {refund.id} was cancelled.")
        case status:
            return Unknown(reason=f"{refund.id} is {status}", reference=refund.id)


def _refused(refusal: Refused, draft: Draft) -> Failed:
    code = refusal.code or refusal.param or "invalid_request_error"
    return Failed(reason=f"Stripe refuses to refund {draft.intent}: {_REFUSALS.get(code, code)}.")
