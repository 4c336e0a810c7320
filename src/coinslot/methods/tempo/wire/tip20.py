"""TIP-20, Tempo's token standard: the calls that move tokens, and the events that say they moved.

A transfer is looked at from both ends. In pull it is read from a transaction's calls before that is broadcast
(draft-tempo-charge §Transaction Verification); in push from the logs of a receipt (§Hash Verification).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from msgspec import Struct

from coinslot.methods.tempo.keys import ADDRESS_LENGTH, checksum_address, keccak256
from coinslot.methods.tempo.wire import abi
from coinslot.methods.tempo.wire.memo import MEMO_LENGTH
from coinslot.methods.tempo.wire.transaction import Call
from coinslot.protocol.encoding import JSONValue

_TIP20: Final = "0x20c000000000000000000000"

_TRANSFER: Final = abi.selector("transfer(address,uint256)")
_TRANSFER_WITH_MEMO: Final = abi.selector("transferWithMemo(address,uint256,bytes32)")
_BALANCE_OF: Final = abi.selector("balanceOf(address)")

_TRANSFER_EVENT: Final = keccak256(b"Transfer(address,address,uint256)")
_TRANSFER_WITH_MEMO_EVENT: Final = keccak256(b"TransferWithMemo(address,address,uint256,bytes32)")


class Transfer(Struct, frozen=True, kw_only=True):
    """Tokens that move. `amount` is in the token's base units; addresses are EIP-55 checksummed.

    `memo` is 32 bytes, or None for a plain transfer. `sender` is known from a log; from a call it is None,
    and means the transaction's sender.
    """

    token: str
    recipient: str
    amount: int
    memo: bytes | None = None
    sender: str | None = None


def is_token(address: str) -> bool:
    """Whether an address is one that only TIP-20 tokens have: the chain's own factory makes them."""
    return address.lower().startswith(_TIP20)


def transfer(to: str, amount: int) -> bytes:
    """Calldata of `transfer(to, amount)`. Raises `AddressError` or `AmountError`."""
    return _TRANSFER + abi.address_word(to) + abi.amount_word(amount)


def transfer_with_memo(to: str, amount: int, memo: bytes) -> bytes:
    """Calldata of `transferWithMemo(to, amount, memo)`.

    `memo` is 32 bytes. Raises `AddressError`, `AmountError`, or `ValueError` for the memo.
    """
    if len(memo) != MEMO_LENGTH:
        raise ValueError(f"a memo has {MEMO_LENGTH} bytes, not {len(memo)}")
    return _TRANSFER_WITH_MEMO + abi.address_word(to) + abi.amount_word(amount) + memo


def balance_of(address: str) -> bytes:
    """Calldata of `balanceOf(address)`. Raises `AddressError`."""
    return _BALANCE_OF + abi.address_word(address)


def decode_call(call: Call) -> Transfer | None:
    """The transfer that a call makes, or None if it is anything else.

    Only the one encoding that a compiler makes is a transfer here: exact length, addresses padded with zeros,
    no native value beside it.
    """
    selector, arguments = call.data[:4], call.data[4:]
    sizes = {_TRANSFER: 2 * abi.WORD, _TRANSFER_WITH_MEMO: 3 * abi.WORD}
    if call.to is None or call.value or sizes.get(selector) != len(arguments):
        return None
    recipient = abi.read_address(arguments[: abi.WORD])
    if recipient is None:
        return None
    return Transfer(
        token=checksum_address(call.to),
        recipient=recipient,
        amount=int.from_bytes(arguments[abi.WORD : 2 * abi.WORD]),
        memo=arguments[2 * abi.WORD :] or None,
    )


def read_transfer_event(log: JSONValue, *, with_memo: bool = False) -> Transfer | None:
    """The transfer that one `Transfer` log reports, without its memo; None for any other JSON value.

    `with_memo`: that one `TransferWithMemo` log reports.
    """
    transfer = _read_log(log)
    return transfer if transfer is not None and (transfer.memo is not None) == with_memo else None


def transfers_in_logs(logs: JSONValue) -> list[Transfer]:
    """The transfers that a receipt's `logs` report, in their order.

    A transfer with a memo emits `Transfer` and, right beside it, `TransferWithMemo`: such a pair is one
    transfer. Whatever is not a well-formed log of these two events is passed over, so any JSON value will do.
    """
    transfers: list[Transfer] = []
    previous: Transfer | None = None  # the transfer of the log just before, if it may still be half of a pair
    for log in logs if isinstance(logs, list) else []:
        current = _read_log(log)
        if current is not None and previous is not None and _is_pair(previous, current):
            transfers[-1] = current if current.memo is not None else previous
            previous = None
            continue
        if current is not None:
            transfers.append(current)
        previous = current
    return transfers


def event_topics(*, to: Sequence[str], sent_by: Sequence[str], with_memo: bool = False) -> list[JSONValue]:
    """The topics of `Transfer` logs to, and from, any of these addresses; of anybody's where there are none.

    `with_memo`: of the `TransferWithMemo` logs that stand beside those of transfers with a memo. Raises
    `AddressError`.
    """
    event = _TRANSFER_WITH_MEMO_EVENT if with_memo else _TRANSFER_EVENT
    return ["0x" + event.hex(), _any_of(sent_by), _any_of(to)]


def transfer_topics(transfer: Transfer) -> list[str]:
    """The topics of the log that this transfer leaves, which has a sender and a memo."""
    words = (abi.address_word(transfer.sender or ""), abi.address_word(transfer.recipient))
    return ["0x" + word.hex() for word in (_TRANSFER_WITH_MEMO_EVENT, *words, transfer.memo or b"")]


def _any_of(addresses: Sequence[str]) -> JSONValue:
    return ["0x" + abi.address_word(address).hex() for address in addresses] or None


def _is_pair(one: Transfer, other: Transfer) -> bool:
    return (one.memo is None) != (other.memo is None) and (
        (one.token, one.sender, one.recipient, one.amount)
        == (other.token, other.sender, other.recipient, other.amount)
    )


def _read_log(log: JSONValue) -> Transfer | None:
    """`from`, `to` and `memo` are indexed, so they are topics; the amount is all of the data."""
    if not isinstance(log, dict):
        return None
    topics = log.get("topics")
    if not isinstance(topics, list) or not 3 <= len(topics) <= 4:
        return None
    token = _read_hex(log.get("address"), ADDRESS_LENGTH)
    amount = _read_hex(log.get("data"), abi.WORD)
    event, *words = [_read_hex(topic, abi.WORD) for topic in topics]
    if event != (_TRANSFER_EVENT if len(topics) == 3 else _TRANSFER_WITH_MEMO_EVENT):
        return None
    sender, recipient = _read_address(words[0]), _read_address(words[1])
    memo = words[2] if len(words) == 3 else None
    if token is None or amount is None or sender is None or recipient is None or words[-1] is None:
        return None
    return Transfer(
        token=checksum_address(token),
        recipient=recipient,
        amount=int.from_bytes(amount),
        memo=memo,
        sender=sender,
    )


def _read_hex(value: JSONValue, size: int) -> bytes | None:
    """Exactly `size` bytes from `0x…`, or None."""
    if not isinstance(value, str) or len(value) != 2 + 2 * size or not value.startswith("0x"):
        return None
    try:
        data = bytes.fromhex(value[2:])
    except ValueError:
        return None
    return data if len(data) == size else None  # fromhex passes over spaces


def _read_address(word: bytes | None) -> str | None:
    return None if word is None else abi.read_address(word)
