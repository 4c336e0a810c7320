"""The Tempo vectors that tempoxyz/mpp-tools publishes, where they are at hand.

Each of them is a stage of a server's work that the suite has cut out: co-signing, judging a receipt. Here the
whole server method does it, on a node that says what the vector does. Of errors the suite compares the type,
and there is one, so any refusal will do; that it is the right one is seen by its words.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from coinslot.errors import InvalidPayload, PaymentError, PaymentUnavailable, VerificationFailed
from coinslot.methods import tempo
from coinslot.methods.tempo.keys import PrivateKey, keccak256, parse_address
from coinslot.methods.tempo.server.matching import match_transfers
from coinslot.methods.tempo.wire import (
    EXPIRING_NONCE_KEY,
    FEE_PAYER_PLACEHOLDER,
    Call,
    Transaction,
    attribution_memo,
    transfer_with_memo,
    transfers_in_logs,
)
from coinslot.methods.tempo.wire.proof import proof_hash
from coinslot.methods.tempo.wire.terms import Terms
from coinslot.payments.method import Proof, Settled
from coinslot.protocol import Challenge, Credential, encode_object
from faulty_node import FaultyNode, answers
from tempo_attacks import NOW
from tempo_payments import call_of
from tempo_till import Till

VECTORS = Path(__file__).parents[3] / "shared" / "vectors" / "mpp-tools"

Scenario = dict[str, Any]

# The words with which ours refuses what a vector's scenario is about.
REASONS = {
    "plain_transfer_without_challenge_memo_rejected": "memo is not bound to this challenge",
    "wrong_challenge_memo_rejected": "memo is not bound to this challenge",
    "extra_call_rejected": "makes 2 transfers; exactly 1 is asked",
    "gas_limit_above_policy_rejected": "its gas limit is more than 2000000",
    "attacker_fee_token_rejected": "must not name a fee token",
    "wrong_nonce_key_rejected": "has to use the lane of expiring nonces",
    "validity_window_above_policy_rejected": "it is valid for longer than 90 s",
    "access_list_rejected": "an access list or an authorization",
    "plain_transfer_without_challenge_bound_memo": "memo is not bound to this challenge",
    "non_mpp_memo_rejected": "memo is not bound to this challenge",
    "unrelated_challenge_memo_rejected": "memo is not bound to this challenge",
    "unrelated_realm_memo_rejected": "memo is not bound to this challenge",
}


def scenarios(file: str) -> list[Any]:
    """The scenarios of a file, as parameters."""
    if not VECTORS.is_dir():
        return [pytest.param({}, marks=pytest.mark.skip(reason="the published vectors are not here"))]
    found = json.loads((VECTORS / f"{file}.json").read_text())["scenarios"]
    return [pytest.param(scenario, id=scenario["name"]) for scenario in found]


@pytest.fixture
async def till() -> AsyncIterator[Till]:
    """A till on a node that agrees to everything, and reports what it is told to."""
    node = FaultyNode()
    await node.start()
    till = Till(node)
    yield till
    await till.aclose()
    await node.aclose()


def refused(scenario: Scenario) -> Any:
    """Expect the refusal of what the scenario is about."""
    return pytest.raises(PaymentError, match=REASONS[scenario["name"]])


class TestCoSign:
    """`tempo.fee_payer.cosign`: what a fee payer signs, by way of verifying the credential."""

    async def co_sign(
        self, scenario: Scenario, till: Till, transaction: Transaction, challenge: Challenge
    ) -> Transaction:
        """The transaction as it is kept to be broadcast."""
        given = scenario["input"]
        fee_payer = tempo.FeePayer(given["feePayerPrivateKey"], token=given["feeToken"])
        charge = tempo.charge(
            given["request"]["recipient"], rpc_url=till.node.url, fee_payer=fee_payer, clock=lambda: NOW
        )
        signed = transaction.sign(PrivateKey.from_hex(given["payerPrivateKey"]))
        credential = Credential(
            challenge=challenge,
            payload={"type": "transaction", "signature": "0x" + signed.encode().hex()},
        )
        try:
            proof = await charge.verify(credential, given["request"])
        finally:
            await charge.aclose()
        kept = Transaction.decode(proof.recovery.data)
        assert kept.fee_payer() == fee_payer.address
        assert kept.sender() == PrivateKey.from_hex(given["payerPrivateKey"]).address
        return kept

    @pytest.mark.parametrize("scenario", scenarios("tempo-fee-payer-cosign"))
    async def test_as_published(self, scenario: Scenario, till: Till) -> None:
        """The transaction is co-signed with the seller's fee token, or refused."""
        given = scenario["input"]
        challenge, transaction = challenge_of(given), transaction_of(given["transaction"])
        if not scenario["expected"]["ok"]:
            with pytest.raises(PaymentError) as refusal:
                await self.co_sign(scenario, till, transaction, challenge)
            assert not isinstance(refusal.value, PaymentUnavailable)
            return
        kept = await self.co_sign(scenario, till, transaction, challenge)
        assert scenario["expected"]["value"] == {
            "type": f"0x{kept.encode()[0]:x}",
            "feeToken": "0x" + (kept.fee_token or b"").hex(),
            "feePayerSignaturePresent": kept.fee_payer() is not None,
            "accessListLength": len(kept.access_list),
            "callCount": len(kept.calls),
        }

    @pytest.mark.parametrize(
        "scenario",
        [
            given
            for given in scenarios("tempo-fee-payer-cosign")
            if not given.values[0] or not given.values[0]["expected"]["ok"]
        ],
    )
    async def test_each_for_its_own_reason(self, scenario: Scenario, till: Till) -> None:
        """Most of them make a plain transfer as well; with the challenge's memo they are still refused."""
        given = scenario["input"]
        challenge, transaction = challenge_of(given), transaction_of(given["transaction"])
        if "memo" not in scenario["name"]:
            request = given["request"]
            data = transfer_with_memo(
                request["recipient"],
                int(request["amount"]),
                attribution_memo(challenge.id, challenge.realm),
            )
            calls = tuple(replace(call, data=data) for call in transaction.calls)
            transaction = replace(transaction, calls=calls)
        with refused(scenario):
            await self.co_sign(scenario, till, transaction, challenge)


def challenge_of(given: Scenario) -> Challenge:
    """The challenge of a scenario, or where it names none the one that the others are about."""
    named = given.get("challenge", {})
    return Challenge(
        id=named.get("id", "challenge-123"),
        realm=named.get("realm", "api.example.com"),
        method="tempo",
        intent="charge",
        request=encode_object(given.get("request") or named["request"]),
        expires=named.get("expires"),
    )


def transaction_of(members: dict[str, Any]) -> Transaction:
    """The transaction that a scenario describes, for a fee payer to sign."""
    calls = [
        Call(parse_address(call["to"]), call["value"], bytes.fromhex(call["data"][2:]))
        for call in members["calls"]
    ]
    return Transaction(
        chain_id=members["chainId"],
        max_priority_fee_per_gas=members["maxPriorityFeePerGas"],
        max_fee_per_gas=members["maxFeePerGas"],
        gas_limit=members["gasLimit"],
        calls=tuple(calls),
        access_list=tuple(
            (parse_address(address), tuple(bytes.fromhex(key[2:]) for key in keys))
            for address, keys in members["accessList"]
        ),
        nonce_key=EXPIRING_NONCE_KEY if members["nonceKey"] == "max" else members["nonceKey"],
        nonce=members["nonce"],
        valid_before=int(NOW) + int(members["validBefore"].removeprefix("now+")),
        fee_token=None if members["feeToken"] is None else parse_address(members["feeToken"]),
        fee_payer_signature=FEE_PAYER_PLACEHOLDER,
    )


RECEIPTS = scenarios("tempo-receipt-verification")
TRANSACTIONS = scenarios("tempo-transaction-verification")


@pytest.mark.parametrize("scenario", [*RECEIPTS, *TRANSACTIONS])
def test_the_logs_as_published(scenario: Scenario) -> None:
    """The logs report a payment of the challenge, or none."""
    challenge = challenge_of(scenario["input"]["credential"])
    terms = Terms.from_request(challenge.decode_request())
    made = transfers_in_logs(scenario["input"]["receipt"]["logs"])
    if scenario["expected"]["ok"]:
        assert match_transfers(made, terms, challenge) == made
    else:
        with refused(scenario):
            match_transfers(made, terms, challenge)


class TestReceipt:
    """`tempo.receipt.verify` for a hash: a receipt that a node reports, in push."""

    @pytest.mark.parametrize("scenario", RECEIPTS)
    async def test_as_a_node_reports_it(self, scenario: Scenario, till: Till) -> None:
        """With the sender that every node names, the receipt is a payment or refused."""
        receipt = scenario["input"]["receipt"]
        till.receipt = {**receipt, "from": sender_of(receipt)}
        if scenario["expected"]["ok"]:
            proof = await self.verify(scenario, till)
            assert proof.payer is not None
            assert proof.payer.lower() == sender_of(receipt)
            assert await till.charge.settle(proof) == Settled(
                reference=scenario["expected"]["value"]["reference"], payer=proof.payer
            )
        else:
            with refused(scenario):
                await self.verify(scenario, till)

    @pytest.mark.parametrize("scenario", RECEIPTS)
    async def test_deviation_nobody_sent_it(self, scenario: Scenario, till: Till) -> None:
        """A receipt that does not say who sent it is no payment of anybody's, whatever the suite expects.

        The vectors leave `from` out, and their credentials the source. Tokens count only if they come from
        the payer, and here there is no telling who that is.
        """
        till.receipt = scenario["input"]["receipt"]
        with pytest.raises(VerificationFailed, match="from another account than the payer's"):
            await self.verify(scenario, till)

    async def verify(self, scenario: Scenario, till: Till) -> Proof:
        credential = scenario["input"]["credential"]
        return await till.takes(Credential(challenge=challenge_of(credential), payload=credential["payload"]))


class TestTransaction:
    """`tempo.receipt.verify` for a transaction: in pull the receipt is that of our own broadcast."""

    @pytest.mark.parametrize("scenario", TRANSACTIONS)
    async def test_a_transaction_with_such_a_receipt(self, scenario: Scenario, till: Till) -> None:
        """The transaction that makes the logs' transfers is taken and settled, or refused beforehand."""
        receipt = scenario["input"]["receipt"]
        payer = PrivateKey.from_hex("0x" + "11" * 32)
        challenge = challenge_of(scenario["input"]["credential"])
        signed = Transaction(
            chain_id=Terms.from_request(challenge.decode_request()).chain_id,
            max_priority_fee_per_gas=1,
            max_fee_per_gas=1,
            gas_limit=1_000_000,
            calls=tuple(call_of(made) for made in transfers_in_logs(receipt["logs"])),
            nonce_key=EXPIRING_NONCE_KEY,
            valid_before=int(NOW) + 25,
        ).sign(payer)
        credential = Credential(
            challenge=challenge,
            payload={"type": "transaction", "signature": "0x" + signed.encode().hex()},
        )
        if not scenario["expected"]["ok"]:
            with refused(scenario):
                await till.takes(credential)
            return
        proof = await till.takes(credential)
        reported = json.dumps(receipt).replace(sender_of(receipt)[2:], payer.address[2:].lower())
        till.node.behaviours["eth_sendRawTransactionSync"] = answers(
            {**json.loads(reported), "transactionHash": proof.reference}
        )
        assert await till.charge.settle(proof) == Settled(reference=proof.reference, payer=payer.address)

    @pytest.mark.parametrize("scenario", TRANSACTIONS)
    async def test_deviation_the_payload_is_no_transaction(self, scenario: Scenario, till: Till) -> None:
        """The suite stages the receipt behind a payload that no server could broadcast: ours reads it."""
        credential = scenario["input"]["credential"]
        with pytest.raises(InvalidPayload, match="cannot be read: not a Tempo Transaction"):
            await till.takes(Credential(challenge=challenge_of(credential), payload=credential["payload"]))


def sender_of(receipt: dict[str, Any]) -> str:
    """The account that the tokens come from."""
    return f"0x{receipt['logs'][0]['topics'][1][-40:]}"


@pytest.mark.parametrize("scenario", scenarios("tempo-proof"))
def test_proof(scenario: Scenario) -> None:
    """The published typed data has the digest of our proof of its version."""
    given, typed = scenario["input"], scenario["expected"]["value"]
    digest = proof_hash(
        int(typed["domain"]["version"]),
        chain_id=given["chainId"],
        challenge_id=given["challengeId"],
        realm=given["realm"],
        account="0x" + "00" * 20,
    )
    kinds = {"name": "string", "version": "string", "chainId": "uint256"}
    domain = [(kinds[name], name, value) for name, value in typed["domain"].items()]
    message = [
        (field["type"], field["name"], typed["message"][field["name"]])
        for field in typed["types"][typed["primaryType"]]
    ]
    expected = b"\x19\x01" + struct_hash("EIP712Domain", domain) + struct_hash(typed["primaryType"], message)
    assert digest == keccak256(expected)


def struct_hash(name: str, fields: list[tuple[str, str, Any]]) -> bytes:
    """The hash of a struct of strings and numbers (EIP-712)."""
    spelled = ",".join(f"{kind} {field}" for kind, field, _ in fields)
    values = (
        keccak256(value.encode()) if kind == "string" else value.to_bytes(32) for kind, _, value in fields
    )
    return keccak256(keccak256(f"{name}({spelled})".encode()) + b"".join(values))
