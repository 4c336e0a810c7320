from __future__ import annotations

from typing import Any

import pytest
from hypothesis import assume, given, strategies as st
from msgspec.structs import replace

from coinslot.errors import ConfigurationError, MalformedChallenge
from coinslot.protocol import Binder, Challenge, challenge_id, encode_base64url, encode_object
from strategies import challenges, field_text

SECRET = b"0123456789abcdef0123456789abcdef"
REQUEST = encode_object(
    {
        "amount": "1000000",
        "currency": "0x20c0000000000000000000000000000000000000",
        "recipient": "0x742d35Cc6634C0532925a3b844Bc9e7595f8fE00",
    }
)
OPAQUE = "eyJfbXBweF9zY29wZSI6IkdFVCAvcHJlbWl1bSIsImIiOiIxIn0"
SLOTS: dict[str, Any] = {
    "realm": "api.example.com",
    "method": "tempo",
    "intent": "charge",
    "request": REQUEST,
}
OPTIONAL: dict[str, Any] = {
    "expires": "2030-01-06T12:00:00.000Z",
    "digest": "sha-256=:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=:",
    "opaque": OPAQUE,
    "header": "Payment-Authorization",
}
bindable = challenges.filter(lambda challenge: "|" not in challenge.realm + (challenge.header or ""))


def issued(binder: Binder, challenge: Challenge) -> Challenge:
    """The challenge with the id that `binder` gives it."""
    slots = {name: getattr(challenge, name) for name in (*SLOTS, *OPTIONAL)}
    return replace(challenge, id=binder.issue(**slots))


class TestChallengeId:
    @pytest.mark.parametrize(
        ("optional", "expected"),
        [
            ({}, "GYRVsXMLFlEoE9RsTUYCfRy0teSngqTUW4CbCP8l-_o"),
            (
                {"expires": "2030-01-06T12:00:00.000Z", "opaque": OPAQUE},
                "JFbuyl1b9imunJmb9ogmLbAJo8b4WG7lDWKwKzGCg3g",
            ),
            (
                {"expires": "2030-01-06T12:00:00.000Z", "header": "Payment-Authorization"},
                "HwSlUhXbxMt1GiVhfms5KVMXDF2yW_WYpAeRPKwosg0",
            ),
        ],
    )
    def test_as_mppx(self, optional: dict[str, str], expected: str) -> None:
        """Ids are those that mppx gave to the same parameters."""
        assert challenge_id(SECRET, **SLOTS, **optional) == expected
        assert Binder([SECRET]).issue(**SLOTS, **optional) == expected

    def test_slots_are_apart(self) -> None:
        """Each parameter counts, in its own place: no two of these have the same id."""
        variants = [SLOTS, *({**SLOTS, name: SLOTS[name] + "x"} for name in SLOTS)]
        variants += [{**SLOTS, name: OPTIONAL[name]} for name in OPTIONAL]
        variants += [{**SLOTS, name: "same"} for name in OPTIONAL]
        assert len({challenge_id(SECRET, **variant) for variant in variants}) == len(variants)

    def test_default_header(self) -> None:
        """Naming the field where credentials go anyway is the same as naming none."""
        assert challenge_id(SECRET, **SLOTS, header="authorization") == challenge_id(SECRET, **SLOTS)

    @pytest.mark.parametrize("name", [*SLOTS, *OPTIONAL])
    def test_no_separator_in_a_slot(self, name: str) -> None:
        """A parameter with the separator in it cannot be bound."""
        for slots in ({**SLOTS, name: "a|b"}, {**SLOTS, **OPTIONAL, name: "|"}):
            with pytest.raises(MalformedChallenge, match=r"\|"):
                challenge_id(SECRET, **slots)
            with pytest.raises(MalformedChallenge, match=r"\|"):
                Binder([SECRET]).issue(**slots)

    def test_not_unicode(self) -> None:
        """A parameter with a lone surrogate cannot be bound."""
        with pytest.raises(MalformedChallenge):
            challenge_id(SECRET, **{**SLOTS, "realm": "\ud800"})


class TestBinder:
    @given(bindable)
    def test_accepts_its_own(self, challenge: Challenge) -> None:
        """Whatever it issued comes back over the wire and is accepted."""
        binder = Binder([SECRET])
        ours = issued(binder, challenge)
        assert ours.id == challenge_id(SECRET, **{n: getattr(challenge, n) for n in (*SLOTS, *OPTIONAL)})
        assert binder.accepts(Challenge.parse(ours.to_header()))
        assert binder.accepts(Challenge.from_object(ours.to_object()))

    @given(bindable, st.sampled_from([*SLOTS, *OPTIONAL, "id"]), field_text.filter(bool) | st.none())
    def test_refuses_changes(self, challenge: Challenge, name: str, text: str | None) -> None:
        """No bound parameter can be changed, added or taken away."""
        binder = Binder([SECRET])
        ours = issued(binder, challenge)
        if text is None and name not in OPTIONAL:
            text = "other"
        assume(text != getattr(ours, name))
        assume(name != "header" or "authorization" not in ((text or "").lower(), (ours.header or "").lower()))
        assert not binder.accepts(replace(ours, **{name: text}))

    def test_description_is_free(self) -> None:
        """The description is for people and is not bound."""
        binder = Binder([SECRET])
        ours = Challenge(id=binder.issue(**SLOTS), **SLOTS, description="one")
        assert binder.accepts(replace(ours, description="another"))

    def test_rotation(self) -> None:
        """It issues with the newest secret, accepts older ones, and not those that are gone."""
        old, new = b"old" * 11, b"new" * 11
        challenge = Challenge(id="", **SLOTS)
        both = Binder([old, new])
        assert issued(both, challenge).id == challenge_id(new, **SLOTS)
        assert both.accepts(issued(Binder([old]), challenge))
        assert both.accepts(issued(Binder([new]), challenge))
        assert not Binder([new]).accepts(issued(Binder([old]), challenge))
        assert not Binder([old]).accepts(issued(both, challenge))

    @pytest.mark.parametrize("secrets", [[], [b""], [b"good", b""]])
    def test_needs_secrets(self, secrets: list[bytes]) -> None:
        """Without a secret, or with an empty one, nothing would be bound."""
        with pytest.raises(ConfigurationError):
            Binder(secrets)

    def test_hides_secrets(self) -> None:
        """A binder's repr shows nothing of its secrets."""
        assert "0123" not in repr(Binder([SECRET]))

    @pytest.mark.parametrize(
        ("name", "json"),
        [
            ("request", b'{"b":"1","a":"2"}'),
            ("request", b'{ "a":"1"}'),
            ("request", b'{"a":1.0}'),
            ("request", b'{"a":"\\u0061"}'),
            ("request", b'{"a":1,"a":1}'),
            ("request", b"[]"),
            ("request", b'{"a":9007199254740993}'),
            ("opaque", b'{"b":"1","a":"2"}'),
            ("opaque", b'{"a": "1"}'),
            ("opaque", b'{"a":1}'),
        ],
    )
    def test_canonical(self, name: str, json: bytes) -> None:
        """What is not base64url of canonical JSON is refused, even under the right id."""
        slots = {**SLOTS, name: encode_base64url(json)}
        assert not Binder([SECRET]).accepts(Challenge(id=challenge_id(SECRET, **slots), **slots))

    @pytest.mark.parametrize("request_", ["e30=", "", "!", "e3 0", "é"])
    def test_encoding(self, request_: str) -> None:
        """A request that is not base64url at all is refused, even under the right id."""
        slots = {**SLOTS, "request": request_}
        assert not Binder([SECRET]).accepts(Challenge(id=challenge_id(SECRET, **slots), **slots))

    @pytest.mark.parametrize("change", [{"realm": "a|b"}, {"realm": "\ud800"}, {"id": "é\udc00"}, {"id": ""}])
    def test_total(self, change: dict[str, str]) -> None:
        """A challenge that could never have been issued is refused without an error."""
        assert not Binder([SECRET]).accepts(replace(Challenge(id="x", **SLOTS), **change))
