"""Push: whatever the node does, an error means that nothing moved, and that nothing will."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from typing import Any

import pytest

from coinslot.client import Outcome, PaymentRecord, Wallet
from coinslot.errors import ChallengeExpired, WalletError
from coinslot.methods import tempo
from coinslot.methods.tempo.client import broadcast
from coinslot.methods.tempo.keys import PrivateKey
from coinslot.payments.method import Payload, Settled
from coinslot.sandbox.tempo import ThreadedDevnet
from faulty_node import Behaviour, FaultyNode, answers, drops, first, forwards_and, hangs, refuses, says
from stall import Shop, price, serve_pitch
from tempo_buying import asking, balance, settled
from tempo_payments import chain_is_ahead, issue, new_address

SEND = "eth_sendRawTransactionSync"


@pytest.fixture
async def pusher(node: FaultyNode, payer: PrivateKey) -> AsyncIterator[tempo.TempoAccount]:
    """An account with money that broadcasts its payments, on the node that misbehaves to order."""
    made = tempo.account(payer, network="testnet", rpc_url=node.url, mode="push")
    yield made
    await made.aclose()


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits for a receipt longer than a blink."""
    monkeypatch.setattr(broadcast, "WAIT", 0.5)


async def paid(account: tempo.TempoAccount, devnet: ThreadedDevnet) -> tuple[Payload, int]:
    """What `account` makes of a price of a cent, and what its recipient has then."""
    recipient = new_address()
    payload = await account.pay(asking(to=recipient))
    return payload, await balance(devnet, recipient)


@pytest.mark.parametrize("chain", ["devnet", "devnet_t4"])
async def test_the_money_is_there_when_the_hash_is_told(chain: str, request: pytest.FixtureRequest) -> None:
    """The payload is the transaction's hash, which settles with our server, again and again."""
    devnet: ThreadedDevnet = request.getfixturevalue(chain)
    key = PrivateKey.generate()
    devnet.fund(key.address)
    account = tempo.account(key, rpc_url=devnet.rpc_url, mode="push")
    recipient = new_address()
    charge = tempo.charge(recipient, rpc_url=devnet.rpc_url)
    for count in (1, 2):
        challenge = issue(charge)
        payload = await account.pay(challenge)
        assert await balance(devnet, recipient) == count * 10_000
        assert payload.payload == {"type": "hash", "hash": payload.reference}
        assert payload.source == f"did:pkh:eip155:42431:{account.address}"
        assert await settled(charge, challenge, payload) == Settled(
            reference=str(payload.reference), payer=account.address
        )
        assert not await account.is_dead(payload)
    await account.aclose()
    await charge.aclose()


async def test_a_node_that_cannot_wait_is_polled(
    pusher: tempo.TempoAccount, node: FaultyNode, devnet: ThreadedDevnet
) -> None:
    """Without eth_sendRawTransactionSync it is broadcast all the same, once, and waited for."""
    node.behaviours[SEND] = refuses(-32601, "Method not found")
    payload, arrived = await paid(pusher, devnet)
    assert arrived == 10_000
    assert node.sent == [SEND, "eth_sendRawTransaction"]
    assert not await pusher.is_dead(payload)


@pytest.mark.parametrize(
    "fault",
    [
        forwards_and(drops),
        forwards_and(answers(None)),
        forwards_and(answers("soon")),
        forwards_and(refuses(4, "confirmation timeout")),
        forwards_and(refuses(-32000, "already known")),
        forwards_and(refuses(-32000, "nonce too low: replay")),
        forwards_and(refuses(-32000, "insufficient funds")),
        forwards_and(refuses(-32603, "internal error")),
    ],
    ids=["drops", "null", "nonsense", "timeout", "known", "replay", "a lie", "internal"],
)
async def test_what_got_onto_the_chain_is_paid(
    fault: Behaviour, pusher: tempo.TempoAccount, node: FaultyNode, devnet: ThreadedDevnet
) -> None:
    """Whatever the node answers, if the transaction is there, its hash is the payment."""
    node.behaviours[SEND] = fault
    payload, arrived = await paid(pusher, devnet)
    assert arrived == 10_000
    assert payload.payload["type"] == "hash"
    assert node.sent == [SEND]


@pytest.mark.usefixtures("hasty")
@pytest.mark.parametrize(
    "fault",
    [
        drops,
        hangs,
        answers({}),
        refuses(4, "confirmation timeout"),
        refuses(-32000, "nonce too low"),
        refuses(-32603, "internal error"),
    ],
    ids=["drops", "hangs", "nonsense", "timeout", "nonce", "internal"],
)
async def test_what_is_not_certain_is_told_all_the_same(
    fault: Behaviour, pusher: tempo.TempoAccount, node: FaultyNode, devnet: ThreadedDevnet
) -> None:
    """If nobody can say whether it got through, there is a payload, which is dead once its time is over."""
    node.behaviours[SEND] = fault
    payload, arrived = await paid(pusher, devnet)
    assert arrived == 0
    assert payload.payload["type"] == "hash"
    assert not await pusher.is_dead(payload)
    node.behaviours["eth_getBlockByNumber"] = chain_is_ahead(by=25 + 10 + 2)
    assert await pusher.is_dead(payload)


@pytest.mark.usefixtures("hasty")
async def test_a_node_that_talks_nonsense_leaves_the_payment_open(
    pusher: tempo.TempoAccount, node: FaultyNode, devnet: ThreadedDevnet
) -> None:
    """Refused, and then the question what became of it has no answer either: that is not certain."""
    node.behaviours[SEND] = refuses(-32000, "insufficient funds")
    node.behaviours["eth_getTransactionReceipt"] = answers({})
    payload, _ = await paid(pusher, devnet)
    assert payload.payload["type"] == "hash"


@pytest.mark.parametrize(
    ("code", "message", "reason"),
    [
        (-32000, "insufficient funds for transfer", "does not have what the payment and its fee take"),
        (-32000, "transaction expired", "validBefore is over"),
        (3, "execution reverted", "the token refuses it"),
    ],
)
async def test_what_the_node_refuses_for_a_reason_is_not_paid(
    code: int, message: str, reason: str, pusher: tempo.TempoAccount, node: FaultyNode
) -> None:
    """A refusal that says why, of a transaction that is not there, is an error: nothing was paid."""
    node.behaviours[SEND] = refuses(code, message)
    with pytest.raises(WalletError, match=f"{reason}.*Nothing was paid"):
        await pusher.pay(asking())


async def test_a_challenge_that_ends_meanwhile_is_not_paid(
    pusher: tempo.TempoAccount, node: FaultyNode, devnet: ThreadedDevnet
) -> None:
    """What would be refused by the time that it is presented is not broadcast; what has the time is."""
    recipient = new_address()
    with pytest.raises(ChallengeExpired, match="too soon to pay it by push"):
        await pusher.pay(asking(to=recipient, expires_at=time.time() + 12))
    assert not node.sent
    await pusher.pay(asking(to=recipient, expires_at=time.time() + 20))
    assert await balance(devnet, recipient) == 10_000


async def test_a_node_that_was_not_reached_gets_nothing(pusher: tempo.TempoAccount, node: FaultyNode) -> None:
    """If the broadcast certainly did not get to the node, nothing was sent and nothing was paid."""
    node.behaviours[SEND] = says(b"slow down", 429)
    with pytest.raises(WalletError, match=r"cannot be broadcast: .*429\. Nothing was paid"):
        await pusher.pay(asking())


async def test_a_reverted_payment_cost_its_fee(millionaire: PrivateKey, node: FaultyNode) -> None:
    """What was enough when it was prepared, and not when it got there, is an error that says so."""
    account = tempo.account(millionaire, rpc_url=node.url, mode="push")
    rival = tempo.account(millionaire, rpc_url=node.url, mode="push")
    overtaken = False

    async def overtake(request: Any, forward: Any) -> Any:
        nonlocal overtaken
        if not overtaken:
            overtaken = True
            await rival.pay(asking("600000", to=new_address()))
        return await forward()

    node.behaviours[SEND] = overtake
    with pytest.raises(WalletError, match=r"0x[0-9a-f]{64} was reverted: nothing was paid but its fee"):
        await account.pay(asking("600000", to=new_address()))
    await account.aclose()
    await rival.aclose()


async def test_what_was_sent_survives_the_end_of_the_loop(
    pusher: tempo.TempoAccount, node: FaultyNode, devnet: ThreadedDevnet
) -> None:
    """Cancelled before the broadcast, `pay` is cancelled; from the broadcast on, it returns what it has."""
    prepared, sent = asyncio.Event(), asyncio.Event()

    async def stop_at(event: asyncio.Event, forward: Any) -> Any:
        event.set()
        await asyncio.sleep(0.2)
        return await forward()

    node.behaviours["eth_gasPrice"] = first(lambda request, forward: stop_at(prepared, forward))
    recipient = new_address()
    early = asyncio.create_task(pusher.pay(asking(to=recipient)))
    await prepared.wait()
    early.cancel()
    with pytest.raises(asyncio.CancelledError):
        await early
    node.behaviours[SEND] = lambda request, forward: stop_at(sent, forward)
    late = asyncio.create_task(pusher.pay(asking(to=recipient)))
    await sent.wait()
    late.cancel()
    payload = await late
    assert payload.payload["type"] == "hash"
    while await balance(devnet, recipient) == 0:
        await asyncio.sleep(0.05)


async def test_a_wallet_that_is_interrupted_while_it_pushes_keeps_the_payment(
    pusher: tempo.TempoAccount, node: FaultyNode, devnet: ThreadedDevnet
) -> None:
    """A call that is cancelled in the middle of the broadcast leaves a record of what it moved."""
    told: list[PaymentRecord] = []
    broadcasting = asyncio.Event()

    async def linger(request: Any, forward: Any) -> Any:
        broadcasting.set()
        await asyncio.sleep(0.2)
        return await forward()

    node.behaviours[SEND] = linger
    recipient = new_address()
    with serve_pitch() as pitch:
        shop: Shop = pitch.open()
        url = shop.sell("/paid", lambda _: price(asking(to=recipient)))
        wallet = Wallet([pusher], on_payment=told.append)
        call = asyncio.create_task(wallet.aget(url))
        await broadcasting.wait()
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        assert not shop.presented
    (record,) = told
    assert record.outcome is Outcome.UNDECIDED
    assert await balance(devnet, recipient) == 10_000
    assert not await pusher.is_dead(record.payload)


async def test_nothing_secret_is_logged(
    pusher: tempo.TempoAccount,
    node: FaultyNode,
    payer: PrivateKey,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Of a broadcast that goes wrong, the hash is told, and neither the transaction nor the key."""
    caplog.set_level(logging.DEBUG)
    raw: list[str] = []

    async def eavesdrop(request: Any, forward: Any) -> Any:
        raw.append(request["params"][0])
        await forward()
        return await drops(request, forward)

    node.behaviours[SEND] = eavesdrop
    payload = await pusher.pay(asking(to=new_address()))
    said = "\n".join([repr(payload), *(record.getMessage() for record in caplog.records)])
    assert str(payload.reference) in said
    assert raw[0][-130:-66] not in said
    assert payer.to_hex()[2:] not in said
