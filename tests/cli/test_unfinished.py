"""Payments that are kept until their answer has come."""

from __future__ import annotations

import stat
import time
from decimal import Decimal
from pathlib import Path

import pytest

from coinslot.cli.curl import outgoing
from coinslot.cli.unfinished import Unfinished
from coinslot.client import Outcome, PaymentRecord
from coinslot.client.origin import Origin
from coinslot.payments.method import Quote
from coinslot.protocol import Challenge, Credential, Receipt

REQUEST = outgoing("shop.example/x", data=["a=1"])


def payment(number: int = 1, **changes: object) -> PaymentRecord:
    """A payment for `REQUEST`."""
    challenge = Challenge.create(
        id=f"challenge-{number}", realm="shop", method="tempo", intent="charge", request={"amount": "1"}
    )
    members: dict[str, object] = {
        "outcome": Outcome.UNDECIDED,
        "origin": Origin("https", "shop.example"),
        "request": "POST /x",
        "challenge": challenge,
        "quote": Quote(
            amount=Decimal("0.01"),
            base_units=1,
            asset="pathUSD",
            currency="0x",
            network="tempo:1",
            fee=Decimal("0.05"),
        ),
        "credential": Credential(challenge=challenge, payload={"signature": "0xsecret"}, source="did:x"),
        "field": "Authorization",
        "idempotency_key": "key",
        "reference": "0xhash",
    }
    return PaymentRecord(**members | changes)  # type: ignore[arg-type]  # the names are right or it raises


@pytest.fixture
def unfinished(tmp_path: Path) -> Unfinished:
    """No payments yet."""
    return Unfinished(tmp_path)


@pytest.mark.parametrize(
    "kept",
    [
        payment(),
        payment(
            outcome=Outcome.PAID,
            receipt=Receipt(
                method="tempo", reference="0x1", timestamp="2030-01-06T12:00:00Z", extra={"n": 1}
            ),
        ),
        payment(reference=None),
        payment(lapses=1_900_000_000),
    ],
)
def test_payment_comes_back_as_it_was(unfinished: Unfinished, tmp_path: Path, kept: PaymentRecord) -> None:
    """What is kept is what is found, in a file that only its owner reads; forgotten, it is gone."""
    unfinished.keep(REQUEST, kept)
    assert unfinished.find(REQUEST) == kept
    (file,) = (tmp_path / "unfinished").iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    unfinished.forget(REQUEST, kept)
    unfinished.forget(REQUEST, kept)
    assert unfinished.find(REQUEST) is None


def test_payment_is_found_for_its_own_request_alone(unfinished: Unfinished) -> None:
    """Another method, address or body is another request; headers are not looked at."""
    unfinished.keep(REQUEST, payment())
    assert unfinished.find(outgoing("shop.example/x", data=["a=1"], headers=["X-A: b"])) == payment()
    for other in (
        outgoing("shop.example/x", data=["a=2"]),
        outgoing("shop.example/x"),
        outgoing("shop.example/x", data=["a=1"], method="PUT"),
        outgoing("shop.example/x?", data=["a=1"]),
        outgoing("http://shop.example/x", data=["a=1"]),
    ):
        assert unfinished.find(other) is None


def test_oldest_of_several_is_found_first(unfinished: Unfinished) -> None:
    """Two payments for one request are both kept, and come back in the order they were made."""
    for number in (2, 1):
        unfinished.keep(REQUEST, payment(number))
        time.sleep(0.01)  # the file system's clock
    assert unfinished.find(REQUEST) == payment(2)
    unfinished.forget(REQUEST, payment(2))
    assert unfinished.find(REQUEST) == payment(1)


def test_payment_of_an_earlier_version_is_found(unfinished: Unfinished, tmp_path: Path) -> None:
    """A file that says nothing of when the proof lapses is one of which that is not known."""
    unfinished.keep(REQUEST, payment(lapses=7))
    (file,) = (tmp_path / "unfinished").iterdir()
    file.write_bytes(file.read_bytes().replace(b',"lapses":7', b""))
    assert unfinished.find(REQUEST) == payment()


@pytest.mark.parametrize("content", [b"", b"{}", b"\xff", b'{"version":1,"credential":"Payment x"}'])
def test_damaged_file_is_passed_over(unfinished: Unfinished, tmp_path: Path, content: bytes) -> None:
    """A file that cannot be read stands in nobody's way."""
    unfinished.keep(REQUEST, payment())
    (file,) = (tmp_path / "unfinished").iterdir()
    file.write_bytes(content)
    assert unfinished.find(REQUEST) is None
