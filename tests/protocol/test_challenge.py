from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import example, given, strategies as st

from coinslot.errors import MalformedChallenge
from coinslot.protocol import Challenge, encode_base64url, encode_object
from coinslot.protocol.challenge import MAX_REQUEST, MAX_TEXT
from strategies import challenges, field_text, hostile_text, json_objects, string_maps

REQUEST = encode_object({"amount": "1000000", "currency": "0x20c0"})
CHALLENGE = Challenge(id="abc", realm="api.example.com", method="tempo", intent="charge", request=REQUEST)
HEADER = f'Payment id="abc", realm="api.example.com", method="tempo", intent="charge", request="{REQUEST}"'


def header_with(**changes: str | None) -> str:
    """A challenge's field value with some parameters changed, added, or (None) left out."""
    parameters = {**CHALLENGE.to_object(), **changes}
    return "Payment " + ", ".join(f'{name}="{text}"' for name, text in parameters.items() if text is not None)


class TestWire:
    @given(challenges)
    def test_round_trip(self, challenge: Challenge) -> None:
        """Any challenge comes back from its field value, alone or among others."""
        assert Challenge.parse(challenge.to_header()) == challenge
        merged = f"Bearer realm=x, {challenge.to_header()}, Negotiate, {challenge.to_header()}"
        assert Challenge.parse_all([merged, challenge.to_header()]) == [challenge] * 3

    @given(challenges)
    def test_object_round_trip(self, challenge: Challenge) -> None:
        """Any challenge comes back from the object that a credential echoes."""
        assert Challenge.from_object(challenge.to_object()) == challenge

    def test_order(self) -> None:
        """Parameters are written in one order, always quoted."""
        challenge = Challenge(
            id="i",
            realm="r",
            method="m",
            intent="n",
            request="e30",
            opaque="e30",
            header="h",
            expires="2030-01-06T12:00:00Z",
            digest="sha-256=47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=",
            description="d",
        )
        assert challenge.to_header() == (
            'Payment id="i", realm="r", method="m", intent="n", request="e30", description="d", '
            'digest="sha-256=47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=", '
            'expires="2030-01-06T12:00:00Z", header="h", opaque="e30"'
        )

    @given(hostile_text, st.booleans())
    @example('Payment id="a", realm="b", method="c", intent="d", request="e30"', True)
    def test_total(self, text: str, complete: bool) -> None:
        """Any field value is malformed or is a challenge that can be used without a further error."""
        value = f"{HEADER}, {text}" if complete else text
        try:
            challenge = Challenge.parse(value)
        except MalformedChallenge:
            return
        assert challenge.id
        challenge.decode_request()
        challenge.decode_opaque()
        challenge.expires_at()
        assert Challenge.parse(challenge.to_header()) == challenge

    @given(st.lists(hostile_text, max_size=4))
    def test_all_total(self, values: list[str]) -> None:
        """Any field values are malformed or give challenges."""
        try:
            found = Challenge.parse_all(values)
        except MalformedChallenge:
            return
        assert all(isinstance(challenge, Challenge) for challenge in found)

    def test_reading_is_liberal(self) -> None:
        """Case of the scheme and names, order, spaces, tokens and unknown parameters make no difference."""
        value = (
            f"pAYMENT\t ID = abc , request={REQUEST},,"
            'x-new="1", Method="tempo",INTENT=charge,realm="api.example.com"'
        )
        assert Challenge.parse(value) == CHALLENGE


class TestParse:
    @pytest.mark.parametrize(
        "value",
        [
            "",
            "Payment",
            "Payment token68",
            "Payment token68==",
            "Bearer x",
            'Bearer realm="Payment"',
            f"{HEADER}, {HEADER}",
            f'{HEADER}, id="again"',
            f'{HEADER}, x="1", X="2"',
            HEADER.replace("Payment ", "Payment"),
            HEADER.removeprefix("Payment "),
        ],
    )
    def test_not_one_challenge(self, value: str) -> None:
        """There must be one Payment challenge, with each parameter once."""
        with pytest.raises(MalformedChallenge):
            Challenge.parse(value)

    @pytest.mark.parametrize("name", ["id", "realm", "method", "intent", "request"])
    def test_required(self, name: str) -> None:
        """A challenge without a required parameter is malformed, and the message names it."""
        with pytest.raises(MalformedChallenge, match=name):
            Challenge.parse(header_with(**{name: None}))

    @pytest.mark.parametrize(
        ("name", "text"),
        [
            ("id", ""),
            ("id", "x" * (MAX_TEXT + 1)),
            ("realm", "x" * (MAX_TEXT + 1)),
            ("description", "x" * (MAX_TEXT + 1)),
            ("method", ""),
            ("method", "Tempo"),
            ("method", "1tempo"),
            ("method", "tempo/charge"),
            ("method", "tempo\u0131"),
            ("method", "tempo\n"),
            ("intent", ""),
            ("intent", "one time"),
            ("intent", "charge_v2"),
            ("intent", "chargé"),
            ("request", ""),
            ("request", "e30="),
            ("request", "not-valid!!!"),
            ("request", encode_base64url(b"not json")),
            ("request", encode_base64url(b"[]")),
            ("request", encode_base64url(b'"text"')),
            ("request", encode_base64url(b'{"a":1,"a":2}')),
            ("request", encode_base64url(b"{" + b" " * MAX_REQUEST + b"}")),
            ("opaque", ""),
            ("opaque", encode_base64url(b"[]")),
            ("opaque", encode_base64url(b'{"a":1}')),
            ("opaque", encode_base64url(b'{"a":{"b":"c"}}')),
            ("opaque", encode_base64url(b'{"a":null}')),
            ("expires", ""),
            ("expires", "tomorrow"),
            ("expires", "1893456000"),
            ("expires", "2030-02-30T00:00:00Z"),
            ("digest", ""),
            ("digest", "md5=:1B2M2Y8AsgTpgAmY7PhCfg==:"),
            ("digest", "sha-256=abc"),
            ("header", ""),
            ("header", "Payment Authorization"),
            ("header", "X:"),
            ("header", "x" * 257),
        ],
    )
    def test_values(self, name: str, text: str) -> None:
        """A parameter whose value is not what the draft says makes the challenge malformed."""
        with pytest.raises(MalformedChallenge):
            Challenge.parse(header_with(**{name: text}))
        with pytest.raises(MalformedChallenge):
            Challenge.from_object({**CHALLENGE.to_object(), name: text})

    @pytest.mark.parametrize(
        ("name", "text"),
        [
            ("realm", ""),
            ("method", "x402:exact_v2-1"),
            ("intent", "Charge-v2"),
            ("request", encode_base64url(b' { "b":1, "a":2 } ')),
            ("opaque", "e30"),
            ("expires", "2030-01-06T12:00:00+02:00"),
            ("digest", "sha-256=X48E9qOokqqrvdts8nOJRJN3OWDUoyWxBf7kbu9DBPE="),
            ("digest", "sha-256=X48E9qOokqqrvdts8nOJRJN3OWDUoyWxBf7kbu9DBPE"),
            ("digest", "sha-256=:X48E9qOokqqrvdts8nOJRJN3OWDUoyWxBf7kbu9DBPE=:"),
            ("header", "Payment-Authorization"),
            ("description", ""),
        ],
    )
    def test_values_in_use(self, name: str, text: str) -> None:
        """What other implementations write is read, and kept as it is on the wire."""
        assert getattr(Challenge.parse(header_with(**{name: text})), name) == text

    @pytest.mark.parametrize(
        "tail", ['description="Pay "now" please!"', 'x="1"2', 'x="\\\\\\\\', 'description="cut']
    )
    def test_broken_ending(self, tail: str) -> None:
        """A description that ends early, or an unknown parameter that never ends, does no harm."""
        assert Challenge.parse(f"{HEADER}, {tail}").id == "abc"

    @pytest.mark.parametrize(
        "tail",
        [
            'description="Pay "now", opaque="e30"',
            'description="Pay "a=b" please"',
            'description="cut, expires=2030-01-01T00:00:00Z',
            'x="cut, opaque="e30"',
            'opaque="e30"x',
            'opaque="e30',
            'expires="2030-01-01T00:00:00Z" opaque="e30"',
            "expires=2030-01-01T00:00:00Z",
            'header="a"b',
            'digest="sha-256=',
            '"opaque"',
            "@",
        ],
    )
    def test_nothing_essential_is_lost(self, tail: str) -> None:
        """A challenge is malformed if what could not be read may have been a parameter it depends on."""
        with pytest.raises(MalformedChallenge):
            Challenge.parse(f"{HEADER}, {tail}")

    @pytest.mark.parametrize("name", ["id", "realm", "method", "intent", "request", "expires", "opaque"])
    @pytest.mark.parametrize("value", [None, 1, True, ["a"], {"a": "b"}])
    def test_only_strings(self, name: str, value: Any) -> None:
        """An echoed parameter that is not a string is malformed; objects are not taken for their encoding."""
        with pytest.raises(MalformedChallenge, match=name):
            Challenge.from_object({**CHALLENGE.to_object(), name: value})


class TestParseAll:
    def test_none(self) -> None:
        """Without Payment challenges there is nothing to find, and nothing wrong."""
        assert Challenge.parse_all([]) == []
        assert Challenge.parse_all(["", 'Basic realm="x"', "Bearer a=b=c", '"']) == []

    def test_bad_beside_good(self) -> None:
        """A malformed challenge does not hide the good ones around it, in one field value or in several."""
        bad = header_with(method="NO")
        repeated = f'{HEADER}, id="again"'
        careless = "Digest realm=http://x/, uri=a b"
        together = ", ".join([careless, bad, HEADER, repeated, HEADER])
        assert Challenge.parse_all([together]) == [CHALLENGE, CHALLENGE]
        assert Challenge.parse_all([careless, bad, HEADER, "Payment", repeated, "x" * 70000]) == [CHALLENGE]

    def test_only_bad(self) -> None:
        """If there are Payment challenges and none can be read, that is malformed."""
        with pytest.raises(MalformedChallenge, match="method"):
            Challenge.parse_all(["Bearer x", header_with(method="NO")])


class TestCreate:
    @given(json_objects, st.none() | string_maps, field_text)
    def test_round_trip(
        self, request: dict[str, Any], opaque: dict[str, str] | None, description: str
    ) -> None:
        """What is issued is read as it was meant."""
        issued = Challenge.create(
            id="i",
            realm="r",
            method="tempo",
            intent="charge",
            request=request,
            opaque=opaque,
            description=description,
        )
        read = Challenge.parse(issued.to_header())
        assert read == issued
        assert read.decode_request() == request
        assert read.decode_opaque() == (opaque or {})

    @pytest.mark.parametrize(
        "change",
        [
            {"id": ""},
            {"realm": ""},
            {"method": "tempo2"},
            {"method": "x-y"},
            {"intent": ""},
            {"expires": "soon"},
            {"digest": "sha-512=:x:"},
            {"header": "a b"},
            {"realm": "a\r\nb"},
            {"description": "a\x00b"},
            {"description": "\ud800"},
            {"request": {"amount": float("nan")}},
            {"request": {"a": "x" * MAX_REQUEST}},
            {"opaque": {"a": "\udc00"}},
            {"opaque": {"a": 1}},
        ],
    )
    def test_refused(self, change: dict[str, Any]) -> None:
        """Nothing is issued that could not be read back."""
        parameters: dict[str, Any] = {"id": "i", "realm": "r", "method": "m", "intent": "n", "request": {}}
        with pytest.raises(MalformedChallenge):
            Challenge.create(**(parameters | change))

    def test_frozen(self) -> None:
        """A challenge cannot be changed once it is made."""
        with pytest.raises(AttributeError):
            CHALLENGE.id = "other"  # type: ignore[misc]  # that it is frozen is the point


class TestContents:
    def test_decoding(self) -> None:
        """The contents of `request`, `opaque` and `expires` can be had decoded, or as absent."""
        assert CHALLENGE.decode_request() == {"amount": "1000000", "currency": "0x20c0"}
        assert CHALLENGE.decode_opaque() == {}
        assert CHALLENGE.expires_at() is None
        full = msgspec.structs.replace(
            CHALLENGE, opaque=encode_object({"a": "b"}), expires="2030-01-06T12:00:00.250Z"
        )
        assert full.decode_opaque() == {"a": "b"}
        assert full.expires_at() == 1893931200.25

    def test_unchecked(self) -> None:
        """The contents of a challenge that nobody checked are malformed when they are asked for."""
        bad = Challenge(id="", realm="", method="", intent="", request="!", opaque="W10", expires="x")
        for decode in (bad.decode_request, bad.decode_opaque, bad.expires_at):
            with pytest.raises(MalformedChallenge):
                decode()
