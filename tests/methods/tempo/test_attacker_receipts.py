"""Receipts that almost report a payment: in push, where they are all there is, and after a broadcast."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import pytest
from hypothesis import given, settings, strategies as st
from msgspec.structs import replace

from coinslot.errors import PaymentError, PaymentUnavailable
from coinslot.methods import tempo
from coinslot.methods.tempo.keys import keccak256
from coinslot.methods.tempo.wire import Transfer, attribution_memo
from coinslot.methods.tempo.wire.source import format_source
from coinslot.payments.method import Failed, NotSent, Settled, Unknown
from coinslot.protocol import JSONObject, JSONValue
from faulty_node import FaultyNode, answers
from strategies import json_values
from tempo_attacks import (
    CHAIN_ID,
    CURRENCY,
    EXAMPLES,
    NOW,
    OTHER_TOKEN,
    RECIPIENTS,
    STRANGER,
    Draw,
    Payment,
    payments,
)
from tempo_payments import REALM
from tempo_strategies import spelled_addresses
from tempo_till import TRANSFER, TRANSFER_WITH_MEMO, Till, log, logs_of, mined, point_out

UNBOUND = "memo is not bound to this challenge"
NOBODY = r"makes no transfer to 0x\w{40}\.|pays 0x\w{40}, not 0x\w{40}\.|pays in 0x\w{40}, not in 0x"
STRANGERS = "transfers are from another account than the payer's"

OTHERS = f"{STRANGERS}|{NOBODY}"

Logs: TypeAlias = list[JSONObject]
Forge: TypeAlias = Callable[[Transfer, str, Draw], Logs]


@pytest.fixture
async def till(lonely_node: FaultyNode) -> AsyncIterator[Till]:
    """A till on a node that reports what it is told to."""
    till = Till(lonely_node)
    yield till
    await till.aclose()


@dataclass(frozen=True)
class Forgery:
    """What a receipt reports in the place of the primary transfer, and the words with which it is refused."""

    name: str
    forge: Forge
    words: str

    def __repr__(self) -> str:
        return self.name


def each_log(edit: Callable[[JSONObject, Draw], JSONObject]) -> Forge:
    """Alter all the logs of the transfer."""
    return lambda due, payer, draw: [edit(log, draw) for log in logs_of(due, payer)]


def topics(edit: Callable[[list[str], Draw], list[str]]) -> Forge:
    """Alter the topics of all the logs of the transfer."""

    def with_topics(log: JSONObject, draw: Draw) -> JSONObject:
        good = log["topics"]
        assert isinstance(good, list)
        return {**log, "topics": list(edit([str(topic) for topic in good], draw))}

    return each_log(with_topics)


def topic(index: int, edit: Callable[[str, Draw], str]) -> Forge:
    return topics(lambda good, draw: [*good[:index], edit(good[index], draw), *good[index + 1 :]])


def beside(**other: Any) -> Forge:
    """A plain transfer as it is due, and right beside it the memo of another."""

    def forge(due: Transfer, payer: str, draw: Draw) -> Logs:
        drawn = {name: draw(value) for name, value in other.items()}
        memoed = replace(due, **drawn)
        (plain,) = logs_of(replace(due, memo=None), payer)
        logs = logs_of(memoed, memoed.sender or payer)[1:]
        return [plain, *logs] if draw(st.booleans()) else [*logs, plain]

    return forge


def emitted(event: bytes) -> Forge:
    """Another event with the same arguments."""
    return topic(0, lambda good, draw: "0x" + event.hex())


FORGERIES = [
    Forgery("nothing", lambda due, payer, draw: [], NOBODY),
    Forgery("only the transfer", lambda due, payer, draw: logs_of(due, payer)[:1], UNBOUND),
    Forgery(
        "only the mint", lambda due, payer, draw: logs_of(due, "0x" + "00" * 20), f"{STRANGERS}|{NOBODY}"
    ),
    Forgery("a stranger's", lambda due, payer, draw: logs_of(due, STRANGER.address), f"{STRANGERS}|{NOBODY}"),
    Forgery("a stranger's memo", beside(sender=st.just(STRANGER.address)), UNBOUND),
    Forgery("another token's memo", beside(token=spelled_addresses | st.just(OTHER_TOKEN)), UNBOUND),
    Forgery("another recipient's memo", beside(recipient=spelled_addresses), UNBOUND),
    Forgery("another amount's memo", beside(amount=st.just(0) | st.just(2**200)), UNBOUND),
    Forgery(
        "another token's transfer",
        each_log(lambda log, draw: {**log, "address": draw(spelled_addresses)}),
        OTHERS,
    ),
    Forgery("an approval", emitted(keccak256(b"Approval(address,address,uint256)")), NOBODY),
    Forgery("a burn", emitted(keccak256(b"Burn(address,uint256)")), NOBODY),
    Forgery(
        "any event",
        topic(0, lambda good, draw: "0x" + draw(st.binary(min_size=32, max_size=32)).hex()),
        NOBODY,
    ),
    Forgery(
        "a transfer with the memo of one",
        lambda due, payer, draw: [
            log(due.token, TRANSFER, payer, due.recipient, due.amount, due.memo or b""),
        ],
        NOBODY,
    ),
    Forgery(
        "a memo without one",
        lambda due, payer, draw: [log(due.token, TRANSFER_WITH_MEMO, payer, due.recipient, due.amount)],
        NOBODY,
    ),
    Forgery("no topics", topics(lambda good, draw: []), NOBODY),
    Forgery(
        "a topic more", topics(lambda good, draw: [*good, *["0x" + "00" * 32] * (5 - len(good))]), NOBODY
    ),
    Forgery("a dirty sender", topic(1, lambda good, draw: "0x01" + good[4:]), NOBODY),
    Forgery("a dirty recipient", topic(2, lambda good, draw: good[:25] + "1" + good[26:]), NOBODY),
    Forgery("a cut recipient", topic(2, lambda good, draw: good[:-2]), NOBODY),
    Forgery("a spaced recipient", topic(2, lambda good, draw: good[:-2] + "  "), NOBODY),
    Forgery("no data", each_log(lambda log, draw: {**log, "data": "0x"}), NOBODY),
    Forgery("longer data", each_log(lambda log, draw: {**log, "data": str(log["data"]) + "00" * 32}), NOBODY),
    Forgery("data as a number", each_log(lambda log, draw: {**log, "data": 1}), NOBODY),
    Forgery("no address", each_log(lambda log, draw: {**log, "address": None}), NOBODY),
]
"""What a receipt may report that is not the transfer that is due."""


def forged(payment: Payment, forgery: Forgery, draw: Draw) -> JSONObject:
    """The receipt of a payment with a forgery in the place of its primary transfer, among the splits."""
    primary, *splits = payment.transfers
    receipt = mined(payment, draw(st.permutations(splits)))
    logs = receipt["logs"]
    assert isinstance(logs, list)
    starts = [index for index, log in enumerate(logs) if _begins(log)]
    at = draw(st.sampled_from([*starts, len(logs)]))
    return {**receipt, "logs": [*logs[:at], *forgery.forge(primary, payment.key.address, draw), *logs[at:]]}


def _begins(log: JSONValue) -> bool:
    """Whether another transfer's logs begin here."""
    assert isinstance(log, dict)
    assert isinstance(log["topics"], list)
    return log["topics"][0] == "0x" + TRANSFER.hex()


@pytest.mark.parametrize("forgery", FORGERIES, ids=repr)
@EXAMPLES
@given(data=st.data())
async def test_what_almost_reports_a_payment_is_refused(
    forgery: Forgery, till: Till, data: st.DataObject
) -> None:
    """In push a receipt counts for what its logs are, whatever stands beside them."""
    payment = data.draw(payments(sponsored=False))
    till.receipt = forged(payment, forgery, data.draw)
    await till.refuses(point_out(payment, says_who=data.draw(st.booleans())), forgery.words)


@EXAMPLES
@given(payment=payments(sponsored=False), identifier=st.sampled_from(["another", ""]))
async def test_a_strangers_payment_is_nobody_elses(till: Till, payment: Payment, identifier: str) -> None:
    """Whoever finds a payment on the chain presents it in vain, for another challenge or as another payer."""
    till.receipt = mined(payment, payment.transfers)
    await till.takes(point_out(payment))
    thief = replace(point_out(payment), source=format_source(CHAIN_ID, STRANGER.address))
    await till.refuses(thief, STRANGERS)
    till.receipt = mined(payment, payment.transfers, **{"from": STRANGER.address})
    await till.refuses(point_out(payment, says_who=False), STRANGERS)
    till.receipt = mined(payment, payment.transfers, status="0x0")
    await till.refuses(point_out(payment), "was reverted; it moved nothing")
    memo = attribution_memo(identifier, REALM)
    till.receipt = mined(payment, [replace(payment.transfers[0], memo=memo), *payment.transfers[1:]])
    await till.refuses(point_out(payment), UNBOUND)


@pytest.mark.parametrize("forgery", FORGERIES, ids=repr)
@settings(EXAMPLES, max_examples=4)
@given(data=st.data())
async def test_a_broadcast_settles_only_what_is_reported(
    forgery: Forgery, till: Till, data: st.DataObject
) -> None:
    """In pull a receipt that does not report the very transfers settles nothing; the true one does."""
    payment = data.draw(payments())
    proof = await till.takes(payment.present())
    for receipt, outcome in (
        (forged(payment, forgery, data.draw), Unknown),
        (mined(payment, payment.transfers[:-1]), Unknown),
        (mined(payment, payment.transfers, status="0x0"), Failed),
        (mined(payment, payment.transfers), Settled),
    ):
        told = {**receipt, "transactionHash": proof.reference}
        till.node.behaviours["eth_sendRawTransactionSync"] = answers(told)
        assert isinstance(await till.charge.settle(proof), outcome)


logs = st.one_of(
    json_values,
    st.fixed_dictionaries(
        {
            "address": st.sampled_from([CURRENCY, OTHER_TOKEN]) | json_values,
            "topics": st.lists(
                st.sampled_from(["0x" + TRANSFER.hex(), "0x" + TRANSFER_WITH_MEMO.hex(), "0x" + "00" * 32])
                | json_values,
                max_size=5,
            )
            | json_values,
            "data": st.just("0x" + "00" * 32) | json_values,
        }
    ),
)


@settings(EXAMPLES, max_examples=100)
@given(payment=payments(sponsored=False), reported=st.lists(logs, max_size=4) | json_values, data=st.data())
async def test_any_receipt_is_read(
    till: Till, payment: Payment, reported: JSONValue, data: st.DataObject
) -> None:
    """Whatever JSON a node puts into a receipt, a payment is refused, or not checked for now."""
    name = data.draw(st.sampled_from(["logs", "status", "transactionHash", "from"]))
    till.receipt = {**mined(payment, []), name: reported}
    with pytest.raises(PaymentError) as refusal:
        await till.takes(point_out(payment, says_who=data.draw(st.booleans())))
    if name in ("logs", "from"):
        assert not isinstance(refusal.value, PaymentUnavailable)


@settings(EXAMPLES, max_examples=25)
@given(payment=payments(), data=st.data())
async def test_whatever_a_node_answers_only_a_receipt_settles(
    till: Till, payment: Payment, data: st.DataObject
) -> None:
    """Settling and looking up raise nothing, and take no other answer for the payment."""
    hasty = tempo.charge(
        RECIPIENTS[0], rpc_url=till.node.url, fee_payer=till.fee_payer, settle_timeout=0.03, clock=lambda: NOW
    )
    proof = await till.takes(payment.present())
    for method in ("eth_sendRawTransactionSync", "eth_getTransactionReceipt", "eth_getBlockByNumber"):
        till.node.behaviours[method] = answers(data.draw(json_values | st.just({"timestamp": hex(2**33)})))
    assert isinstance(await hasty.settle(proof), Unknown)
    assert isinstance(await hasty.look_up(proof), Unknown | Failed | NotSent)
    till.node.behaviours.clear()
    await hasty.aclose()
