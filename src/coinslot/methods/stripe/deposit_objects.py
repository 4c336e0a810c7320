"""Stripe's objects that say where to send stablecoins."""

from __future__ import annotations

import re
from typing import Final

from msgspec import Struct

from coinslot.methods.stripe.deposit import NETWORK

_ADDRESS: Final = re.compile(r"0x[0-9a-fA-F]{40}")


class SupportedToken(Struct, frozen=True, kw_only=True):
    """A token that is taken at an address, and its contract."""

    token_currency: str
    token_contract_address: str


class NetworkAddress(Struct, frozen=True, kw_only=True):
    """Where to send what on one network."""

    address: str
    supported_tokens: tuple[SupportedToken, ...] = ()

    def why_not(self, currency: str, *, livemode: bool) -> str | None:
        """Why nobody should be told to send `currency`, a token's address, there. None: they can be.

        Stripe's test mode names the tokens of live networks, and looks at no chain.
        """
        if not _ADDRESS.fullmatch(self.address):
            return "is not an address on Tempo"
        taken = {token.token_contract_address.lower() for token in self.supported_tokens}
        if livemode and currency.lower() not in taken:
            return f"takes {', '.join(sorted(taken)) or 'no token'}, and {currency} is what is charged"
        return None


class CryptoDetails(Struct, frozen=True):
    """An address for each network: an object with the networks' names."""

    deposit_addresses: dict[str, NetworkAddress]


class NextAction(Struct, frozen=True):
    """What a PaymentIntent waits for."""

    crypto_display_details: CryptoDetails | None = None


class DepositIntent(Struct, frozen=True, kw_only=True):
    """A PaymentIntent in deposit mode."""

    id: str
    status: str
    livemode: bool
    next_action: NextAction | None = None

    @property
    def place(self) -> NetworkAddress | None:
        """Where it waits for its deposit, while it does."""
        details = self.next_action.crypto_display_details if self.next_action is not None else None
        if self.status != "requires_action" or details is None:
            return None
        return details.deposit_addresses.get(NETWORK)


class DepositAddress(NetworkAddress, frozen=True, kw_only=True):
    """An address for any number of payments, each to be recorded by a PaymentIntent."""

    id: str
    livemode: bool
