"""/v1/refunds."""

from __future__ import annotations

from typing import Final, Literal

from coinslot.sandbox.stripe import metadata, money, refunding
from coinslot.sandbox.stripe.calls import Call, endpoint
from coinslot.sandbox.stripe.errors import invalid, refused
from coinslot.sandbox.stripe.identifiers import new_id
from coinslot.sandbox.stripe.lists import Listing, ListParameters, page
from coinslot.sandbox.stripe.parameters import Parameters
from coinslot.sandbox.stripe.shapes import Charge, PaymentIntent, Refund
from coinslot.sandbox.stripe.state import State


class Create(Parameters, kw_only=True, frozen=True):
    """What creating takes: one of `charge` and `payment_intent`."""

    amount: int | None = None
    charge: str | None = None
    metadata: dict[str, str] | None = None
    payment_intent: str | None = None
    reason: Literal["duplicate", "fraudulent", "requested_by_customer"] | None = None
    refund_application_fee: bool = False
    reverse_transfer: bool = False


class Update(Parameters, kw_only=True, frozen=True):
    """What updating takes."""

    metadata: dict[str, str] | None = None


class ListRefunds(ListParameters, kw_only=True, frozen=True):
    """What listing takes."""

    charge: str | None = None
    payment_intent: str | None = None


def create(state: State, call: Call, given: Create) -> Refund:
    """POST /v1/refunds."""
    charge = _charge(state, call, given)
    left = refunding.refundable(charge)
    if charge.refunded:
        raise refused(f"Charge {charge.id} has already been refunded.", code="charge_already_refunded")
    if left == 0:
        raise refused(f"Charge {charge.id} has not been captured.", code="charge_not_refundable")
    amount = left if given.amount is None else given.amount
    if amount < 1:
        raise invalid(
            "This value must be greater than or equal to 1.", param="amount", code="parameter_invalid_integer"
        )
    if amount > left:
        raise refused(
            f"Refund amount ({money.display(amount, charge.currency)}) is greater than unrefunded amount on "
            f"charge ({money.display(left, charge.currency)})",
            param="amount",
        )
    _check_platform(charge, given)
    return refunding.refund(
        state,
        call.account,
        charge,
        amount,
        reason=given.reason,
        metadata=metadata.merged({}, given.metadata),
        reversal=new_id("trr") if given.reverse_transfer else None,
    )


def retrieve(state: State, call: Call, _given: Parameters) -> Refund:
    """GET /v1/refunds/{id}."""
    return state.get(Refund, call.id, call.account)


def update(state: State, call: Call, given: Update) -> Refund:
    """POST /v1/refunds/{id}."""
    refund = state.get(Refund, call.id, call.account)
    refund.metadata = metadata.merged(refund.metadata, given.metadata)
    return state.save(refund)


def list_(state: State, call: Call, given: ListRefunds) -> Listing:
    """GET /v1/refunds."""
    filters = {"charge": given.charge, "payment_intent": given.payment_intent}
    return page(state, Refund, call.account, given, call.path, {**filters})


def _check_platform(charge: Charge, given: Create) -> None:
    if given.reverse_transfer and charge.transfer_data is None:
        raise refused(
            f"Cannot reverse transfer on charge {charge.id}: it has no transfer.", param="reverse_transfer"
        )
    if given.refund_application_fee and charge.application_fee_amount is None:
        raise refused(
            f"Cannot refund the application fee on charge {charge.id}: it has none.",
            param="refund_application_fee",
        )


def _charge(state: State, call: Call, given: Create) -> Charge:
    if given.charge is not None:
        return state.get(Charge, given.charge, call.account, param="charge")
    if given.payment_intent is None:
        raise invalid(
            "One of the following params should be provided for this request: payment_intent or charge.",
            code="parameter_missing",
        )
    intent = state.get(PaymentIntent, given.payment_intent, call.account, param="payment_intent")
    if intent.latest_charge is None:
        raise refused(
            f"This PaymentIntent ({intent.id}) does not have a successful charge to refund.",
            param="payment_intent",
            code="resource_missing",
        )
    charge = state.get(Charge, intent.latest_charge)
    if charge.status != "succeeded":
        raise refused(
            f"This PaymentIntent ({intent.id}) does not have a successful charge to refund.",
            param="payment_intent",
        )
    return charge


ENDPOINTS: Final = (
    endpoint("POST", "/v1/refunds", Create, create),
    endpoint("GET", "/v1/refunds", ListRefunds, list_),
    endpoint("GET", "/v1/refunds/{id}", Parameters, retrieve),
    endpoint("POST", "/v1/refunds/{id}", Update, update),
)
