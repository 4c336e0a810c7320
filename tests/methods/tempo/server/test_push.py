from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest
from msgspec.structs import replace

from coinslot.errors import InvalidPayload, NotApplied, PaymentUnavailable, VerificationFailed
from coinslot.methods import tempo
from coinslot.methods.tempo.keys import PrivateKey
from coinslot.methods.tempo.node import Node
from coinslot.methods.tempo.rpc import Rpc
from coinslot.methods.tempo.server import push
from coinslot.methods.tempo.wire import Transaction
from coinslot.methods.tempo.wire.source import format_source
from coinslot.payments.method import Proof, Recovery, Settled, Unknown
from coinslot.protocol import Challenge, JSONObject
from coinslot.sandbox.tempo import ThreadedDevnet
from faulty_node import FaultyNode, answers, drops, edits, first
from tempo_payments import OTHER, issue, new_address, pays, pushed, unsigned

RECIPIENT = "0x742d35Cc6634c0532925a3b844bC9e7595F8fE00"


async def broadcast(devnet: ThreadedDevnet, signed: Transaction) -> str:
    """Put a transaction onto the chain: its hash."""
    node = Node(Rpc(devnet.rpc_url))
    try:
        receipt = await node.send(signed, 10)
    finally:
        await node.aclose()
    assert receipt is not None
    return receipt.hash


async def present(
    charge: tempo.TempoCharge, challenge: Challenge, transaction: str, *, source: str | None = None
) -> Proof:
    credential = pushed(challenge, transaction, source=source)
    payload = charge.canonical(credential.payload)
    return await charge.verify(replace(credential, payload=payload), challenge.decode_request())


class TestVerify:
    """What is on the chain is judged by its receipt."""

    @pytest.mark.parametrize("chain", ["devnet", "devnet_t4"])
    async def test_a_transaction_on_the_chain_pays(self, chain: str, request: pytest.FixtureRequest) -> None:
        """One question to the node, and the proof names the transaction and who paid, as the log says."""
        devnet: ThreadedDevnet = request.getfixturevalue(chain)
        node, payer = FaultyNode(devnet.rpc_url), PrivateKey.generate()
        await node.start()
        devnet.fund(payer.address)
        charge = tempo.charge(new_address(), rpc_url=node.url)
        challenge = issue(charge)
        transaction = await broadcast(devnet, unsigned(challenge).sign(payer))
        proof = await present(charge, challenge, transaction, source=format_source(42431, payer.address))
        assert proof == Proof(
            key=f"tempo:42431:{transaction}",
            reference=transaction,
            amount=10_000,
            currency=tempo.TESTNET.currency.address,
            recipient=str(challenge.decode_request()["recipient"]),
            payer=payer.address,
            recovery=Recovery(b"push"),
        )
        assert await charge.settle(proof) == Settled(reference=transaction, payer=payer.address)
        assert await charge.look_up(proof) == Settled(reference=transaction, payer=payer.address)
        receipt = "eth_getTransactionReceipt"
        assert node.methods == ["eth_chainId", receipt, receipt]  # the second is the look-up's
        await charge.aclose()
        await node.aclose()

    async def test_splits_are_paid_in_the_same_transaction(
        self, devnet: ThreadedDevnet, node: FaultyNode, payer: PrivateKey
    ) -> None:
        """Every split is found among the logs, in whatever order, or the payment is refused."""
        splits = [tempo.Split(new_address(), share="0.1"), tempo.Split(new_address(), amount="0.001")]
        charge = tempo.charge(new_address(), rpc_url=node.url, splits=splits)
        challenge = issue(charge)
        good = unsigned(challenge)
        transaction = await broadcast(devnet, replace(good, calls=good.calls[::-1]).sign(payer))
        assert (await present(charge, challenge, transaction)).payer == payer.address
        short = issue(charge)
        good = unsigned(short)
        transaction = await broadcast(devnet, replace(good, calls=good.calls[:2]).sign(payer))
        with pytest.raises(NotApplied, match="makes no transfer to"):
            await present(charge, short, transaction)
        await charge.aclose()

    async def test_a_payment_of_another_challenge_does_not_pay(
        self, devnet: ThreadedDevnet, charge: tempo.TempoCharge, payer: PrivateKey
    ) -> None:
        """Whoever reads a payment off the chain cannot present it: its memo names the challenge."""
        challenge, other = issue(charge), issue(charge)
        transaction = await broadcast(devnet, unsigned(challenge).sign(payer))
        with pytest.raises(VerificationFailed, match="not bound to this challenge"):
            await present(charge, other, transaction)
        plain = issue(charge)
        transaction = await broadcast(devnet, pays(plain, memo=None)(unsigned(plain)).sign(payer))
        with pytest.raises(VerificationFailed, match="not bound to this challenge"):
            await present(charge, plain, transaction)

    async def test_hex_case_makes_no_second_payment(
        self, devnet: ThreadedDevnet, charge: tempo.TempoCharge, payer: PrivateKey
    ) -> None:
        """The same transaction in capitals has the same proof key."""
        challenge = issue(charge)
        transaction = await broadcast(devnet, unsigned(challenge).sign(payer))
        spelled = "0x" + transaction[2:].upper()
        one, other = await present(charge, challenge, transaction), await present(charge, challenge, spelled)
        assert one == other

    async def test_a_reverted_transaction_moved_nothing(
        self, devnet: ThreadedDevnet, charge: tempo.TempoCharge, payer: PrivateKey
    ) -> None:
        """A transaction that is on the chain and failed is refused."""
        challenge = issue(charge, "2000000")
        transaction = await broadcast(devnet, unsigned(challenge).sign(payer))
        with pytest.raises(VerificationFailed, match="was reverted; it moved nothing"):
            await present(charge, challenge, transaction)

    async def test_the_money_has_to_come_from_the_payer(
        self, devnet: ThreadedDevnet, charge: tempo.TempoCharge, payer: PrivateKey
    ) -> None:
        """A source that did not pay is refused, whoever did."""
        challenge = issue(charge)
        transaction = await broadcast(devnet, unsigned(challenge).sign(payer))
        with pytest.raises(VerificationFailed, match="from another account than the payer's"):
            await present(charge, challenge, transaction, source=format_source(42431, OTHER))
        with pytest.raises(VerificationFailed, match="on chain 4217"):
            await present(charge, challenge, transaction, source=format_source(4217, payer.address))

    @pytest.mark.parametrize("is_async", [False, True])
    async def test_a_smart_accounts_sender_is_asked_about(
        self, is_async: bool, devnet: ThreadedDevnet, node: FaultyNode, payer: PrivateKey
    ) -> None:
        """`validate_sender` decides about transfers from other accounts, and the log says who paid."""
        asked: list[tuple[str, str]] = []

        def validate(sender: str, expected: str) -> bool:
            asked.append((sender, expected))
            return len(asked) == 1

        async def validate_later(sender: str, expected: str) -> bool:
            await asyncio.sleep(0)
            return validate(sender, expected)

        charge = tempo.charge(
            new_address(), rpc_url=node.url, validate_sender=validate_later if is_async else validate
        )
        challenge = issue(charge)
        transaction = await broadcast(devnet, unsigned(challenge).sign(payer))
        owner = format_source(42431, tempo.PrivateKey(b"\x07" * 32).address)
        assert (await present(charge, challenge, transaction, source=owner)).payer == payer.address
        with pytest.raises(VerificationFailed, match="from another account"):
            await present(charge, challenge, transaction, source=owner)
        assert asked == [(payer.address, owner.rpartition(":")[2])] * 2
        await charge.aclose()

    async def test_a_payment_made_in_time_may_be_shown_late(
        self, devnet: ThreadedDevnet, node: FaultyNode, payer: PrivateKey
    ) -> None:
        """The block's time decides, not the server's: a payer who was told to come again loses nothing."""
        charge = tempo.charge(new_address(), rpc_url=node.url)
        late = tempo.charge(new_address(), rpc_url=node.url, clock=lambda: time.time() + 600)
        challenge = issue(charge, expires_at=time.time() + 40)
        transaction = await broadcast(devnet, unsigned(challenge).sign(payer))
        assert (await present(late, challenge, transaction)).payer == payer.address
        over = issue(charge, expires_at=time.time() - 20)
        transaction = await broadcast(devnet, unsigned(over).sign(payer))
        with pytest.raises(NotApplied, match="made after the challenge's expiry"):
            await present(charge, over, transaction)
        for method in (charge, late):
            await method.aclose()

    async def test_it_is_waited_for(
        self, devnet: ThreadedDevnet, charge: tempo.TempoCharge, node: FaultyNode, payer: PrivateKey
    ) -> None:
        """A transaction that is not on the chain yet may still come: the payer need not come again."""
        challenge = issue(charge)
        signed = unsigned(challenge).sign(payer)
        waiting = asyncio.create_task(present(charge, challenge, "0x" + signed.hash().hex()))
        await asyncio.sleep(0.3)
        await broadcast(devnet, signed)
        assert (await waiting).payer == payer.address

    async def test_what_does_not_come_is_not_refused(
        self, charge: tempo.TempoCharge, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """It may have been paid, so the answer is 503 with the same credential, and never 402."""
        monkeypatch.setattr(push, "WAIT", 0.3)
        with pytest.raises(PaymentUnavailable, match="do not pay anew") as unavailable:
            await present(charge, issue(charge), "0x" + "ab" * 32)
        assert unavailable.value.retry_after == 2

    async def test_only_so_many_are_waited_for(
        self, charge: tempo.TempoCharge, node: FaultyNode, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Hashes that never come cost one question each once enough of them are waited for."""
        monkeypatch.setattr(push, "WAIT", 1.0)
        monkeypatch.setattr(push, "_MOST_WAITING", 2)
        challenge = issue(charge)
        attempts = [present(charge, challenge, "0x" + f"{n:064x}") for n in range(6)]
        began = time.monotonic()
        waiting = [asyncio.create_task(attempt) for attempt in attempts]
        done, pending = await asyncio.wait(waiting, timeout=0.7)
        assert time.monotonic() - began < 5
        assert (len(done), len(pending)) == (4, 2)
        for task in waiting:
            with pytest.raises(PaymentUnavailable):
                await task

    async def test_trouble_with_the_node_is_not_the_payers(
        self, devnet: ThreadedDevnet, charge: tempo.TempoCharge, node: FaultyNode, payer: PrivateKey
    ) -> None:
        """While the node cannot be asked, the credential stays good."""
        challenge = issue(charge)
        transaction = await broadcast(devnet, unsigned(challenge).sign(payer))
        await node.stop()
        with pytest.raises(PaymentUnavailable, match="cannot be checked right now") as unavailable:
            await present(charge, challenge, transaction)
        assert unavailable.value.log == "the node at 127.0.0.1 cannot be reached"
        await node.start()
        node.behaviours["eth_getTransactionReceipt"] = first(drops)
        assert (await present(charge, challenge, transaction)).reference == transaction

    @pytest.mark.parametrize(
        "edit",
        [
            lambda receipt: {**receipt, "transactionHash": "0x" + "00" * 32},
            lambda receipt: {**receipt, "status": "0x2"},
            lambda receipt: [receipt],
        ],
        ids=["another transaction", "no status", "no receipt"],
    )
    async def test_a_node_that_lies_is_not_believed(
        self, edit: Any, devnet: ThreadedDevnet, node: FaultyNode, payer: PrivateKey
    ) -> None:
        """An answer that is not this transaction's receipt is no answer."""
        charge = tempo.charge(new_address(), rpc_url=node.url)
        challenge = issue(charge)
        transaction = await broadcast(devnet, unsigned(challenge).sign(payer))
        node.behaviours["eth_getTransactionReceipt"] = edits(edit)
        with pytest.raises(PaymentUnavailable):
            await present(charge, challenge, transaction)
        await charge.aclose()

    async def test_pull_only_means_pull_only(self, devnet: ThreadedDevnet, node: FaultyNode) -> None:
        """Where the server broadcasts, or pays the fee, a hash is refused before the chain is asked."""
        sponsored = tempo.charge(RECIPIENT, rpc_url=node.url, fee_payer=devnet.accounts[9])
        for charge in (tempo.charge(RECIPIENT, rpc_url=node.url, modes=["pull"]), sponsored):
            with pytest.raises(InvalidPayload, match="in pull mode only"):
                await present(charge, issue(charge), "0x" + "ab" * 32)
        charge = tempo.charge(RECIPIENT, rpc_url=node.url, modes=["push"])
        challenge = issue(charge)
        signed = unsigned(challenge).sign(PrivateKey.generate())
        payload: JSONObject = {"type": "transaction", "signature": "0x" + signed.encode().hex()}
        with pytest.raises(InvalidPayload, match="in push mode only"):
            await charge.verify(replace(pushed(challenge, ""), payload=payload), challenge.decode_request())
        assert node.methods == []

    @pytest.mark.parametrize(
        "hash_", [None, 1, "", "0x", "ab" * 33, "0x" + "ab" * 31, "0x" + "zz" * 32, "0x" + "ab" * 33]
    )
    def test_anything_but_a_hash_is_refused(self, hash_: Any) -> None:
        """32 bytes in hexadecimal after 0x."""
        with pytest.raises(InvalidPayload, match="hash is not what it should be"):
            tempo.charge(RECIPIENT).canonical({"type": "hash", "hash": hash_})


class TestLookUp:
    """What became of a payment that was written down and not finished."""

    async def test_the_chain_is_asked_once_more(
        self, devnet: ThreadedDevnet, charge: tempo.TempoCharge, node: FaultyNode, payer: PrivateKey
    ) -> None:
        """It is settled as soon as a node says so, and unknown until then: never failed."""
        challenge = issue(charge)
        proof = await present(charge, challenge, await broadcast(devnet, unsigned(challenge).sign(payer)))
        for fault in (answers(None), drops):
            node.behaviours["eth_getTransactionReceipt"] = fault
            assert isinstance(await charge.look_up(proof), Unknown)
        del node.behaviours["eth_getTransactionReceipt"]
        assert await charge.look_up(proof) == Settled(reference=proof.reference, payer=payer.address)
