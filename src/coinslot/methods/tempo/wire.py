"""Tempo on the wire: transactions, TIP-20 transfers and attribution memos. Pure: no I/O, no clock.

transaction.py   the 0x76 envelope: encode, decode, sign, recover
tip20.py         transfer calls, and transfers as logs report them
memo.py          the memo that binds a transfer to a challenge
rlp.py           the encoding below the envelope
"""

from __future__ import annotations

from coinslot.methods.tempo.memo import MEMO_LENGTH, attribution_memo, memo_binds
from coinslot.methods.tempo.tip20 import (
    Transfer,
    balance_of,
    decode_call,
    transfer,
    transfer_with_memo,
    transfers_in_logs,
)
from coinslot.methods.tempo.transaction import (
    EXPIRING_NONCE_KEY,
    FEE_PAYER_PLACEHOLDER,
    MAX_TRANSACTION_SIZE,
    Call,
    Transaction,
    TransactionError,
)

__all__ = [
    "EXPIRING_NONCE_KEY",
    "FEE_PAYER_PLACEHOLDER",
    "MAX_TRANSACTION_SIZE",
    "MEMO_LENGTH",
    "Call",
    "Transaction",
    "TransactionError",
    "Transfer",
    "attribution_memo",
    "balance_of",
    "decode_call",
    "memo_binds",
    "transfer",
    "transfer_with_memo",
    "transfers_in_logs",
]
