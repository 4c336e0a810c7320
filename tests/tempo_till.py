"""A till at a node that would let anything through, so that the checks of a server method stand alone."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

import pytest
from msgspec.structs import replace

from coinslot.errors import PaymentError, PaymentUnavailable
from coinslot.methods import tempo
from coinslot.methods.tempo.keys import PrivateKey, checksum_address, keccak256
from coinslot.methods.tempo.wire import Transaction, Transfer, abi, dex, key_authorization, keychain
from coinslot.methods.tempo.wire.source import format_source
from coinslot.payments.method import Proof
from coinslot.protocol import Credential, JSONObject, JSONValue
from faulty_node import Answer, FaultyNode, Forward, Request
from tempo_attacks import CHAIN_ID, CURRENCY, KEY_TYPES, NOW, RECIPIENTS, Payment
from tempo_strategies import ROOT

SELLERS_KEY: Final = PrivateKey.from_hex("0x" + "77" * 32)
"""The seller's fee payer."""

NOBODYS: Final = bytes(5 * abi.WORD)
"""What the keychain returns about a key that nobody has authorized."""


MINED: Final = "0x" + "ab" * 32
"""The hash of the transaction that is on the chain."""

FEE_MANAGER: Final = checksum_address("0xfeec000000000000000000000000000000000000")
"""Whom fees are paid to."""

TRANSFER: Final = keccak256(b"Transfer(address,address,uint256)")
TRANSFER_WITH_MEMO: Final = keccak256(b"TransferWithMemo(address,address,uint256,bytes32)")


class CountingFeePayer(tempo.FeePayer):
    """The seller's fee payer, with room for any number of payments. It counts what it signs."""

    def __init__(self) -> None:
        policy = tempo.FeePayerPolicy(
            max_in_flight=10**9,
            max_in_flight_fee="1000000000",
            max_in_flight_per_payer=10**9,
            max_lost_fee="1000000000",
            max_reverts_per_payer=10**9,
        )
        super().__init__(SELLERS_KEY, policy=policy)
        self.signed = 0

    async def co_sign(self, transaction: Transaction, currency: str) -> Transaction:
        """Sign anything."""
        self.signed += 1
        return await super().co_sign(transaction, currency)


class Till:
    """A server method on a node on which every transaction runs, and every purse is full.

    `keychain` is what the node knows about the access keys of `ROOT`, by their address; `receipt` is what it
    reports of the transaction that is on the chain.
    """

    def __init__(self, node: FaultyNode) -> None:
        self.node = node
        self.node.always = self._agree
        self.keychain = {key: key_words(key) for key in KEY_TYPES}
        self.receipt: JSONValue = None
        self.fee_payer = CountingFeePayer()
        self.charge = tempo.charge(
            RECIPIENTS[0], rpc_url=node.url, fee_payer=self.fee_payer, clock=lambda: NOW
        )

    async def takes(self, credential: Credential) -> Proof:
        """The proof of a credential, its payload in canonical form."""
        canonical = replace(credential, payload=self.charge.canonical(credential.payload))
        return await self.charge.verify(canonical, credential.challenge.decode_request())

    async def refuses(self, credential: Credential, words: str, *, by_chain: bool = False) -> PaymentError:
        """See that it is refused for good, with a reason, before anything is signed or sent for it.

        What only the chain can know (`by_chain`) it is asked with the seller's signature.
        """
        self.node.methods.clear()
        signed = self.fee_payer.signed
        with pytest.raises(PaymentError) as caught:
            await self.takes(credential)
        refusal = caught.value
        assert not isinstance(refusal, PaymentUnavailable), refusal.log
        assert re.search(words, refusal.detail), refusal.detail
        assert re.fullmatch(r"[^\n]{10,300}\.", refusal.detail)
        assert not re.search(r"[0-9a-fA-F]{100}", refusal.detail)
        assert by_chain or (self.fee_payer.signed == signed and "eth_call" not in self.node.methods)
        assert not self.node.sent
        return refusal

    async def aclose(self) -> None:
        """Close the connections."""
        await self.charge.aclose()

    async def _agree(self, request: Request, forward: Forward) -> Answer:
        result: JSONValue = None
        if request["method"] == "eth_chainId":
            result = hex(CHAIN_ID)
        elif request["method"] == "eth_call":
            result = "0x" + self._returned(request["params"][0]).hex()
        elif request["method"] == "eth_getTransactionReceipt":
            result = self.receipt
        return {"jsonrpc": "2.0", "id": request["id"], "result": result}

    def _returned(self, call: dict[str, str]) -> bytes:
        """What a contract returns. A transaction that is tried has a type, and returns nothing."""
        if "type" in call:
            return b""
        data = bytes.fromhex(call["data"][2:])
        if data[:4] != keychain.get_key(ROOT.address, ROOT.address)[:4]:
            return abi.number_word(2**200)
        account, key = (checksum_address(word[12:]) for word in abi.read_words(data[4:], 2))
        return self.keychain.get(key, NOBODYS) if account == ROOT.address else NOBODYS


def key_words(
    key: str, *, key_type: str | None = None, expiry: int = keychain.NEVER, is_revoked: bool = False
) -> bytes:
    """What the keychain returns about a key: good for ever and without limit, unless said otherwise."""
    number = key_authorization.KEY_TYPES.index(key_type or KEY_TYPES[key])
    numbers = map(abi.number_word, (expiry, False, is_revoked))
    return b"".join([abi.number_word(number), abi.address_word(key), *numbers])


def mined(payment: Payment, made: Sequence[Transfer], **members: JSONValue) -> JSONObject:
    """The receipt of a transaction with these transfers, its swap, and its fee."""
    payer = payment.key.address
    fee = Transfer(token=CURRENCY, recipient=FEE_MANAGER, amount=1234)
    logs = [log for transfer in (*made, fee) for log in logs_of(transfer, transfer.sender or payer)]
    if payment.swap is not None:
        swap = payment.swap
        paid = Transfer(token=swap.token_in, recipient=dex.ADDRESS, amount=swap.max_amount_in)
        bought = Transfer(token=swap.token_out, recipient=payer, amount=swap.amount_out)
        logs = [*logs_of(paid, payer), *logs_of(bought, dex.ADDRESS), *logs]
    return {
        "transactionHash": MINED,
        "status": "0x1",
        "from": payer.lower(),
        "to": None,
        "type": "0x76",
        "blockNumber": "0x10",
        "logs": list(logs),
        **members,
    }


def point_out(payment: Payment, *, says_who: bool = True) -> Credential:
    """The credential that presents the transaction that is on the chain."""
    return Credential(
        challenge=payment.challenge,
        payload={"type": "hash", "hash": MINED},
        source=format_source(CHAIN_ID, payment.key.address) if says_who else None,
    )


def logs_of(made: Transfer, sender: str) -> list[JSONObject]:
    """The logs of a transfer: `Transfer`, and `TransferWithMemo` beside it if it has a memo."""
    plain = log(made.token, TRANSFER, sender, made.recipient, made.amount)
    if made.memo is None:
        return [plain]
    return [plain, log(made.token, TRANSFER_WITH_MEMO, sender, made.recipient, made.amount, made.memo)]


def log(token: str, event: bytes, sender: str, recipient: str, amount: int, *memo: bytes) -> JSONObject:
    """A log as a token emits it."""
    topics = [event, abi.address_word(sender), abi.address_word(recipient), *memo]
    return {
        "address": token.lower(),
        "topics": ["0x" + topic.hex() for topic in topics],
        "data": "0x" + amount.to_bytes(32).hex(),
        "removed": False,
    }
