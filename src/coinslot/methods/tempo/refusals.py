"""What a node's refusal to run a transaction says about the transaction.

A refusal is either a revert, told by the first four bytes of its data, or a sentence. The sentences are those
of Tempo's node and of anvil, which share the code that checks transactions.
"""

from __future__ import annotations

import re
from typing import Final

from coinslot.errors import PaymentError, PaymentExpired, VerificationFailed
from coinslot.methods.tempo.keys import checksum_address, keccak256
from coinslot.methods.tempo.rpc import RpcRefused

_EXECUTION_REVERTED: Final = 3

_INSUFFICIENT_BALANCE: Final = keccak256(b"InsufficientBalance(uint256,uint256,address)")[:4]

_REVERTS: Final = {
    keccak256(error.encode())[:4]: why
    for error, why in (
        ("InvalidRecipient()", "the token cannot be sent to this recipient"),
        ("PolicyForbids()", "the token's policy forbids a transfer between these accounts"),
        ("ContractPaused()", "the token is paused"),
        ("Uninitialized()", "there is no such token on this chain"),
        ("SpendingLimitExceeded()", "the access key's limit does not cover it"),
        ("CallNotAllowed()", "the access key may not make this call"),
        ("KeyExpired()", "the access key has expired"),
        ("KeyNotFound()", "the access key is not authorized for the account"),
    )
}

_EXPIRED: Final = re.compile(r"transaction expired|valid_before \(\d+\) must be >", re.IGNORECASE)

# The first that is found counts.
_SENTENCES: Final = {
    re.compile(pattern, re.IGNORECASE): f"The transaction's {what}."
    for pattern, what in {
        r"insufficient (funds|balance|fee token balance)|lack of funds": (
            "sender does not have what the payment and its fee take"
        ),
        r"not valid yet": "validAfter is in the future",
        r"too far in the future": "validBefore is further ahead than this chain allows",
        r"must have nonce == 0": "nonce is not zero, and this chain wants it to be",
        r"replay|nonce|already (known|imported|been used)": "nonce is used, or not the next",
        r"fee token|FeeAMM": "fee cannot be paid in the token that it names",
        r"less than block base fee|fee cap|underpriced": "fee cap is below what the chain charges",
        r"intrinsic gas|out of gas|gas limit|gas required exceeds": (
            "gas limit is too low for it, or too high for the chain"
        ),
        r"tempo transaction error": "form is not one that the chain takes",
    }.items()
}

# A node that has the transaction refuses it a second time, or says that waiting for its receipt took too long
# (EIP-7966, code 4).
_PENDING: Final = re.compile(
    r"already (known|imported|exists)|known transaction|confirmation timeout", re.IGNORECASE
)
_NOT_CONFIRMED_IN_TIME: Final = 4

_REPEATED: Final = re.compile(r"replay|nonce|already (known|imported|exists|been used)", re.IGNORECASE)

_FEE: Final = re.compile(r"\bfee\b|FeeAMM|lack of funds", re.IGNORECASE)


def explain(refusal: RpcRefused) -> PaymentError | None:
    """Why the transaction is not acceptable, or None if the refusal is about something else than it."""
    if refusal.data[:4] == _INSUFFICIENT_BALANCE and len(refusal.data) == 4 + 3 * 32:
        available, required = (int.from_bytes(refusal.data[start : start + 32]) for start in (4, 36))
        token = checksum_address(refusal.data[-20:])
        return VerificationFailed(
            f"The payer's account holds {available} base units of {token}; the transfer takes {required}."
        )
    if refusal.code == _EXECUTION_REVERTED or refusal.data:
        why = _REVERTS.get(refusal.data[:4], f"the token refuses it (0x{refusal.data[:4].hex()})")
        return VerificationFailed(f"The transfer would fail: {why}.")
    if _EXPIRED.search(refusal.reason):
        return PaymentExpired("The transaction's validBefore is over, or too near for it to be broadcast.")
    for pattern, sentence in _SENTENCES.items():
        if pattern.search(refusal.reason):
            return VerificationFailed(sentence)
    return None


def is_repeated(refusal: RpcRefused) -> bool:
    """Whether a transaction may be refused because the chain has it already."""
    return _REPEATED.search(refusal.reason) is not None


def concerns_fee(refusal: RpcRefused) -> bool:
    """Whether it is about the fee, which is not the payer's business if somebody else pays it."""
    return _FEE.search(refusal.reason) is not None


def is_pending(refusal: RpcRefused) -> bool:
    """Whether a node that refused a broadcast has the transaction nevertheless."""
    return refusal.code == _NOT_CONFIRMED_IN_TIME or _PENDING.search(refusal.reason) is not None
