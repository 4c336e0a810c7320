"""What curl's flags turn into."""

from __future__ import annotations

import io
from pathlib import Path
from types import SimpleNamespace

import pytest

from coinslot.cli.curl import absolute_url, outgoing
from coinslot.cli.output import CommandError, Exit


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("example.com/a?b=c", "https://example.com/a?b=c"),
        ("example.com:8443", "https://example.com:8443"),
        ("localhost:8000/paid", "http://localhost:8000/paid"),
        ("LOCALHOST", "http://LOCALHOST"),
        ("api.localhost", "https://api.localhost"),
        ("127.0.0.1:8000", "http://127.0.0.1:8000"),
        ("[::1]:8000/x", "http://[::1]:8000/x"),
        ("localhost.example.com", "https://localhost.example.com"),
        ("127.0.0.1.example.com", "https://127.0.0.1.example.com"),
        ("http://example.com", "http://example.com"),
        ("HTTPS://example.com", "HTTPS://example.com"),
    ],
)
def test_scheme_is_https_except_for_this_machine(text: str, url: str) -> None:
    """An address without a scheme is asked over https, unless its host is loopback."""
    assert absolute_url(text) == url


@pytest.mark.parametrize(
    "text", ["", "http://", "https:///path", "ftp://example.com", "[::1", "a:b:c", "x:99999"]
)
def test_what_is_no_address_is_refused(text: str) -> None:
    """An address without a host, or of another scheme, is a usage error."""
    with pytest.raises(CommandError) as caught:
        absolute_url(text)
    assert caught.value.code == Exit.USAGE


def test_method_is_get_until_there_is_a_body() -> None:
    """As with curl, -d makes it a POST of a form, and -X and -H have the last word."""
    assert outgoing("a.example").method == "GET"
    posted = outgoing("a.example", data=["x=1"])
    assert (posted.method, posted.body) == ("POST", b"x=1")
    assert posted.headers == [("Content-Type", "application/x-www-form-urlencoded")]
    put = outgoing("a.example", method="PUT", data=["{}"], headers=["content-type: application/json"])
    assert (put.method, put.headers) == ("PUT", [("content-type", "application/json")])


def test_data_is_joined_and_read_from_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Several -d are joined with '&'; @file loses its line ends, as with curl, and @- is stdin."""
    form = tmp_path / "form"
    form.write_bytes(b"b=2\r\n\0")
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BytesIO(b"c=3\n")))
    assert outgoing("a.example", data=["a=1", f"@{form}", "@-"]).body == b"a=1&b=2&c=3"


def test_binary_data_is_sent_as_it_is(tmp_path: Path) -> None:
    """--data-binary changes nothing in a file."""
    blob = bytes(range(256))
    (tmp_path / "blob").write_bytes(blob)
    assert outgoing("a.example", data_binary=[f"@{tmp_path / 'blob'}"]).body == blob


def test_empty_data_is_a_body() -> None:
    """-d '' sends an empty body, which is not the same as none."""
    sent = outgoing("a.example", data=[""])
    assert (sent.method, sent.body) == ("POST", b"")


def test_headers_set_drop_and_empty() -> None:
    """`Name: value` sets, `Name:` drops a default and `Name;` sends an empty one."""
    sent = outgoing("a.example", headers=["X-A: 1", "x-a:  2 ", "Accept:", "X-Empty;"])
    assert sent.headers == [("X-A", "1"), ("x-a", "2"), ("X-Empty", "")]
    assert sent.dropped == {"accept"}


@pytest.mark.parametrize("flag", ["no colon", ": no name", "a b: c", "A: b\r\nC: d", "A: \0", "", "é: x"])
def test_what_is_no_header_is_refused(flag: str) -> None:
    """A header that would not be one on the wire, or would be two, is a usage error."""
    with pytest.raises(CommandError) as caught:
        outgoing("a.example", headers=[flag])
    assert caught.value.code == Exit.USAGE


def test_header_values_are_not_quoted_in_errors() -> None:
    """What stands after a header's name may be a secret, and stays out of the message."""
    with pytest.raises(CommandError) as caught:
        outgoing("a.example", headers=["Authorization: sk-secret\n"[:-1] + "\rX"])
    assert "sk-secret" not in str(caught.value)


@pytest.mark.parametrize(
    "arguments",
    [
        {"method": "GE T"},
        {"method": ""},
        {"data": ["a"], "data_binary": ["b"]},
        {"data": ["@/does/not/exist"]},
    ],
)
def test_other_mistakes_are_usage_errors(arguments: dict[str, str]) -> None:
    """A bad method, mixed kinds of body and an unreadable file are found before anything is sent."""
    with pytest.raises(CommandError) as caught:
        outgoing("a.example", **arguments)
    assert caught.value.code == Exit.USAGE
