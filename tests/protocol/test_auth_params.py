from __future__ import annotations

import pytest
from hypothesis import assume, example, given, strategies as st

from coinslot.errors import MalformedHeader
from coinslot.protocol import AuthChallenge, quote, scan
from coinslot.protocol.auth_params import MAX_ELEMENTS, MAX_FIELD, read, split_list
from strategies import field_text, hostile_text, tokens


class TestScan:
    @pytest.mark.parametrize(
        ("value", "challenges"),
        [
            ("", []),
            (" , ,, ", []),
            ("Negotiate", [("negotiate", None, {})]),
            ("Payment a=b", [("payment", None, {"a": "b"})]),
            ('PAYMENT Realm="X"', [("payment", None, {"realm": "X"})]),
            ('Payment \t a = "b" , ,c\t=\td,', [("payment", None, {"a": "b", "c": "d"})]),
            ('Payment a="b, Payment c=d", e=f', [("payment", None, {"a": "b, Payment c=d", "e": "f"})]),
            (r'Payment a="\"\\\b"', [("payment", None, {"a": '"\\b'})]),
            ('Payment a=""', [("payment", None, {"a": ""})]),
            ("NTLM TlRMTVNTUAAC==", [("ntlm", "TlRMTVNTUAAC==", {})]),
            ("Bearer a=", [("bearer", "a=", {})]),
            (
                'Basic realm="x", charset=UTF-8, Negotiate, Payment a=b, Payment a=c, Other d~/+.=',
                [
                    ("basic", None, {"realm": "x", "charset": "UTF-8"}),
                    ("negotiate", None, {}),
                    ("payment", None, {"a": "b"}),
                    ("payment", None, {"a": "c"}),
                    ("other", "d~/+.=", {}),
                ],
            ),
        ],
    )
    def test_grammar(self, value: str, challenges: list[tuple[str, str | None, dict[str, str]]]) -> None:
        """RFC 9110 §11 values are taken apart into their challenges."""
        assert scan(value) == [AuthChallenge(*challenge) for challenge in challenges]

    @pytest.mark.parametrize(
        "value",
        [
            "a=b",
            '"quoted"',
            "Payment a=b c=d",
            'Payment a="b" c="d"',
            'Payment a="b"c',
            'Payment a="b',
            'Payment a="b\\',
            'Payment a="b\\"',
            "Payment a=, b=c",
            "Payment a=b=c",
            "Payment =b",
            "Payment a=é",
            "Payment é=a",
            "Payment a=b, @",
            "Payment a=2030-01-01T00:00:00Z",
            "Payment Payment a=b",
            "Payment token extra",
            "Bearer abc, a=b",
            "Payment a=b, A=c",
            'Payment a="\x00"',
            'Payment a="b\r\nX: y"',
            'Payment a="\x7f"',
            'Payment a="\udce9"',
            'Payment a="\\ud83d"',
            'Payment a="\\udd25\\ud83d"',
        ],
    )
    def test_refused(self, value: str) -> None:
        """What is not RFC 9110, or repeats an auth-param, or cannot be Unicode text, is malformed."""
        with pytest.raises(MalformedHeader):
            scan(value)

    @given(hostile_text)
    def test_total(self, value: str) -> None:
        """Any text is malformed or gives challenges, with names in lower case."""
        try:
            challenges = scan(value)
        except MalformedHeader:
            return
        for challenge in challenges:
            assert challenge.scheme == challenge.scheme.lower() != ""
            assert all(name == name.lower() != "" for name in challenge.params)
            assert challenge.token68 is None or not challenge.params

    @given(
        st.lists(
            st.tuples(tokens, st.dictionaries(tokens.map(str.lower), field_text, max_size=4)), max_size=4
        )
    )
    def test_round_trip(self, challenges: list[tuple[str, dict[str, str]]]) -> None:
        """Challenges that are written one after the other, quoted, come back as they were."""
        value = ", ".join(
            scheme
            + (" " if params else "")
            + ", ".join(f"{name}={quote(text)}" for name, text in params.items())
            for scheme, params in challenges
        )
        assert scan(value) == [AuthChallenge(scheme.lower(), None, params) for scheme, params in challenges]

    def test_limits(self) -> None:
        """A value is read up to so many characters and elements, and not beyond."""
        assert scan(" " * MAX_FIELD) == []
        with pytest.raises(MalformedHeader, match="characters"):
            scan(" " * (MAX_FIELD + 1))
        assert len(scan("a," * MAX_ELEMENTS)) == MAX_ELEMENTS
        with pytest.raises(MalformedHeader, match="elements"):
            scan("a," * (MAX_ELEMENTS + 1))


class TestRead:
    @given(hostile_text)
    def test_total(self, value: str) -> None:
        """Any text within the limits gives what can be read of it, and never an error."""
        for challenge in read(value):
            assert challenge.scheme or challenge.pairs or challenge.unreadable

    def test_resumes(self) -> None:
        """What cannot be read is noted and ends at the next comma outside quotes."""
        value = 'Sloppy realm=http://a:b/, x="un"quoted, y" , "z, Payment id="1", a="b" c" , Payment id="2"'
        assert [(raw.scheme, raw.pairs) for raw in read(value)] == [
            ("sloppy", [("realm", "http"), ("x", "un")]),
            ("payment", [("id", "1"), ("a", "b")]),
        ]
        assert [raw.unreadable for raw in read(value)] == [
            [("realm", "http://a:b/"), ("x", '"un"quoted'), ("y", '" , "z')],
            [("a", '"b" c" , Payment id="2"')],
        ]


class TestQuote:
    @pytest.mark.parametrize(
        ("text", "quoted"),
        [
            ("", '""'),
            ("plain text", '"plain text"'),
            ("tab\t", '"tab\t"'),
            ('say "hi"\\', '"say \\"hi\\"\\\\"'),
            ("café", '"café"'),
            ("50 — €", '"50 \\u2014 \\u20ac"'),
            ("🔥", '"\\ud83d\\udd25"'),
            ("\\u2014", '"\\\\u2014"'),
            ('—"', '"\\u2014\\""'),
        ],
    )
    def test_form(self, text: str, quoted: str) -> None:
        """Quotes and backslashes are escaped, Latin-1 stays, every UTF-16 unit beyond is \\uXXXX."""
        assert quote(text) == quoted

    @given(field_text)
    @example("\\u2014")
    @example("\\\\u00e9\\")
    @example("\ud7ff\ue000\uffff\U00010000\U0010ffff")
    def test_round_trip(self, text: str) -> None:
        """Any text without controls comes back, and what is written is a field value in Latin-1."""
        quoted = quote(text)
        assert scan(f"Payment a={quoted}")[0].params == {"a": text}
        quoted.encode("latin-1")
        assert not set(quoted) & set("\r\n\x00\x7f")

    @given(tokens, hostile_text)
    def test_never_breaks_out(self, name: str, text: str) -> None:
        """Whatever text is quoted, it is one auth-param and no more."""
        assume(name.lower() != "end")
        try:
            quoted = quote(text)
        except MalformedHeader:
            return
        assert scan(f"Payment {name}={quoted}, end=here")[0].params == {name.lower(): text, "end": "here"}

    @pytest.mark.parametrize("text", ["\r", "\n", "a\r\nSet-Cookie: b", "\x00", "\x1b", "\x7f", "\ud83d"])
    def test_refused(self, text: str) -> None:
        """Controls and lone surrogates cannot be written."""
        with pytest.raises(MalformedHeader):
            quote(text)


class TestSplitList:
    @pytest.mark.parametrize(
        ("value", "elements"),
        [
            ("", []),
            (" ,\t, ", []),
            ("a", ["a"]),
            (" a b ,c\t", ["a b", "c"]),
            ('a="b, c", d', ['a="b, c"', "d"]),
            (r'"\", a", b', [r'"\", a"', "b"]),
            ('a, "b, c', ["a", '"b, c']),
            ('"a\\', ['"a\\']),
        ],
    )
    def test_elements(self, value: str, elements: list[str]) -> None:
        """Commas separate, but not in quoted strings; an unclosed quote reaches to the end."""
        assert split_list(value) == elements

    @given(hostile_text)
    def test_loses_nothing(self, value: str) -> None:
        """Nothing but commas and white space is lost."""
        kept = [character for character in value if character not in " \t,"]
        assert [character for character in "".join(split_list(value)) if character not in " \t,"] == kept
