"""Who paid the fee: the node always names the sender, also where somebody else paid."""

from __future__ import annotations

from typing import Final

from coinslot.protocol import JSONValue

_TRANSFER_TOPIC: Final = "0xddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef"
_FEE_MANAGER_TOPIC: Final = "0x000000000000000000000000feec000000000000000000000000000000000000"


def attribute_fee(receipt: JSONValue) -> JSONValue:
    """The receipt, with `feePayer` taken from its last log.

    That is always the fee's transfer to the fee manager, unless there was no fee. What is not a receipt is
    returned as it is.
    """
    if not isinstance(receipt, dict):
        return receipt
    logs = receipt.get("logs")
    topics = (
        logs[-1].get("topics") if isinstance(logs, list) and logs and isinstance(logs[-1], dict) else None
    )
    if not isinstance(topics, list) or len(topics) != 3:
        return receipt
    event, payer, recipient = topics
    if event != _TRANSFER_TOPIC or recipient != _FEE_MANAGER_TOPIC or not isinstance(payer, str):
        return receipt
    return {**receipt, "feePayer": "0x" + payer[-40:]}


def attribute_fees(receipts: JSONValue) -> JSONValue:
    """The same for a block's receipts."""
    return [attribute_fee(receipt) for receipt in receipts] if isinstance(receipts, list) else receipts
