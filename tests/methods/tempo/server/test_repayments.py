from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from msgspec.structs import replace

from coinslot.errors import ConfigurationError, RefundError
from coinslot.methods import tempo
from coinslot.methods.tempo.keys import PrivateKey
from coinslot.methods.tempo.node import Node, transaction_hash
from coinslot.methods.tempo.rpc import Rpc
from coinslot.methods.tempo.server.payees import find_payee
from coinslot.methods.tempo.server.recipients import OneRecipient
from coinslot.methods.tempo.wire import Swap, Transaction, Transfer, attribution_memo, swap_calls
from coinslot.methods.tempo.wire.memo import refund_memo
from coinslot.payments.back_office import BackOffice
from coinslot.payments.events import Events
from coinslot.payments.method import (
    Failed,
    NotSent,
    Proof,
    Recovery,
    Repayment,
    Repays,
    Settled,
    Settlement,
    Unknown,
)
from coinslot.payments.payment import State
from coinslot.payments.refunds import RefundState
from coinslot.payments.till import Policy, Till
from coinslot.sandbox.tempo import ThreadedDevnet
from coinslot.storage.memory import MemoryLedger
from faulty_node import Behaviour, FaultyNode, answers, drops, edits, refuses
from ledgers import make_payment
from tempo_payments import chain_is_ahead, issue, new_address, pathusd_balance, unsigned, verified

PATH_USD, ALPHA_USD = (token.address for token in tempo.TESTNET.tokens[:2])
KEY = "rf_0123456789abcdef01234567"


@pytest.fixture(scope="session")
def purse(devnet: ThreadedDevnet) -> PrivateKey:
    """A refund account with a million of every token."""
    key = PrivateKey.generate()
    devnet.fund(key.address)
    return key


@pytest.fixture
async def shop(node: FaultyNode, purse: PrivateKey) -> AsyncIterator[tempo.TempoCharge]:
    """A server method that can pay back, on the node that misbehaves to order."""
    method = tempo.charge(new_address(), rpc_url=node.url, refund_account=purse, settle_timeout=4)
    yield method
    await method.aclose()


async def sold(shop: tempo.TempoCharge, payer: PrivateKey, price: str = "0.01") -> Repayment:
    """A payment that has settled, about to be sent back as a whole."""
    challenge = issue(shop, price)
    proof = await verified(shop, challenge, unsigned(challenge).sign(payer))
    settled = await shop.settle(proof)
    assert isinstance(settled, Settled)
    paid = replace(proof, reference=settled.reference, recovery=Recovery())
    return Repayment(key=KEY, challenge_id=challenge.id, paid=paid, amount=paid.amount)


async def drafted(shop: tempo.TempoCharge, repayment: Repayment) -> Repayment:
    """The same with what was written down before it is sent."""
    return replace(repayment, recovery=await shop.draft_repayment(repayment))


def signed(repayment: Repayment) -> Transaction:
    return Transaction.decode(repayment.recovery.data)


async def transfers_of(node: FaultyNode, transaction: str) -> tuple[Transfer, ...]:
    asking = Node(Rpc(node.url))
    receipt = await asking.receipt(transaction)
    await asking.aclose()
    assert receipt is not None
    return receipt.transfers


def the_latest_block_is(later: int) -> Behaviour:
    """The chain has gone on for so many seconds since the blocks that there are."""

    async def behave(request: Any, forward: Callable[[], Any]) -> Any:
        answer = await forward()
        if request["params"][0] == "latest":
            block = answer["result"]
            answer["result"] = {**block, "timestamp": hex(int(block["timestamp"], 16) + later)}
        return answer

    return behave


class TestRefunds:
    """Money goes back to whoever the chain says it came from."""

    @pytest.mark.parametrize("chain", ["devnet", "devnet_t4"])
    async def test_a_payment_is_sent_back(self, chain: str, request: pytest.FixtureRequest) -> None:
        """The payer has it again, to the base unit, and the transfer's memo says which payment it was."""
        devnet: ThreadedDevnet = request.getfixturevalue(chain)
        node, payer, purse = FaultyNode(devnet.rpc_url), PrivateKey.generate(), PrivateKey.generate()
        await node.start()
        for key in (payer, purse):
            devnet.fund(key.address)
        shop = tempo.charge(new_address(), rpc_url=node.url, refund_account=purse.to_hex())
        assert isinstance(shop, Repays)
        repayment = await drafted(shop, await sold(shop, payer))
        before = await pathusd_balance(node, payer.address)
        done = await shop.repay(repayment)
        assert done == Settled(reference=transaction_hash(signed(repayment)), payer=payer.address)
        assert await pathusd_balance(node, payer.address) == before + 10_000
        made = Transfer(
            token=PATH_USD,
            recipient=payer.address,
            amount=10_000,
            memo=refund_memo(repayment.paid.reference, KEY),
            sender=purse.address,
        )
        assert made in await transfers_of(node, done.reference)
        assert await shop.look_up_repayment(repayment) == done
        over = replace(repayment, recovery=Recovery(), reference=done.reference)
        assert await shop.look_up_repayment(over) == done
        await shop.aclose()
        await node.aclose()

    async def test_a_part_of_it(self, node: FaultyNode, shop: tempo.TempoCharge, payer: PrivateKey) -> None:
        """Two refunds of one payment are two transfers, each with a memo of its own."""
        repayment = await sold(shop, payer)
        before = await pathusd_balance(node, payer.address)
        parts = [replace(repayment, key=f"rf_{n}", amount=amount) for n, amount in enumerate((1, 9_000))]
        done = [await shop.repay(await drafted(shop, part)) for part in parts]
        assert all(isinstance(one, Settled) for one in done)
        assert await pathusd_balance(node, payer.address) == before + 9_001

    async def test_nothing_is_sent_before_it_is_written_down(
        self, node: FaultyNode, shop: tempo.TempoCharge, payer: PrivateKey
    ) -> None:
        """Drafting broadcasts nothing, and what it returns does not show in a log."""
        repayment = await sold(shop, payer)
        node.methods.clear()
        recovery = await shop.draft_repayment(repayment)
        assert node.sent == []
        assert recovery.data.hex() not in repr(recovery)
        end = Transaction.decode(recovery.data).valid_before
        assert end is not None
        assert time.time() + 10 < end <= time.time() + 30

    async def test_a_sponsored_payment_goes_back_to_its_payer(
        self, devnet: ThreadedDevnet, node: FaultyNode, purse: PrivateKey, payer: PrivateKey
    ) -> None:
        """Whoever paid the fee has not paid the price."""
        shop = tempo.charge(
            new_address(), rpc_url=node.url, fee_payer=devnet.accounts[9], refund_account=purse
        )
        done = await shop.repay(await drafted(shop, await sold(shop, payer)))
        assert isinstance(done, Settled)
        assert done.payer == payer.address
        await shop.aclose()

    async def test_a_swapped_payment_goes_back_in_the_token_that_came(
        self, node: FaultyNode, purse: PrivateKey, payer: PrivateKey
    ) -> None:
        """The payer swapped for the token that was asked for, and gets that token, not the exchange."""
        shop = tempo.charge(new_address(), rpc_url=node.url, currency=ALPHA_USD, refund_account=purse)
        challenge = issue(shop)
        good = unsigned(challenge)
        swap = Swap(token_in=PATH_USD, token_out=ALPHA_USD, amount_out=10_000, max_amount_in=11_000)
        paying = replace(good, calls=(*swap_calls(swap), *good.calls), gas_limit=3_000_000)
        proof = await verified(shop, challenge, paying.sign(payer))
        assert isinstance(await shop.settle(proof), Settled)
        repayment = Repayment(key=KEY, challenge_id=challenge.id, paid=proof, amount=10_000)
        done = await shop.repay(await drafted(shop, repayment))
        assert isinstance(done, Settled)
        assert (done.payer, repayment.paid.currency) == (payer.address, ALPHA_USD)
        await shop.aclose()

    async def test_a_split_payment_goes_back_whole(
        self, node: FaultyNode, purse: PrivateKey, payer: PrivateKey
    ) -> None:
        """The payer gets all that was paid; what partners got of it, the seller bears."""
        splits = [tempo.Split(new_address(), share="0.5")]
        shop = tempo.charge(new_address(), rpc_url=node.url, splits=splits, refund_account=purse)
        repayment = await drafted(shop, await sold(shop, payer))
        before = await pathusd_balance(node, payer.address)
        assert isinstance(await shop.repay(repayment), Settled)
        assert await pathusd_balance(node, payer.address) == before + 10_000
        await shop.aclose()

    async def test_an_account_will_do_for_its_key(self, node: FaultyNode, purse: PrivateKey) -> None:
        """A key, its hexadecimal digits, or an account of the buyer's half: all mean the same account."""
        for given in (purse, purse.to_hex(), tempo.account(purse)):
            shop = tempo.charge(new_address(), rpc_url=node.url, refund_account=given)
            assert purse.to_hex() not in repr(vars(shop))
            await shop.aclose()
        with pytest.raises(ConfigurationError, match="key"):
            tempo.charge(new_address(), refund_account="0x12")
        with pytest.raises(ConfigurationError, match="max_refund_fee"):
            tempo.charge(new_address(), refund_account=purse, max_refund_fee="much")


class TestRefusals:
    """A refund that cannot be made says why, and nothing is signed."""

    async def test_no_account(self, charge: tempo.TempoCharge, payer: PrivateKey) -> None:
        """Without a refund account nothing can be sent back."""
        with pytest.raises(RefundError, match="give the method a refund_account"):
            await charge.draft_repayment(await sold(charge, payer))

    async def test_an_empty_account(self, node: FaultyNode, payer: PrivateKey) -> None:
        """It says what it takes and what there is."""
        poor = PrivateKey.generate()
        shop = tempo.charge(new_address(), rpc_url=node.url, refund_account=poor)
        with pytest.raises(RefundError, match=rf"takes 0\.01 pathUSD .*{poor.address} has 0"):
            await shop.draft_repayment(await sold(shop, payer))
        await shop.aclose()

    async def test_a_fee_beyond_the_limit(
        self, node: FaultyNode, purse: PrivateKey, payer: PrivateKey
    ) -> None:
        """What a refund may cost is the seller's to say."""
        shop = tempo.charge(new_address(), rpc_url=node.url, refund_account=purse, max_refund_fee="0.000001")
        with pytest.raises(RefundError, match="more than max_fee allows"):
            await shop.draft_repayment(await sold(shop, payer))
        await shop.aclose()

    async def test_another_chain(
        self, node: FaultyNode, shop: tempo.TempoCharge, purse: PrivateKey, payer: PrivateKey
    ) -> None:
        """A payment of another chain is not sent back here, nor by a node that is on another one."""
        repayment = await sold(shop, payer)
        paid = replace(repayment.paid, key=repayment.paid.key.replace("42431", "4217"))
        with pytest.raises(RefundError, match="paid on chain 4217, and the method is on 42431"):
            await shop.draft_repayment(replace(repayment, paid=paid))
        astray = tempo.charge(new_address(), rpc_url=node.url, chain_id=1337, refund_account=purse)
        paid = replace(repayment.paid, key=repayment.paid.key.replace("42431", "1337"))
        with pytest.raises(RefundError, match="is on chain 42431, not on 1337"):
            await astray.draft_repayment(replace(repayment, paid=paid))
        await astray.aclose()

    async def test_what_the_chain_does_not_know(
        self, node: FaultyNode, shop: tempo.TempoCharge, payer: PrivateKey
    ) -> None:
        """Nothing goes back for a transaction that is not there, was reverted, or is none."""
        repayment = await sold(shop, payer)
        for reference, why in (
            ("0x" + "ab" * 32, "does not know of a payment"),
            ("note 7", "nothing was tr"),
        ):
            paid = replace(repayment.paid, reference=reference)
            with pytest.raises(RefundError, match=why):
                await shop.draft_repayment(replace(repayment, paid=paid))
        node.behaviours["eth_getTransactionReceipt"] = edits(lambda receipt: {**receipt, "status": "0x0"})
        with pytest.raises(RefundError, match="does not know of a payment"):
            await shop.draft_repayment(repayment)

    @pytest.mark.parametrize(
        ("method", "answer", "why"),
        [
            ("eth_getCode", "0x6080", "is a contract, and may have no use"),
            ("eth_call", "0x" + "00" * 32 + "00" * 31 + "02", r"takes no 0x20C0\w+ from 0x"),
        ],
        ids=["a contract", "a receive policy"],
    )
    async def test_who_cannot_be_paid(
        self,
        method: str,
        answer: str,
        why: str,
        node: FaultyNode,
        shop: tempo.TempoCharge,
        payer: PrivateKey,
    ) -> None:
        """A contract may be unable to use money, and a receive policy would turn it aside: it is not sent."""
        repayment = await sold(shop, payer)

        async def is_told(request: Any, forward: Callable[[], Any]) -> Any:
            asked = request["params"][0]
            if method == "eth_call" and "403c" not in asked["to"].lower():
                return await forward()
            return await answers(answer)(request, forward)

        node.behaviours[method] = is_told
        with pytest.raises(RefundError, match=why):
            await shop.draft_repayment(repayment)

    async def test_an_account_with_a_delegation_is_paid(
        self, node: FaultyNode, shop: tempo.TempoCharge, payer: PrivateKey
    ) -> None:
        """A key still signs for it."""
        repayment = await sold(shop, payer)
        node.behaviours["eth_getCode"] = answers("0xef0100" + "ab" * 20)
        assert isinstance(await shop.repay(await drafted(shop, repayment)), Settled)

    async def test_a_node_that_does_not_answer(
        self, node: FaultyNode, shop: tempo.TempoCharge, payer: PrivateKey
    ) -> None:
        """The refund is not made now, and can be asked for again."""
        repayment = await sold(shop, payer)
        await node.stop()
        with pytest.raises(RefundError, match=r"the refund cannot be prepared: the node at 127\.0"):
            await shop.draft_repayment(repayment)
        await node.start()
        assert isinstance(await shop.repay(await drafted(shop, repayment)), Settled)


class TestOnce:
    """No refund is paid twice, whatever is lost on the way."""

    async def test_a_lost_answer_is_found(
        self, node: FaultyNode, shop: tempo.TempoCharge, payer: PrivateKey
    ) -> None:
        """It was broadcast and nobody said so: the receipt does."""
        repayment = await drafted(shop, await sold(shop, payer))

        async def loses(request: Any, forward: Callable[[], Any]) -> Any:
            await forward()
            return await drops(request, forward)

        node.behaviours["eth_sendRawTransactionSync"] = loses
        assert isinstance(await shop.repay(repayment), Settled)

    async def test_it_is_unknown_until_the_chain_says(
        self, node: FaultyNode, purse: PrivateKey, payer: PrivateKey
    ) -> None:
        """While it could still come it is neither failed nor to be drafted anew."""
        shop = tempo.charge(new_address(), rpc_url=node.url, refund_account=purse, settle_timeout=1)
        repayment = await drafted(shop, await sold(shop, payer))
        reference = transaction_hash(signed(repayment))
        node.behaviours["eth_sendRawTransactionSync"] = drops
        outcome = await shop.repay(repayment)
        assert isinstance(outcome, Unknown)
        assert outcome.reference == reference
        looked_up = await shop.look_up_repayment(repayment)
        assert isinstance(looked_up, Unknown)
        assert looked_up.reference == reference
        with pytest.raises(RefundError, match="what was drafted can still go through"):
            await shop.draft_repayment(repayment)
        del node.behaviours["eth_sendRawTransactionSync"]
        assert isinstance(await shop.repay(repayment), Settled)
        assert isinstance(await shop.look_up_repayment(repayment), Settled)
        with pytest.raises(RefundError, match="or has"):
            await shop.draft_repayment(repayment)
        await shop.aclose()

    async def test_it_is_drafted_anew_when_it_is_dead(
        self, node: FaultyNode, purse: PrivateKey, payer: PrivateKey
    ) -> None:
        """Once its time is over by the chain's clock, and the chain has neither its hash nor its memo."""
        now = [time.time() - 15]
        shop = tempo.charge(new_address(), rpc_url=node.url, refund_account=purse, clock=lambda: now[0])
        repayment = await drafted(shop, await sold(shop, payer))
        now[0] += 15
        before = await pathusd_balance(node, payer.address)
        assert isinstance(await shop.look_up_repayment(repayment), Unknown), "it may still come"
        node.behaviours["eth_getBlockByNumber"] = chain_is_ahead(by=15)
        assert isinstance(await shop.look_up_repayment(repayment), Unknown), "a node may lag"
        node.behaviours["eth_getBlockByNumber"] = chain_is_ahead(by=120)
        assert isinstance(await shop.look_up_repayment(repayment), NotSent)
        again = await drafted(shop, repayment)
        assert transaction_hash(signed(again)) != transaction_hash(signed(repayment))
        del node.behaviours["eth_getBlockByNumber"]
        assert isinstance(await shop.repay(again), Settled)
        assert await pathusd_balance(node, payer.address) == before + 10_000
        await shop.aclose()

    @pytest.mark.parametrize("later", [120, 36_000])
    async def test_a_node_that_forgot_the_hash_is_asked_for_the_memo(
        self, later: int, node: FaultyNode, shop: tempo.TempoCharge, payer: PrivateKey
    ) -> None:
        """It went through, and the first answer to a look-up is wrong: it is not sent a second time."""
        repayment = await drafted(shop, await sold(shop, payer))
        done = await shop.repay(repayment)
        reference = transaction_hash(signed(repayment))
        asked: list[str] = []

        async def forgets(request: Any, forward: Callable[[], Any]) -> Any:
            asked.append(request["params"][0])
            return await (answers(None)(request, forward) if len(asked) <= 2 else forward())

        node.behaviours["eth_getTransactionReceipt"] = forgets
        node.behaviours["eth_getBlockByNumber"] = the_latest_block_is(later)
        assert await shop.look_up_repayment(repayment) == done
        assert asked == [reference] * 3

    async def test_it_can_be_dead_for_long(
        self, node: FaultyNode, shop: tempo.TempoCharge, payer: PrivateKey
    ) -> None:
        """Hours later the chain is still asked only about the seconds in which it could have come."""
        repayment = await drafted(shop, await sold(shop, payer))
        ranges: list[int] = []

        async def counts(request: Any, forward: Callable[[], Any]) -> Any:
            asked = request["params"][0]
            ranges.append(int(asked["toBlock"], 16) - int(asked["fromBlock"], 16))
            return await forward()

        node.behaviours["eth_getLogs"] = counts
        node.behaviours["eth_getBlockByNumber"] = the_latest_block_is(36_000)
        assert isinstance(await shop.look_up_repayment(repayment), NotSent)
        assert 0 <= ranges[0] < 5_000  # of the 36,000 and more that there were since

    async def test_what_is_too_old_is_not_broadcast(
        self, node: FaultyNode, purse: PrivateKey, payer: PrivateKey
    ) -> None:
        """A worker that slept over it leaves it to the look-up."""
        now = [0.0]
        shop = tempo.charge(
            new_address(), rpc_url=node.url, refund_account=purse, clock=lambda: time.time() + now[0]
        )
        repayment = await drafted(shop, await sold(shop, payer))
        node.methods.clear()
        now[0] = 23.0
        assert isinstance(await shop.repay(repayment), NotSent)
        assert node.sent == []
        await shop.aclose()

    async def test_a_node_that_is_away_got_nothing(
        self, node: FaultyNode, shop: tempo.TempoCharge, payer: PrivateKey
    ) -> None:
        """What was not sent is not taken for sent."""
        repayment = await drafted(shop, await sold(shop, payer))
        await node.stop()
        assert isinstance(await shop.repay(repayment), NotSent)
        await node.start()
        assert isinstance(await shop.repay(repayment), Settled)

    async def test_another_worker_that_cannot_ask_its_node_sends_nothing(
        self, node: FaultyNode, shop: tempo.TempoCharge, purse: PrivateKey, payer: PrivateKey
    ) -> None:
        """Nor does it say anything of what became of it."""
        repayment = await drafted(shop, await sold(shop, payer))
        other = tempo.charge(new_address(), rpc_url=node.url, refund_account=purse)
        node.behaviours["eth_chainId"] = drops
        assert isinstance(await other.repay(repayment), NotSent)
        assert isinstance(await other.look_up_repayment(repayment), Unknown)
        await other.aclose()

    @pytest.mark.parametrize(
        ("edit", "expected"),
        [
            (lambda receipt: None, Unknown),
            (lambda receipt: {**receipt, "logs": []}, Unknown),
            (lambda receipt: {**receipt, "status": "0x0", "logs": []}, Failed),
        ],
        ids=["unknown to the node", "of something else", "reverted"],
    )
    async def test_a_refund_that_was_done_is_looked_at_again(
        self,
        edit: Any,
        expected: type[Settlement],
        node: FaultyNode,
        shop: tempo.TempoCharge,
        payer: PrivateKey,
    ) -> None:
        """Only a receipt that says so makes it undone."""
        repayment = await drafted(shop, await sold(shop, payer))
        done = await shop.repay(repayment)
        assert isinstance(done, Settled)
        over = replace(repayment, recovery=Recovery(), reference=done.reference)
        node.behaviours["eth_getTransactionReceipt"] = edits(edit)
        assert isinstance(await shop.look_up_repayment(over), expected)

    async def test_sending_twice_moves_it_once(
        self, node: FaultyNode, shop: tempo.TempoCharge, payer: PrivateKey
    ) -> None:
        """Two workers with the same draft have the same transaction."""
        repayment = await drafted(shop, await sold(shop, payer))
        before = await pathusd_balance(node, payer.address)
        outcomes = await asyncio.gather(shop.repay(repayment), shop.repay(repayment))
        assert any(isinstance(one, Settled) for one in outcomes)
        assert not any(isinstance(one, Failed | NotSent) for one in outcomes)
        assert await pathusd_balance(node, payer.address) == before + 10_000

    async def test_a_reverted_refund_has_failed(
        self, devnet: ThreadedDevnet, node: FaultyNode, payer: PrivateKey
    ) -> None:
        """The account was emptied between the draft and the block: nothing went back, for good."""
        poor = PrivateKey.generate()
        devnet.fund(poor.address)
        shop = tempo.charge(new_address(), rpc_url=node.url, refund_account=poor)
        repayment = await drafted(shop, await sold(shop, payer, "900000"))
        elsewhere = issue(shop, "500000")
        spending = unsigned(elsewhere).sign(poor)
        assert isinstance(await shop.settle(await verified(shop, elsewhere, spending)), Settled)
        assert isinstance(await shop.repay(repayment), Failed)
        assert isinstance(await shop.look_up_repayment(repayment), Failed)
        await shop.aclose()

    async def test_what_was_turned_aside_is_not_done(
        self, node: FaultyNode, shop: tempo.TempoCharge, payer: PrivateKey
    ) -> None:
        """A transfer that succeeded and whose money is with somebody else is no refund, and no failure."""
        repayment = await drafted(shop, await sold(shop, payer))
        guard = "0x" + "b10c".rjust(28, "0") + "00" * 18
        mine = "0x" + payer.address[2:].lower().rjust(64, "0")

        def turn(receipt: Any) -> Any:
            logs = [
                {**log, "topics": [guard if topic == mine else topic for topic in log["topics"]]}
                for log in receipt["logs"]
            ]
            return {**receipt, "logs": logs}

        for method in ("eth_sendRawTransactionSync", "eth_getTransactionReceipt"):
            node.behaviours[method] = edits(turn)
        outcome = await shop.repay(repayment)
        assert isinstance(outcome, Unknown)
        assert "did not get to" in outcome.reason

    async def test_a_refusal_proves_nothing(
        self, node: FaultyNode, purse: PrivateKey, payer: PrivateKey
    ) -> None:
        """One node does not take it; another one could still."""
        shop = tempo.charge(new_address(), rpc_url=node.url, refund_account=purse, settle_timeout=2)
        repayment = await drafted(shop, await sold(shop, payer))
        node.behaviours["eth_sendRawTransactionSync"] = refuses(-32000, "txpool is full")
        for _ in range(2):
            outcome = await shop.repay(repayment)
            assert isinstance(outcome, Unknown)
            assert outcome.reference == transaction_hash(signed(repayment))
            node.behaviours["eth_getTransactionReceipt"] = drops
        await shop.aclose()


class Booth(OneRecipient):
    """Hands out addresses, and sends back in a way of its own."""

    def __init__(self) -> None:
        super().__init__(new_address())
        self.sent: list[Repayment] = []

    async def draft_repayment(self, repayment: Repayment) -> Recovery:
        """A note."""
        return Recovery(b"note")

    async def repay(self, repayment: Repayment) -> Settlement:
        """By mail."""
        self.sent.append(repayment)
        return Settled(reference="letter 1")

    async def look_up_repayment(self, repayment: Repayment) -> Settlement:
        """It arrived."""
        return Settled(reference="letter 1")


async def test_who_hands_out_addresses_may_pay_back(node: FaultyNode, purse: PrivateKey) -> None:
    """In its own way, though there is a refund account."""
    booth = Booth()
    shop = tempo.charge(booth, rpc_url=node.url, refund_account=purse)
    paid = Proof(key="k", reference="r", amount=1, currency=PATH_USD)
    repayment = await drafted(shop, Repayment(key=KEY, challenge_id="c", paid=paid, amount=1))
    assert await shop.repay(repayment) == await shop.look_up_repayment(repayment)
    assert booth.sent == [repayment]
    await shop.aclose()


class TestReconciled:
    """The back office's half: rows are written first, and what died on the way is made good."""

    async def test_a_refund_that_never_arrived_is_sent_anew(
        self, node: FaultyNode, purse: PrivateKey, payer: PrivateKey
    ) -> None:
        """Its broadcast was lost. Once that is certain it is sent once more, under the same row."""
        now = [time.time() - 15]
        shop = tempo.charge(
            new_address(), rpc_url=node.url, refund_account=purse, settle_timeout=0.5, clock=lambda: now[0]
        )
        ledger = MemoryLedger()
        till = Till(ledger, policy=Policy(), events=Events())
        office = BackOffice(till, [shop], till.events)
        await till.open()
        sale = await sold(shop, payer)
        row = make_payment(
            challenge_id=sale.challenge_id,
            proof_key=sale.paid.key,
            method="tempo",
            state=State.DELIVERED,
            currency=PATH_USD,
            recipient=sale.paid.recipient,
            payer=payer.address,
            reference=sale.paid.reference,
        )
        await ledger.insert(row)
        before = await pathusd_balance(node, payer.address)
        node.behaviours["eth_sendRawTransactionSync"] = drops
        first = await office.refund(row.challenge_id)
        assert first.state is RefundState.SENT
        del node.behaviours["eth_sendRawTransactionSync"]
        now[0] += 15
        assert (await office.reconcile()).undecided == 1, "it may still come"
        node.behaviours["eth_getBlockByNumber"] = the_latest_block_is(120)
        assert (await office.reconcile()).undecided == 0
        (refund,) = await ledger.select_refunds(row.challenge_id)
        assert (refund.id, refund.state) == (first.id, RefundState.DONE)
        assert refund.reference != first.reference
        assert await pathusd_balance(node, payer.address) == before + 10_000
        await shop.aclose()


class TestPayee:
    """Who gets it, as the logs say."""

    A, B, SHOP = (new_address() for _ in range(3))

    def moved(self, sender: str, *, memo: bytes | None = None, **members: Any) -> Transfer:
        made = Transfer(token=PATH_USD, recipient=self.SHOP, amount=7, memo=memo, sender=sender)
        return replace(made, **members)

    def repayment(self, payer: str | None = None) -> Repayment:
        paid = Proof(
            key="tempo:42431:0xab",
            reference="0x" + "ab" * 32,
            amount=7,
            currency=PATH_USD,
            recipient=self.SHOP,
            payer=payer,
        )
        return Repayment(key=KEY, challenge_id="challenge", paid=paid, amount=7)

    def test_the_memo_says_whose_payment_it_was(self) -> None:
        """Of two who paid in one transaction, it is the one whose memo names the challenge."""
        memo = attribution_memo("challenge", "any realm", "a client")
        made = [self.moved(self.A), self.moved(self.B, memo=memo)]
        assert find_payee(made, self.repayment(self.A)) == self.B

    def test_the_chain_is_right(self, caplog: pytest.LogCaptureFixture) -> None:
        """Where the ledger has somebody else, the chain wins, and the log says so."""
        assert find_payee([self.moved(self.A)], self.repayment(self.B)) == self.A
        assert f"has {self.B} as the payer" in caplog.text
        assert f"it is {self.A}" in caplog.text

    def test_several_payers_are_told_apart_or_not_paid(self) -> None:
        """The ledger decides between several; if it cannot, nobody gets somebody else's money."""
        made = [self.moved(self.A), self.moved(self.B)]
        assert find_payee(made, self.repayment(self.B)) == self.B
        for payer in (None, new_address()):
            with pytest.raises(RefundError, match="several payers"):
                find_payee(made, self.repayment(payer))

    def test_only_what_came_in_counts(self) -> None:
        """Another token, or another recipient, is another matter."""
        others = [self.moved(self.A, token=ALPHA_USD), self.moved(self.A, recipient=self.B)]
        with pytest.raises(RefundError, match="moved no"):
            find_payee(others, self.repayment(self.A))
