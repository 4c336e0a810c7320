"""Tempo on the wire: transactions, signatures, transfers, memos and proofs. Pure: no I/O, no clock.

transaction.py         the envelopes 0x76 and 0x78: encode, decode, sign, co-sign, recover
signatures.py          who signed, with a key of which kind; p256.py, webauthn.py
key_authorization.py   by which an account lets another key sign for it; keychain.py asks the chain about it
tip20.py               transfer calls, and transfers as logs report them
dex.py                 the calls before a transfer that swap for its token
memo.py                the memos that bind a transfer to a challenge, and a refund to a payment
proof.py               what is signed where nothing is to be paid
terms.py, source.py    what a challenge asks for, and who pays it
rlp.py, abi.py         the encodings below
"""

from __future__ import annotations

from coinslot.methods.tempo.wire.dex import Swap, decode_swap, swap_calls
from coinslot.methods.tempo.wire.key_authorization import (
    CallScope,
    KeyAuthorization,
    KeyAuthorizationError,
    SelectorRule,
    TokenLimit,
)
from coinslot.methods.tempo.wire.memo import MEMO_LENGTH, attribution_memo, memo_binds
from coinslot.methods.tempo.wire.proof import PROOF_VERSIONS, proof_hash
from coinslot.methods.tempo.wire.signatures import AccessKey, Signer, SigningKey, recover_signer
from coinslot.methods.tempo.wire.tip20 import (
    Transfer,
    balance_of,
    decode_call,
    transfer,
    transfer_with_memo,
    transfers_in_logs,
)
from coinslot.methods.tempo.wire.transaction import (
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
    "PROOF_VERSIONS",
    "AccessKey",
    "Call",
    "CallScope",
    "KeyAuthorization",
    "KeyAuthorizationError",
    "SelectorRule",
    "Signer",
    "SigningKey",
    "Swap",
    "TokenLimit",
    "Transaction",
    "TransactionError",
    "Transfer",
    "attribution_memo",
    "balance_of",
    "decode_call",
    "decode_swap",
    "memo_binds",
    "proof_hash",
    "recover_signer",
    "swap_calls",
    "transfer",
    "transfer_with_memo",
    "transfers_in_logs",
]
