"""How `coinslot pay` connects, and what it shows of it."""

from __future__ import annotations

import socket
import threading

import pytest

from coinslot.cli.trace import redacted
from command import InlineCommand
from stall import Answer, Shop


@pytest.mark.parametrize(
    ("name", "value", "shown"),
    [
        ("Content-Type", "text/plain", "text/plain"),
        ("WWW-Authenticate", 'Payment id="x"', 'Payment id="x"'),
        ("Idempotency-Key", "k-1", "k-1"),
        ("Authorization", "Payment eyJ", "Payment <11 characters>"),
        ("Authorization", "Bearer abc, Payment eyJ", "Bearer Payment <23 characters>"),
        ("Payment-Authorization", "Payment eyJ", "Payment <11 characters>"),
        ("Proxy-Authorization", "Basic eDp5", "Basic <10 characters>"),
        ("Authorization", "my own secret", "<13 characters>"),
        ("Cookie", "session=1", "<9 characters>"),
        ("Set-Cookie", "session=1", "<9 characters>"),
        ("X-API-Key", "k", "<1 characters>"),
        ("X-Auth-Token", "t", "<1 characters>"),
        ("Payment-Receipt", "eyJ", "<3 characters>"),
    ],
)
def test_secrets_are_not_shown(name: str, value: str, shown: str) -> None:
    """A secret's place is taken by its length and, for credentials, by their schemes."""
    assert redacted(name, value) == shown


class Proxy:
    """A proxy that answers everything itself and keeps the first lines it was sent."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with connection:
                self.asked.append(connection.recv(65536).partition(b"\r\n")[0].decode())
                connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\nconnection: close\r\n\r\nproxy")

    def close(self) -> None:
        """Stop."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()


def test_proxy_of_the_environment_is_used_but_not_for_this_machine(inline: InlineCommand, shop: Shop) -> None:
    """HTTP_PROXY and NO_PROXY are obeyed as by curl; what goes to loopback never leaves the machine."""
    proxy = Proxy()
    try:
        inline.environment["http_proxy"] = proxy.url
        assert inline("pay", "http://shop.example/x").out == b"proxy"
        assert proxy.asked == ["GET http://shop.example/x HTTP/1.1"]
        assert inline("pay", "http://nothing.invalid/", no_proxy="nothing.invalid").code == 6
        assert inline("pay", shop.sell("/", Answer(200, body=b"direct"))).out == b"direct"
        assert len(proxy.asked) == 1
    finally:
        proxy.close()


def test_proxy_of_an_unknown_kind_is_reported_without_its_password(inline: InlineCommand) -> None:
    """A proxy that cannot be used is an error, and its URL, which may hold a password, is not shown."""
    run = inline("pay", "http://shop.example/", http_proxy="gopher://me:hunter2@proxy.example")
    assert run.code == 7
    assert "is of no kind that can be used" in run.err
    assert "hunter2" not in run.err
