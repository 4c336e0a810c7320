"""`coinslot pay` against a real server that takes real payments on a devnet."""

from __future__ import annotations

import re
import stat
from pathlib import Path

import pytest

from coinslot.methods import tempo
from coinslot.sandbox.tempo import ThreadedDevnet
from command import Command

RECIPIENT = "0x742d35Cc6634c0532925a3b844bC9e7595F8fE00"


def test_body_goes_to_stdout_and_the_price_to_stderr(payer: Command, paid_api: str) -> None:
    """A paid answer's body is on stdout, byte for byte, and one line on stderr says what it cost."""
    run = payer("pay", f"{paid_api}/paid")
    assert (run.code, run.out) == (0, b'"paid"')
    assert re.fullmatch(
        r"coinslot: paid 0\.01 pathUSD to 0x742d35\w+ on tempo:42431, reference 0x[0-9a-f]{64}\n", run.err
    )
    assert payer.unfinished() == []


def test_silent_says_nothing(payer: Command, paid_api: str) -> None:
    """-s leaves stderr empty when all goes well."""
    run = payer("pay", "-s", f"{paid_api}/paid")
    assert (run.code, run.out, run.err) == (0, b'"paid"', "")


def test_free_answer_needs_no_account(coinslot: Command, paid_api: str) -> None:
    """Without a 402 it is a plain request: no account, no node, no price."""
    run = coinslot("pay", f"{paid_api}/free")
    assert (run.code, run.out, run.err) == (0, b'"free"', "")
    assert not coinslot.data.exists()


def test_json_is_one_object(payer: Command, paid_api: str) -> None:
    """--json has status, headers, body and the payment with its receipt, and nothing else is on stdout."""
    run = payer("pay", f"{paid_api}/paid", "--json")
    answer = run.json
    assert run.code == 0
    assert list(answer) == ["status", "headers", "body", "body_encoding", "payment", "error"]
    assert (answer["status"], answer["body"], answer["body_encoding"]) == (200, '"paid"', "utf-8")
    assert answer["headers"]["content-type"] == ["application/json"]
    assert answer["error"] is None
    payment = answer["payment"]
    assert payment["receipt"].pop("timestamp")
    reference = payment["reference"]
    assert re.fullmatch("0x[0-9a-f]{64}", reference)
    assert payment == {
        "outcome": "paid",
        "amount": "0.01",
        "asset": "pathUSD",
        "network": "tempo:42431",
        "recipient": RECIPIENT,
        "method": "tempo/charge",
        "reference": reference,
        "receipt": {"method": "tempo", "reference": reference, "status": "success"},
    }


def test_body_is_sent_with_the_payment(payer: Command, paid_api: str, tmp_path: Path) -> None:
    """-d, @file and -H reach the resource that was paid for, as they would by curl."""
    (tmp_path / "form").write_text("b=2\n")
    run = payer("pay", f"{paid_api}/echo", "-s", "-d", "a=1", "-d", f"@{tmp_path / 'form'}")
    assert (run.code, run.json) == (0, "application/x-www-form-urlencoded: a=1&b=2")
    run = payer(
        "pay",
        f"{paid_api}/echo",
        "-s",
        "-d",
        "@-",
        "-H",
        "Content-Type: application/json",
        stdin=b'{"a": 1}\n',
    )
    assert (run.code, run.json) == (0, 'application/json: {"a": 1}')


def test_output_goes_to_a_file(payer: Command, paid_api: str, tmp_path: Path) -> None:
    """-o writes the body alone, over a longer file, and leaves stdout empty."""
    target = tmp_path / "answer"
    target.write_text("something much longer than the answer")
    run = payer("pay", f"{paid_api}/paid", "-o", str(target))
    assert (run.code, run.out) == (0, b"")
    assert target.read_bytes() == b'"paid"'


def test_head_can_be_included(payer: Command, paid_api: str) -> None:
    """-i puts the paid answer's head before the body, without the 402 that came first."""
    run = payer("pay", f"{paid_api}/paid", "-i")
    head, empty, body = run.out.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"payment-receipt: " in head
    assert (empty, body) == (b"\r\n\r\n", b'"paid"')


def test_redirects_are_followed_if_asked(payer: Command, paid_api: str) -> None:
    """Without -L a redirect is the answer; with it, what it leads to is paid for."""
    assert payer("pay", f"{paid_api}/moved", "-i").out.startswith(b"HTTP/1.1 307 ")
    run = payer("pay", f"{paid_api}/moved", "-L")
    assert (run.code, run.out) == (0, b'"paid"')
    assert "paid 0.01 pathUSD" in run.err


def test_dry_run_shows_the_price_and_pays_nothing(
    coinslot: Command, devnet: ThreadedDevnet, paid_api: str
) -> None:
    """--dry-run prints what would be paid, to whom and how, without an account; above --max too."""
    coinslot.environment["COINSLOT_RPC_URL"] = devnet.rpc_url
    run = coinslot("pay", f"{paid_api}/paid", "--dry-run")
    assert (run.code, run.err) == (0, "")
    shown = dict(re.split(r"\s{2,}", line.strip(), maxsplit=1) for line in run.text.splitlines())
    assert shown.pop("Until")
    assert shown == {
        "Would pay": "0.01 pathUSD, and a fee of at most 0.02",
        "To": RECIPIENT,
        "From": "no account yet",
        "On": "tempo:42431",
        "By": "tempo/charge",
        "For": "a fortune cookie",
        "Asked by": "api",
        "Within --max": "yes (1)",
    }
    dear = coinslot("pay", f"{paid_api}/dear", "--dry-run", "--json")
    assert (dear.code, dear.json["status"]) == (0, 402)
    preview = dear.json["would_pay"]
    assert (preview["amount"], preview["payer"], preview["within_max"]) == ("5", None, False)
    failed = coinslot("pay", "https://nothing.invalid", "--dry-run", "--json")
    assert (failed.code, failed.json["would_pay"], failed.json["error"]["code"]) == (6, None, 6)
    free = coinslot("pay", f"{paid_api}/free", "--dry-run")
    assert (free.code, free.text) == (0, "Nothing to pay: the answer is 200\n")


def test_verbose_shows_each_step_and_no_secret(payer: Command, paid_api: str) -> None:
    """-v has both exchanges and the payment's steps; no credential, receipt, key or token of the caller's."""
    run = payer(
        "pay", f"{paid_api}/paid", "-v", "-H", "Authorization: Bearer hunter2", "-H", "X-Api-Key: hunter3"
    )
    assert (run.code, run.out) == (0, b'"paid"')
    lines = run.err.splitlines()
    assert lines.count("> GET /paid HTTP/1.1") == 2
    assert "< HTTP/1.1 402 Payment Required" in lines
    assert "< HTTP/1.1 200 OK" in lines
    assert any(line.startswith("* asked for 0.01 pathUSD to 0x742d35") for line in lines)
    assert any(line.startswith("* paying from COINSLOT_PRIVATE_KEY (0x") for line in lines)
    assert any(re.fullmatch("> authorization: Bearer Payment <[0-9]+ characters>", line) for line in lines)
    assert any(re.fullmatch("< payment-receipt: <[0-9]+ characters>", line) for line in lines)
    assert "> x-api-key: <7 characters>" in lines
    for secret in (
        "hunter",
        payer.environment["COINSLOT_PRIVATE_KEY"].removeprefix("0x"),
        "eyJjaGFsbGVuZ2Ui",
    ):
        assert secret not in run.err


def test_price_above_the_limit_is_3(coinslot: Command, devnet: ThreadedDevnet, paid_api: str) -> None:
    """Above --max, the fee included, nothing is paid, and the sentence has the price and the limit."""
    coinslot.environment["COINSLOT_RPC_URL"] = devnet.rpc_url
    run = coinslot("pay", f"{paid_api}/dear")
    assert (run.code, run.out) == (3, b"")
    assert run.err == (
        "coinslot: the price is 5 pathUSD, and up to 0.02 of fees, above --max 1: nothing was paid\n"
    )
    limited = coinslot("pay", f"{paid_api}/paid", "--max", "0.01", "--json")
    assert limited.code == 3
    assert limited.json["error"]["code"] == 3
    assert limited.json["payment"] is None


def test_higher_limit_pays(payer: Command, paid_api: str) -> None:
    """--max is what stands between a price and the money."""
    assert payer("pay", "-s", f"{paid_api}/dear", "--max", "6").out == b'"dear"'


def test_empty_account_is_4(payer: Command, paid_api: str) -> None:
    """An account without the money says what it has and what it needs, and nothing is sent."""
    poor = tempo.PrivateKey.generate()
    run = payer("pay", f"{paid_api}/paid", COINSLOT_PRIVATE_KEY=poor.to_hex())
    assert (run.code, run.out) == (4, b"")
    assert f"{poor.address} has 0 pathUSD" in run.err


def test_network_can_be_kept_to(payer: Command, paid_api: str) -> None:
    """With -n mainnet, a price on the testnet is not paid."""
    run = payer("pay", f"{paid_api}/paid", "-n", "mainnet")
    assert (run.code, run.out) == (4, b"")
    assert "on terms that this wallet cannot meet" in run.err


def test_no_account_is_69(coinslot: Command, devnet: ThreadedDevnet, paid_api: str) -> None:
    """A price that nobody is there to pay says how to make an account; so does a key that is none."""
    coinslot.environment["COINSLOT_RPC_URL"] = devnet.rpc_url
    run = coinslot("pay", f"{paid_api}/paid")
    assert (run.code, run.out) == (69, b"")
    assert run.err == "coinslot: there is no account yet: make one with `coinslot account create`\n"
    assert coinslot("pay", f"{paid_api}/paid", "-a", "nobody").code == 69
    bad = coinslot("pay", f"{paid_api}/paid", COINSLOT_PRIVATE_KEY="hunter2")
    assert bad.code == 69
    assert "hunter2" not in bad.err


def test_reader_that_leaves_is_met_with_silence(payer: Command, paid_api: str) -> None:
    """A pipe that closes early ends the command with 23, without a word and with no payment unfinished."""
    process = payer.start("pay", "-s", f"{paid_api}/paid")
    assert process.stdout is not None
    process.stdout.close()
    _, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (23, b"")
    assert payer.unfinished() == []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_an_answer_that_was_lost_here_comes_again(payer: Command, paid_api: str) -> None:
    """The server has delivered it; the same command brings it once more, for the same payment."""
    lost = payer("pay", f"{paid_api}/paid", "-o", "/dev/full")
    assert lost.code == 23
    assert "/dev/full cannot be written: No space left on device: run the same command again" in lost.err
    (kept,) = payer.unfinished()
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    again = payer("pay", f"{paid_api}/paid")
    assert (again.code, again.out) == (0, b'"paid"')
    first, second = (set(re.findall("reference (0x[0-9a-f]+)", run.err)) for run in (lost, again))
    assert first == second
    assert payer.unfinished() == []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_payment_that_is_over_is_not_presented_for_ever(payer: Command, paid_api: str) -> None:
    """A stream is delivered once. Its payment is presented once more, then forgotten; the next is new."""
    for _ in range(5):
        lost = payer("pay", f"{paid_api}/stream", "-o", "/dev/full")
        assert lost.code == 23
        over = payer("pay", f"{paid_api}/stream", "-f")
        if over.code != 0:  # else the server saw it hang up before the last byte, and served it again
            break
    assert (over.code, over.out) == (5, b"")
    assert "no longer honours the payment of 0.01 pathUSD" in over.err
    assert "run the same command again to make a new payment" in over.err
    anew = payer("pay", f"{paid_api}/stream")
    assert (anew.code, anew.out) == (0, b"stream")
    (first,), (second,) = (re.findall("reference (0x[0-9a-f]+)", run.err) for run in (lost, anew))
    assert first != second


def test_target_that_cannot_be_written_costs_nothing(payer: Command, paid_api: str, tmp_path: Path) -> None:
    """-o into a directory that is not there fails before anything is sent."""
    run = payer("pay", f"{paid_api}/paid", "-o", str(tmp_path / "nowhere/x"))
    assert (run.code, "paid" in run.err) == (23, False)
