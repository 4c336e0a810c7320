"""Whether a payment that nobody answered to can still take money."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from msgspec.structs import replace

from coinslot.methods import tempo
from coinslot.methods.tempo.keys import PrivateKey
from coinslot.methods.tempo.node import CHAIN_LAG
from coinslot.methods.tempo.wire import transfer
from coinslot.payments.method import Payload, Settled
from coinslot.protocol import JSONObject
from coinslot.sandbox.tempo import ThreadedDevnet
from faulty_node import FaultyNode, answers, drops, edits, refuses
from tempo_buying import ALPHA_USD, asking, give, settled, signed
from tempo_payments import chain_is_ahead, credential, issue, new_address


async def ended(request: Any, forward: Any) -> Any:
    """The latest block is so late that what was just signed is past its end."""
    ahead = chain_is_ahead(by=25 + CHAIN_LAG + 2)
    return await (ahead(request, forward) if request["params"][0] == "latest" else forward())


@pytest.fixture
async def account(node: FaultyNode, payer: PrivateKey) -> AsyncIterator[tempo.TempoAccount]:
    """An account with a million, on the node that misbehaves to order."""
    made = tempo.account(payer, rpc_url=node.url)
    yield made
    await made.aclose()


@pytest.fixture(scope="session")
def sponsor(devnet: ThreadedDevnet) -> PrivateKey:
    """Who pays other people's fees."""
    key = PrivateKey.generate()
    devnet.fund(key.address)
    return key


class TestSigned:
    """What was signed for a server to broadcast."""

    async def test_only_time_and_the_chain_can_tell(
        self, account: tempo.TempoAccount, node: FaultyNode
    ) -> None:
        """A payment that was not seen may still come until the chain's clock is well past its end."""
        payload = await account.pay(asking())
        assert not await account.is_dead(payload)
        node.behaviours["eth_getBlockByNumber"] = chain_is_ahead(by=25 + CHAIN_LAG - 2)
        assert not await account.is_dead(payload)
        node.behaviours["eth_getBlockByNumber"] = chain_is_ahead(by=25 + CHAIN_LAG + 2)
        assert await account.is_dead(payload)
        assert not node.sent

    async def test_a_settled_payment_is_not_dead(
        self, account: tempo.TempoAccount, node: FaultyNode, charge: tempo.TempoCharge
    ) -> None:
        """It took money, and that it will take no more is another matter."""
        challenge = issue(charge)
        payload = await account.pay(challenge)
        await settled(charge, challenge, payload)
        node.behaviours["eth_getBlockByNumber"] = chain_is_ahead(by=3600)
        assert not await account.is_dead(payload)

    async def test_a_reverted_payment_is_dead(
        self, millionaire: PrivateKey, node: FaultyNode, charge: tempo.TempoCharge
    ) -> None:
        """It is on the chain, it moved nothing, and it cannot come again."""
        account = tempo.account(millionaire, rpc_url=node.url)
        challenges = [issue(charge, "600000") for _ in range(2)]
        payloads = [await account.pay(challenge) for challenge in challenges]
        proofs = [
            await charge.verify(credential(challenge, signed(payload)), challenge.decode_request())
            for challenge, payload in zip(challenges, payloads, strict=True)
        ]
        for proof in proofs:
            await charge.settle(proof)
        assert [await account.is_dead(payload) for payload in payloads] == [False, True]
        await account.aclose()

    async def test_what_cannot_be_asked_is_not_known(
        self, account: tempo.TempoAccount, node: FaultyNode, payer: PrivateKey
    ) -> None:
        """No node, another chain's node, or nothing to look for: not dead, as far as is certain."""
        payload = await account.pay(asking())
        node.behaviours["eth_getBlockByNumber"] = chain_is_ahead(by=3600)
        elsewhere = tempo.account(payer, network="mainnet")
        node.behaviours["eth_chainId"] = answers("0x1")
        confused = tempo.account(payer, network="testnet", rpc_url=node.url)
        assert not await elsewhere.is_dead(payload)
        assert not await confused.is_dead(payload)
        await node.stop()
        assert not await account.is_dead(payload)
        for method in (elsewhere, confused):
            await method.aclose()


class TestSponsored:
    """What the seller signs as well: only the seller knows its hash, so its transfer is looked for."""

    async def test_it_is_dead_when_its_time_is_over_and_its_transfer_is_nowhere(
        self, account: tempo.TempoAccount, node: FaultyNode
    ) -> None:
        """As with any other, not before."""
        payload = await account.pay(asking(details={"feePayer": True}))
        assert not await account.is_dead(payload)
        node.behaviours["eth_getBlockByNumber"] = chain_is_ahead(by=25 + CHAIN_LAG - 2)
        assert not await account.is_dead(payload)
        node.behaviours["eth_getBlockByNumber"] = ended
        assert await account.is_dead(payload)

    @pytest.mark.parametrize("swapped", [False, True])
    async def test_it_is_not_dead_once_it_is_settled(
        self, devnet: ThreadedDevnet, node: FaultyNode, sponsor: PrivateKey, swapped: bool
    ) -> None:
        """The seller added its signature and broadcast it: the transfer is found, behind a swap as well."""
        key = PrivateKey.generate()
        await give(devnet, key.address, **{"alpha_usd" if swapped else "path_usd": 20_000})
        account = tempo.account(key, rpc_url=node.url, auto_swap=[ALPHA_USD])
        charge = tempo.charge(new_address(), rpc_url=node.url, fee_payer=sponsor)
        challenge = issue(charge)
        payload = await account.pay(challenge)
        assert isinstance(await settled(charge, challenge, payload), Settled)
        node.behaviours["eth_getBlockByNumber"] = ended
        assert not await account.is_dead(payload)
        assert node.methods[-1] == "eth_getLogs"
        await account.aclose()
        await charge.aclose()

    async def test_it_is_looked_for_since_it_was_signed(
        self, account: tempo.TempoAccount, node: FaultyNode
    ) -> None:
        """Blocks that do not go back that far prove nothing, nor does a node that does not look."""
        payload = await account.pay(asking(details={"feePayer": True}))
        node.behaviours["eth_getBlockByNumber"] = edits(
            lambda block: {**block, "number": hex(10**9), "timestamp": hex(int(block["timestamp"], 16) + 60)}
        )
        assert not await account.is_dead(payload)
        node.behaviours["eth_getBlockByNumber"] = ended
        for trouble in (refuses(-32000, "range too large"), drops, answers(None), answers({})):
            node.behaviours["eth_getLogs"] = trouble
            assert not await account.is_dead(payload)
        del node.behaviours["eth_getLogs"]
        assert await account.is_dead(payload)
        node.behaviours["eth_getBlockByNumber"] = answers(None)
        assert not await account.is_dead(payload)


class TestOthers:
    """What is no transaction of this account's."""

    async def test_a_proof_takes_nothing(self) -> None:
        """It is dead from the start: another one may be made in its place."""
        account = tempo.account(PrivateKey(b"\x11" * 32))
        assert await account.is_dead(await account.pay(asking("0")))

    @pytest.mark.parametrize(
        "payload",
        [
            Payload(payload={}),
            Payload(payload={"type": "transaction"}),
            Payload(payload={"type": "transaction", "signature": "0xzz"}),
            Payload(payload={"type": "transaction", "signature": "0x78c0"}),
            Payload(payload={"type": "hash", "hash": "0x" + "11" * 32}),
            Payload(payload={"type": "hash", "hash": "0x" + "11" * 32}, source="did:pkh:eip155:42431:0x0"),
            Payload(payload={"type": "hash", "hash": "0x" + "11" * 32}, lapses=1),
        ],
        ids=lambda payload: str(payload.payload),
    )
    async def test_nothing_is_certain_about_it(self, payload: Payload, account: tempo.TempoAccount) -> None:
        """What was not signed here, or says too little, is never dead."""
        assert not await account.is_dead(payload)

    async def test_a_transaction_without_an_end_never_dies(
        self, account: tempo.TempoAccount, node: FaultyNode, payer: PrivateKey
    ) -> None:
        """Without `validBefore`, absence means nothing."""
        endless = replace(signed(await account.pay(asking())), valid_before=None).sign(payer)
        node.behaviours["eth_getBlockByNumber"] = ended
        raw: JSONObject = {"type": "transaction", "signature": "0x" + endless.encode().hex()}
        assert not await account.is_dead(Payload(payload=raw))

    async def test_a_transfer_without_a_memo_cannot_be_told_from_others(
        self, account: tempo.TempoAccount, node: FaultyNode, payer: PrivateKey
    ) -> None:
        """Of a sponsored transaction nothing else is known that could be looked for."""
        good = signed(await account.pay(asking(details={"feePayer": True})))
        plain = replace(good.calls[0], data=transfer(new_address(), 10_000))
        data = replace(good, calls=(plain,)).sign(payer).encode_sponsored()
        node.behaviours["eth_getBlockByNumber"] = ended
        raw: JSONObject = {"type": "transaction", "signature": "0x" + data.hex()}
        assert not await account.is_dead(Payload(payload=raw))
