from __future__ import annotations

import secrets
import time
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st
from msgspec.structs import replace

from coinslot.errors import (
    AmountError,
    ConfigurationError,
    InvalidChallenge,
    InvalidPayload,
    PaymentExpired,
    PaymentUnavailable,
    VerificationFailed,
)
from coinslot.methods import tempo
from coinslot.methods.tempo.keys import PrivateKey
from coinslot.methods.tempo.networks import MAINNET, TESTNET
from coinslot.payments.method import (
    Closes,
    LooksUp,
    Price,
    Proof,
    Recovery,
    ServerMethod,
)
from coinslot.protocol import JSONObject
from faulty_node import (
    Behaviour,
    FaultyNode,
    answers,
    drops,
    hangs,
    refuses,
    says,
)
from tempo_payments import (
    ALTERATIONS,
    OTHER,
    Alteration,
    altered,
    credential,
    impatient,
    issue,
    offered,
    unsigned,
    verified,
)

RECIPIENT = "0x742d35Cc6634c0532925a3b844bC9e7595F8fE00"
PATH_USD = TESTNET.currency.address


def test_a_charge_is_a_whole_server_method() -> None:
    """It fulfils the contract and the capabilities that recovery and shutdown look for."""
    method = tempo.charge(RECIPIENT)
    contract: ServerMethod = method
    assert isinstance(contract, ServerMethod)
    assert isinstance(method, LooksUp)
    assert isinstance(method, Closes)
    assert (method.name, method.intent) == ("tempo", "charge")


class TestConfiguration:
    """What cannot work is found when the method is made."""

    @pytest.mark.parametrize(
        ("changes", "reason"),
        [
            ({"recipient": "0x1234"}, "recipient: an address is 0x and 40"),
            ({"recipient": "0x" + "00" * 20}, "recipient: .* cannot be paid"),
            ({"recipient": PATH_USD}, "recipient: .* cannot be paid"),
            ({"currency": "USD"}, "currency: an address is 0x and 40"),
            ({"currency": RECIPIENT}, "currency: .* is not the address of a TIP-20 token"),
            ({"network": "devnet"}, "no Tempo network called 'devnet'"),
            ({"rpc_url": "localhost:8545"}, "rpc_url has to be"),
        ],
        ids=lambda value: str(value),
    )
    def test_one_sentence_says_what_is_wrong(self, changes: dict[str, str], reason: str) -> None:
        """A wrong recipient, currency, network or node is refused in one sentence, by its name."""
        with pytest.raises(ConfigurationError, match=reason) as error:
            tempo.charge(**{"recipient": RECIPIENT, **changes})  # type: ignore[arg-type]  # all are strings
        assert "\n" not in str(error.value)

    def test_a_key_in_the_recipients_place_is_not_shown(self) -> None:
        """Whoever pastes a private key there does not find it in the log."""
        key = secrets.token_hex(32)
        with pytest.raises(ConfigurationError) as error:
            tempo.charge("0x" + key)
        assert key not in str(error.value)


class TestPrepare:
    """A price as Tempo asks for it."""

    def test_the_request_says_who_gets_what_on_which_chain(self) -> None:
        """The request is the specification's; that both modes are taken goes without saying."""
        offer = offered(tempo.charge(RECIPIENT.lower()), "0.01", description="A cat", external_id="7")
        assert offer.request == {
            "amount": "10000",
            "currency": PATH_USD,
            "recipient": RECIPIENT,
            "description": "A cat",
            "externalId": "7",
            "methodDetails": {"chainId": 42431},
        }
        assert (offer.amount, offer.currency) == (10000, PATH_USD)

    def test_networks_have_their_own_chain_and_stablecoin(self) -> None:
        """Mainnet asks for USDC.e on chain 4217, unless told otherwise."""
        request = offered(tempo.charge(RECIPIENT, network="mainnet"), "1").request
        assert request["currency"] == MAINNET.currency.address
        assert request["methodDetails"] == {"chainId": 4217}
        other = tempo.charge(RECIPIENT, chain_id=1337, currency=TESTNET.tokens[1].address.lower())
        request = offered(other, "1").request
        assert request["currency"] == TESTNET.tokens[1].address
        assert request["methodDetails"] == {"chainId": 1337}

    @settings(deadline=None)
    @given(st.integers(1, 10**30))
    def test_amounts_are_exact(self, units: int) -> None:
        """Not one base unit is lost between the price and the request."""
        text = f"{units // 10**6}.{units % 10**6:06}"
        assert offered(tempo.charge(RECIPIENT), text).amount == units

    @pytest.mark.parametrize("amount", ["0.0000001", "-1", "1e3", "", "one"])
    def test_amounts_that_do_not_fit_are_refused(self, amount: str) -> None:
        """What cannot be asked for exactly is not asked for."""
        with pytest.raises(AmountError):
            tempo.charge(RECIPIENT).prepare(Price(amount=amount))

    def test_nothing_asks_for_a_proof(self) -> None:
        """A price of zero has an amount of zero, and nothing that only a transfer has."""
        method = tempo.charge(
            RECIPIENT, fee_payer=PrivateKey.generate(), splits=[tempo.Split(OTHER, share="0.5")]
        )
        offer = offered(method, "0.00")
        assert (offer.request["amount"], offer.request["methodDetails"]) == ("0", {"chainId": 42431})


class TestCanonical:
    """One form for all spellings of a payload."""

    def test_case_order_and_unknown_members_make_no_difference(self) -> None:
        """Two spellings of one payment are one payment."""
        spelled: JSONObject = {"signature": "0xABcd", "type": "transaction", "hash": "0x00", "extra": None}
        assert tempo.charge(RECIPIENT).canonical(spelled) == {"type": "transaction", "signature": "0xabcd"}

    @pytest.mark.parametrize(
        "payload",
        [
            {},
            {"type": "keyAuthorization", "signature": "0x00"},
            {"type": ["transaction"], "signature": "0x00"},
        ],
        ids=str,
    )
    def test_other_kinds_of_payload_are_told_what_is_supported(self, payload: JSONObject) -> None:
        """Whoever sends another kind of payload learns which there are."""
        with pytest.raises(InvalidPayload, match="has to be `transaction`, `hash` or `proof`"):
            tempo.charge(RECIPIENT).canonical(payload)

    @pytest.mark.parametrize(
        "signature",
        [None, 7, [], "", "0x", "0x7", "7600", "0X7600", "0x76 00", "0x76zz", "0x７６", "0x" + "76" * 32_769],
        ids=lambda value: str(value)[:12],
    )
    def test_anything_but_bounded_hex_is_refused(self, signature: Any) -> None:
        """Whole bytes after a lower-case 0x, and not too many."""
        with pytest.raises(InvalidPayload, match="signature is not what it should be"):
            tempo.charge(RECIPIENT).canonical({"type": "transaction", "signature": signature})

    @settings(deadline=None)
    @given(st.recursive(st.none() | st.text() | st.integers(), lambda inner: st.lists(inner), max_leaves=3))
    def test_it_is_total(self, signature: Any) -> None:
        """Whatever a client sends, the answer is a payload or `InvalidPayload`, and stays what it is."""
        method = tempo.charge(RECIPIENT)
        try:
            canonical = method.canonical({"type": "transaction", "signature": signature})
        except InvalidPayload:
            return
        assert method.canonical(canonical) == canonical


class TestVerify:
    """Every check there is, and no money moves."""

    async def test_a_good_transaction_makes_a_proof(
        self, charge: tempo.TempoCharge, node: FaultyNode, payer: PrivateKey
    ) -> None:
        """The proof names the transaction, the money and both ends of it, before anything is sent."""
        challenge = issue(charge)
        signed = unsigned(challenge).sign(payer)
        proof = await verified(charge, challenge, signed)
        transaction_hash = "0x" + signed.hash().hex()
        assert proof == Proof(
            key=f"tempo:42431:{transaction_hash}",
            reference=transaction_hash,
            amount=10000,
            currency=PATH_USD,
            recipient=str(challenge.decode_request()["recipient"]),
            payer=payer.address,
            recovery=Recovery(signed.encode()),
        )
        assert not node.sent

    @pytest.mark.parametrize("alteration", ALTERATIONS, ids=lambda alteration: alteration.name)
    async def test_nothing_is_asked_of_the_node_about_a_transaction_that_cannot_pay(
        self, alteration: Alteration, charge: tempo.TempoCharge, node: FaultyNode, payer: PrivateKey
    ) -> None:
        """What one look at the transaction refuses never gets as far as the chain."""
        challenge = issue(charge)
        with pytest.raises(alteration.error, match=alteration.reason):
            await verified(charge, challenge, altered(alteration, challenge, payer))
        assert node.methods == []

    async def test_what_the_chain_would_not_run_is_refused(
        self, charge: tempo.TempoCharge, node: FaultyNode, payer: PrivateKey
    ) -> None:
        """The trial run finds what the transaction alone does not show, and nothing is sent."""
        challenge = issue(charge)
        good = unsigned(challenge)
        with pytest.raises(VerificationFailed, match="gas limit is too low"):
            await verified(charge, challenge, replace(good, gas_limit=30_000).sign(payer))
        with pytest.raises(VerificationFailed, match=r"holds 0 base units of 0x20C0.* takes 10000"):
            await verified(charge, challenge, good.sign(PrivateKey.generate()))
        dear = issue(charge, "2000000")
        with pytest.raises(VerificationFailed, match="takes 2000000000000"):
            await verified(charge, dear, unsigned(dear).sign(payer))
        assert not node.sent

    async def test_the_chains_clock_has_the_last_word(self, node: FaultyNode, payer: PrivateKey) -> None:
        """A server whose clock is slow does not broadcast what the chain takes for expired."""
        an_hour_ago = time.time() - 3600
        charge = tempo.charge(RECIPIENT, rpc_url=node.url, clock=lambda: an_hour_ago)
        challenge = issue(charge)
        with pytest.raises(PaymentExpired):
            await verified(charge, challenge, unsigned(challenge, now=an_hour_ago).sign(payer))
        assert not node.sent
        await charge.aclose()

    async def test_a_transaction_that_cannot_be_read_is_an_invalid_payload(
        self, charge: tempo.TempoCharge
    ) -> None:
        """What is no Tempo Transaction is told apart from one that does not pay."""
        challenge = issue(charge)
        presented = credential(challenge, unsigned(challenge).sign(PrivateKey.generate()))
        presented.payload["signature"] = str(presented.payload["signature"])[:-2]
        with pytest.raises(InvalidPayload, match="cannot be read"):
            await charge.verify(presented, challenge.decode_request())

    @pytest.mark.parametrize(
        "changes",
        [
            {"methodDetails": {"chainId": 4217, "supportedModes": ["pull"]}},
            {"methodDetails": {"chainId": 42431, "supportedModes": ["teleport"]}},
            {"methodDetails": {"chainId": 42431, "splits": []}},
            {"amount": "ten"},
            {"recipient": None},
        ],
        ids=str,
    )
    async def test_challenges_of_another_time_are_not_taken(
        self, changes: dict[str, Any], charge: tempo.TempoCharge, node: FaultyNode, payer: PrivateKey
    ) -> None:
        """A challenge issued when this server was set up differently is not paid by what it wants now."""
        challenge = issue(charge)
        presented = credential(challenge, unsigned(challenge).sign(payer))
        with pytest.raises(InvalidChallenge):
            await charge.verify(presented, {**challenge.decode_request(), **changes})
        assert node.methods == []

    @pytest.mark.parametrize(
        "fault",
        [drops, says(b"<html>", 502), says(b"nonsense"), refuses(-32603, "db error"), hangs],
        ids=["drops", "502", "nonsense", "internal error", "hangs"],
    )
    async def test_trouble_with_the_node_is_not_the_payers(
        self, fault: Behaviour, node: FaultyNode, payer: PrivateKey
    ) -> None:
        """If the check cannot be made, the payer keeps a good credential and the operator reads why."""
        charge = impatient(node.url)
        challenge = issue(charge)
        node.behaviours["eth_call"] = fault
        with pytest.raises(PaymentUnavailable, match="Nothing was taken") as unavailable:
            await verified(charge, challenge, unsigned(challenge).sign(payer))
        assert unavailable.value.log is not None
        assert ("127.0.0.1" in unavailable.value.log) or ("db error" in unavailable.value.log)
        assert not node.sent
        await charge.aclose()

    async def test_a_node_on_another_chain_is_found_before_it_is_asked_anything(
        self, charge: tempo.TempoCharge, node: FaultyNode, payer: PrivateKey
    ) -> None:
        """A wrong rpc_url answers 503 and says so in the log; once put right, it is not asked again."""
        challenge = issue(charge)
        signed = unsigned(challenge).sign(payer)
        node.behaviours["eth_chainId"] = answers("0x1079")
        with pytest.raises(PaymentUnavailable) as unavailable:
            await verified(charge, challenge, signed)
        assert unavailable.value.log == "the node at 127.0.0.1 is on chain 4217, not on 42431"
        assert node.methods == ["eth_chainId"]
        del node.behaviours["eth_chainId"]
        await verified(charge, challenge, signed)
        await verified(charge, challenge, signed)
        assert node.methods == ["eth_chainId", "eth_chainId", "eth_call", "eth_call"]
