"""The invariants themselves: a count that cannot be wrong proves nothing."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from msgspec.structs import replace

from coinslot.payments.payment import Payment, State
from coinslot.payments.refunds import Refund, RefundState
from coinslot.protocol import Challenge, Credential
from coinslot.sandbox.tempo.accounts import ACCOUNTS
from faults.buyers import Buyer, Sighting
from faults.evidence import Evidence
from faults.journal import Completion
from faults.points import Passage
from faults.truth import violations
from faults.world import Places

ID = "c-1"
SERVED = Sighting(ID, 200, "", False, b"0:ab", 1.0)
Story = tuple[Evidence, Buyer]


def passage(point: str, pid: int = 1) -> Passage:
    return Passage(pid=pid, when="after", point=point, about=ID)


def a_good_story() -> Story:
    """One who paid with a key, was served, and asked again."""
    row = Payment(
        challenge_id=ID,
        proof_key="tempo:1:0x1",
        fingerprint=b"",
        method="tempo",
        intent="charge",
        route="GET /paid/{item}",
        state=State.DELIVERED,
        amount=100,
        currency="coin",
        reference="0x1",
        created_at=0.0,
        expires_at=300.0,
    )
    evidence = Evidence(
        rows={ID: row},
        refunds=[],
        moved={ID: 100},
        received={"tempo": 100, "stripe": 0},
        sent_back={"tempo": 0, "stripe": 0},
        journal=[Completion(ID, "ab")],
        trace=[passage("handler"), passage("ledger.keep_answer")],
    )
    buyer = Buyer(Places("http://127.0.0.1:1", ""), "pull", ACCOUNTS[0], keyed=True, manner="returns")
    challenge = Challenge.create(id=ID, realm="shop", method="tempo", intent="charge", request={})
    buyer.credentials[ID] = Credential(challenge=challenge, payload={})
    buyer.sightings += [SERVED, SERVED]
    buyer.replays.append(SERVED)
    return evidence, buyer


def with_row(story: Story, **changes: object) -> Story:
    evidence, buyer = story
    return replace(evidence, rows={ID: replace(evidence.rows[ID], **changes)}), buyer


def with_evidence(story: Story, **changes: object) -> Story:
    evidence, buyer = story
    return replace(evidence, **changes), buyer


def refund(state: RefundState, amount: int = 100) -> Refund:
    return Refund(
        id="rf", challenge_id=ID, amount=amount, state=state, key="rf", created_at=0.0, updated_at=0.0
    )


def told(story: Story, *sightings: Sighting) -> Story:
    """The same, but this is what the buyer was told."""
    story[1].sightings[:] = sightings
    return story


def asked_again(story: Story, *replays: Sighting) -> Story:
    story[1].replays[:] = replays
    return story


def paid_twice(story: Story) -> Story:
    evidence, buyer = story
    other = replace(buyer.credentials[ID], challenge=replace(buyer.credentials[ID].challenge, id="c-2"))
    buyer.credentials["c-2"] = other
    row = replace(evidence.rows[ID], challenge_id="c-2")
    return with_evidence(
        story,
        rows={**evidence.rows, "c-2": row},
        moved={ID: 100, "c-2": 100},
        received={"tempo": 200, "stripe": 0},
    )


def without_key(story: Story, completions: int) -> Story:
    story[1].keyed = False
    return with_evidence(story, journal=[Completion(ID, str(number)) for number in range(completions)])


BROKEN: list[tuple[str, Callable[[Story], Story], str]] = [
    ("money without a row", lambda s: with_evidence(s, rows={}), "there is no row"),
    ("money that is in no row", lambda s: with_evidence(s, received={"tempo": 200}), "200 were received"),
    ("too little in a row", lambda s: with_row(s, amount=99), "the row has 99"),
    ("a failure that was paid", lambda s: with_row(s, state=State.FAILED), "does not say so"),
    ("no decision", lambda s: with_row(s, state=State.SETTLING), "is not decided"),
    ("two payments for one purchase", paid_twice, "was paid 2 times"),
    (
        "goods that were never handed over",
        lambda s: told(with_row(s, state=State.SETTLED)),
        "still waiting for them",
    ),
    ("nothing for one who came back", told, "has nothing"),
    (
        "being told to pay anew",
        lambda s: told(s, Sighting(ID, 402, "verification-failed", True, b"", 0.5), SERVED),
        "told to pay anew",
    ),
    (
        "being told that it was used, by one who has nothing",
        lambda s: told(s, Sighting(ID, 402, "invalid-challenge", True, b"", 0.5)),
        "told to pay anew",
    ),
    (
        "being turned away",
        lambda s: told(s, Sighting(ID, 403, "payment-undelivered", False, b"", 0.5), SERVED),
        "turned away",
    ),
    ("a crash", lambda s: told(s, Sighting(ID, 500, "", False, b"", 0.5), SERVED), "answered 500"),
    (
        "an answer that is made again",
        lambda s: with_evidence(
            s, trace=[passage("handler"), passage("ledger.keep_answer"), passage("handler")]
        ),
        "after its answer was kept",
    ),
    (
        "two completions in one life",
        lambda s: with_evidence(s, journal=[Completion(ID, "ab"), Completion(ID, "cd")]),
        "completed 2 times in 1 processes",
    ),
    ("five completions", lambda s: without_key(s, 5), "completed 5 times"),
    (
        "two answers for one key",
        lambda s: told(s, SERVED, Sighting(ID, 200, "", False, b"0:cd", 2.0)),
        "2 different answers",
    ),
    (
        "no answer for a key",
        lambda s: asked_again(s, Sighting(ID, 402, "invalid-challenge", True, b"", 2.0)),
        "not given again",
    ),
    ("an open refund", lambda s: with_evidence(s, refunds=[refund(RefundState.SENT)]), "is still sent"),
    ("a refund that nobody got", lambda s: with_evidence(s, refunds=[refund(RefundState.DONE)]), "sent back"),
    ("a refund twice", lambda s: with_evidence(s, sent_back={"tempo": 100}), "100 were sent back"),
    (
        "a refund of too much",
        lambda s: with_evidence(s, refunds=[refund(RefundState.DONE, 101)], sent_back={"tempo": 101}),
        "more was refunded",
    ),
]


def test_a_good_story_has_no_violation() -> None:
    """What is as it should be is left alone: with a key, and without one up to four completions."""
    assert violations(a_good_story()[0], [a_good_story()[1]]) == []
    evidence, buyer = without_key(a_good_story(), 4)
    assert violations(evidence, [buyer]) == []


@pytest.mark.parametrize(
    ("harm", "reason"), [(harm, reason) for _, harm, reason in BROKEN], ids=[b[0] for b in BROKEN]
)
def test_whatever_is_wrong_is_named(harm: Callable[[Story], Story], reason: str) -> None:
    """Each invariant, broken, is told in words."""
    evidence, buyer = harm(a_good_story())
    assert any(reason in violation for violation in violations(evidence, [buyer]))
