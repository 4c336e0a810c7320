from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, strategies as st

from coinslot.errors import MalformedChallenge, MalformedCredential
from coinslot.protocol import (
    Challenge,
    Credential,
    JSONObject,
    encode_base64url,
    encode_object,
    find_credentials,
)
from coinslot.protocol.credential import MAX_CREDENTIAL, MAX_SOURCE
from strategies import credentials, hostile_text

CHALLENGE: JSONObject = {"id": "x", "realm": "r", "method": "tempo", "intent": "charge", "request": "e30"}
CREDENTIAL: JSONObject = {"challenge": CHALLENGE, "payload": {"proof": "s3cret"}}


def header_of(value: object) -> str:
    """A credential's field value with `value` in it."""
    return "Payment " + encode_base64url(json.dumps(value).encode())


class TestParse:
    @given(credentials)
    def test_round_trip(self, credential: Credential) -> None:
        """Any credential comes back from its field value."""
        assert Credential.parse(credential.to_header()) == credential

    @given(hostile_text, st.sampled_from(["", "Payment ", "payment\t"]))
    def test_total(self, text: str, prefix: str) -> None:
        """Any text is malformed or is a credential."""
        try:
            credential = Credential.parse(prefix + text)
        except MalformedCredential:
            return
        assert credential.challenge.id

    @given(st.binary(max_size=200) | hostile_text.map(lambda text: text.encode("utf-8", "replace")))
    def test_total_inside(self, data: bytes) -> None:
        """Any bytes inside the base64url are malformed or are a credential."""
        try:
            credential = Credential.parse("Payment " + encode_base64url(data))
        except MalformedCredential:
            return
        assert credential.challenge.id

    def test_reading_is_liberal(self) -> None:
        """Case of the scheme, space around the token and unknown members make no difference."""
        members = {
            **CREDENTIAL,
            "challenge": {**CHALLENGE, "meta": {"a": "b"}},
            "version": 2,
            "source": "did:x",
        }
        expected = Credential(
            challenge=Challenge.from_object(CHALLENGE), payload={"proof": "s3cret"}, source="did:x"
        )
        assert Credential.parse(header_of(members).replace("Payment ", " pAYMENT\t  ") + " ") == expected

    @pytest.mark.parametrize(
        "value",
        [
            [],
            {},
            {"challenge": CHALLENGE},
            {"payload": {}},
            {"challenge": None, "payload": {}},
            {"challenge": [], "payload": {}},
            {"challenge": "e30", "payload": {}},
            {"challenge": CHALLENGE, "payload": None},
            {"challenge": CHALLENGE, "payload": "proof"},
            {"challenge": CHALLENGE, "payload": []},
            {"challenge": CHALLENGE, "payload": {}, "source": 1},
            {"challenge": CHALLENGE, "payload": {}, "source": {}},
            {"challenge": CHALLENGE, "payload": {}, "source": "x" * (MAX_SOURCE + 1)},
            {"challenge": {**CHALLENGE, "id": ""}, "payload": {}},
            {"challenge": {**CHALLENGE, "method": "Tempo"}, "payload": {}},
            {"challenge": {**CHALLENGE, "expires": "never"}, "payload": {}},
            {"challenge": {**CHALLENGE, "request": {}}, "payload": {}},
            {"challenge": {**CHALLENGE, "opaque": {"a": "b"}}, "payload": {}},
            {"challenge": {**CHALLENGE, "digest": 1}, "payload": {}},
        ],
    )
    def test_shape(self, value: Any) -> None:
        """What is not of a credential's shape is malformed; nothing is taken for something similar."""
        with pytest.raises(MalformedCredential):
            Credential.parse(header_of(value))

    @pytest.mark.parametrize(
        "header",
        [
            "",
            "Payment",
            "Payment ",
            "Paymente30",
            "Payment=e30",
            "Bearer e30",
            "Payment e30",
            "Payment W10",
            "Payment e30 e30",
            "Payment not-valid!!!",
            "Payment é",
            header_of(CREDENTIAL) + "=",
            header_of(CREDENTIAL) + ", " + header_of(CREDENTIAL),
            "Payment " + encode_base64url(b'{"challenge":{},"challenge":{},"payload":{}}'),
            "Payment " + encode_base64url(b"[" * 5000),
            "Payment " + encode_base64url(b'{"payload":{"n":' + b"1" * 6000 + b"}}"),
            "Payment " + encode_base64url(b'{"payload":{"n":NaN}}'),
            "Payment " + encode_base64url(b'{"payload":"\\ud800"}'),
            "Payment " + encode_base64url(b'{"payload":"\xff"}'),
        ],
    )
    def test_refused(self, header: str) -> None:
        """Another scheme, broken base64url and JSON that is not strict are all malformed credentials."""
        with pytest.raises(MalformedCredential):
            Credential.parse(header)

    def test_size(self) -> None:
        """A credential is read up to the limit and not beyond."""
        room = MAX_CREDENTIAL * 3 // 4 - len(json.dumps(CREDENTIAL)) - 20
        parsed = Credential.parse(header_of({**CREDENTIAL, "x": "y" * (room - 100)}))
        assert parsed.payload == {"proof": "s3cret"}
        with pytest.raises(MalformedCredential, match="characters"):
            Credential.parse(header_of({**CREDENTIAL, "x": "y" * (room + 100)}))


class TestSecrecy:
    def test_repr(self) -> None:
        """Neither repr, str nor rich's repr shows the payload; the challenge and source are there."""
        credential = Credential.parse(header_of({**CREDENTIAL, "source": "did:example:1"}))
        for shown in (
            repr(credential),
            str(credential),
            repr([credential]),
            repr(credential.__rich_repr__()),
        ):
            assert "s3cret" not in shown
            assert "did:example:1" in shown
            assert "tempo" in shown

    def test_message(self) -> None:
        """An error tells what is wrong, from which error, and nothing of the contents."""
        bad = {**CREDENTIAL, "challenge": {**CHALLENGE, "intent": "s3cret intent"}}
        with pytest.raises(MalformedCredential, match="intent") as caught:
            Credential.parse(header_of(bad))
        assert "s3cret" not in str(caught.value)
        assert isinstance(caught.value.__cause__, MalformedChallenge)


class TestWrite:
    def test_form(self) -> None:
        """It is base64url of an object: the challenge as it came, the payload, a source if there is one."""
        credential = Credential(challenge=Challenge.from_object(CHALLENGE), payload={"a": 1})
        assert credential.to_header() == "Payment " + encode_object(
            {"challenge": CHALLENGE, "payload": {"a": 1}}
        )

    @pytest.mark.parametrize("payload", [{"a": float("nan")}, {"a": "\ud800"}, {"a": 2**60}])
    def test_refused(self, payload: JSONObject) -> None:
        """A payload that is not I-JSON cannot be written."""
        credential = Credential(challenge=Challenge.from_object(CHALLENGE), payload=payload)
        with pytest.raises(MalformedCredential):
            credential.to_header()


class TestFind:
    @pytest.mark.parametrize(
        ("values", "found"),
        [
            ([], []),
            ([""], []),
            (["Bearer x"], []),
            (["Payment"], []),
            (["Payment ", "Payment , Payment"], []),
            (["Payments x"], []),
            (["Payment abc"], ["Payment abc"]),
            ([" payment\tabc "], ["payment\tabc"]),
            (["Bearer x, Payment abc"], ["Payment abc"]),
            (["Payment abc,Payment def"], ["Payment abc", "Payment def"]),
            (["Payment abc", "Basic x", "PAYMENT def"], ["Payment abc", "PAYMENT def"]),
            (['Digest username="Payment abc, Payment def", uri="/"'], []),
            (["Payment a b"], ["Payment a b"]),
        ],
    )
    def test_found(self, values: list[str], found: list[str]) -> None:
        """Payment credentials are found among others; one without a token is none."""
        assert find_credentials(values) == found

    @given(st.lists(hostile_text, max_size=4))
    def test_total(self, values: list[str]) -> None:
        """Any values can be searched, and what is found has a Payment scheme and a token."""
        for found in find_credentials(values):
            assert found.lower().startswith(("payment ", "payment\t"))
            assert found[8:].strip()

    @given(st.lists(credentials, max_size=3))
    def test_round_trip(self, several: list[Credential]) -> None:
        """Credentials that were merged into one value are found again, each whole."""
        merged = ", ".join(["Bearer a=b", *(credential.to_header() for credential in several)])
        assert [Credential.parse(found) for found in find_credentials([merged])] == several
