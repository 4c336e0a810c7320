"""/v1/disputes."""

from __future__ import annotations

from typing import Final

from coinslot.sandbox.stripe import disputes, events, metadata
from coinslot.sandbox.stripe.calls import Call, endpoint
from coinslot.sandbox.stripe.errors import invalid
from coinslot.sandbox.stripe.lists import Listing, ListParameters, page
from coinslot.sandbox.stripe.parameters import Parameters
from coinslot.sandbox.stripe.shapes import Dispute
from coinslot.sandbox.stripe.shapes.dispute import EVIDENCE
from coinslot.sandbox.stripe.state import State

_WINS: Final = "winning_evidence"
_LOSES: Final = "losing_evidence"


class Update(Parameters, kw_only=True, frozen=True):
    """What updating takes. Evidence is sent to the bank unless `submit` is false."""

    evidence: dict[str, str] | None = None
    metadata: dict[str, str] | None = None
    submit: bool = True


class ListDisputes(ListParameters, kw_only=True, frozen=True):
    """What listing takes."""

    charge: str | None = None
    payment_intent: str | None = None


def retrieve(state: State, call: Call, _given: Parameters) -> Dispute:
    """GET /v1/disputes/{id}."""
    return state.get(Dispute, call.id, call.account)


def update(state: State, call: Call, given: Update) -> Dispute:
    """POST /v1/disputes/{id}."""
    dispute = state.get(Dispute, call.id, call.account)
    if given.evidence:
        disputes.check_open(dispute)
    dispute.metadata = metadata.merged(dispute.metadata, given.metadata)
    for name, value in (given.evidence or {}).items():
        if name not in EVIDENCE:
            param = f"evidence[{name[:80]}]"
            raise invalid(f"Received unknown parameter: {param}", param=param, code="parameter_unknown")
        dispute.evidence[name] = value or None
    details = dispute.evidence_details
    details.has_evidence = any(dispute.evidence[name] is not None for name in EVIDENCE)
    if given.evidence and given.submit:
        details.submission_count += 1
        is_inquiry = dispute.status.startswith("warning_")
        dispute.status = "warning_under_review" if is_inquiry else "under_review"
    state.save(dispute)
    events.record(state, call.account, "charge.dispute.updated", dispute)
    said = dispute.evidence["uncategorized_text"]
    if given.submit and said in (_WINS, _LOSES):
        disputes.end(state, call.account, dispute, "won" if said == _WINS else "lost")
    return dispute


def close(state: State, call: Call, _given: Parameters) -> Dispute:
    """POST /v1/disputes/{id}/close: the seller gives in."""
    return disputes.end(state, call.account, state.get(Dispute, call.id, call.account), "lost")


def list_(state: State, call: Call, given: ListDisputes) -> Listing:
    """GET /v1/disputes."""
    filters = {"charge": given.charge, "payment_intent": given.payment_intent}
    return page(state, Dispute, call.account, given, call.path, {**filters})


ENDPOINTS: Final = (
    endpoint("GET", "/v1/disputes", ListDisputes, list_),
    endpoint("GET", "/v1/disputes/{id}", Parameters, retrieve),
    endpoint("POST", "/v1/disputes/{id}", Update, update),
    endpoint("POST", "/v1/disputes/{id}/close", Parameters, close),
)
