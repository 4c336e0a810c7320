"""Crypto deposit addresses."""

from __future__ import annotations

from typing import ClassVar, Literal

from msgspec import Struct, field

from coinslot.sandbox.stripe.shapes.base import Lasting

Network = Literal["base", "solana", "tempo"]
"""The networks on which deposits are taken."""


class SupportedToken(Struct):
    """A token that may be sent to an address, and the contract that it lives in."""

    token_contract_address: str
    token_currency: Literal["usdc"]


class DepositAddress(Lasting, kw_only=True):
    """An address that receives any number of payments, each to be recorded by a PaymentIntent."""

    KIND: ClassVar[str] = "crypto.deposit_address"
    NOUN: ClassVar[str] = "crypto_deposit_address"

    object: Literal["crypto.deposit_address"] = "crypto.deposit_address"
    address: str
    customer: str | None = None
    livemode: bool = False
    metadata: dict[str, str] = field(default_factory=dict)
    network: Network
    supported_tokens: list[SupportedToken]
