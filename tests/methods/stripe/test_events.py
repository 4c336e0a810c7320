"""Events: who signed them, and what they are about."""

from __future__ import annotations

import time
from typing import Any

import msgspec
import pytest
from hypothesis import given, strategies as st

from coinslot.errors import ConfigurationError
from coinslot.methods.stripe.events import SigningSecrets, read_event
from coinslot.sandbox.stripe import sign

BODY = b'{"id": "evt_1", "type": "charge.succeeded", "data": {"object": {"id": "ch_1"}}}'


def signed(secret: str = "whsec_new", *, age: int = 0, body: bytes = BODY) -> str:
    """A signature of so many seconds ago."""
    return sign(secret, int(time.time()) - age, body)


class TestSignatures:
    """What counts as a signature."""

    secrets = SigningSecrets(["whsec_old", "whsec_new"], tolerance=300)

    def test_stripe_s_is_taken(self) -> None:
        """With either secret, for five minutes, and with others beside it."""
        now, others = int(time.time()), signed("whsec_other").partition(",")[2]
        for signature in (
            signed(),
            signed("whsec_old"),
            signed(age=280),
            f"{signed()},{others},v0=1",
            f"t={now},v1=0,{sign('whsec_new', now, BODY).partition(',')[2]}",
        ):
            assert self.secrets.have_signed(BODY, signature), signature

    def test_another_is_not(self) -> None:
        """Of another secret, another body or another scheme, too old, or none."""
        for signature in (
            None,
            "",
            "t=,v1=",
            "t=1",
            "v1=1",
            f"t={'9' * 5000},v1=1",
            "t=1,v1=ü",
            signed("whsec_other"),
            signed(age=310),
            signed(body=BODY + b" "),
            signed().replace("v1=", "v0="),
        ):
            assert not self.secrets.have_signed(BODY, signature), signature

    def test_a_body_that_is_no_text_has_no_signature(self) -> None:
        """Stripe signs JSON."""
        assert not self.secrets.have_signed(b"\xff", signed(body=b"\xff"))

    @pytest.mark.parametrize(
        ("secrets", "tolerance"),
        [("", 300), ("sk_test_1", 300), ("whsec_", 300), ([], 300), (["whsec_1", "x"], 300), ("whsec_1", 0)],
    )
    def test_a_mistake_is_found_at_start_up(self, secrets: Any, tolerance: int) -> None:
        """And does not quote what might be a secret."""
        with pytest.raises(ConfigurationError) as caught:
            SigningSecrets(secrets, tolerance=tolerance)
        assert "sk_test_1" not in str(caught.value)

    def test_secrets_are_not_shown(self) -> None:
        """By `repr`."""
        assert "whsec_new" not in repr(self.secrets)


def event(**members: Any) -> bytes:
    """An event about an object with these members."""
    return msgspec.json.encode({"id": "evt_1", "type": "x", "data": {"object": members}})


class TestRead:
    """What an event is about."""

    @pytest.mark.parametrize(
        ("members", "intent", "is_crypto"),
        [
            ({"object": "payment_intent", "id": "pi_1", "payment_method_types": ["card"]}, "pi_1", False),
            ({"object": "payment_intent", "id": "pi_1", "payment_method_types": ["crypto"]}, "pi_1", True),
            (
                {"object": "payment_intent", "id": "pi_1", "payment_method_types": ["card", "crypto"]},
                "pi_1",
                False,
            ),
            ({"object": "charge", "id": "ch_1", "payment_intent": "pi_1"}, "pi_1", False),
            ({"object": "charge", "id": "py_1", "payment_method_details": {"type": "crypto"}}, None, True),
        ],
    )
    def test_its_object(self, members: dict[str, Any], intent: str | None, is_crypto: bool) -> None:
        """Which PaymentIntent that is, which challenge it was to pay, and whether with a deposit."""
        found = read_event(event(**members, metadata={"mpp_challenge_id": "c1"}))
        assert found is not None
        about = found.about
        assert (about.intent_id, about.is_crypto, about.challenge_id) == (intent, is_crypto, "c1")

    @pytest.mark.parametrize("metadata", [None, {}, {"machine_payment": "true"}])
    def test_other_business_has_no_challenge(self, metadata: dict[str, str] | None) -> None:
        """Then there is nothing to look at."""
        found = read_event(event(metadata=metadata))
        assert found is not None
        assert found.about.challenge_id is None

    @given(st.one_of(st.binary(max_size=200), st.just(b"[" * 200_000), st.just(event(metadata=1))))
    def test_what_is_no_event_is_none(self, body: bytes) -> None:
        """Whatever it is."""
        assert read_event(body) is None
