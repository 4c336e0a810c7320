from __future__ import annotations

import time
from collections.abc import AsyncIterator
from typing import Any

import pytest
from msgspec.structs import replace

from coinslot.errors import ConfigurationError, PaymentError, PaymentInsufficient, VerificationFailed
from coinslot.methods import tempo
from coinslot.methods.tempo.keys import PrivateKey, parse_address
from coinslot.methods.tempo.node import Node
from coinslot.methods.tempo.rpc import Rpc
from coinslot.methods.tempo.wire import KeyAuthorization, Swap, TokenLimit, Transaction, swap_calls
from coinslot.methods.tempo.wire.signatures import AccessKey, SigningKey
from coinslot.payments.method import Settled
from coinslot.protocol import Challenge
from coinslot.sandbox.tempo import ThreadedDevnet
from faulty_node import FaultyNode
from tempo_payments import issue, new_address, offered, pathusd_balance, pays, unsigned, verified

PATH_USD, ALPHA_USD = (token.address for token in tempo.TESTNET.tokens[:2])


async def broadcast(node: FaultyNode, signed: Transaction) -> None:
    """Put a transaction onto the chain behind the server's back."""
    behind = Node(Rpc(node.url))
    assert await behind.send(signed, 10) is not None
    await behind.aclose()


class TestOnTheChainAlready:
    """A payer may have sent the transaction before showing it."""

    async def test_it_pays_if_it_is_bound(
        self, charge: tempo.TempoCharge, node: FaultyNode, payer: PrivateKey
    ) -> None:
        """The money is here and for this challenge, so it is not refused, and moves once."""
        challenge = issue(charge)
        signed = unsigned(challenge).sign(payer)
        await broadcast(node, signed)
        proof = await verified(charge, challenge, signed)
        assert await charge.settle(proof) == Settled(reference=proof.reference, payer=payer.address)
        assert await pathusd_balance(node, str(proof.recipient)) == 10_000

    async def test_it_does_not_if_it_was_reverted(
        self, charge: tempo.TempoCharge, node: FaultyNode, millionaire: PrivateKey
    ) -> None:
        """On the chain is not enough: it has to have moved the money."""
        rich, poor = issue(charge, "999999"), issue(charge, "999999")
        one, other = (unsigned(each).sign(millionaire) for each in (rich, poor))
        await broadcast(node, one)
        await broadcast(node, other)
        with pytest.raises(VerificationFailed):
            await verified(charge, poor, other)


class TestUnboundTransfers:
    """Transfers without a memo, for payers that know only the specification."""

    @pytest.fixture
    async def open_shop(self, node: FaultyNode) -> AsyncIterator[tempo.TempoCharge]:
        """A server method that takes them."""
        method = tempo.charge(new_address(), rpc_url=node.url, unbound_transfers=True)
        yield method
        await method.aclose()

    async def test_a_plain_transfer_pays(
        self, open_shop: tempo.TempoCharge, node: FaultyNode, payer: PrivateKey
    ) -> None:
        """Without a memo it is settled as any other."""
        challenge = issue(open_shop)
        proof = await verified(
            open_shop, challenge, pays(challenge, memo=None)(unsigned(challenge)).sign(payer)
        )
        assert isinstance(await open_shop.settle(proof), Settled)
        assert await pathusd_balance(node, str(proof.recipient)) == 10_000

    async def test_one_that_the_chain_knows_does_not(
        self, open_shop: tempo.TempoCharge, node: FaultyNode, payer: PrivateKey
    ) -> None:
        """It could have paid for something else, to the same seller."""
        challenge = issue(open_shop)
        signed = pays(challenge, memo=None)(unsigned(challenge)).sign(payer)
        await broadcast(node, signed)
        with pytest.raises(VerificationFailed, match=r"known to the chain|is used"):
            await verified(open_shop, challenge, signed)

    async def test_a_foreign_memo_does_not(self, open_shop: tempo.TempoCharge, payer: PrivateKey) -> None:
        """A transfer that was made for another challenge stays that."""
        challenge = issue(open_shop)
        signed = pays(challenge, memo=b"\x07" * 32)(unsigned(challenge)).sign(payer)
        with pytest.raises(VerificationFailed, match="not bound"):
            await verified(open_shop, challenge, signed)


class TestMemos:
    """A seller's own memo, for each challenge."""

    async def test_the_challenges_memo_pays_and_so_does_the_attribution_memo(
        self, node: FaultyNode, payer: PrivateKey
    ) -> None:
        """Wallets that read `methodDetails.memo` write it; others write what binds as well."""
        numbers = iter(range(1, 100))
        charge = tempo.charge(
            new_address(), rpc_url=node.url, memo=lambda: b"INV" + next(numbers).to_bytes(29)
        )
        method_offer = offered(charge)
        assert method_offer.is_drawn
        for use_own in (True, False):
            offer = await charge.draw(method_offer)
            assert offer is not None
            assert charge.pinned(offer.request) == method_offer.request
            challenge = issue(charge, methodDetails=offer.request["methodDetails"])
            good = unsigned(challenge)
            details: Any = offer.request["methodDetails"]
            memo = bytes.fromhex(details["memo"][2:])
            assert memo.startswith(b"INV")
            signed = (pays(challenge, memo=memo)(good) if use_own else good).sign(payer)
            assert isinstance(await charge.settle(await verified(charge, challenge, signed)), Settled)
        await charge.aclose()

    @pytest.mark.parametrize(
        ("memo", "reason"),
        [
            (b"\x01" * 32, "with a constant memo one transfer would pay for any"),
            (lambda: b"\x01" * 32, "made the same twice"),
            (lambda: b"short", "has to make 32 bytes"),
            (lambda: "0x" + "01" * 15, "has to make 32 bytes"),
        ],
        ids=["constant", "the same", "short", "text"],
    )
    def test_a_constant_one_is_refused_at_start_up(self, memo: Any, reason: str) -> None:
        """It could not tell payments apart."""
        with pytest.raises(ConfigurationError, match=reason):
            tempo.charge(new_address(), memo=memo)


class TestSwaps:
    """A payer may get the token in the same transaction."""

    async def test_a_swap_in_front_is_part_of_the_payment(
        self, charge: tempo.TempoCharge, node: FaultyNode, payer: PrivateKey
    ) -> None:
        """The payer pays in another token, and the seller gets what was asked."""
        proof = await verified(charge, *self.swapped(charge, payer, amount_out=10_000))
        assert isinstance(await charge.settle(proof), Settled)
        assert await pathusd_balance(node, str(proof.recipient)) == 10_000

    @pytest.mark.parametrize(
        ("changes", "reason"),
        [
            ({"amount_out": 10_001}, "swaps for more than it pays"),
            ({"token_out": tempo.TESTNET.tokens[2].address}, "swap is not for"),
        ],
        ids=str,
    )
    async def test_a_swap_for_something_else_is_not(
        self, changes: dict[str, Any], reason: str, charge: tempo.TempoCharge, payer: PrivateKey
    ) -> None:
        """The swap gets what the transfers take, and nothing beside it."""
        with pytest.raises(VerificationFailed, match=reason):
            await verified(charge, *self.swapped(charge, payer, **{"amount_out": 10_000, **changes}))

    @staticmethod
    def swapped(
        charge: tempo.TempoCharge, payer: PrivateKey, **members: Any
    ) -> tuple[Challenge, Transaction]:
        challenge = issue(charge)
        good = unsigned(challenge)
        swap = Swap(**{"token_in": ALPHA_USD, "token_out": PATH_USD, "max_amount_in": 10_200, **members})
        calls = (*swap_calls(swap), *good.calls)
        fee_token = parse_address(ALPHA_USD)
        return challenge, replace(good, calls=calls, gas_limit=3_000_000, fee_token=fee_token).sign(payer)


class TestLanes:
    """Ordinary nonce lanes, beside the expiring one."""

    @pytest.mark.parametrize("lane", [0, 7])
    async def test_a_gap_is_refused(
        self, lane: int, charge: tempo.TempoCharge, node: FaultyNode, payer: PrivateKey
    ) -> None:
        """A transaction that has to wait for others would keep the server waiting, for nothing."""
        challenge = issue(charge)
        good = replace(unsigned(challenge), nonce_key=lane, nonce=5)
        with pytest.raises(VerificationFailed, match="not the next of its lane"):
            await verified(charge, challenge, good.sign(payer))
        assert not node.sent

    async def test_the_next_one_pays(self, charge: tempo.TempoCharge, millionaire: PrivateKey) -> None:
        """A lane of one's own begins with 0."""
        challenge = issue(charge)
        first = replace(unsigned(challenge), nonce_key=7, nonce=0).sign(millionaire)
        assert isinstance(await charge.settle(await verified(charge, challenge, first)), Settled)


class TestKeys:
    """Every kind of key pays, if the chain lets it."""

    @pytest.fixture
    async def shop(self, devnet_t4: ThreadedDevnet) -> AsyncIterator[tuple[tempo.TempoCharge, FaultyNode]]:
        """A server method on the chain that has today's keychain."""
        node = FaultyNode(devnet_t4.rpc_url)
        await node.start()
        method = tempo.charge(new_address(), rpc_url=node.url)
        yield method, node
        await method.aclose()
        await node.aclose()

    async def pay(self, charge: tempo.TempoCharge, key: SigningKey, **changes: Any) -> object:
        challenge = issue(charge)
        signed = replace(unsigned(challenge), gas_limit=3_000_000, **changes).sign(key)
        return await charge.settle(await verified(charge, challenge, signed))

    async def test_p256(self, shop: tuple[tempo.TempoCharge, FaultyNode], devnet_t4: ThreadedDevnet) -> None:
        """A P-256 account pays with two calls, like any other."""
        charge, node = shop
        key = tempo.P256Key.generate()
        devnet_t4.fund(key.address)
        assert isinstance(await self.pay(charge, key), Settled)
        assert node.methods == ["eth_chainId", "eth_call", "eth_sendRawTransactionSync"]

    @pytest.mark.parametrize("kind", [PrivateKey, tempo.P256Key])
    async def test_an_access_key_pays_within_its_limit(
        self,
        kind: type[PrivateKey] | type[tempo.P256Key],
        shop: tuple[tempo.TempoCharge, FaultyNode],
        devnet_t4: ThreadedDevnet,
    ) -> None:
        """The account pays; beyond the limit, and once the key is revoked, it is refused before broadcast."""
        charge, node = shop
        root, key = PrivateKey.generate(), kind.generate()
        devnet_t4.fund(root.address)
        agent = AccessKey(key, root.address)
        await self.refused(charge, agent, VerificationFailed, "is not authorized for")
        devnet_t4.authorize_key(
            root,
            key.address,
            key_type=key.key_type,
            expiry=int(time.time()) + 3600,
            limits={PATH_USD: 15_000, ALPHA_USD: 10**9},
        )
        fee_token = parse_address(ALPHA_USD)
        paid = await self.pay(charge, agent, fee_token=fee_token)
        assert isinstance(paid, Settled)
        assert paid.payer == root.address
        await self.refused(
            charge, agent, PaymentInsufficient, "may spend 5000 base units", fee_token=fee_token
        )
        devnet_t4.revoke_key(root, key.address)
        await self.refused(charge, agent, VerificationFailed, "was revoked", fee_token=fee_token)
        assert len(node.sent) == 1

    async def test_a_key_may_be_authorized_by_its_first_payment(
        self, shop: tuple[tempo.TempoCharge, FaultyNode], devnet_t4: ThreadedDevnet
    ) -> None:
        """The authorization comes along, and is judged like one on the chain."""
        charge, _ = shop
        root, key = PrivateKey.generate(), PrivateKey.generate()
        devnet_t4.fund(root.address)

        def authorize(**terms: Any) -> KeyAuthorization:
            members = {
                "chain_id": 42431,
                "key_type": "secp256k1",
                "key_address": key.address,
                "expiry": int(time.time()) + 3600,
                "limits": (TokenLimit(token=PATH_USD, limit=10**6),),
                "scopes": None,
                "witness": None,
                **terms,
            }
            return KeyAuthorization(**members).sign(root)

        agent = AccessKey(key, root.address)
        small = (TokenLimit(token=PATH_USD, limit=9_999),)
        for terms, error, reason in (
            ({"expiry": int(time.time()) - 1}, VerificationFailed, "a key that has expired"),
            ({"chain_id": 4217}, VerificationFailed, "for another chain"),
            ({"limits": small}, PaymentInsufficient, "may spend 9999 base units"),
            ({"key_address": new_address()}, VerificationFailed, "authorizes another key"),
        ):
            await self.refused(charge, agent, error, reason, key_authorization=authorize(**terms))
        assert isinstance(await self.pay(charge, agent, key_authorization=authorize()), Settled)
        assert isinstance(await self.pay(charge, agent), Settled)

    async def refused(
        self,
        charge: tempo.TempoCharge,
        key: SigningKey,
        error: type[PaymentError],
        reason: str,
        **changes: Any,
    ) -> None:
        with pytest.raises(error, match=reason):
            await self.pay(charge, key, **changes)
