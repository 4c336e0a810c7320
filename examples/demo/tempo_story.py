"""Paid on a Tempo chain: the price, the payment, a thief, and a server that dies at the worst moment."""

from __future__ import annotations

import signal
import sys
import threading

import httpx2

from coinslot import Receipt, Wallet
from coinslot.methods import tempo
from examples.demo.stage import SHOP, TOKEN, LastCredential, Stage, members, wait_until
from examples.demo.telling import console, facts, show_balances, show_command, units


def buy(stage: Stage) -> dict[str, object]:
    """curl sees the price, the wallet pays it, and a thief's copy buys nothing."""
    before = stage.balance(stage.key.address), stage.balance(stage.recipient)
    with stage.server("charge"):
        console.rule("[bold]1. Without paying")
        show_command("curl", "-si", f"{SHOP}/paid")

        console.rule("[bold]2. With a wallet")
        recorder = LastCredential()
        wallet = Wallet(methods=[tempo.account(stage.key, rpc_url=stage.devnet.rpc_url)], max_amount="0.10")
        with wallet, httpx2.Client(transport=wallet.transport(recorder)) as http:
            response = http.get(f"{SHOP}/paid")
        receipt = Receipt.parse(response.headers["Payment-Receipt"])
        facts(status=response.status_code, body=response.text)
        facts(
            receipt=f"{receipt.status}, by {receipt.method}, at {receipt.timestamp}",
            reference=receipt.reference,
        )

        console.rule("[bold]3. On the chain")
        transaction = stage.rpc("eth_getTransactionReceipt", receipt.reference)
        assert isinstance(transaction, dict)
        facts(
            transaction=receipt.reference,
            block=int(transaction["blockNumber"], 16),
            outcome="success" if transaction["status"] == "0x1" else "reverted",
        )
        after = stage.balance(stage.key.address), stage.balance(stage.recipient)
        show_balances(before, after)

        console.rule("[bold]4. The same credential again")
        replay = httpx2.get(f"{SHOP}/paid", headers={"Authorization": recorder.authorization})
        facts(status=replay.status_code, detail=replay.json()["detail"])
    return {
        "status": response.status_code,
        "receipt": members(receipt),
        "payer_before": before[0],
        "payer_after": after[0],
        "recipient_before": before[1],
        "recipient_after": after[1],
        "replay_status": replay.status_code,
    }


def survive(stage: Stage) -> dict[str, object]:
    """The server dies after the money came and before the answer went; the same credential is honoured."""
    console.rule("[bold]5. The server dies between settlement and delivery")
    wallet = Wallet(methods=[tempo.account(stage.key, rpc_url=stage.devnet.rpc_url)])
    held = stage.balance(stage.recipient)
    answers: list[httpx2.Response] = []

    def ask() -> None:
        with httpx2.Client(transport=wallet.transport(), timeout=60) as http:
            answers.append(http.get(f"{SHOP}/report"))

    with stage.server("report", WRITING_TIME="60") as process:
        buyer = threading.Thread(target=ask)
        buyer.start()
        wait_until(lambda: stage.balance(stage.recipient) > held, "the payment to arrive")
        process.send_signal(signal.SIGKILL)
        process.wait()
        facts(
            paid=f"{units(stage.balance(stage.recipient) - held)} {TOKEN.symbol} for {SHOP}/report",
            server="killed",
        )
    with stage.server("report"), console.status("The server is up again; the wallet presents its credential"):
        buyer.join()
    with wallet:
        pass
    (answer,) = answers
    facts(
        status=answer.status_code,
        body=answer.text,
        paid_in_all=f"{units(stage.balance(stage.recipient) - held)} {TOKEN.symbol}",
    )
    if stage.balance(stage.recipient) - held != 250_000:
        sys.exit("The report was not paid for exactly once.")
    return {"redelivered_status": answer.status_code}
