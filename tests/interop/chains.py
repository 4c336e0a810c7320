"""The chains of the interoperability tests, and money on them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from coinslot.methods.tempo.keys import PrivateKey
from coinslot.sandbox.tempo import ThreadedDevnet
from sandbox_rpc import PATH_USD, RPC, pay, payment, raw


class Chain:
    """A devnet: what is charged in on it, its node, a sponsor of fees, and somebody who gives money away."""

    def __init__(self, devnet: ThreadedDevnet, rpc: RPC, currency: str) -> None:
        self.rpc = rpc
        self.chain_id = devnet.chain_id
        self.currency = currency
        self._tokens = {currency.lower(), PATH_USD}
        self.sponsor = PrivateKey.generate()
        self._giver = PrivateKey.generate()
        devnet.fund(self.sponsor.address)
        devnet.fund(self._giver.address)

    def give(self, address: str, *, price: int, fees: int) -> None:
        """Let an account have so many base units of the currency, and so many to pay fees with."""
        calls = [pay(address, price, token=self.currency)]
        if fees > 0:
            # Of a transaction that names no token for its fee, Tempo takes it in the one that is moved,
            # and anvil in pathUSD.
            calls += [pay(address, fees, token=token) for token in self._tokens]
        gift = payment(*calls, chain_id=self.chain_id, nonce=0, gas_limit=2_000_000)
        receipt = self.rpc("eth_sendRawTransactionSync", raw(gift.sign(self._giver)))
        assert receipt["status"] == "0x1"

    def balance(self, address: str) -> int:
        """What an account has of the currency, in base units."""
        return self.rpc.balance(address, self.currency)

    def fortune(self, address: str) -> int:
        """What an account has of the currency and of what fees are paid in, in base units."""
        return sum(self.rpc.balance(address, token) for token in self._tokens)


@contextmanager
def opened(devnet: ThreadedDevnet, currency: str) -> Iterator[Chain]:
    """A running devnet, as the tests use it."""
    rpc = RPC(devnet.rpc_url)
    try:
        yield Chain(devnet, rpc, currency)
    finally:
        rpc.close()
