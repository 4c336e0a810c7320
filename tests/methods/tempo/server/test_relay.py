from __future__ import annotations

import json
import threading
import time
from collections.abc import AsyncIterator, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from msgspec.structs import replace

from coinslot.errors import (
    ConfigurationError,
    NotApplied,
    PaymentError,
    PaymentExpired,
    PaymentUnavailable,
    VerificationFailed,
)
from coinslot.methods import tempo
from coinslot.methods.tempo.keys import PrivateKey
from coinslot.methods.tempo.wire import Transaction
from coinslot.methods.tempo.wire.source import format_source
from coinslot.payments.method import Failed, NotSent, Proof, Settled, Unknown
from coinslot.protocol import Challenge
from coinslot.protocol.binding import challenge_id
from coinslot.sandbox.tempo import ThreadedDevnet
from faulty_node import FaultyNode
from peer_programs import SECRET, Peer, mppx_relay
from tempo_payments import (
    REALM,
    chain_is_ahead,
    credential,
    issue,
    mined,
    new_address,
    pathusd_balance,
    pays,
    pushed,
    unsigned,
    verified,
)

API_KEY = "tempo_sk_for_tests"


@pytest.fixture(scope="module")
def relay_url(mppx: Peer, devnet: ThreadedDevnet) -> Iterator[str]:
    """A relay with mppx's own checks and broadcasts behind it."""
    with mppx_relay(mppx, devnet.rpc_url, api_key=API_KEY, realm=REALM) as url:
        yield url


@pytest.fixture
async def relayed(relay_url: str, node: FaultyNode) -> AsyncIterator[tempo.TempoCharge]:
    """A server method that leaves payments to the relay."""
    relay = tempo.Relay(API_KEY, url=relay_url)
    method = tempo.charge(new_address(), rpc_url=node.url, relay=relay)
    yield method
    await method.aclose()


def bound(challenge: Challenge) -> Challenge:
    """The same challenge with an id that the relay knows it by."""
    identity = challenge_id(
        SECRET.encode(),
        realm=challenge.realm,
        method=challenge.method,
        intent=challenge.intent,
        request=challenge.request,
        expires=challenge.expires,
    )
    return replace(challenge, id=identity)


class Oracle:
    """A relay that answers as it is told to, for answers that no payment gets out of a real one."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, dict[str, str], Any]] = []
        self.answers: list[tuple[int, Any]] = []
        oracle = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                headers = {name.lower(): value for name, value in self.headers.items()}
                oracle.requests.append((self.path, headers, body))
                status, answer = oracle.answers.pop(0)
                sent = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("content-length", str(len(sent)))
                self.end_headers()
                self.wfile.write(sent)

            def log_message(self, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture
def oracle() -> Iterator[Oracle]:
    made = Oracle()
    yield made
    made.close()


@pytest.fixture
async def told(oracle: Oracle, node: FaultyNode) -> AsyncIterator[tempo.TempoCharge]:
    """A server method that leaves payments to the oracle."""
    relay = tempo.Relay(API_KEY, url=oracle.url + "/prefix/")
    method = tempo.charge(new_address(), rpc_url=node.url, relay=relay)
    yield method
    await method.aclose()


class TestRealRelay:
    """mppx's server stands behind the relay."""

    async def test_it_broadcasts_what_a_payer_signed(
        self, relayed: tempo.TempoCharge, node: FaultyNode, payer: PrivateKey
    ) -> None:
        """The money moves, and our node is asked for nothing."""
        challenge = bound(issue(relayed))
        proof = await verified(relayed, challenge, unsigned(challenge).sign(payer))
        assert await relayed.settle(proof) == Settled(reference=proof.reference, payer=payer.address)
        assert node.methods == []
        assert await pathusd_balance(node, str(proof.recipient)) == 10_000

    async def test_asking_again_brings_the_same_answer(
        self, relayed: tempo.TempoCharge, node: FaultyNode, payer: PrivateKey
    ) -> None:
        """A settlement whose answer was lost is found again, by the chain and by the relay."""
        challenge = bound(issue(relayed))
        proof = await verified(relayed, challenge, unsigned(challenge).sign(payer))
        settled = await relayed.settle(proof)
        assert await relayed.settle(proof) == settled
        assert await relayed.look_up(proof) == settled
        assert await pathusd_balance(node, str(proof.recipient)) == 10_000

    async def test_it_knows_what_was_pushed(
        self, relayed: tempo.TempoCharge, devnet: ThreadedDevnet, payer: PrivateKey
    ) -> None:
        """A hash is finalized without being sent again."""
        challenge = bound(issue(relayed))
        signed = unsigned(challenge).sign(payer)
        plain = tempo.charge(str(challenge.decode_request()["recipient"]), rpc_url=devnet.rpc_url)
        sent = await plain.settle(await verified(plain, challenge, signed))
        assert isinstance(sent, Settled)
        presented = pushed(challenge, sent.reference, source=format_source(42431, payer.address))
        proof = await relayed.verify(presented, challenge.decode_request())
        assert proof.payer is None  # the relay does not say whose transaction it is
        assert await relayed.settle(proof) == Settled(reference=sent.reference)
        assert await relayed.look_up(proof) == Settled(reference=sent.reference)
        await plain.aclose()

    async def test_what_it_refuses_is_refused(self, relayed: tempo.TempoCharge) -> None:
        """A payer without money is refused in the relay's name, in our words."""
        challenge = bound(issue(relayed))
        with pytest.raises(VerificationFailed, match=r"was not accepted: it would fail|payer does not have"):
            await verified(relayed, challenge, unsigned(challenge).sign(PrivateKey.generate()))

    async def test_a_wrong_key_is_the_sellers_trouble(
        self, relay_url: str, node: FaultyNode, payer: PrivateKey
    ) -> None:
        """A relay that does not know its customer is no reason to refuse a payer."""
        charge = tempo.charge(new_address(), rpc_url=node.url, relay=tempo.Relay("wrong", url=relay_url))
        challenge = bound(issue(charge))
        with pytest.raises(PaymentUnavailable):
            await verified(charge, challenge, unsigned(challenge).sign(payer))
        await charge.aclose()


class TestRequests:
    """What the relay is asked."""

    async def test_the_relay_hears_the_credential_and_the_key(
        self, told: tempo.TempoCharge, oracle: Oracle, payer: PrivateKey
    ) -> None:
        """The challenge's request is an object; a broadcast's idempotency key is the transaction's own."""
        challenge = issue(told)
        signed = unsigned(challenge).sign(payer)
        reference = "0x" + signed.hash().hex()
        receipt = {"method": "tempo", "reference": reference, "timestamp": "2026-01-01T00:00:00Z"}
        oracle.answers = [(200, {"success": True}), (200, {"success": True, "receipt": receipt})]
        presented = credential(challenge, signed, source=format_source(42431, payer.address))
        proof = await told.verify(presented, challenge.decode_request())
        assert await told.settle(proof) == Settled(reference=reference, payer=payer.address)
        (path, headers, body), (broadcast, broadcast_headers, again) = oracle.requests
        assert (path, broadcast) == ("/prefix/v1/mpp/validate", "/prefix/v1/mpp/broadcast")
        assert headers["tempo-api-key"] == API_KEY
        assert "idempotency-key" not in headers
        assert broadcast_headers["idempotency-key"] == f"mpp_{reference}"
        assert body == again
        assert body["challenge"]["id"] == challenge.id
        assert body["challenge"]["request"] == challenge.decode_request()
        assert body["payload"] == presented.payload
        assert body["source"] == presented.source

    async def test_what_cannot_pay_is_not_passed_on(self, told: tempo.TempoCharge, oracle: Oracle) -> None:
        """The checks that need nobody come first."""
        challenge = issue(told)
        with pytest.raises(VerificationFailed, match=r"cannot be told"):
            await verified(told, challenge, unsigned(challenge))
        assert oracle.requests == []

    @pytest.mark.parametrize(
        ("status", "answer", "error", "reason"),
        [
            (200, {"success": False, "error": {"code": "expired"}}, PaymentExpired, "expired"),
            (200, {"success": False, "error": {"code": "policy_denied"}}, VerificationFailed, "not allowed"),
            (
                422,
                {"success": False, "error": {"code": "invalid_payment"}},
                VerificationFailed,
                "does not pay",
            ),
            (200, {"success": False, "error": {"code": "already_used"}}, VerificationFailed, "used already"),
            (
                200,
                {"success": False, "error": {"code": "temporarily_unavailable"}},
                PaymentUnavailable,
                "again",
            ),
            (200, {"success": False, "error": {"code": "<script>"}}, PaymentUnavailable, "again"),
            (200, {"success": "true"}, PaymentUnavailable, "again"),
            (200, ["success"], PaymentUnavailable, "again"),
            (500, b"oops", PaymentUnavailable, "again"),
            (200, b"x" * 100_000, PaymentUnavailable, "again"),
        ],
        ids=str,
    )
    async def test_every_answer_has_a_meaning(
        self,
        status: int,
        answer: Any,
        error: type[PaymentError],
        reason: str,
        told: tempo.TempoCharge,
        oracle: Oracle,
        payer: PrivateKey,
    ) -> None:
        """A refusal is the payer's, anything else is the relay's; nothing it says is passed on."""
        challenge = issue(told)
        oracle.answers = [(status, answer)]
        with pytest.raises(error, match=reason) as refusal:
            await verified(told, challenge, unsigned(challenge).sign(payer))
        assert type(refusal.value) is error
        assert "script" not in f"{refusal.value.detail} {refusal.value.log}"


class TestSettlement:
    """What a broadcast's answer proves, and what it does not."""

    @pytest.mark.parametrize(
        "answer",
        [
            b"",
            {"success": False, "error": {"code": "broadcast_failed"}},
            {"success": False, "error": {"code": "already_used"}},
            {"success": True},
            {"success": True, "receipt": {"method": "stripe", "reference": "pi_1"}},
        ],
        ids=str,
    )
    async def test_no_certain_answer_is_unknown(
        self, answer: Any, told: tempo.TempoCharge, oracle: Oracle, payer: PrivateKey
    ) -> None:
        """It may have been broadcast."""
        challenge = issue(told)
        oracle.answers = [(200, {"success": True}), (200, answer)]
        proof = await verified(told, challenge, unsigned(challenge).sign(payer))
        assert isinstance(await told.settle(proof), Unknown)

    async def test_a_refusal_is_final_when_the_chain_says_so(
        self, told: tempo.TempoCharge, oracle: Oracle, node: FaultyNode, payer: PrivateKey
    ) -> None:
        """Refused and not on the chain: it may still come before its validBefore, and not after."""
        challenge = issue(told)
        refused = {"success": False, "error": {"code": "policy_denied"}}
        oracle.answers = [(200, {"success": True}), (200, refused), (200, refused)]
        proof = await verified(told, challenge, unsigned(challenge).sign(payer))
        assert await told.settle(proof) == NotSent(
            reason=f"the relay refuses {proof.reference}: policy_denied"
        )
        node.behaviours["eth_getBlockByNumber"] = chain_is_ahead(by=600)
        assert isinstance(await told.settle(proof), Failed)


class TestNotApplied:
    """A push payment that the relay refuses has brought its money all the same."""

    async def refused(
        self, told: tempo.TempoCharge, oracle: Oracle, challenge: Challenge, signed: Transaction, code: str
    ) -> PaymentError:
        """How a transaction that is on the chain is refused, if the relay says so."""
        oracle.answers = [(200, {"success": False, "error": {"code": code}})]
        with pytest.raises(PaymentError) as refusal:
            await told.verify(pushed(challenge, "0x" + signed.hash().hex()), challenge.decode_request())
        return refusal.value

    async def test_what_came_too_late_or_is_not_what_was_asked_is_kept(
        self, told: tempo.TempoCharge, oracle: Oracle, node: FaultyNode, payer: PrivateKey
    ) -> None:
        """The chain says so, not only the relay."""
        over = issue(told, expires_at=time.time() - 20)
        short = issue(told)
        for challenge, code, amount in ((over, "expired", 10_000), (short, "invalid_payment", 9_999)):
            signed = pays(challenge, amount=amount)(unsigned(challenge)).sign(payer)
            await mined(node, signed)
            refusal = await self.refused(told, oracle, challenge, signed, code)
            assert isinstance(refusal, NotApplied)
            assert isinstance(refusal.received, Proof)
            assert (refusal.received.amount, refusal.received.payer) == (amount, payer.address)

    async def test_what_is_somebody_elses_is_not(
        self, told: tempo.TempoCharge, oracle: Oracle, node: FaultyNode, payer: PrivateKey
    ) -> None:
        """Another challenge's payment, and one that the chain does not know, leave nothing behind."""
        theirs, mine = issue(told), issue(told)
        signed = unsigned(theirs).sign(payer)
        await mined(node, signed)
        never = unsigned(mine).sign(payer)
        for transaction in (signed, never):
            refusal = await self.refused(told, oracle, mine, transaction, "invalid_payment")
            assert type(refusal) is VerificationFailed

    async def test_what_the_chain_finds_good_may_be_presented_again(
        self, told: tempo.TempoCharge, oracle: Oracle, node: FaultyNode, payer: PrivateKey
    ) -> None:
        """The relay refuses a payment that was made in time and to the letter: it is not written off."""
        challenge = issue(told)
        signed = unsigned(challenge).sign(payer)
        await mined(node, signed)
        for code in ("policy_denied", "invalid_payment", "already_used"):
            refusal = await self.refused(told, oracle, challenge, signed, code)
            assert type(refusal) is VerificationFailed

    async def test_a_node_that_cannot_be_asked_decides_nothing(
        self, told: tempo.TempoCharge, oracle: Oracle, node: FaultyNode, payer: PrivateKey
    ) -> None:
        """The payer comes again with the same."""
        challenge = issue(told)
        await node.stop()
        signed = unsigned(challenge).sign(payer)
        refusal = await self.refused(told, oracle, challenge, signed, "invalid_payment")
        assert isinstance(refusal, PaymentUnavailable)
        await node.start()


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ({"api_key": ""}, "api_key is printable"),
        ({"api_key": "a\nb"}, "api_key is printable"),
        ({"api_key": "k", "url": "api.tempo.xyz"}, "http or https URL"),
    ],
    ids=str,
)
def test_a_relay_is_checked_when_it_is_made(arguments: dict[str, Any], reason: str) -> None:
    """One sentence says what is wrong, without the key."""
    with pytest.raises(ConfigurationError, match=reason):
        tempo.Relay(**arguments)


def test_its_key_is_not_shown() -> None:
    """The repr has the host only."""
    assert repr(tempo.Relay("secret")) == "Relay('api.tempo.xyz')"
