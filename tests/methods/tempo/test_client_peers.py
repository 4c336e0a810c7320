"""Our accounts at other implementations' shops, unmodified, in the ways that those have no clients for.

How the ordinary ways go between all parties is in `tests/interop`.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any

import httpx2
import pytest

from coinslot.client import Outcome, PaymentRecord, Wallet
from coinslot.errors import InsufficientFunds
from coinslot.methods import tempo
from coinslot.payments.method import Payload
from coinslot.protocol import Challenge, Credential
from coinslot.sandbox.tempo import ThreadedDevnet
from peer_programs import Peer
from tempo_buying import ALPHA_USD, PATH_USD, balance, give, signed
from tempo_payments import new_address


class Buyer:
    """Buys with any key, on one chain."""

    def __init__(self, devnet: ThreadedDevnet) -> None:
        self.devnet = devnet
        self.wallets: list[Wallet] = []

    def funded(self, curve: Any = tempo.PrivateKey) -> Any:
        """A key whose account has a million of everything."""
        key = curve.generate()
        self.devnet.fund(key.address)
        return key

    async def buy(self, key: tempo.SigningKey, url: str, **settings: Any) -> PaymentRecord:
        """What came of paying for `url`."""
        settings = {"rpc_url": self.devnet.rpc_url, "max_fee": "0.5", **settings}
        wallet = Wallet([tempo.account(key, **settings)])
        self.wallets.append(wallet)
        response = await wallet.aget(url, timeout=30)
        assert response.status_code == 200, response.text
        record = response.extensions["payment"]
        assert isinstance(record, PaymentRecord)
        assert record.outcome is Outcome.PAID
        return record

    async def aclose(self) -> None:
        for wallet in self.wallets:
            await wallet.aclose()


@pytest.fixture
async def buyer(devnet: ThreadedDevnet) -> AsyncIterator[Buyer]:
    """One on the testnet as today's clients sign for it."""
    buyer = Buyer(devnet)
    yield buyer
    await buyer.aclose()


@pytest.fixture
async def delegating_buyer(devnet_t4: ThreadedDevnet) -> AsyncIterator[Buyer]:
    """One on a chain with access keys."""
    buyer = Buyer(devnet_t4)
    yield buyer
    await buyer.aclose()


def shop(peer: Peer, buyer: Buyer, **settings: str) -> str:
    """Something that nobody has paid for before."""
    return peer.shop(buyer.devnet.rpc_url, new_address(), expires_in="28", **settings)


async def test_p256_accounts(mppx: Peer, buyer: Buyer) -> None:
    """Pulled, pushed, sponsored, and proving who they are."""
    key, sponsor = buyer.funded(tempo.P256Key), buyer.funded()
    for settings, mode in (
        ({}, "pull"),
        ({}, "push"),
        ({"fee_payer_key": sponsor.to_hex()}, None),
        ({"amount": "0"}, None),
    ):
        await buyer.buy(key, shop(mppx, buyer, **settings), mode=mode)


@pytest.mark.parametrize("curve", [tempo.PrivateKey, tempo.P256Key], ids=["secp256k1", "p256"])
async def test_access_keys(mppx_t4: Peer, delegating_buyer: Buyer, curve: Any) -> None:
    """Authorized by their first payment, in either mode; used again, and to prove the account."""
    buyer = delegating_buyer
    root = buyer.funded()
    for mode in ("pull", "push"):
        key = tempo.authorize(
            root,
            limits=[tempo.limit("0.3", PATH_USD, per="day")],
            expires=time.time() + 3600,
            key=curve.generate(),
        )
        for _ in range(2):
            await buyer.buy(key, shop(mppx_t4, buyer), mode=mode)
        record = await buyer.buy(key, shop(mppx_t4, buyer, amount="0"))
        assert record.credential.source == f"did:pkh:eip155:42431:{root.address}"
        with pytest.raises(InsufficientFunds, match="may spend"):
            await buyer.buy(key, shop(mppx_t4, buyer, amount="0.4"))


@pytest.mark.parametrize("way", ["plain", "splits", "sponsored"])
async def test_swaps(mppx: Peer, buyer: Buyer, way: str) -> None:
    """Paid in what was asked, from what there is."""
    key = tempo.PrivateKey.generate()
    await give(buyer.devnet, key.address, alpha_usd=50_000)
    ways: dict[str, dict[str, str]] = {
        "plain": {},
        "splits": {"splits": json.dumps([{"amount": "0.001", "recipient": new_address()}])},
        "sponsored": {"fee_payer_key": buyer.funded().to_hex()},
    }
    record = await buyer.buy(key, shop(mppx, buyer, **ways[way]), auto_swap=True)
    assert record.quote.amount == Decimal("0.01")
    assert await balance(buyer.devnet, key.address) == 0
    assert await balance(buyer.devnet, key.address, ALPHA_USD) < 40_000


async def test_which_form_of_a_sponsored_transaction_is_read(mppx: Peer, pympp: Peer, buyer: Buyer) -> None:
    """0x78 by everybody, and so it is sent; the specification's 0x76 with a placeholder not by pympp."""
    key, sponsor = buyer.funded(), buyer.funded()
    account = tempo.account(key, rpc_url=buyer.devnet.rpc_url)
    read: list[tuple[str, int, int]] = []
    for peer in (mppx, pympp):
        url = shop(peer, buyer, fee_payer_key=sponsor.to_hex())
        for form in (0x78, 0x76):
            async with httpx2.AsyncClient(timeout=30) as http:
                asked = await http.get(url)
                challenge = Challenge.parse(asked.headers["www-authenticate"])
                payload = await account.pay(challenge)
                answer = await http.get(url, headers={"authorization": _presented(challenge, payload, form)})
            read.append((peer.name, form, answer.status_code))
    assert read == [("mppx", 0x78, 200), ("mppx", 0x76, 200), ("pympp", 0x78, 200), ("pympp", 0x76, 500)]
    await account.aclose()


def _presented(challenge: Challenge, payload: Payload, form: int) -> str:
    transaction = signed(payload)
    raw = transaction.encode() if form == 0x76 else transaction.encode_sponsored()
    assert raw[0] == form
    proof = {"type": "transaction", "signature": "0x" + raw.hex()}
    return Credential(challenge=challenge, payload=dict(proof), source=payload.source).to_header()


async def test_many_at_once(mppx: Peer, buyer: Buyer) -> None:
    """One account pays a dozen shops at the same time, from one balance, and each is paid once."""
    key = buyer.funded()
    urls = [shop(mppx, buyer) for _ in range(6)]
    before = await balance(buyer.devnet, key.address)
    records = await asyncio.gather(*(buyer.buy(key, url, mode="push") for url in urls))
    assert len({record.reference for record in records}) == len(urls)
    assert before - await balance(buyer.devnet, key.address) >= len(urls) * 10_000
