"""The invariants: what has to hold at the end of every case, whatever happened in it.

1. Money received is what the ledger has as settled (delivered and undelivered among it) and unapplied.
2. Money moved for a credential if and only if its row says so; nothing was taken twice for a purchase.
3. No row is undecided, unless its money has not moved and its payer is gone; a settled one waits for its
   payer only if they never came back.
4. A buyer who comes back until the end has their goods. None is asked to pay anew, or turned away, once their
   money has moved and before they have what it bought.
5. The handler completes once for each payment that has an `Idempotency-Key`. It completes again only if its
   process died, or the ledger failed, between a completion and the answer's being kept; what has been kept is
   never made again. Without a key it completes at most once for each delivery that is allowed.
6. With a key, everything that was handed over for one credential is the same to the last byte.
7. Refunds are what the world says has gone back, and no more than what was paid.

And Coinslot's own audit, which the acts ask, finds no difference.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from coinslot.payments.payment import Payment, State
from coinslot.payments.refunds import OPEN_REFUNDS, RefundState
from faults.buyers import Buyer
from faults.evidence import Evidence

REDELIVERIES = 3
_HAS_MONEY = frozenset({State.SETTLED, State.DELIVERED, State.UNDELIVERED, State.UNAPPLIED})
_UNDECIDED = frozenset({State.SETTLING, State.UNKNOWN})


def violations(evidence: Evidence, buyers: list[Buyer], *, answers_are_lost: bool = False) -> list[str]:
    """What does not hold, one sentence each. `answers_are_lost`: the ledger may have failed to keep some."""
    found = [*_sums(evidence), *_refunds(evidence)]
    for buyer in buyers:
        found += _purchase(evidence, buyer)
        if buyer.keyed:
            if not answers_are_lost:
                found += [*_once(evidence, buyer), *_same_bytes(evidence, buyer)]
        else:
            found += _not_too_often(evidence, buyer)
    return found


def _sums(evidence: Evidence) -> Iterator[str]:
    for method, received in evidence.received.items():
        booked = sum(
            row.amount for row in evidence.rows.values() if row.method == method and row.state in _HAS_MONEY
        )
        if received != booked:
            yield f"{method}: {received} were received, {booked} are in the ledger"


def _refunds(evidence: Evidence) -> Iterator[str]:
    sent: Counter[str] = Counter()
    for refund in evidence.refunds:
        row = evidence.rows[refund.challenge_id]
        if refund.state in OPEN_REFUNDS:
            yield f"{row.challenge_id}: its refund is still {refund.state} ({refund.reason})"
        if refund.state is RefundState.DONE:
            sent[row.method] += refund.amount
    for method, amount in evidence.sent_back.items():
        if amount != sent[method]:
            yield f"{method}: {amount} were sent back, {sent[method]} are in the ledger"
    for row in evidence.rows.values():
        back = [refund for refund in evidence.refunds if refund.challenge_id == row.challenge_id]
        if sum(refund.amount for refund in back if refund.state is not RefundState.FAILED) > row.amount:
            yield f"{row.challenge_id}: more was refunded than paid"


def _purchase(evidence: Evidence, buyer: Buyer) -> Iterator[str]:
    taken = [challenge_id for challenge_id in buyer.credentials if evidence.moved[challenge_id]]
    if len(taken) > 1:
        yield f"{', '.join(taken)}: one purchase was paid {len(taken)} times"
    for challenge_id in buyer.credentials:
        row = evidence.rows.get(challenge_id)
        yield from _row(challenge_id, row, evidence.moved[challenge_id], buyer)
        if evidence.moved[challenge_id]:
            yield from _answers(challenge_id, row, buyer)
    if buyer.manner != "vanishes" and not buyer.goods and not _is_owed(evidence, taken):
        last = buyer.answer.status_code if buyer.answer is not None else "none"
        seen = Counter(f"{sighting.status} {sighting.slug}" for sighting in buyer.sightings)
        told = f"last {last}, in all {dict(seen)}"
        yield f"{', '.join(buyer.credentials)}: a buyer who came back has nothing ({told})"


def _is_owed(evidence: Evidence, taken: list[str]) -> bool:
    """Whether delivering was given up openly: a refund is due, or made."""
    return any(evidence.rows[each].state is State.UNDELIVERED for each in taken if each in evidence.rows)


def _row(challenge_id: str, row: Payment | None, moved: int, buyer: Buyer) -> Iterator[str]:
    if row is None:
        if moved:
            yield f"{challenge_id}: {moved} moved, and there is no row"
        return
    name = f"{challenge_id} ({row.state})"
    if row.state in _HAS_MONEY and row.amount != moved:
        yield f"{name}: {moved} moved, the row has {row.amount}"
    if row.state not in _HAS_MONEY and moved:
        yield f"{name}: {moved} moved, and the row does not say so ({row.reason})"
    if row.state in _UNDECIDED:
        yield f"{name}: is not decided in the end ({row.reason})"
    if row.state is State.SETTLED and buyer.manner != "vanishes" and not buyer.goods:
        yield f"{name}: its payer came back, and it is still waiting for them"


def _answers(challenge_id: str, row: Payment | None, buyer: Buyer) -> Iterator[str]:
    """What the payer of money that moved was told before they had what they paid for."""
    seen = [sighting for sighting in buyer.sightings if sighting.challenge_id == challenge_id]
    served = [sighting.at for sighting in seen if sighting.status == 200]
    for sighting in seen:
        if sighting.status == 402 and (sighting.slug != "invalid-challenge" or not served):
            yield f"{challenge_id}: paid, and told to pay anew ({sighting.slug})"
        is_owed = row is not None and row.state is State.UNDELIVERED
        if sighting.status == 403 and not is_owed:
            yield f"{challenge_id}: paid, and turned away ({sighting.slug})"
        if sighting.status not in (0, 200, 402, 403, 409, 503):
            yield f"{challenge_id}: paid, and answered {sighting.status}"


def _once(evidence: Evidence, buyer: Buyer) -> Iterator[str]:
    for challenge_id in buyer.credentials:
        is_made = is_kept = False
        for passage in evidence.trace:
            if passage.about != challenge_id or passage.when != "after":
                continue
            if passage.point == "handler":
                if is_kept:
                    yield f"{challenge_id}: the handler completed again after its answer was kept"
                is_made = True
            is_kept = is_kept or (is_made and passage.point == "ledger.keep_answer")
        made = sum(completion.challenge_id == challenge_id for completion in evidence.journal)
        lives = {
            passage.pid
            for passage in evidence.trace
            if (passage.point, passage.about) == ("handler", challenge_id)
        }
        if made > max(1, len(lives)):
            yield f"{challenge_id}: the handler completed {made} times in {len(lives)} processes"


def _not_too_often(evidence: Evidence, buyer: Buyer) -> Iterator[str]:
    for challenge_id in buyer.credentials:
        made = sum(completion.challenge_id == challenge_id for completion in evidence.journal)
        if made > 1 + REDELIVERIES:
            yield f"{challenge_id}: the handler completed {made} times"
        row = evidence.rows.get(challenge_id)
        if made and (row is None or row.state not in _HAS_MONEY):
            yield f"{challenge_id}: the handler completed, and nothing was paid"


def _same_bytes(evidence: Evidence, buyer: Buyer) -> Iterator[str]:
    for challenge_id in buyer.credentials:
        bodies = {
            sighting.body
            for sighting in buyer.sightings
            if sighting.challenge_id == challenge_id and sighting.status == 200
        }
        if len(bodies) > 1:
            yield f"{challenge_id}: one key, {len(bodies)} different answers"
    for replay in buyer.replays:
        if evidence.moved[replay.challenge_id] and replay.status != 200:
            yield f"{replay.challenge_id}: its answer is not given again ({replay.status} {replay.slug})"
