"""Who paid the fee, and in what: the node always names the sender, also where somebody else paid."""

from __future__ import annotations

from typing import Final

from coinslot.protocol import JSONValue

_TRANSFER_TOPIC: Final = "0xddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef"
_FEE_MANAGER_TOPIC: Final = "0x000000000000000000000000feec000000000000000000000000000000000000"


def attribute_fee(receipt: JSONValue) -> JSONValue:
    """The receipt, with `feePayer` and `feeToken` taken from its last log.

    That is always the fee's transfer to the fee manager, of whatever kind the transaction and its signatures
    are, and whether it succeeded or not. What is not a receipt is returned as it is.
    """
    logs = receipt.get("logs") if isinstance(receipt, dict) else None
    last = logs[-1] if isinstance(logs, list) and logs else None
    topics = last.get("topics") if isinstance(last, dict) else None
    if not isinstance(receipt, dict) or not isinstance(last, dict) or not isinstance(topics, list):
        return receipt
    if len(topics) != 3 or topics[0] != _TRANSFER_TOPIC or topics[2] != _FEE_MANAGER_TOPIC:
        return receipt
    return {**receipt, "feePayer": "0x" + str(topics[1])[-40:], "feeToken": last.get("address")}


def attribute_fees(receipts: JSONValue) -> JSONValue:
    """The same for a block's receipts."""
    return [attribute_fee(receipt) for receipt in receipts] if isinstance(receipts, list) else receipts
