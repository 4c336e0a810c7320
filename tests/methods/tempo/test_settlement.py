from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

import pytest
from msgspec.structs import replace

from coinslot.methods import tempo
from coinslot.methods.tempo.keys import PrivateKey
from coinslot.methods.tempo.node import CHAIN_LAG
from coinslot.payments.method import (
    Failed,
    NotSent,
    Settled,
    Unknown,
)
from faulty_node import (
    Behaviour,
    FaultyNode,
    Forward,
    Request,
    answers,
    drops,
    edits,
    first,
    forwards_and,
    hangs,
    refuses,
    says,
)
from tempo_payments import (
    chain_is_ahead,
    impatient,
    issue,
    new_address,
    paid,
    pathusd_balance,
    unsigned,
    verified,
)

RECIPIENT = "0x742d35Cc6634c0532925a3b844bC9e7595F8fE00"


def retold(receipt: Any, member: str, value: str, *, topic: int | None = None) -> Any:
    """A receipt whose logs say something else in one place."""
    logs = [dict(log) for log in receipt["logs"]]
    for log in logs:
        if topic is None:
            log[member] = value
        elif topic < len(log[member]):
            log[member] = [value if index == topic else word for index, word in enumerate(log[member])]
    return {**receipt, "logs": logs}


class TestSettle:
    """The money moves once, and what is known about it is no more than what is certain."""

    @pytest.mark.parametrize("chain", ["devnet", "devnet_t4"])
    async def test_the_recipient_has_the_money(self, chain: str, request: pytest.FixtureRequest) -> None:
        """A verified transaction is broadcast and settled, on old and new chains, with two calls in all."""
        devnet = request.getfixturevalue(chain)
        payer = PrivateKey.generate()
        devnet.fund(payer.address)
        node = FaultyNode(devnet.rpc_url)
        await node.start()
        recipient = new_address()
        charge = tempo.charge(recipient, rpc_url=node.url)
        for count in (1, 2, 3):
            proof = await paid(charge, payer)
            assert await charge.settle(proof) == Settled(reference=proof.reference, payer=payer.address)
            assert await pathusd_balance(node, recipient) == count * 10_000
        per_payment = ["eth_call", "eth_sendRawTransactionSync", "eth_call"]  # the last is the balance
        assert node.methods == ["eth_chainId", *per_payment * 3]
        await charge.aclose()
        await node.aclose()

    async def test_settling_again_moves_nothing_more(
        self, charge: tempo.TempoCharge, node: FaultyNode, payer: PrivateKey
    ) -> None:
        """After a crash between broadcast and ledger, the same proof finds its own receipt."""
        proof = await paid(charge, payer)
        first_time = await charge.settle(proof)
        assert await charge.settle(proof) == first_time
        assert await charge.look_up(proof) == first_time
        assert await pathusd_balance(node, str(proof.recipient)) == 10_000

    async def test_many_payments_settle_at_once(
        self, charge: tempo.TempoCharge, node: FaultyNode, payer: PrivateKey
    ) -> None:
        """One payer's payments do not wait for each other's nonces."""
        proofs = [await paid(charge, payer) for _ in range(5)]
        outcomes = await asyncio.gather(*(charge.settle(proof) for proof in proofs))
        assert [type(outcome) for outcome in outcomes] == [Settled] * 5
        assert await pathusd_balance(node, str(proofs[0].recipient)) == 50_000

    async def test_without_the_synchronous_send_receipts_are_polled_for(
        self, charge: tempo.TempoCharge, node: FaultyNode, payer: PrivateKey
    ) -> None:
        """A node that lacks `eth_sendRawTransactionSync` is asked for it once."""
        node.behaviours["eth_sendRawTransactionSync"] = refuses(-32601, "Method not found")
        for _ in range(2):
            assert isinstance(await charge.settle(await paid(charge, payer)), Settled)
        assert node.sent == ["eth_sendRawTransactionSync", "eth_sendRawTransaction", "eth_sendRawTransaction"]

    async def test_a_reverted_transaction_failed(
        self, charge: tempo.TempoCharge, node: FaultyNode, millionaire: PrivateKey
    ) -> None:
        """Two payments that the account could bear alone, and not together: the second reverts."""
        challenges = [issue(charge, "600000") for _ in range(2)]
        one, other = [await verified(charge, each, unsigned(each).sign(millionaire)) for each in challenges]
        assert isinstance(await charge.settle(one), Settled)
        outcome = await charge.settle(other)
        assert isinstance(outcome, Failed)
        assert "reverted" in outcome.reason
        assert await charge.look_up(other) == outcome
        assert await pathusd_balance(node, str(one.recipient)) == 600_000_000_000

    async def test_what_cannot_be_connected_to_was_not_sent(
        self, charge: tempo.TempoCharge, node: FaultyNode, payer: PrivateKey
    ) -> None:
        """With the node down, the proof is as good as it was, and settles when the node is back."""
        proof = await paid(charge, payer)
        await node.stop()
        assert await charge.settle(proof) == NotSent(reason="the node at 127.0.0.1 cannot be reached")
        await node.start()
        assert isinstance(await charge.settle(proof), Settled)

    @pytest.mark.parametrize(
        "fault",
        [forwards_and(drops), forwards_and(hangs), forwards_and(says(b"", 502)), forwards_and(says(b"{}"))],
        ids=["drops", "hangs", "502", "nonsense"],
    )
    async def test_a_lost_answer_is_found_out(
        self, fault: Behaviour, charge: tempo.TempoCharge, node: FaultyNode, payer: PrivateKey
    ) -> None:
        """If the node dies, hangs or talks nonsense in the middle of sending, the receipt decides."""
        node.behaviours["eth_sendRawTransactionSync"] = fault
        node.behaviours["eth_getTransactionReceipt"] = first(drops)
        proof = await paid(charge, payer)
        assert await charge.settle(proof) == Settled(reference=proof.reference, payer=payer.address)
        assert node.sent == ["eth_sendRawTransactionSync"]

    @pytest.mark.parametrize("fault", [drops, hangs, says(b"", 504)], ids=["drops", "hangs", "504"])
    async def test_no_receipt_is_no_answer(
        self, fault: Behaviour, node: FaultyNode, payer: PrivateKey
    ) -> None:
        """What may have been sent and does not show up is unknown, until a look-up says it can be sent."""
        charge = impatient(node.url)
        proof = await paid(charge, payer)
        node.behaviours["eth_sendRawTransactionSync"] = fault
        assert isinstance(await charge.settle(proof), Unknown)
        assert node.sent == ["eth_sendRawTransactionSync"]
        assert isinstance(await charge.look_up(proof), NotSent)
        node.behaviours.clear()
        assert isinstance(await charge.settle(proof), Settled)
        assert await pathusd_balance(node, str(proof.recipient)) == 10_000
        await charge.aclose()

    async def test_a_node_that_dies_while_sending_leaves_it_unknown(
        self, node: FaultyNode, payer: PrivateKey
    ) -> None:
        """Nothing is concluded from a node that is gone; when it is back, the look-up finds the money."""
        charge = impatient(node.url)
        proof = await paid(charge, payer)
        node.behaviours["eth_sendRawTransactionSync"] = forwards_and(drops)
        node.behaviours["eth_getTransactionReceipt"] = drops
        assert isinstance(await charge.settle(proof), Unknown)
        node.behaviours.clear()
        assert await charge.look_up(proof) == Settled(reference=proof.reference, payer=payer.address)
        await charge.aclose()

    async def test_a_refusal_leaves_it_unknown(
        self, charge: tempo.TempoCharge, node: FaultyNode, payer: PrivateKey
    ) -> None:
        """A node that says no may be one of several: while the transaction is valid, nothing is certain."""
        challenge = issue(charge)
        proof = await verified(charge, challenge, replace(unsigned(challenge), max_fee_per_gas=1).sign(payer))
        outcome = await charge.settle(proof)
        assert isinstance(outcome, Unknown)
        assert "base fee" in outcome.reason
        assert node.methods.count("eth_getTransactionReceipt") == 1

    async def test_a_refusal_by_a_node_that_then_goes_away_leaves_it_unknown(
        self, node: FaultyNode, payer: PrivateKey
    ) -> None:
        """Two troubles are not one certainty, and the operator reads of both."""
        charge = impatient(node.url)
        proof = await paid(charge, payer)
        node.behaviours["eth_sendRawTransactionSync"] = refuses(-32003, "fee cap too low")
        node.behaviours["eth_getTransactionReceipt"] = drops
        outcome = await charge.settle(proof)
        assert isinstance(outcome, Unknown)
        assert "fee cap too low" in outcome.reason
        assert "connection" in outcome.reason
        await charge.aclose()

    async def test_a_refusal_after_its_time_is_a_failure(
        self, charge: tempo.TempoCharge, node: FaultyNode, payer: PrivateKey
    ) -> None:
        """Refused, absent, and the chain's clock past its end: this transaction never moves anything."""
        node.behaviours["eth_sendRawTransactionSync"] = refuses(
            -32003, "valid_before (1) must be > current time"
        )
        node.behaviours["eth_getBlockByNumber"] = chain_is_ahead(by=25 + CHAIN_LAG + 2)
        outcome = await charge.settle(await paid(charge, payer))
        assert isinstance(outcome, Failed)
        assert outcome.slug == "payment-expired"

    @pytest.mark.parametrize(
        ("code", "message"),
        [
            (-32003, "transaction already imported"),
            (-32000, "already known"),
            (4, "The transaction was added to the mempool but wasn't processed within 2s."),
            (-32603, "Transaction confirmation timeout"),
            (-32003, "insufficient fee token balance: have 0, need 2000"),
            (-32603, "nonce manager error: ExpiringNonceReplay"),
        ],
    )
    async def test_a_refusal_of_what_is_there_already_is_found_out(
        self, code: int, message: str, charge: tempo.TempoCharge, node: FaultyNode, payer: PrivateKey
    ) -> None:
        """A second copy is refused in many words, of which none is taken for a failure of the first."""
        node.behaviours["eth_sendRawTransactionSync"] = forwards_and(refuses(code, message))
        proof = await paid(charge, payer)
        assert await charge.settle(proof) == Settled(reference=proof.reference, payer=payer.address)

    @pytest.mark.parametrize(
        "lie",
        [
            lambda receipt: {**receipt, "transactionHash": "0x" + "11" * 32},
            lambda receipt: {**receipt, "status": None},
            lambda receipt: {**receipt, "logs": []},
            lambda receipt: {**receipt, "logs": None},
            lambda receipt: retold(receipt, "address", "0x" + "11" * 20),
            lambda receipt: retold(receipt, "data", "0x" + (9_999).to_bytes(32).hex()),
            lambda receipt: retold(receipt, "topics", "0x" + "00" * 12 + "11" * 20, topic=1),
            lambda receipt: retold(receipt, "topics", "0x" + "00" * 12 + "11" * 20, topic=2),
            lambda receipt: retold(receipt, "topics", "0x" + "11" * 32, topic=3),
            lambda receipt: "0x1",
            lambda receipt: [],
        ],
        ids=["hash", "status", "no logs", "null", "token", "amount", "from", "to", "memo", "text", "list"],
    )
    async def test_only_the_very_transfer_is_a_payment(
        self, lie: Callable[[Any], Any], node: FaultyNode, payer: PrivateKey
    ) -> None:
        """A receipt of something else, or of success without this transfer, settles nothing."""
        charge = impatient(node.url)
        proof = await paid(charge, payer)
        node.behaviours["eth_sendRawTransactionSync"] = edits(lie)
        node.behaviours["eth_getTransactionReceipt"] = edits(lie)
        assert isinstance(await charge.settle(proof), Unknown)
        assert isinstance(await charge.look_up(proof), Unknown)
        await charge.aclose()

    async def test_settling_asks_a_changed_node_for_its_chain(
        self, node: FaultyNode, payer: PrivateKey
    ) -> None:
        """A recovered proof is not sent to another chain by a server that was set up anew."""
        before = tempo.charge(RECIPIENT, rpc_url=node.url)
        proof = await paid(before, payer)
        await before.aclose()
        node.behaviours["eth_chainId"] = answers("0x1")
        charge = tempo.charge(RECIPIENT, rpc_url=node.url)
        assert isinstance(await charge.settle(proof), NotSent)
        assert isinstance(await charge.look_up(proof), Unknown)
        assert not node.sent
        await charge.aclose()


class TestLookUp:
    """What became of a proof, without sending anything."""

    async def test_absence_means_what_the_chains_clock_says(
        self, charge: tempo.TempoCharge, node: FaultyNode, payer: PrivateKey
    ) -> None:
        """Before its end it can be sent, just after it nobody knows, and later it has failed for ever."""
        proof = await paid(charge, payer)
        assert isinstance(await charge.look_up(proof), NotSent)
        node.behaviours["eth_getBlockByNumber"] = chain_is_ahead(by=25 + 2)
        assert isinstance(await charge.look_up(proof), Unknown)
        node.behaviours["eth_getBlockByNumber"] = chain_is_ahead(by=25 + CHAIN_LAG + 2)
        outcome = await charge.look_up(proof)
        assert isinstance(outcome, Failed)
        assert outcome.slug == "payment-expired"
        assert not node.sent

    async def test_a_receipt_that_comes_at_the_last_moment_counts(
        self, charge: tempo.TempoCharge, node: FaultyNode, payer: PrivateKey
    ) -> None:
        """The clock is read between two looks for the receipt, so no payment falls between them."""
        proof = await paid(charge, payer)
        await charge.settle(proof)
        node.behaviours["eth_getTransactionReceipt"] = first(answers(None))
        node.behaviours["eth_getBlockByNumber"] = chain_is_ahead(by=3600)
        assert isinstance(await charge.look_up(proof), Settled)

    @pytest.mark.parametrize("method", ["eth_getTransactionReceipt", "eth_getBlockByNumber"])
    @pytest.mark.parametrize(
        "fault",
        [drops, hangs, refuses(-32603, "no"), answers("0x"), answers([]), answers({"timestamp": "soon"})],
    )
    async def test_trouble_with_the_node_decides_nothing(
        self, method: str, fault: Behaviour, node: FaultyNode, payer: PrivateKey
    ) -> None:
        """Whatever goes wrong in looking up, the outcome stays unknown."""
        charge = impatient(node.url)
        proof = await paid(charge, payer)
        node.behaviours[method] = fault
        assert isinstance(await charge.look_up(proof), Unknown)
        assert not node.sent
        await charge.aclose()


class TestSecrecy:
    """A signed transaction is money: it is shown to the node alone."""

    async def test_no_message_and_no_log_line_has_the_transaction(
        self, node: FaultyNode, payer: PrivateKey, caplog: pytest.LogCaptureFixture
    ) -> None:
        """Not even when the node quotes it, and at no log level."""
        caplog.set_level(logging.DEBUG)
        charge = impatient(node.url)
        proof = await paid(charge, payer)
        raw = proof.recovery.data.hex()
        said = [repr(proof)]

        async def quotes(request: Request, forward: Forward) -> Any:
            return await refuses(-32003, f"bad transaction {request['params'][0]} in {raw}")(request, forward)

        node.behaviours["eth_sendRawTransactionSync"] = quotes
        said.append(repr(await charge.settle(proof)))
        node.behaviours["eth_sendRawTransactionSync"] = drops
        node.behaviours["eth_getTransactionReceipt"] = quotes
        said.append(repr(await charge.settle(proof)))
        said.append(repr(await charge.look_up(proof)))
        said += [record.getMessage() for record in caplog.records]
        assert any("bad transaction" in line for line in said)
        # 32 bytes from the middle of it, where its signature begins.
        assert not any(raw[-130:-66] in line for line in said)
        await charge.aclose()
