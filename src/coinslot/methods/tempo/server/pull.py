"""Pull: the payer signs a transaction, and the server broadcasts it.

draft-tempo-charge §Transaction Verification.

verify    read, check, co-sign if the seller pays the fee, and try it on the node
settle    broadcast, and see that the receipt reports the transfers
look_up   the receipt, or what it means that there is none
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable

from msgspec.structs import replace

from coinslot.errors import (
    InvalidPayload,
    PaymentError,
    PaymentUnavailable,
    VerificationFailed,
)
from coinslot.methods.tempo.node import CHAIN_LAG, Absence, Examination, Node, Receipt, transaction_hash
from coinslot.methods.tempo.refusals import concerns_fee, explain, is_pending, is_repeated
from coinslot.methods.tempo.rpc import RpcError, RpcRefused, RpcUnanswered, RpcUnreachable
from coinslot.methods.tempo.server.fee_policy import check_sponsored
from coinslot.methods.tempo.server.key_checks import check_access_key
from coinslot.methods.tempo.server.shared_budget import Budget
from coinslot.methods.tempo.server.sponsor import Sponsor
from coinslot.methods.tempo.server.verification import check_transaction, made_transfers
from coinslot.methods.tempo.wire.signatures import Signer
from coinslot.methods.tempo.wire.terms import Terms
from coinslot.methods.tempo.wire.transaction import FEE_PAYER_TYPE, Transaction, TransactionError
from coinslot.payments.cache import Cache
from coinslot.payments.method import Failed, NotSent, Proof, Recovery, Settled, Settlement, Unknown
from coinslot.protocol import Credential

logger = logging.getLogger("coinslot.tempo")

_SKEW = 60  # seconds by which the chain's clock and ours may differ


class Pull:
    """Takes signed transactions. `unbound` is whether a transfer without a memo is taken."""

    def __init__(
        self,
        node: Node,
        *,
        sponsor: Sponsor | None,
        unbound: bool,
        settle_timeout: float,
        clock: Callable[[], float],
    ) -> None:
        self._node = node
        self._sponsor = sponsor
        self._budget = None if sponsor is None else Budget(sponsor.budget(clock), sponsor.policy, clock)
        self._unbound = unbound
        self._settle_timeout = settle_timeout
        self._clock = clock

    async def verify(self, credential: Credential, terms: Terms) -> Proof:
        """Every check there is, then a trial run on the node.

        Raises a refusal, or `PaymentUnavailable` if the node or the fee payer cannot be asked.
        """
        transaction = read_transaction(credential, terms)
        signer = check_transaction(
            transaction, credential.challenge, credential.source, terms, self._clock(), unbound=self._unbound
        )
        signed = transaction_hash(transaction)
        if terms.fee_payer:
            transaction = await self._sponsored(transaction, signed, signer, terms)
        else:
            await self._check(await self._examine(transaction, signer, terms), transaction, signer, terms)
            await self._check_new(transaction)
        return Proof(
            # Whatever a fee payer adds to it, it is the same transaction.
            key=f"tempo:{terms.chain_id}:{signed}",
            reference=transaction_hash(transaction),
            amount=terms.amount,
            currency=terms.currency,
            recipient=terms.recipient,
            payer=signer.account,
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

    def share(self, cache: Cache | None) -> None:
        """Have the workers that share `cache` share the fee payer's budget."""
        if self._budget is not None:
            self._budget.share(cache)

    async def aclose(self) -> None:
        """Close the fee payer's connections; the node is the caller's."""
        if self._sponsor is not None:
            await self._sponsor.aclose()

    async def _sponsored(
        self, transaction: Transaction, signed: str, signer: Signer, terms: Terms
    ) -> Transaction:
        """The transaction with the fee payer's signature, if neither its policy nor the node objects."""
        if self._sponsor is None or self._budget is None:
            raise PaymentUnavailable(
                "The fee cannot be paid right now. Nothing was taken; send it again.",
                log="a challenge promises to pay the fee, and no fee payer is configured any more",
            )
        key = f"tempo:{terms.chain_id}:{signed}"
        fee = check_sponsored(transaction, self._sponsor.policy, self._clock())
        self._budget.own.check(signer.account, fee)
        purse = self._sponsor.purse(terms.currency)
        completed = await self._sponsor.co_sign(transaction, terms.currency)
        found = await self._examine(completed, signer, terms, purse)
        if purse is not None and found.purse is not None:
            self._budget.own.check_funds(found.purse, fee, *purse)
        await self._check(found, completed, signer, terms)
        await self._check_new(completed)
        # Only now, so that nobody holds a place without the means to pay.
        await self._budget.reserve(key, signer.account, fee, transaction.valid_before or 0)
        return completed

    async def _examine(
        self, transaction: Transaction, signer: Signer, terms: Terms, purse: tuple[str, str] | None = None
    ) -> Examination:
        """Run it on the node without broadcasting it. Raises `PaymentUnavailable`."""
        try:
            await self._node.check_chain()
            return await self._node.examine(transaction, signer, terms.currency, purse)
        except RpcError as error:
            raise _unavailable(error) from error

    async def _check(
        self, found: Examination, transaction: Transaction, signer: Signer, terms: Terms
    ) -> None:
        """Refuse what the node has something against, unless it is that the payment is there already."""
        try:
            self._refuse(found, transaction, signer, terms)
        except PaymentError:
            if not await self._has_paid(transaction, signer):
                raise

    def _refuse(self, found: Examination, transaction: Transaction, signer: Signer, terms: Terms) -> None:
        """Raise what the chain has against it, if anything."""
        check_access_key(transaction, signer, found, terms, self._clock())
        if found.nonce is not None and found.nonce < transaction.nonce:
            raise VerificationFailed("The transaction's nonce is not the next of its lane.")
        if (refusal := found.refusal) is not None:
            explained = None if terms.fee_payer and concerns_fee(refusal) else explain(refusal)
            raise explained or _unavailable(refusal)

    async def _has_paid(self, transaction: Transaction, signer: Signer) -> bool:
        """Whether it is on the chain already, where its payer or a former attempt sent it.

        Then much may speak against it by now: the money is spent, the key revoked. Its memo binds it to this
        challenge, so there it pays for nothing else.
        """
        if self._unbound:
            return False
        try:
            receipt = await self._node.receipt(transaction_hash(transaction))
        except RpcError as error:
            raise _unavailable(error) from error
        return receipt is not None and receipt.succeeded and _reports(receipt, transaction, signer.account)

    async def _check_new(self, transaction: Transaction) -> None:
        """A transfer without a memo could be anybody's for anything, so it must not be known to the chain."""
        if not self._unbound or None not in {made.memo for made in made_transfers(transaction)}:
            return
        try:
            known = await self._node.knows(transaction_hash(transaction))
        except RpcError as error:
            raise _unavailable(error) from error
        if known:
            raise VerificationFailed("The transaction is known to the chain already.")

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
        receipt = receipt or await self._node.wait_for_receipt(proof.reference)
        return await self._judge(receipt, transaction, proof)

    async def _after_refusal(self, transaction: Transaction, proof: Proof, refusal: RpcRefused) -> Settlement:
        """The node did not take it. That alone proves nothing: it may be there already, by another way."""
        try:
            found = await self._find(transaction, proof)
        except RpcError as error:
            return Unknown(reason=f"the node refused {proof.reference}: {refusal}; then {error}")
        if isinstance(found, Settled | Failed):
            return found
        if self._budget is not None and explain(refusal) is not None and not is_repeated(refusal):
            await self._budget.release(proof.key)  # only this node has had it with a signature for its fee
        return Unknown(reason=f"the node refused {proof.reference}: {refusal}")

    async def _find(self, transaction: Transaction, proof: Proof) -> Settlement:
        # `verify` takes no transaction without the one bound that makes its absence mean something.
        end = transaction.valid_before or 0
        found = await self._node.find(proof.reference, end)
        if found is Absence.FOREVER and transaction.fee_payer_signature is not None:
            # Whoever holds what the payer signed can have another pay the fee: by another hash, it would pay.
            found = await self._find_elsewhere(transaction, proof, end)
        if isinstance(found, Receipt):
            return await self._judge(found, transaction, proof)
        if found is Absence.FOREVER and self._budget is not None:
            await self._budget.release(proof.key)
        return describe_absence(found, proof)

    async def _find_elsewhere(self, transaction: Transaction, proof: Proof, end: int) -> Receipt | Absence:
        """The receipt of what the payer signed, whoever paid its fee."""
        bound = next((made for made in made_transfers(transaction) if made.memo is not None), None)
        if bound is None:
            return Absence.FOREVER
        since = end - self._sponsor_window
        found = await self._node.find_transfer(
            replace(bound, sender=proof.payer), since=since, until=end + CHAIN_LAG
        )
        if isinstance(found, Absence):
            return found
        return await self._node.receipt(found) or Absence.PERHAPS

    @property
    def _sponsor_window(self) -> int:
        return _SKEW + (0 if self._sponsor is None else self._sponsor.policy.max_validity)

    async def _judge(self, receipt: Receipt, transaction: Transaction, proof: Proof) -> Settlement:
        """What a receipt says, and what that means for the fee payer."""
        if self._budget is not None:
            if receipt.succeeded:
                await self._budget.release(proof.key)
            else:
                await self._budget.lose(proof.key, receipt.fee)
        return judge(receipt, transaction, proof)


def read_transaction(credential: Credential, terms: Terms) -> Transaction:
    """The transaction in a payload of canonical form. Raises `InvalidPayload`."""
    data = bytes.fromhex(str(credential.payload["signature"])[2:])
    is_handed_over = terms.fee_payer and data[:1] == bytes([FEE_PAYER_TYPE])
    try:
        return Transaction.decode_sponsored(data) if is_handed_over else Transaction.decode(data)
    except TransactionError as error:
        raise InvalidPayload(f"The payload's transaction cannot be read: {error}.") from error


def describe(found: Receipt | Absence, transaction: Transaction, proof: Proof) -> Settlement:
    """What it means for a payment that its transaction was found like this."""
    return judge(found, transaction, proof) if isinstance(found, Receipt) else describe_absence(found, proof)


def describe_absence(absence: Absence, proof: Proof) -> Settlement:
    """What it means for a payment that its transaction is not on the chain."""
    match absence:
        case Absence.FOREVER:
            return Failed(
                reason="The transaction was not on the chain by its validBefore.", slug="payment-expired"
            )
        case Absence.SO_FAR:
            return NotSent(reason=f"{proof.reference} is not on the chain: {absence.value}")
        case Absence.PERHAPS:
            return Unknown(reason=f"{proof.reference} is not on the chain: {absence.value}")


def judge(receipt: Receipt, transaction: Transaction, proof: Proof) -> Settlement:
    """Settled, if the receipt reports the very transfers that the transaction was to make."""
    if not receipt.succeeded:
        return Failed(reason=f"The transaction {receipt.hash} was reverted; it moved nothing.")
    if _reports(receipt, transaction, proof.payer):
        return Settled(reference=receipt.hash, payer=proof.payer)
    return Unknown(
        reason=f"{receipt.hash} succeeded, and its receipt does not report the transfers: "
        f"is {proof.currency} a TIP-20 token, and the node to be trusted?"
    )


def _reports(receipt: Receipt, transaction: Transaction, payer: str | None) -> bool:
    """Whether the receipt has a log for each transfer that the transaction's calls make."""
    called = made_transfers(transaction)
    return Counter(replace(transfer, sender=payer) for transfer in called) <= Counter(receipt.transfers)


def _unavailable(error: RpcError) -> PaymentError:
    return PaymentUnavailable(
        "The payment cannot be checked right now. Nothing was taken; send it again.", log=str(error)
    )
