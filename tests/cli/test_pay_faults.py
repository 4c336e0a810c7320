"""`coinslot pay` when things go wrong: what it says, how it ends, and that nothing is ever paid twice.

The shop's answers are chosen here; the payments that it is shown are real, signed for the devnet.
"""

from __future__ import annotations

import re
import signal
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from coinslot.cli.curl import outgoing
from coinslot.cli.unfinished import Unfinished
from coinslot.client import Outcome, PaymentRecord
from coinslot.client.origin import Origin
from coinslot.methods.tempo import TESTNET, PrivateKey
from coinslot.payments.method import Quote
from coinslot.protocol import Challenge, Receipt
from command import Command, InlineCommand, Run
from stall import DROP, Answer, Shop, Visit, offer, price, problem
from tempo_payments import credential, unsigned

RECIPIENT = "0x742d35Cc6634c0532925a3b844bC9e7595F8fE00"


@pytest.fixture
def coinslot(inline: InlineCommand) -> Command:
    """The command, mostly without a process: what it says and does is the same."""
    return inline


def tempo_offer(units: int = 10_000, **changes: Any) -> Challenge:
    """A challenge over so many millionths of a pathUSD on the devnet."""
    request = {
        "currency": TESTNET.currency.address,
        "recipient": RECIPIENT,
        "methodDetails": {"chainId": 42431, "supportedModes": ["pull"]},
    }
    return offer(units, method="tempo", request=request, **changes)


def asks(_: Visit) -> Answer:
    """The price."""
    return price(tempo_offer())


def goods(visit: Visit) -> Answer:
    """What was paid for, with a receipt."""
    assert visit.credential is not None
    receipt = Receipt(method="tempo", reference="0xsettled", timestamp="2030-01-06T12:00:00Z")
    return Answer(200, {"payment-receipt": receipt.to_header()}, b"the goods")


def presented(shop: Shop) -> list[str]:
    """The proofs that the shop was shown, each once, in order."""
    proofs = [str(visit.credential.payload["signature"]) for visit in shop.presented if visit.credential]
    return list(dict.fromkeys(proofs))


def wait_for(shop: Shop, count: int) -> None:
    """Until so many requests with a payment have come."""
    deadline = time.monotonic() + 30
    while len(shop.presented) < count:
        assert time.monotonic() < deadline
        time.sleep(0.01)


# Nothing was paid.


def test_unknown_host_is_6(coinslot: Command) -> None:
    """A name that does not resolve."""
    run = coinslot("pay", "https://nothing.invalid/")
    assert (run.code, run.out) == (6, b"")
    assert run.err == "coinslot: nothing.invalid cannot be resolved: is the name right?\n"


def test_refused_connection_is_7(coinslot: Command) -> None:
    """A port that nobody listens on."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, so that nobody else gets it, and not listening
        run = coinslot("pay", f"127.0.0.1:{taken.getsockname()[1]}")
    assert run.code == 7
    assert run.err == "coinslot: there is no connection to 127.0.0.1: is it running there?\n"


def test_error_status_is_22_only_if_asked(coinslot: Command, shop: Shop) -> None:
    """As with curl, a 404 is an answer, and with -f a failure without a body that quotes the detail."""
    url = shop.sell("/", problem("bad-request", 404))
    plain = coinslot("pay", url)
    assert (plain.code, plain.json["title"], plain.err) == (0, "Bad Request", "")
    failing = coinslot("pay", "-f", url)
    assert (failing.code, failing.out) == (22, b"")
    assert failing.err == "coinslot: the answer is 404 (So it is)\n"


def test_slow_server_is_28(coinslot: Command, shop: Shop) -> None:
    """No answer within --timeout."""

    def slow(_: Visit) -> Answer:
        time.sleep(1)
        return Answer(200)

    run = coinslot("pay", shop.sell("/", slow), "--timeout", "0.2")
    assert (run.code, run.err) == (28, "coinslot: 127.0.0.1 did not answer in time: see --timeout\n")


def test_circular_redirect_is_47(coinslot: Command, shop: Shop) -> None:
    """Redirects without an end."""
    run = coinslot("pay", "-L", shop.sell("/", Answer(302, {"location": "/"})))
    assert run.code == 47
    assert "too many redirects" in run.err


def test_broken_answer_is_56(coinslot: Command, shop: Shop) -> None:
    """A connection that breaks, before the answer or in it."""
    run = coinslot("pay", shop.sell("/", DROP))
    assert run.code == 56
    assert "the connection to 127.0.0.1 broke" in run.err


def test_untrusted_certificate_is_60(coinslot: Command, tls_server: str) -> None:
    """A certificate that nobody vouches for; there is no flag that would accept it."""
    run = coinslot("pay", tls_server)
    assert (run.code, run.out) == (60, b"")
    assert "cannot be trusted: self-signed certificate" in run.err


def test_payment_that_is_asked_for_in_no_known_way_is_4(payer: Command, shop: Shop) -> None:
    """A 402 without a Payment challenge, and one for another method; the first one's body is shown."""
    bare = payer("pay", shop.sell("/bare", Answer(402, body=b"send a cheque")))
    assert (bare.code, bare.out) == (4, b"send a cheque")
    assert "asked for in no way that could be paid here" in bare.err
    other = payer("pay", shop.sell("/other", price(offer(method="stripe"))), "--json")
    assert other.code == 4
    assert other.json["error"]["code"] == 4
    assert "stripe/charge" in other.json["error"]["message"]
    assert shop.presented == []


def test_every_offer_above_the_limit_is_3(payer: Command, shop: Shop) -> None:
    """Several prices, all of them too high, are a matter of --max and not of what the account can pay."""
    run = payer("pay", shop.sell("/", price(tempo_offer(5_000_000), tempo_offer(6_000_000))))
    assert (run.code, run.err) == (3, "coinslot: every price is above --max 1: nothing was paid\n")
    assert shop.presented == []


def test_escape_codes_in_what_a_server_says_do_not_reach_the_terminal(payer: Command, shop: Shop) -> None:
    """Text of the other side's is shown without control characters, in errors and in a dry run alike."""
    sneaky = tempo_offer(description="a \x9b2Jb", realm="127.0.0.1")
    run = payer("pay", shop.sell("/", price(sneaky)), "--dry-run")
    assert "a �2Jb" in run.text
    problem_body = b'{"type":"about:blank","detail":"\\u001b[2J\\u202eevil"}'
    evil = Answer(500, {"content-type": "application/problem+json"}, problem_body)
    assert payer("pay", "-f", shop.sell("/evil", evil)).err == "coinslot: the answer is 500 (�[2J�evil)\n"


def test_dry_run_sends_no_credential(payer: Command, shop: Shop) -> None:
    """The shop sees one request, without a payment."""
    run = payer("pay", shop.sell("/", asks), "--dry-run")
    assert run.code == 0
    assert [visit.credentials for visit in shop.visits] == [[]]


# Something was paid.


def test_refusal_is_5_and_the_payment_is_kept(payer: Command, shop: Shop) -> None:
    """A refused transaction could still be taken: the next run shows the same one, --pay-again another."""
    url = shop.sell("/", asks, then=[lambda _: price(tempo_offer())])
    first = payer("pay", url)
    assert first.code == 5
    assert "refused the payment of 0.01 pathUSD; whether it took anything is not certain" in first.err
    assert "--pay-again" in first.err
    assert len(payer.unfinished()) == 1
    second = payer("pay", url)
    assert second.code == 5
    assert len(presented(shop)) == 1
    shop.sell("/", asks, then=[goods])
    third = payer("pay", url, "--pay-again")
    assert (third.code, third.out) == (0, b"the goods")
    assert len(presented(shop)) == 2
    assert payer.unfinished() == []


def test_lost_answer_is_75_and_comes_with_the_next_run(payer: Command, shop: Shop) -> None:
    """If no answer to a payment comes, its outcome is unknown; the same command presents it again."""
    url = shop.sell("/", asks, then=[DROP])
    lost = payer("pay", url, "--timeout", "0.3")
    assert (lost.code, lost.out) == (75, b"")
    assert "it is not known whether it was taken" in lost.err
    assert "run the same command again, which presents the same payment and makes no other" in lost.err
    shop.sell("/", asks, then=[goods])
    again = payer("pay", url, "--json")
    assert (again.code, again.json["body"], again.json["payment"]["outcome"]) == (0, "the goods", "paid")
    assert len(presented(shop)) == 1
    keys = {tuple(visit.values("idempotency-key")) for visit in shop.presented}
    assert len(keys) == 1
    assert payer.unfinished() == []
    other = payer("pay", url, "-s")
    assert (other.code, len(presented(shop))) == (0, 2)


def test_payment_that_cannot_be_kept_is_named(payer: Command, shop: Shop) -> None:
    """Where there is no room to keep a payment, the error has its transaction, to be looked for by hand."""
    payer.data.mkdir(parents=True)
    (payer.data / "unfinished").write_text("a file in the way")
    run = payer("pay", shop.sell("/", asks, then=[DROP]), "--timeout", "0.2")
    assert run.code == 75
    assert re.search(r"the payment was made and cannot be kept \(.*\), reference 0x[0-9a-f]{64}$", run.err)


def test_server_error_after_a_payment_is_75(payer: Command, shop: Shop) -> None:
    """A 500 in answer to a payment is shown, and its outcome is unknown even without -f."""
    run = payer("pay", shop.sell("/", asks, then=[Answer(500, body=b"oops")]), "--json")
    assert run.code == 75
    assert (run.json["status"], run.json["body"]) == (500, "oops")
    assert run.json["payment"]["outcome"] == "undecided"
    assert run.json["error"]["code"] == 75
    assert "answered 500 to a payment of 0.01 pathUSD" in run.err


def test_payment_is_for_one_request_alone(payer: Command, shop: Shop) -> None:
    """A kept payment is not presented for another body, method or address."""
    shop.sell("/", asks, then=[DROP])
    url = f"{shop.url}/"
    assert payer("pay", url, "-d", "a=1", "--timeout", "0.2").code == 75
    shop.sell("/", asks, then=[goods])
    for arguments in (["-d", "a=2"], ["-X", "PUT", "-d", "a=1"], []):
        assert payer("pay", url, "-s", *arguments).code == 0
    assert len(presented(shop)) == 4
    assert len(payer.unfinished()) == 1


def test_payment_that_is_dead_makes_way_for_another(payer: Command, funded: PrivateKey, shop: Shop) -> None:
    """A kept payment that is refused, and can never take anything, is forgotten; a new one is made."""
    url = shop.sell("/", asks, then=[asks, goods])
    old = tempo_offer(expires_in=None)
    kept = PaymentRecord(
        outcome=Outcome.UNDECIDED,
        origin=Origin("http", "127.0.0.1", int(url.split(":")[2].rstrip("/"))),
        request="GET /",
        challenge=old,
        quote=Quote(
            amount=Decimal("0.01"), base_units=10_000, asset="pathUSD", currency="0x", network="tempo"
        ),
        credential=credential(old, unsigned(old, now=time.time() - 3600).sign(funded)),
        field="Authorization",
        idempotency_key="old",
        reference="0xold",
    )
    Unfinished(payer.data).keep(outgoing(url), kept)
    run = payer("pay", url)
    assert (run.code, run.out) == (0, b"the goods")
    assert "presenting the payment that was made before" in run.err
    assert "it took nothing, and never will: paying anew" in run.err
    assert [visit.values("idempotency-key") == ["old"] for visit in shop.presented] == [True, False]
    assert payer.unfinished() == []


def test_answer_that_breaks_off_comes_with_the_next_run(payer: Command, shop: Shop, tmp_path: Path) -> None:
    """If a paid answer breaks off in the middle, the payment is kept and brings the whole of it later."""

    def half(visit: Visit) -> Answer:
        return Answer(200, {**goods(visit).headers, "content-length": "100"}, iter([b"the "]))

    url = shop.sell("/", asks, then=[half])
    run = payer("pay", url, "-o", str(tmp_path / "goods"))
    assert run.code == 56
    assert "run the same command again" in run.err
    shop.sell("/", asks, then=[goods])
    again = payer("pay", url, "-o", str(tmp_path / "goods"))
    assert again.code == 0
    assert (tmp_path / "goods").read_bytes() == b"the goods"
    assert len(presented(shop)) == 1


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interruption_keeps_the_payment(payer: Command, shop: Shop, number: signal.Signals) -> None:
    """Ctrl-C, or `timeout`, while a payment is being answered is 130; the next run presents it again."""
    hold = threading.Event()

    def hang(_: Visit) -> Answer:
        hold.wait(30)
        return DROP

    url = shop.sell("/", asks, then=[hang])
    process = payer.start("pay", url)
    try:
        wait_for(shop, 1)
        process.send_signal(number)
        out, err = process.communicate(timeout=30)
    finally:
        hold.set()
    run = Run(process.returncode, out, err.decode())
    assert (run.code, run.out) == (130, b"")
    assert run.err.startswith("coinslot: interrupted: run the same command again")
    shop.sell("/", asks, then=[goods])
    assert payer("pay", url, "-s").out == b"the goods"
    assert len(presented(shop)) == 1


@pytest.fixture(scope="module")
def tls_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a TLS server with a certificate of its own making."""
    directory = tmp_path_factory.mktemp("tls")
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    (directory / "cert").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (directory / "key").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(directory / "cert", directory / "key")
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                with connection, suppress(OSError):
                    context.wrap_socket(connection, server_side=True).close()

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"https://localhost:{listener.getsockname()[1]}/"
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()
