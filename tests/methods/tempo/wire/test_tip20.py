"""TIP-20 calls and logs: what counts as a transfer, and what does not."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, strategies as st

from coinslot.errors import AmountError
from coinslot.methods.tempo.keys import AddressError, checksum_address, parse_address
from coinslot.methods.tempo.wire.tip20 import (
    Transfer,
    balance_of,
    decode_call,
    transfer,
    transfer_with_memo,
    transfers_in_logs,
)
from coinslot.methods.tempo.wire.transaction import Call
from coinslot.protocol.encoding import JSONObject, JSONValue

TOKEN = "0x20C0000000000000000000000000000000000000"
RECIPIENT = "0x742d35Cc6634c0532925a3b844bC9e7595F8fE00"
PAYER = "0x19E7E376E7C213B7E7e7e46cc70A5dD086DAff2A"
MEMO = bytes.fromhex("ef1ed712011ece072f76bd8b82350e000000000000000000005e918c2dbc85da")

addresses = st.binary(min_size=20, max_size=20).map(checksum_address)
amounts = st.integers(0, 2**256 - 1)
memos = st.binary(min_size=32, max_size=32)


class TransferCall(msgspec.Struct):
    """A transfer's arguments and the calldata that viem makes of them."""

    to: str
    amount: str
    data: str
    memo: str = ""


class BalanceCall(msgspec.Struct):
    """The same for `balanceOf`."""

    address: str
    data: str


class Calls(msgspec.Struct):
    """Calldata as viem makes it."""

    transfers: list[TransferCall]
    transfers_with_memo: list[TransferCall] = msgspec.field(name="transfersWithMemo")
    balance_of: BalanceCall = msgspec.field(name="balanceOf")


class Log(msgspec.Struct):
    """What a log says, without where it stands."""

    address: str
    topics: list[str]
    data: str


class Logs(msgspec.Struct):
    """Logs as viem encodes the two events."""

    transfer: Log
    transfer_with_memo: Log = msgspec.field(name="transferWithMemo")


class Vectors(msgspec.Struct):
    """The part of viem_vectors.json that concerns TIP-20."""

    calls: Calls
    logs: Logs


VECTORS = msgspec.json.decode((Path(__file__).parents[1] / "viem_vectors.json").read_bytes(), type=Vectors)


def raw(text: str) -> bytes:
    """The bytes of 0x-prefixed hexadecimal."""
    return bytes.fromhex(text.removeprefix("0x"))


def call(data: bytes) -> Call:
    """A call to the token."""
    return Call(parse_address(TOKEN), 0, data)


@pytest.mark.parametrize("vector", VECTORS.calls.transfers)
def test_a_transfer_is_written_and_read_as_viem_does(vector: TransferCall) -> None:
    """`transfer` has viem's calldata, and viem's calldata is read as that transfer."""
    assert transfer(vector.to, int(vector.amount)) == raw(vector.data)
    assert decode_call(call(raw(vector.data))) == Transfer(
        token=TOKEN, recipient=checksum_address(vector.to), amount=int(vector.amount)
    )


@pytest.mark.parametrize("vector", VECTORS.calls.transfers_with_memo)
def test_a_transfer_with_memo_is_written_and_read_as_viem_does(vector: TransferCall) -> None:
    """`transferWithMemo` has viem's calldata, and viem's calldata is read as that transfer."""
    assert transfer_with_memo(vector.to, int(vector.amount), raw(vector.memo)) == raw(vector.data)
    assert decode_call(call(raw(vector.data))) == Transfer(
        token=TOKEN, recipient=checksum_address(vector.to), amount=int(vector.amount), memo=raw(vector.memo)
    )


def test_balance_of_is_written_as_viem_does() -> None:
    """`balanceOf` has viem's calldata."""
    assert balance_of(VECTORS.calls.balance_of.address) == raw(VECTORS.calls.balance_of.data)


@given(addresses, addresses, amounts, st.none() | memos)
def test_calls_round_trip(token: str, to: str, amount: int, memo: bytes | None) -> None:
    """A transfer that was written as calldata is read as the same transfer, with no sender."""
    data = transfer(to, amount) if memo is None else transfer_with_memo(to, amount, memo)
    expected = Transfer(token=token, recipient=to, amount=amount, memo=memo, sender=None)
    assert decode_call(Call(parse_address(token), 0, data)) == expected


PLAIN, WITH_MEMO = transfer(RECIPIENT, 10_000), transfer_with_memo(RECIPIENT, 10_000, MEMO)


@pytest.mark.parametrize("data", [PLAIN, WITH_MEMO])
@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda data: data + b"\x00", id="a byte follows"),
        pytest.param(lambda data: data + bytes(32), id="a word follows"),
        pytest.param(lambda data: data[:-1], id="a byte is missing"),
        pytest.param(lambda data: data[:-32], id="a word is missing"),
        pytest.param(lambda data: data[:4] + b"\x01" + data[5:], id="the padding is not zero"),
        pytest.param(lambda data: data[:15] + b"\x80" + data[16:], id="the padding's last byte is not zero"),
        pytest.param(lambda data: b"\x00" + data[1:], id="another function"),
        pytest.param(lambda data: data[:4], id="only the selector"),
        pytest.param(lambda data: b"", id="nothing"),
    ],
)
def test_only_canonical_calldata_is_a_transfer(data: bytes, change: Callable[[bytes], bytes]) -> None:
    """Calldata that a token might still take, but no compiler writes, is no transfer."""
    assert decode_call(call(data)) is not None
    assert decode_call(call(change(data))) is None


def test_a_transfer_goes_to_a_token_without_native_value() -> None:
    """A contract creation and a call with native value are no transfers, whatever their data."""
    assert decode_call(Call(None, 0, PLAIN)) is None
    assert decode_call(Call(parse_address(TOKEN), 1, PLAIN)) is None


@given(st.binary(max_size=140) | st.binary(max_size=100).map(lambda tail: PLAIN[:4] + tail))
def test_reading_calldata_is_total(data: bytes) -> None:
    """Arbitrary calldata is a transfer whose calldata it is, or None."""
    read = decode_call(call(data))
    if read is not None:
        assert read.memo is None
        assert transfer(read.recipient, read.amount) == data


def test_arguments_out_of_range_are_refused() -> None:
    """Amounts outside 256 bits, memos of another length and bad addresses never become calldata."""
    for amount in (-1, 2**256):
        with pytest.raises(AmountError):
            transfer(RECIPIENT, amount)
    for memo in (b"", MEMO[:-1], MEMO + b"\x00"):
        with pytest.raises(ValueError, match="32 bytes"):
            transfer_with_memo(RECIPIENT, 1, memo)
    with pytest.raises(AddressError):
        balance_of("0x20c0")


def log(
    amount: int = 10_000, memo: bytes | None = None, recipient: str = RECIPIENT, token: str = TOKEN
) -> JSONObject:
    """A log as a node reports it, in the shape of viem's."""
    template = VECTORS.logs.transfer if memo is None else VECTORS.logs.transfer_with_memo
    event, sender, *_ = template.topics
    topics: list[JSONValue] = [event, sender, "0x" + parse_address(recipient).rjust(32, b"\x00").hex()]
    if memo is not None:
        topics.append("0x" + memo.hex())
    return {
        "address": token.lower(),
        "topics": topics,
        "data": "0x" + amount.to_bytes(32).hex(),
        "logIndex": "0x0",
        "removed": False,
    }


def moved(
    amount: int = 10_000, memo: bytes | None = None, recipient: str = RECIPIENT, token: str = TOKEN
) -> Transfer:
    """The transfer that `log` of the same arguments reports."""
    return Transfer(token=token, recipient=recipient, amount=amount, memo=memo, sender=PAYER)


def test_events_are_read_as_viem_encodes_them() -> None:
    """viem's encoding of both events, alone, is the transfer that was put into it."""
    plain: JSONValue = msgspec.to_builtins(VECTORS.logs.transfer)
    with_memo: JSONValue = msgspec.to_builtins(VECTORS.logs.transfer_with_memo)
    assert transfers_in_logs([plain]) == [moved()]
    assert transfers_in_logs([with_memo]) == [moved(memo=MEMO)]


OTHER: JSONObject = {"address": TOKEN, "topics": ["0x" + "77" * 32], "data": "0x"}


@pytest.mark.parametrize(
    ("logs", "transfers"),
    [
        pytest.param([], [], id="no logs"),
        pytest.param([log(), log(memo=MEMO)], [moved(memo=MEMO)], id="a pair"),
        pytest.param([log(memo=MEMO), log()], [moved(memo=MEMO)], id="a pair the other way round"),
        pytest.param(
            [log(), log(memo=MEMO), log(), log(memo=MEMO)],
            [moved(memo=MEMO), moved(memo=MEMO)],
            id="the same transfer twice",
        ),
        pytest.param([log(), log()], [moved(), moved()], id="two plain transfers"),
        pytest.param(
            [log(), log(), log(memo=MEMO)], [moved(), moved(memo=MEMO)], id="a plain one before a pair"
        ),
        pytest.param(
            [log(), log(memo=MEMO), log()], [moved(memo=MEMO), moved()], id="a plain one after a pair"
        ),
        pytest.param(
            [log(memo=MEMO), log(memo=MEMO)], [moved(memo=MEMO), moved(memo=MEMO)], id="two with memos"
        ),
        pytest.param(
            [log(), OTHER, log(memo=MEMO)], [moved(), moved(memo=MEMO)], id="another event between them"
        ),
        pytest.param([log(5), log(6, memo=MEMO)], [moved(5), moved(6, memo=MEMO)], id="of different amounts"),
        pytest.param(
            [log(recipient=PAYER), log(memo=MEMO)],
            [moved(recipient=PAYER), moved(memo=MEMO)],
            id="to different recipients",
        ),
        pytest.param(
            [log(token=PAYER), log(memo=MEMO)],
            [moved(token=PAYER), moved(memo=MEMO)],
            id="of different tokens",
        ),
        pytest.param([OTHER, log(), OTHER], [moved()], id="among other events"),
    ],
)
def test_a_pair_of_logs_is_one_transfer(logs: list[JSONValue], transfers: list[Transfer]) -> None:
    """Adjacent logs of one transfer count once and with their memo; everything else counts for itself."""
    assert transfers_in_logs(logs) == transfers


@pytest.mark.parametrize("memo", [None, MEMO])
@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("address", None),
        ("address", "0x20c0"),
        ("address", "0x" + "zz" * 20),
        ("address", "20" * 21),
        ("data", "0x"),
        ("data", "0x" + "00" * 31),
        ("data", "0x" + "00" * 64),
        ("data", "0x" + "00 " * 21 + "0"),
        ("data", "0x" + "00 " * 32),
        ("data", 10_000),
        ("topics", None),
        ("topics", []),
        ("topics", ["0x"]),
        ("topics", {}),
    ],
)
def test_a_log_with_a_bad_member_is_passed_over(memo: bytes | None, member: str, value: JSONValue) -> None:
    """A log whose address, data or topics are not of the event's shape reports nothing, and stops nothing."""
    broken = log(memo=memo)
    broken[member] = value
    assert transfers_in_logs([broken, log(7)]) == [moved(7)]
    del broken[member]
    assert transfers_in_logs([broken, log(7)]) == [moved(7)]


@pytest.mark.parametrize("memo", [None, MEMO])
@pytest.mark.parametrize(
    "topic", ["0x", "0x" + "11" * 32, "0x" + "00" * 31, "0x" + "0g" * 32, 5, None, ["0x"]]
)
@pytest.mark.parametrize("at", [0, 1, 2])
def test_a_log_with_a_bad_topic_is_passed_over(memo: bytes | None, at: int, topic: JSONValue) -> None:
    """Another event, an address that is not padded with zeros, or no word at all: no transfer."""
    broken = copy.deepcopy(log(memo=memo))
    topics = broken["topics"]
    assert isinstance(topics, list)
    topics[at] = topic
    assert transfers_in_logs([broken]) == []


@pytest.mark.parametrize("memo", ["0x", "0x" + "00" * 31, "0x" + "00" * 33, "0x" + "0g" * 32, 5, None])
def test_a_log_with_a_bad_memo_is_passed_over(memo: JSONValue) -> None:
    """A memo that is no word does not leave a transfer without one."""
    broken = log(memo=MEMO)
    topics = broken["topics"]
    assert isinstance(topics, list)
    topics[3] = memo
    assert transfers_in_logs([broken]) == []


@pytest.mark.parametrize("memo", [None, MEMO])
@pytest.mark.parametrize("count", [2, 3, 4, 5])
def test_the_number_of_topics_is_the_events(memo: bytes | None, count: int) -> None:
    """Each event has its own number of topics: with one less or one more it is another event."""
    entry = log(memo=memo)
    topics = entry["topics"]
    assert isinstance(topics, list)
    right = len(topics)
    entry["topics"] = [*topics, *["0x" + MEMO.hex()] * 2][:count]
    assert len(transfers_in_logs([entry])) == (1 if count == right else 0)


words = st.sampled_from(["0x" + "00" * 32, "0x", "0x" + "ff" * 32, *map(str, VECTORS.logs.transfer.topics)])
json_values: st.SearchStrategy[JSONValue] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5) | words,
    lambda children: (
        st.lists(children, max_size=5)
        | st.dictionaries(st.sampled_from(["address", "topics", "data", "x"]), children, max_size=4)
    ),
    max_leaves=15,
)
broken_logs = st.builds(
    lambda entry, changes: {**entry, **changes},
    st.sampled_from([log(), log(memo=MEMO)]),
    st.dictionaries(st.sampled_from(["address", "topics", "data"]), json_values, max_size=2),
)


@given(json_values | st.lists(json_values | broken_logs, max_size=6))
def test_reading_logs_is_total(logs: JSONValue) -> None:
    """Any JSON value gives a list of transfers, at most one for each log."""
    transfers = transfers_in_logs(logs)
    assert len(transfers) <= (len(logs) if isinstance(logs, list) else 0)
