"""A Tempo paywall on a real chain: what is refused before anything is sent, and what becomes of faults."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass

import httpx2
import pytest
from fastapi import FastAPI

from coinslot import Challenge, Paywall, Receipt
from coinslot.methods.tempo import PrivateKey
from coinslot.payments import lease
from coinslot.payments.payment import State
from coinslot.sandbox.tempo import ThreadedDevnet
from faulty_node import Behaviour, FaultyNode, answers, drops, forwards_and, hangs, refuses
from shopping import challenge_of, problem, visit
from tempo_payments import ALTERATIONS, Alteration, altered, credential, impatient, pathusd_balance, unsigned

PRICE = 10_000  # base units: 0.01


@dataclass
class Shop:
    """A paywall over a node that can be made to misbehave, and somebody who can pay."""

    paywall: Paywall
    http: httpx2.AsyncClient
    node: FaultyNode
    payer: PrivateKey

    async def challenge(self, url: str = "/paid") -> Challenge:
        """A fresh one."""
        return challenge_of(await self.http.get(url))

    def sign(self, challenge: Challenge) -> str:
        """The Authorization value that pays it."""
        return credential(challenge, unsigned(challenge).sign(self.payer)).to_header()

    async def present(self, authorization: str, url: str = "/paid") -> httpx2.Response:
        """A request with a credential."""
        return await self.http.get(url, headers={"Authorization": authorization})

    async def held(self) -> int:
        """What the payer has."""
        return await pathusd_balance(self.node, self.payer.address)

    async def state(self, challenge: Challenge) -> State | None:
        """What the ledger says."""
        payment = await self.paywall.ledger.find(challenge.id)
        return payment.state if payment else None


@pytest.fixture
async def shop(devnet: ThreadedDevnet, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Shop]:
    """An app that sells /paid and /items/{n} at 0.01."""
    monkeypatch.setattr(lease, "SECONDS", 2.0)
    node = FaultyNode(devnet.rpc_url)
    await node.start()
    payer = PrivateKey.generate()
    await devnet.afund(payer.address)
    paywall = Paywall(
        [impatient(node.url)], secret_key="s" * 32, realm="shop.example", ledger="memory:", settle_timeout=2
    )
    app = FastAPI()
    paywall.attach(app)

    @app.get("/paid")
    @paywall.charge("0.01")
    async def paid() -> str:
        return "sold"

    @app.get("/items/{n}")
    @paywall.charge("0.01")
    async def item(n: int) -> int:
        return n

    async with paywall, visit(app) as http:
        yield Shop(paywall, http, node, payer)
    await node.aclose()


@pytest.mark.parametrize("alteration", ALTERATIONS, ids=lambda alteration: alteration.name)
async def test_an_almost_right_transaction_is_refused_before_it_is_sent(
    shop: Shop, alteration: Alteration
) -> None:
    """One thing wrong with a transaction: its own problem type, and nothing asked of the node."""
    challenge = await shop.challenge()
    signed = altered(alteration, challenge, shop.payer)
    response = await shop.present(credential(challenge, signed).to_header())
    assert response.status_code == 402
    assert problem(response) == alteration.error.slug
    assert shop.node.methods == []
    assert await shop.state(challenge) is None


async def test_one_transaction_pays_one_challenge(shop: Shop) -> None:
    """A transaction made for one challenge, presented for another, is refused before anything is sent."""
    first, second = await shop.challenge(), await shop.challenge()
    signed = unsigned(first).sign(shop.payer)
    assert (await shop.present(credential(first, signed).to_header())).status_code == 200
    sent = list(shop.node.sent)
    response = await shop.present(credential(second, signed).to_header())
    assert problem(response) == "verification-failed"
    assert shop.node.sent == sent


async def test_a_challenge_takes_one_credential(shop: Shop) -> None:
    """A second transaction for a challenge that has been paid is refused, and not sent."""
    challenge = await shop.challenge()
    assert (await shop.present(shop.sign(challenge))).status_code == 200
    sent = list(shop.node.sent)
    assert problem(await shop.present(shop.sign(challenge))) == "invalid-challenge"
    assert shop.node.sent == sent


async def test_fifty_copies_move_the_money_once(shop: Shop) -> None:
    """Fifty concurrent copies of one credential: one 200, the rest 409 or 402, one transfer."""
    before = await shop.held()
    authorization = shop.sign(await shop.challenge())
    responses = await asyncio.gather(*(shop.present(authorization) for _ in range(50)))
    statuses = [response.status_code for response in responses]
    assert statuses.count(200) == 1
    assert set(statuses) <= {200, 402, 409}
    assert len(shop.node.sent) == 1
    assert PRICE <= before - await shop.held() < 2 * PRICE


async def test_a_payment_takes_two_calls(shop: Shop) -> None:
    """One simulation and one broadcast; the chain's id is asked for once."""
    assert (await shop.present(shop.sign(await shop.challenge()))).status_code == 200
    shop.node.methods.clear()
    assert (await shop.present(shop.sign(await shop.challenge()))).status_code == 200
    assert len(shop.node.methods) == 2


async def test_a_request_that_fails_validation_leaves_the_balance(shop: Shop) -> None:
    """A paid request that the app refuses costs nothing, and its credential stays good."""
    before = await shop.held()
    authorization = shop.sign(await shop.challenge("/items/x"))
    assert (await shop.present(authorization, "/items/x")).status_code == 422
    assert await shop.held() == before
    assert shop.node.sent == []


async def test_an_underfunded_payer_is_refused(shop: Shop) -> None:
    """Somebody who cannot pay is told so before anything is sent."""
    shop.payer = PrivateKey.generate()
    challenge = await shop.challenge()
    response = await shop.present(shop.sign(challenge))
    assert problem(response) == "verification-failed"
    assert shop.node.sent == []
    assert await shop.state(challenge) is None


async def test_a_node_on_another_chain_is_noticed(shop: Shop, caplog: pytest.LogCaptureFixture) -> None:
    """A node of another chain is the operator's mistake: 503, a line that names both, nothing sent."""
    shop.node.behaviours["eth_chainId"] = answers(hex(4217))
    response = await shop.present(shop.sign(await shop.challenge()))
    assert (response.status_code, problem(response)) == (503, "payment-unavailable")
    assert "4217" in caplog.text
    assert "42431" in caplog.text
    assert shop.node.sent == []


async def test_a_node_that_is_down_costs_a_wait(shop: Shop, caplog: pytest.LogCaptureFixture) -> None:
    """With the node down the answer is 503 and a log line; up again, the same credential is served."""
    challenge = await shop.challenge()
    authorization = shop.sign(challenge)
    await shop.node.stop()
    response = await shop.present(authorization)
    assert (response.status_code, problem(response)) == (503, "payment-unavailable")
    assert "retry-after" in response.headers
    assert "www-authenticate" not in response.headers
    assert "GET /paid: payment-unavailable" in caplog.text
    assert authorization.split()[1] not in caplog.text
    await shop.node.start()
    assert (await shop.present(authorization)).status_code == 200


@pytest.mark.parametrize("fault", [drops, hangs], ids=["dies", "is slow"])
@pytest.mark.parametrize("when", ["before", "after"])
async def test_a_broadcast_without_an_answer_is_found_out(
    shop: Shop, fault: Behaviour, when: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A node that dies, or hangs, around the broadcast: 503, then the resource, for one transfer."""
    before = await shop.held()
    behaviour = fault if when == "before" else forwards_and(fault)
    for method in ("eth_sendRawTransactionSync", "eth_sendRawTransaction", "eth_getTransactionReceipt"):
        shop.node.behaviours[method] = behaviour
    challenge = await shop.challenge()
    authorization = shop.sign(challenge)
    response = await shop.present(authorization)
    assert (response.status_code, problem(response)) == (503, "payment-outcome-unknown")
    assert "outcome" in caplog.text
    assert await shop.state(challenge) is State.UNKNOWN
    shop.node.behaviours.clear()
    served = await shop.present(authorization)
    assert served.status_code == 200, served.text
    assert Receipt.parse(served.headers["payment-receipt"]).method == "tempo"
    assert PRICE <= before - await shop.held() < 2 * PRICE
    assert problem(await shop.present(authorization)) == "invalid-challenge"


async def test_what_the_node_refuses_is_not_served(shop: Shop) -> None:
    """A broadcast that the node refuses, and that never reaches the chain, is not delivered unpaid."""
    shop.node.behaviours["eth_sendRawTransactionSync"] = refuses(-32000, "transaction rejected")
    shop.node.behaviours["eth_sendRawTransaction"] = refuses(-32000, "transaction rejected")
    before = await shop.held()
    response = await shop.present(shop.sign(await shop.challenge()))
    assert response.status_code in {402, 503}
    assert await shop.held() == before


async def test_what_was_never_mined_fails_after_its_time(shop: Shop) -> None:
    """A transaction that is absent when its validity is over has failed: 402, and a fresh challenge."""
    for method in ("eth_sendRawTransactionSync", "eth_sendRawTransaction"):
        shop.node.behaviours[method] = drops
    challenge = await shop.challenge()
    signed = unsigned(challenge, now=time.time() - 19).sign(shop.payer)  # good for six seconds more
    authorization = credential(challenge, signed).to_header()
    assert problem(await shop.present(authorization)) in {"payment-outcome-unknown", "payment-unavailable"}
    deadline = time.monotonic() + 30
    while (response := await shop.present(authorization)).status_code == 503:
        assert time.monotonic() < deadline
        await asyncio.sleep(0.5)
    assert problem(response) == "payment-expired"
    assert challenge_of(response).id != challenge.id
    assert await shop.state(challenge) is State.FAILED
