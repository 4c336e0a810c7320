"""What `coinslot pay` sends and writes where no payment is asked for: it is a plain HTTP client then."""

from __future__ import annotations

import asyncio
import base64
import gzip
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import coinslot as package
from command import Command, InlineCommand
from stall import Answer, Shop


def test_defaults_can_be_replaced_and_dropped(inline: InlineCommand, shop: Shop) -> None:
    """It names itself and asks for no coding; -H sets, repeats, empties and drops header fields."""
    url = shop.sell("/", Answer(200))
    inline("pay", url)
    inline(
        "pay",
        url,
        "-H",
        "User-Agent: me",
        "-H",
        "Accept:",
        "-H",
        "X-Two: 1",
        "-H",
        "X-Two: 2",
        "-H",
        "X-Empty;",
    )
    plain, changed = shop.visits
    assert plain.values("user-agent") == [f"coinslot/{package.__version__}"]
    assert plain.values("accept") == ["*/*"]
    assert plain.values("accept-encoding") == ["identity"]
    assert plain.values("accept-payment") == ["tempo/charge"]
    assert changed.values("user-agent") == ["me"]
    assert changed.values("accept") == []
    assert changed.values("x-two") == ["1", "2"]
    assert changed.values("x-empty") == [""]


def test_body_is_written_as_it_came(inline: InlineCommand, shop: Shop) -> None:
    """A coded body stays coded, as with curl, and --json has what is no text in base64."""
    coded = gzip.compress(b"hello")
    url = shop.sell("/", Answer(200, {"content-encoding": "gzip"}, coded))
    assert inline("pay", url).out == coded
    answer = inline("pay", url, "--json").json
    assert (base64.b64decode(answer["body"]), answer["body_encoding"]) == (coded, "base64")


def test_body_comes_while_it_is_being_sent(coinslot: Command, shop: Shop) -> None:
    """What has arrived is written at once, so that a stream of events can be read from a pipe."""
    was_read = threading.Event()

    async def events() -> AsyncIterator[bytes]:
        yield b"first\n"
        assert await asyncio.to_thread(was_read.wait, 30)
        yield b"second\n"

    url = shop.sell("/", lambda _: Answer(200, body=events()))
    with coinslot.start("pay", url) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"first\n"
        was_read.set()
        out, err = process.communicate(timeout=30)
    assert (process.returncode, out, err) == (0, b"second\n", b"")


def test_heads_of_redirects_are_included(inline: InlineCommand, shop: Shop) -> None:
    """-i with -L has every hop's head, in order, and the last one's body."""
    shop.sell("/to", Answer(200, body=b"here"))
    run = inline("pay", "-i", "-L", shop.sell("/from", Answer(302, {"location": "/to"})))
    assert [line.split()[1] for line in run.text.splitlines() if line.startswith("HTTP/1.1 ")] == [
        "302",
        "200",
    ]
    assert run.text.endswith("\r\n\r\nhere")


def test_failed_request_leaves_no_file_and_an_old_one_alone(
    inline: InlineCommand, shop: Shop, tmp_path: Path
) -> None:
    """With -f, -o makes no file for an error, and what a file held before is still there."""
    url = shop.sell("/", Answer(404, body=b"no"))
    assert inline("pay", "-f", url, "-o", str(tmp_path / "new")).code == 22
    assert not (tmp_path / "new").exists()
    (tmp_path / "old").write_text("what it held")
    assert inline("pay", "-f", url, "-o", str(tmp_path / "old")).code == 22
    assert (tmp_path / "old").read_text() == "what it held"


def test_json_beside_a_file_has_no_body(inline: InlineCommand, shop: Shop, tmp_path: Path) -> None:
    """--json with -o has the body in the file alone; the object of an error says what failed."""
    url = shop.sell("/", Answer(200, body=b"text"))
    answer = inline("pay", url, "--json", "-o", str(tmp_path / "file")).json
    assert (answer["status"], answer["body"], answer["body_encoding"]) == (200, None, None)
    assert (tmp_path / "file").read_bytes() == b"text"
    failed = inline("pay", "https://nothing.invalid", "--json")
    assert failed.code == 6
    assert failed.json == {
        "status": None,
        "headers": None,
        "body": None,
        "body_encoding": None,
        "payment": None,
        "error": {"code": 6, "message": "nothing.invalid cannot be resolved: is the name right?"},
    }


def test_device_can_be_written(inline: InlineCommand, shop: Shop) -> None:
    """-o /dev/null throws the body away, and -o - is stdout."""
    url = shop.sell("/", Answer(200, body=b"text"))
    assert inline("pay", url, "-o", "/dev/null").code == 0
    assert inline("pay", url, "-o", "-").out == b"text"
