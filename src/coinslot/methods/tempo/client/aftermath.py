"""What became of a payment that was signed, and perhaps sent: whether it can still take anything."""

from __future__ import annotations

from msgspec import Struct

from coinslot.methods.tempo.client.drafting import VALIDITY
from coinslot.methods.tempo.client.survey import BuyerNode
from coinslot.methods.tempo.keys import SignatureError
from coinslot.methods.tempo.node import CHAIN_LAG, Absence, Receipt, transaction_hash
from coinslot.methods.tempo.wire import Transaction, TransactionError, Transfer, decode_call
from coinslot.methods.tempo.wire.source import parse_source
from coinslot.payments.method import Payload

_CLOCK_SKEW = 60
"""Seconds by which the chain's clock may have been behind the one that `validBefore` was read from."""


class Sent(Struct, frozen=True, kw_only=True):
    """A transaction of which a payload tells: its hash, or the transfer to look for where that is not known.

    If it is not on the chain after `valid_before`, in Unix seconds, it never will be.
    """

    chain_id: int
    valid_before: int
    reference: str | None = None
    transfer: Transfer | None = None


def trace(payload: Payload) -> Sent | None:
    """The transaction behind a payload that an account made; None if there is none that could be found."""
    members = payload.payload
    if members.get("type") == "hash":
        source = parse_source(payload.source or "")
        if source is None or payload.lapses is None:
            return None
        return Sent(chain_id=source[0], valid_before=payload.lapses, reference=str(members.get("hash")))
    signed = members.get("signature")
    if members.get("type") != "transaction" or not isinstance(signed, str):
        return None
    try:
        return _trace_signed(bytes.fromhex(signed.removeprefix("0x")))
    except (TransactionError, SignatureError, ValueError):
        return None


async def is_dead(node: BuyerNode, sent: Sent) -> bool:
    """Whether it is certain that it moved nothing, and never will. Raises `RpcError`."""
    await node.check_chain()
    if sent.reference is not None:
        found = await node.find(sent.reference, sent.valid_before)
        return found is Absence.FOREVER or (isinstance(found, Receipt) and not found.succeeded)
    assert sent.transfer is not None  # or there would be no trace
    since = sent.valid_before - VALIDITY - _CLOCK_SKEW
    end = sent.valid_before + CHAIN_LAG
    return await node.find_transfer(sent.transfer, since=since, until=end) is Absence.FOREVER


def _trace_signed(data: bytes) -> Sent | None:
    sponsored = data[:1] == b"\x78"
    transaction = Transaction.decode_sponsored(data) if sponsored else Transaction.decode(data)
    if transaction.valid_before is None:
        return None
    if not sponsored:
        return Sent(
            chain_id=transaction.chain_id,
            valid_before=transaction.valid_before,
            reference=transaction_hash(transaction),
        )
    transfers = (decode_call(call) for call in transaction.calls)
    primary = next((transfer for transfer in transfers if transfer and transfer.memo), None)
    if primary is None:
        return None
    return Sent(
        chain_id=transaction.chain_id,
        valid_before=transaction.valid_before,
        transfer=Transfer(
            token=primary.token,
            recipient=primary.recipient,
            amount=primary.amount,
            memo=primary.memo,
            sender=transaction.sender(),
        ),
    )
