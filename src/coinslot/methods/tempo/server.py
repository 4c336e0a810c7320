"""The seller's half of Tempo: charges that payers sign as transactions and the server broadcasts (pull)."""

from __future__ import annotations

import asyncio
import logging
import re
import time
from collections.abc import Callable
from typing import Final

from coinslot.errors import (
    ConfigurationError,
    InvalidChallenge,
    InvalidPayload,
    MalformedChallenge,
    PaymentError,
    PaymentUnavailable,
)
from coinslot.intents import ChargeRequest, to_base_units
from coinslot.methods.tempo.keys import AddressError, checksum_address
from coinslot.methods.tempo.networks import DECIMALS, find_network
from coinslot.methods.tempo.node import Absence, Node, Receipt, transaction_hash
from coinslot.methods.tempo.refusals import explain, is_pending
from coinslot.methods.tempo.rpc import Rpc, RpcError, RpcRefused, RpcUnanswered, RpcUnreachable
from coinslot.methods.tempo.terms import PULL, Terms
from coinslot.methods.tempo.verification import check_transaction
from coinslot.methods.tempo.wire import (
    MAX_TRANSACTION_SIZE,
    Transaction,
    TransactionError,
    Transfer,
    decode_call,
)
from coinslot.payments.method import (
    Failed,
    NotSent,
    Offer,
    Price,
    Proof,
    Recovery,
    Settled,
    Settlement,
    Unknown,
)
from coinslot.protocol import Credential, JSONObject

logger = logging.getLogger("coinslot.tempo")

_TIP20_PREFIX: Final = "0x20c000000000000000000000"
_SIGNED: Final = re.compile(r"0x(?:[0-9a-fA-F]{2})++")


def charge(
    recipient: str,
    *,
    network: str = "testnet",
    rpc_url: str | None = None,
    currency: str | None = None,
    chain_id: int | None = None,
    decimals: int = DECIMALS,
    settle_timeout: float = 30.0,
    clock: Callable[[], float] = time.time,
) -> TempoCharge:
    """Charge in stablecoins on Tempo.

    `recipient` is the address that is paid. `network` is `mainnet` or `testnet`; `rpc_url`, `currency` (a
    token's address) and `chain_id` take the place of that network's own node, stablecoin and chain.
    `decimals` are the currency's. What became of a payment that is not on the chain after `settle_timeout`
    seconds is found out later. `clock` tells the time in Unix seconds.

    Raises `ConfigurationError`.
    """
    known = find_network(network)
    chain = chain_id if chain_id is not None else known.chain_id
    return TempoCharge(
        recipient=_recipient(recipient),
        currency=_currency(currency or known.currency.address),
        chain_id=chain,
        decimals=decimals,
        node=Node(Rpc(rpc_url or known.rpc_url), chain),
        settle_timeout=settle_timeout,
        clock=clock,
    )


class TempoCharge:
    """The server method `tempo/charge`. Made by `charge`."""

    name: Final = "tempo"
    intent: Final = "charge"

    def __init__(
        self,
        *,
        recipient: str,
        currency: str,
        chain_id: int,
        decimals: int,
        node: Node,
        settle_timeout: float,
        clock: Callable[[], float],
    ) -> None:
        self._recipient = recipient
        self._currency = currency
        self._chain_id = chain_id
        self._decimals = decimals
        self._node = node
        self._settle_timeout = settle_timeout
        self._clock = clock

    def prepare(self, price: Price) -> Offer:
        """The offer for this price. Raises `AmountError`, or `ConfigurationError` for a price of zero."""
        amount = to_base_units(price.amount, self._decimals)
        if amount == 0:
            raise ConfigurationError("a price on Tempo has to be more than zero")
        request = ChargeRequest(
            amount=str(amount),
            currency=self._currency,
            recipient=self._recipient,
            description=price.description,
            external_id=price.external_id,
            method_details={"chainId": self._chain_id, "supportedModes": [PULL]},
        )
        return Offer(request=request.to_object(), amount=amount, currency=self._currency)

    def canonical(self, payload: JSONObject) -> JSONObject:
        """The payload of draft-tempo-charge §Transaction Payload, its hex in lower case.

        Raises `InvalidPayload`.
        """
        if payload.get("type") != "transaction":
            raise InvalidPayload("The payload's type has to be `transaction`; no other is supported here.")
        signed = payload.get("signature")
        if (
            not isinstance(signed, str)
            or len(signed) > 2 + 2 * MAX_TRANSACTION_SIZE
            or not _SIGNED.fullmatch(signed)
        ):
            raise InvalidPayload("The payload's signature is not a signed transaction in hexadecimal.")
        return {"type": "transaction", "signature": signed.lower()}

    async def verify(self, credential: Credential, request: JSONObject) -> Proof:
        """Every check of draft-tempo-charge §Transaction Verification, then a trial run on the node.

        Raises a refusal, or `PaymentUnavailable` if the node cannot be asked.
        """
        terms = self._terms(request)
        try:
            transaction = Transaction.decode(bytes.fromhex(str(credential.payload["signature"])[2:]))
        except TransactionError as error:
            raise InvalidPayload(f"The payload's transaction cannot be read: {error}.") from error
        payer = check_transaction(transaction, credential, terms, self._clock())
        await self._simulate(transaction, payer)
        reference = transaction_hash(transaction)
        return Proof(
            key=f"{self.name}:{self._chain_id}:{reference}",
            reference=reference,
            amount=terms.amount,
            currency=terms.currency,
            recipient=terms.recipient,
            payer=payer,
            recovery=Recovery(transaction.encode()),
        )

    async def settle(self, proof: Proof) -> Settlement:
        """Broadcast the payer's transaction and see that it moved the money."""
        transaction = Transaction.decode(proof.recovery.data)
        try:
            async with asyncio.timeout(self._settle_timeout):
                return await self._settle(transaction, proof)
        except TimeoutError:
            return Unknown(reason=f"{proof.reference} has no receipt after {self._settle_timeout:g} s")

    async def look_up(self, proof: Proof) -> Settlement:
        """What the chain says of the payer's transaction."""
        transaction = Transaction.decode(proof.recovery.data)
        try:
            await self._node.check_chain()
            return await self._find(transaction, proof)
        except RpcError as error:
            return Unknown(reason=f"{proof.reference} could not be looked up: {error}")

    async def aclose(self) -> None:
        """Close the connections to the node."""
        await self._node.aclose()

    def _terms(self, request: JSONObject) -> Terms:
        try:
            terms = Terms.from_request(request)
        except MalformedChallenge as error:
            raise InvalidChallenge(f"The challenge cannot be read: {error}.") from error
        if terms.chain_id != self._chain_id or not terms.is_plain:
            raise InvalidChallenge("The challenge asks for a kind of payment that is not offered any more.")
        return terms

    async def _simulate(self, transaction: Transaction, payer: str) -> None:
        try:
            await self._node.check_chain()
            await self._node.simulate(transaction, payer)
        except RpcError as error:
            refusal = explain(error) if isinstance(error, RpcRefused) else None
            raise refusal or _unavailable(error) from error

    async def _settle(self, transaction: Transaction, proof: Proof) -> Settlement:
        try:
            await self._node.check_chain()
        except RpcError as error:
            return NotSent(reason=str(error))
        try:
            # Half of the time is left for asking what became of it.
            receipt = await self._node.send(transaction, self._settle_timeout / 2)
        except RpcUnreachable as error:
            return NotSent(reason=str(error))
        except RpcUnanswered as error:
            logger.warning("no answer to the broadcast of %s: %s", proof.reference, error)
            receipt = None
        except RpcRefused as refusal:
            if not is_pending(refusal):
                return await self._after_refusal(transaction, proof, refusal)
            receipt = None
        return _judge(receipt or await self._node.wait_for_receipt(proof.reference), transaction, proof)

    async def _after_refusal(self, transaction: Transaction, proof: Proof, refusal: RpcRefused) -> Settlement:
        """The node did not take it. That alone proves nothing: it may be there already, by another way."""
        try:
            found = await self._find(transaction, proof)
        except RpcError as error:
            return Unknown(reason=f"the node refused {proof.reference}: {refusal}; then {error}")
        if isinstance(found, Settled | Failed):
            return found
        return Unknown(reason=f"the node refused {proof.reference}: {refusal}")

    async def _find(self, transaction: Transaction, proof: Proof) -> Settlement:
        # `verify` takes no transaction without the one bound that makes its absence mean something.
        match await self._node.find(proof.reference, transaction.valid_before or 0):
            case Receipt() as receipt:
                return _judge(receipt, transaction, proof)
            case Absence.FOREVER:
                return Failed(
                    reason="The transaction was not on the chain by its validBefore.", slug="payment-expired"
                )
            case Absence.SO_FAR as absence:
                return NotSent(reason=f"{proof.reference} is not on the chain: {absence.value}")
            case Absence.PERHAPS as absence:
                return Unknown(reason=f"{proof.reference} is not on the chain: {absence.value}")


def _judge(receipt: Receipt, transaction: Transaction, proof: Proof) -> Settlement:
    """Settled, if the receipt reports the very transfer that the transaction was to make."""
    if not receipt.succeeded:
        return Failed(reason=f"The transaction {receipt.hash} was reverted; it moved nothing.")
    called = decode_call(transaction.calls[0])
    expected = None if called is None else _made_by(called, proof.payer)
    if expected in receipt.transfers:
        return Settled(reference=receipt.hash, payer=proof.payer)
    return Unknown(
        reason=f"{receipt.hash} succeeded, and its receipt does not report the transfer: "
        f"is {proof.currency} a TIP-20 token, and the node to be trusted?"
    )


def _made_by(transfer: Transfer, payer: str | None) -> Transfer:
    return Transfer(
        token=transfer.token,
        recipient=transfer.recipient,
        amount=transfer.amount,
        memo=transfer.memo,
        sender=payer,
    )


def _unavailable(error: RpcError) -> PaymentError:
    return PaymentUnavailable(
        "The payment cannot be checked right now. Nothing was taken; send it again.", log=str(error)
    )


def _recipient(text: str) -> str:
    address = _address("recipient", text)
    if int(address, 16) == 0 or address.lower().startswith(_TIP20_PREFIX):
        raise ConfigurationError(f"recipient: {address} cannot be paid: it is the zero address, or a token's")
    return address


def _currency(text: str) -> str:
    address = _address("currency", text)
    if not address.lower().startswith(_TIP20_PREFIX):
        raise ConfigurationError(f"currency: {address} is not the address of a TIP-20 token")
    return address


def _address(name: str, text: str) -> str:
    try:
        return checksum_address(text)
    except AddressError as error:
        raise ConfigurationError(f"{name}: {error}") from error
