"""Origins: where a credential may go."""

from __future__ import annotations

import pytest

from coinslot.client.origin import Origin, is_loopback


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.255.0.7", "::1"])
def test_this_machine(host: str) -> None:
    """Loopback may be paid without TLS."""
    assert is_loopback(host)
    assert Origin("http", host, 8000).is_safe


@pytest.mark.parametrize(
    "host",
    [
        "example.com",
        "localhost.example.com",
        "127.0.0.1.example.com",
        "10.0.0.1",
        "192.168.0.1",
        "0.0.0.0",
        "128.0.0.1",
        "127.1",
        "0177.0.0.1",
        "2130706433",
        "::",
        "",
    ],
)
def test_other_machines(host: str) -> None:
    """Nothing else is loopback, near or spelt oddly as it may be; it takes TLS."""
    assert not is_loopback(host)
    assert not Origin("http", host).is_safe
    assert Origin("https", host).is_safe


@pytest.mark.parametrize("scheme", ["ws", "ftp", ""])
def test_other_schemes(scheme: str) -> None:
    """Money travels over HTTP only."""
    assert not Origin(scheme, "localhost").is_safe


@pytest.mark.parametrize(
    ("host", "port", "realm"),
    [
        ("api.example.com", None, "api.example.com"),
        ("api.example.com", None, "API.Example.com"),
        ("api.example.com", 8443, "api.example.com"),
        ("api.example.com", 8443, "api.example.com:8443"),
        ("::1", 8000, "[::1]:8000"),
        ("127.0.0.1", 8000, "localhost"),
        ("localhost", None, "127.0.0.1:9000"),
        ("127.0.0.1", 8000, "[::1]"),
    ],
)
def test_its_own_realm(host: str, port: int | None, realm: str) -> None:
    """A host goes by its name, with its port or without; this machine by any of its names."""
    assert Origin("https", host, port).goes_by(realm)


@pytest.mark.parametrize(
    ("host", "port", "realm"),
    [
        ("api.example.com", None, "example.com"),
        ("example.com", None, "api.example.com"),
        ("api.example.com", 8443, "api.example.com:443"),
        ("api.example.com", None, "localhost"),
        ("127.0.0.1", None, "api.example.com"),
        ("127.0.0.1", None, "api.example.com:8000"),
        ("api.example.com", None, ""),
        ("127.0.0.1", None, "localhost:x"),
    ],
)
def test_another_realm(host: str, port: int | None, realm: str) -> None:
    """It does not go by any other, a parent domain's or another port's either."""
    assert not Origin("https", host, port).goes_by(realm)


def test_its_text() -> None:
    """An origin is written as in a URL."""
    assert str(Origin("https", "example.com")) == "https://example.com"
    assert str(Origin("http", "::1", 8000)) == "http://[::1]:8000"
