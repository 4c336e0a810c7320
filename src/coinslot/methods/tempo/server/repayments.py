"""Refunds: a transfer from the seller's refund account to whoever the payment came from.

draft_repayment    look the payment up on the chain, and sign the transfer; nothing is sent
repay              broadcast it, once
look_up_repayment  its receipt, or what it means that there is none

Theory of operation. A refund must never be paid twice, whoever dies and whatever is left unanswered. Its
transaction is signed and written down before it is broadcast, and it is valid for seconds only. Another one
for the same refund is signed only when the first is dead: its `validBefore` is over by the chain's own clock,
and the chain has neither its hash nor, in all of the time in which it could have come, its memo, which is
made from the refund's key. A node that does not know is not a node that says no: then the refund waits.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from decimal import Decimal
from typing import Final

from msgspec.structs import replace

from coinslot.errors import AmountError, ConfigurationError, RefundError, WalletError
from coinslot.intents import format_amount, from_base_units, to_base_units
from coinslot.methods.tempo.client.account import TempoAccount
from coinslot.methods.tempo.client.drafting import VALIDITY, draft, fee_of, priced
from coinslot.methods.tempo.client.spending import Need, find_shortage
from coinslot.methods.tempo.keys import PrivateKey, parse_address
from coinslot.methods.tempo.networks import DECIMALS, token_name
from coinslot.methods.tempo.node import CHAIN_LAG, SENDING_MARGIN, Absence, Receipt, transaction_hash
from coinslot.methods.tempo.refusals import is_pending
from coinslot.methods.tempo.rpc import RpcError, RpcRefused, RpcUnanswered, RpcUnreachable
from coinslot.methods.tempo.server.payees import SellerNode, find_payee
from coinslot.methods.tempo.wire import Call, Transaction, Transfer, decode_call, transfer_with_memo
from coinslot.methods.tempo.wire.memo import refund_memo
from coinslot.methods.tempo.wire.signatures import SigningKey
from coinslot.payments.method import Failed, NotSent, Recovery, Repayment, Settled, Settlement, Unknown

_HASH: Final = re.compile(r"0x[0-9a-f]{64}")
_CHAIN: Final = re.compile(r"(?:^|:)tempo:(\d+):")
_SKEW: Final = 60  # seconds by which the chain's clock and ours may differ


class Repayments:
    """Sends money back. Without a `key`, it can only find out what became of what was sent."""

    def __init__(
        self,
        node: SellerNode,
        key: SigningKey | None,
        *,
        chain_id: int,
        max_fee: str | Decimal,
        settle_timeout: float,
        clock: Callable[[], float],
    ) -> None:
        """`max_fee` is the most that a refund may cost, in the token's unit; the refund account pays it.

        Raises `ConfigurationError`.
        """
        self._node = node
        self._key = key
        self._chain_id = chain_id
        self._max_fee = _fee(max_fee)
        self._settle_timeout = settle_timeout
        self._clock = clock

    @property
    def account(self) -> str | None:
        """The account that refunds come from, EIP-55."""
        return None if self._key is None else self._key.address

    async def draft_repayment(self, repayment: Repayment) -> Recovery:
        """The signed transaction. Raises `RefundError`, in one sentence."""
        if self._key is None:
            raise RefundError("there is no account to send it back from: give the method a refund_account")
        chain = _CHAIN.search(repayment.paid.key)
        if chain is not None and int(chain[1]) != self._chain_id:
            raise RefundError(f"it was paid on chain {chain[1]}, and the method is on {self._chain_id}")
        if not _HASH.fullmatch(repayment.paid.reference):
            raise RefundError("nothing was transferred for it on the chain")
        try:
            await self._node.check_chain()
            await self._check_former(repayment)
            payee = await self._payee(repayment, self._key)
            return Recovery((await self._signed(repayment, payee, self._key)).encode())
        except (RpcError, WalletError) as error:
            raise RefundError(f"the refund cannot be prepared: {error}") from error

    async def repay(self, repayment: Repayment) -> Settlement:
        """Broadcast what was drafted, and see that it arrives."""
        transaction = Transaction.decode(repayment.recovery.data)
        reference = transaction_hash(transaction)
        if (transaction.valid_before or 0) <= self._clock() + SENDING_MARGIN:
            return NotSent(reason=f"{reference} has been left for too long to be broadcast")
        try:
            async with asyncio.timeout(self._settle_timeout):
                return await self._send(transaction, reference)
        except TimeoutError:
            reason = f"{reference} has no receipt after {self._settle_timeout:g} s"
            return Unknown(reason=reason, reference=reference)

    async def look_up_repayment(self, repayment: Repayment) -> Settlement:
        """What became of it. `NotSent`: what was drafted is dead, so that it may be drafted anew."""
        data = repayment.recovery.data
        try:
            await self._node.check_chain()
            if not data:
                return await self._look_again(repayment)
            return await self._find(Transaction.decode(data))
        except RpcError as error:
            reason = f"the refund could not be looked up: {error}"
            return Unknown(reason=reason, reference=repayment.reference)

    async def _check_former(self, repayment: Repayment) -> None:
        """A refund that was drafted before must be dead."""
        if not repayment.recovery.data:
            return
        found = await self._find(Transaction.decode(repayment.recovery.data))
        if not isinstance(found, NotSent):
            raise RefundError("it has been drafted before, and what was drafted can still go through, or has")

    async def _payee(self, repayment: Repayment, key: SigningKey) -> str:
        """Who paid, if the money can be sent there. Raises `RefundError`."""
        paid = repayment.paid
        receipt = await self._node.receipt(paid.reference)
        if receipt is None or not receipt.succeeded:
            raise RefundError(f"the chain does not know of a payment in {paid.reference}")
        address = find_payee(receipt.transfers, repayment)
        payee = await self._node.payee(address, paid.currency, key.address)
        if payee.is_contract:
            raise RefundError(f"{address}, which paid, is a contract, and may have no use for the money")
        if not payee.accepts:
            raise RefundError(f"{address}, which paid, takes no {paid.currency} from {key.address}")
        return address

    async def _signed(self, repayment: Repayment, payee: str, key: SigningKey) -> Transaction:
        """The transfer to `payee`, if there is enough for it and its fee."""
        token, amount = repayment.paid.currency, repayment.amount
        memo = refund_memo(repayment.paid.reference, repayment.key)
        drafted = draft(
            [Call(parse_address(token), 0, transfer_with_memo(payee, amount, memo))],
            chain_id=self._chain_id,
            fee_token=token,
            valid_before=int(self._clock()) + VALIDITY,
        )
        conditions = await self._node.survey(drafted, key, token)
        need = Need(token=token, amount=amount)
        shortage = find_shortage(need, conditions.means)
        if shortage is None:
            transaction = priced(drafted, conditions, self._max_fee)
            shortage = find_shortage(replace(need, fee=fee_of(transaction)), conditions.means)
            if shortage is None:
                return transaction.sign(key)
        takes = format_amount(amount + shortage.need.fee, DECIMALS)
        has = format_amount(shortage.available, DECIMALS)
        name = token_name(self._chain_id, token)
        raise RefundError(f"the refund takes {takes} {name} with its fee, and {key.address} has {has}")

    async def _send(self, transaction: Transaction, reference: str) -> Settlement:
        try:
            await self._node.check_chain()
        except RpcError as error:
            return NotSent(reason=str(error))
        try:
            receipt = await self._node.send(transaction, self._settle_timeout / 2)
        except RpcUnreachable as error:
            return NotSent(reason=str(error))
        except RpcUnanswered:
            receipt = None
        except RpcRefused as refusal:
            if not is_pending(refusal):
                return await self._after_refusal(transaction, reference, refusal)
            receipt = None
        receipt = receipt or await self._node.wait_for_receipt(reference)
        return _judge(receipt, _made(transaction))

    async def _after_refusal(
        self, transaction: Transaction, reference: str, refusal: RpcRefused
    ) -> Settlement:
        """The node did not take it. It may be there already, or another node may still get it."""
        reason = f"the node refused {reference}: {refusal}"
        try:
            found = await self._find(transaction)
        except RpcError as error:
            return Unknown(reason=f"{reason}; then {error}", reference=reference)
        return found if isinstance(found, Settled | Failed) else Unknown(reason=reason, reference=reference)

    async def _find(self, transaction: Transaction) -> Settlement:
        """What the chain has of it, by its hash and then by what it would have moved."""
        reference, end = transaction_hash(transaction), transaction.valid_before or 0
        made = _made(transaction)
        found = await self._node.find(reference, end)
        if found is Absence.FOREVER:
            since, until = end - VALIDITY - _SKEW, end + CHAIN_LAG
            elsewhere = await self._node.find_transfer(made, since=since, until=until)
            if isinstance(elsewhere, Absence):
                found = elsewhere
            else:
                found = await self._node.receipt(elsewhere) or Absence.PERHAPS
        if isinstance(found, Receipt):
            return _judge(found, made)
        reason = f"{reference} is not on the chain: {found.value}"
        if found is Absence.FOREVER:
            return NotSent(reason=reason)
        return Unknown(reason=reason, reference=reference)

    async def _look_again(self, repayment: Repayment) -> Settlement:
        """What the chain says of a refund that is over, whose transaction is not kept any more."""
        reference = repayment.reference
        receipt = None if reference is None else await self._node.receipt(reference)
        if receipt is None:
            return Unknown(reason=f"the node does not know {reference}", reference=reference)
        if not receipt.succeeded:
            return _reverted(receipt)
        memo = refund_memo(repayment.paid.reference, repayment.key)
        made = next((transfer for transfer in receipt.transfers if transfer.memo == memo), None)
        if made is None:
            return Unknown(reason=f"{reference} does not report the refund", reference=reference)
        return _judge(receipt, made)


def as_refund_key(account: str | SigningKey | TempoAccount) -> SigningKey:
    """What signs for the account that a seller means. Raises `ConfigurationError`."""
    if isinstance(account, TempoAccount):
        return account.key
    return PrivateKey.from_hex(account) if isinstance(account, str) else account


def _fee(amount: str | Decimal) -> Decimal:
    try:
        return from_base_units(to_base_units(str(amount), DECIMALS), DECIMALS)
    except AmountError as error:
        raise ConfigurationError(f"max_refund_fee: {error}") from error


def _made(transaction: Transaction) -> Transfer:
    """The one transfer that the transaction of a refund makes."""
    made = decode_call(transaction.calls[0])
    assert made is not None
    return replace(made, sender=transaction.sender())


def _reverted(receipt: Receipt) -> Failed:
    return Failed(reason=f"The transaction {receipt.hash} was reverted; it moved nothing but its fee.")


def _judge(receipt: Receipt, made: Transfer) -> Settlement:
    """Settled, if the receipt reports this very transfer."""
    if not receipt.succeeded:
        return _reverted(receipt)
    if made in receipt.transfers:
        return Settled(reference=receipt.hash, payer=made.recipient)
    return Unknown(
        reason=f"{receipt.hash} succeeded, and what it moved did not get to {made.recipient}: "
        "a receive policy may have turned it aside",
        reference=receipt.hash,
    )
