"""Parts of each payment that go to others than the seller (draft-tempo-charge §Split Payments)."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal, InvalidOperation

from coinslot.errors import ConfigurationError
from coinslot.intents import format_amount, to_base_units
from coinslot.methods.tempo.server.addresses import payable_address
from coinslot.methods.tempo.wire.memo import MEMO_LENGTH
from coinslot.methods.tempo.wire.terms import MAX_SPLITS
from coinslot.methods.tempo.wire.tip20 import Transfer
from coinslot.protocol import JSONObject


class Split:
    """A part of every payment that goes to `recipient` instead of the seller.

        tempo.Split("0x…", amount="0.001")     so much, whatever the price
        tempo.Split("0x…", share="0.05")       5 % of the price, rounded down to a base unit

    `memo` is 32 bytes that the transfer has to carry. Raises `ConfigurationError`.
    """

    __slots__ = ("amount", "memo", "recipient", "share")

    def __init__(
        self,
        recipient: str,
        *,
        amount: str | None = None,
        share: str | Decimal | None = None,
        memo: bytes | None = None,
    ) -> None:
        if (amount is None) == (share is None):
            raise ConfigurationError("a split has either an amount or a share of the price")
        if memo is not None and len(memo) != MEMO_LENGTH:
            raise ConfigurationError(f"a split's memo has {MEMO_LENGTH} bytes, not {len(memo)}")
        self.recipient = payable_address("split", recipient)
        self.amount = amount
        self.share = None if share is None else _share(share)
        self.memo = memo

    def __repr__(self) -> str:
        part = f"amount={self.amount!r}" if self.share is None else f"share={str(self.share)!r}"
        return f"Split({self.recipient!r}, {part})"

    def of(self, price: int, decimals: int) -> int:
        """Its base units of a price in base units. Raises `AmountError`."""
        if self.share is not None:
            numerator, denominator = self.share.as_integer_ratio()
            return price * numerator // denominator
        assert self.amount is not None
        return to_base_units(self.amount, decimals)


def split_price(splits: Sequence[Split], price: int, *, currency: str, decimals: int) -> tuple[Transfer, ...]:
    """The transfers that the splits make of a price in base units.

    Raises `AmountError`, or `ConfigurationError` for one that comes to nothing, or where the seller is left
    with nothing.
    """
    transfers = tuple(
        Transfer(token=currency, recipient=split.recipient, amount=split.of(price, decimals), memo=split.memo)
        for split in splits
    )
    asked = format_amount(price, decimals)
    for transfer in transfers:
        if transfer.amount == 0:
            raise ConfigurationError(f"the split to {transfer.recipient} comes to nothing of {asked}")
    if transfers and sum(transfer.amount for transfer in transfers) >= price:
        raise ConfigurationError(f"the splits leave nothing of {asked} to the recipient")
    return transfers


def check_splits(splits: Sequence[Split]) -> tuple[Split, ...]:
    """As many as one transaction takes. Raises `ConfigurationError`."""
    if len(splits) > MAX_SPLITS:
        raise ConfigurationError(f"at most {MAX_SPLITS} splits, not {len(splits)}")
    return tuple(splits)


def _share(share: str | Decimal) -> Decimal:
    try:
        value = Decimal(share)
    except InvalidOperation:
        value = Decimal("NaN")
    if not value.is_finite() or not 0 < value < 1:
        raise ConfigurationError('a share is a part of one, such as "0.05" for 5 %')
    return value


def split_entry(split: Transfer) -> JSONObject:
    """§Split Entry Schema."""
    entry: JSONObject = {"amount": str(split.amount), "recipient": split.recipient}
    if split.memo is not None:
        entry["memo"] = "0x" + split.memo.hex()
    return entry
