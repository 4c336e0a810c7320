from __future__ import annotations

import pytest
from hypothesis import given, settings, strategies as st

from coinslot.errors import PaymentExpired, VerificationFailed
from coinslot.methods.tempo.refusals import explain, is_pending
from coinslot.methods.tempo.rpc import RpcRefused

TOKEN = "20c0000000000000000000000000000000000000"


def words(*numbers: int) -> bytes:
    return b"".join(number.to_bytes(32) for number in numbers)


# As nodes have said it: anvil 1.7.1 in Tempo mode, and Tempo's own node.
SENTENCES = [
    (-32003, "insufficient fee token balance: have 0, need 2000", "sender does not have"),
    (-32003, "Insufficient funds for gas * price + value", "sender does not have"),
    (-32000, "lack of funds (0) for max fee (2000)", "sender does not have"),
    (
        -32603,
        "tempo transaction error: transaction not valid yet: current block timestamp 1 < validAfter 2",
        "validAfter",
    ),
    (
        -32603,
        "tempo transaction error: nonce manager error: expiring nonce valid_before (1795459147) too far in "
        "the future: must be within 30s of block timestamp (1795458146), max allowed is 1795458176",
        "validBefore is further ahead",
    ),
    (-32603, "tempo transaction error: expiring nonce transaction must have nonce == 0", "nonce is not zero"),
    (-32603, "nonce manager error: ExpiringNonceReplay", "nonce is used"),
    (-32000, "nonce too low: next nonce 8, tx nonce 7", "nonce is used"),
    (
        -32603,
        "tempo transaction error: invalid fee token: 0x1111111111111111111111111111111111111111",
        "fee cannot be",
    ),
    (-32003, "insufficient liquidity in FeeAMM pool", "fee cannot be paid"),
    (-32003, "max fee per gas less than block base fee", "fee cap is below"),
    (-32000, "intrinsic gas too high -- CallGasCostMoreThanGasLimit", "gas limit is too low"),
    (-32003, "Out of gas: gas required exceeds allowance: 30000", "gas limit is too low"),
    (-32603, "tempo transaction error: something that nobody has seen yet", "form is not one"),
]


@pytest.mark.parametrize(("code", "message", "reason"), SENTENCES, ids=lambda value: str(value)[:40])
def test_what_nodes_say_is_understood(code: int, message: str, reason: str) -> None:
    """Each thing that can be wrong with a transaction has a sentence of its own."""
    refusal = explain(RpcRefused("eth_call", code, message))
    assert type(refusal) is VerificationFailed
    assert reason in refusal.detail


@pytest.mark.parametrize(
    "message",
    [
        "tempo transaction error: transaction expired: current block timestamp 2 >= validBefore 1",
        "Tempo tx valid_before (1795458378) must be > current time + 3s (1795458386)",
        "nonce manager error: expiring nonce transaction expired: valid_before (1) <= block timestamp (2)",
    ],
)
def test_what_is_over_is_expired(message: str) -> None:
    """A transaction whose time is over is told apart from one that is wrong."""
    assert isinstance(explain(RpcRefused("eth_call", -32603, message)), PaymentExpired)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (
            "832f98b5" + words(5, 10, int(TOKEN, 16)).hex(),
            "holds 5 base units of 0x20C0.*; the transfer takes 10",
        ),
        ("9c8d2cd2", "cannot be sent to this recipient"),
        ("54cfe659", "policy forbids"),
        ("ab35696f", "paused"),
        ("1c72fad4", "no such token"),
        ("832f98b5", r"the token refuses it \(0x832f98b5\)"),
        ("deadbeef", r"the token refuses it \(0xdeadbeef\)"),
        ("", "the token refuses it"),
    ],
)
def test_reverts_are_understood_by_their_data(data: str, reason: str) -> None:
    """The error that the token raised is told in words if it is a known one, else by its selector."""
    refusal = explain(RpcRefused("eth_call", 3, "execution reverted", bytes.fromhex(data)))
    assert type(refusal) is VerificationFailed
    with pytest.raises(VerificationFailed, match=reason):
        raise refusal


@pytest.mark.parametrize(
    ("code", "message"),
    [
        (-32601, "Method not found"),
        (-32603, "Internal error"),
        (-32005, "rate limit exceeded"),
        (-32000, "header not found"),
        (-32602, "invalid type: map, expected a sequence"),
    ],
)
def test_trouble_of_the_nodes_own_is_nobodys_fault(code: int, message: str) -> None:
    """What says nothing about the transaction is not blamed on it."""
    assert explain(RpcRefused("eth_call", code, message)) is None


@settings(deadline=None)
@given(st.integers(), st.text(), st.binary(max_size=200))
def test_any_refusal_can_be_looked_at(code: int, message: str, data: bytes) -> None:
    """Whatever a node says, explaining it does not fail."""
    refusal = RpcRefused("eth_call", code, message, data)
    explained = explain(refusal)
    assert explained is None or explained.detail.endswith(".")
    assert is_pending(refusal) in (True, False)


@pytest.mark.parametrize(
    ("code", "message", "pending"),
    [
        (-32000, "already known", True),
        (-32003, "transaction already imported", True),
        (-32603, "Transaction confirmation timeout", True),
        (4, "The transaction was added to the mempool but wasn't processed within 2s", True),
        (-32003, "insufficient fee token balance: have 0, need 2000", False),
        (-32602, "Failed to decode transaction", False),
    ],
)
def test_a_node_that_has_it_already_is_told_apart(code: int, message: str, pending: bool) -> None:
    """A second copy, or a wait that was too long, is no refusal of the transaction."""
    assert is_pending(RpcRefused("eth_sendRawTransactionSync", code, message)) == pending
