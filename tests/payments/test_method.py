"""The values that methods and the core hand each other show nothing that is worth money."""

from __future__ import annotations

import io

import pytest
from rich.console import Console
from rich.pretty import Pretty

from coinslot.payments.method import Payload, Proof, Recovery
from coinslot.server.exchange import Request, Response

SECRET = "a-signed-transaction"


@pytest.mark.parametrize(
    "value",
    [
        Recovery(SECRET.encode()),
        Payload(payload={"signature": SECRET}, reference="0xabc"),
        Proof(key="k", reference="r", amount=1, currency="c", recovery=Recovery(SECRET.encode())),
        Request.create("GET", "/x", query=SECRET, headers={"X-Api-Key": SECRET}, body=SECRET.encode()),
        Response(status=200, headers=((b"payment-receipt", SECRET.encode()),), body=SECRET.encode()),
    ],
)
def test_proofs_are_not_shown(value: object) -> None:
    """Neither `repr` nor a pretty traceback shows what could be presented as a payment."""
    screen = io.StringIO()
    Console(file=screen, width=200).print(Pretty(value))
    assert SECRET not in repr(value) + screen.getvalue()
