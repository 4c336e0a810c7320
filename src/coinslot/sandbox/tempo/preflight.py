"""What a chain asks of a transaction before it runs: a fee that can be paid, and a key that may sign."""

from __future__ import annotations

from coinslot.protocol import JSONValue
from coinslot.sandbox.tempo.access_keys import AccessKeys
from coinslot.sandbox.tempo.fees import Charge, Fees
from coinslot.sandbox.tempo.node import Node
from coinslot.sandbox.tempo.requests import TempoRequest


class Preflight:
    """Asks it in simulations, where the node does not."""

    def __init__(self, node: Node, fees: Fees, keys: AccessKeys) -> None:
        self._node = node
        self._fees = fees
        self._keys = keys

    async def check(
        self, request: TempoRequest, *, gas: int | None = None, overrides: list[JSONValue] | None = None
    ) -> Charge | None:
        """What the fee takes beforehand, if it can be told; see `Fees.charge`.

        Raises `RPCError` if the transaction would not get as far as running.
        """
        charge = await self._fees.charge(request, gas, overrides or [])
        if any(request.members.get(name) is not None for name in ("keyAuthorization", "keyId")):
            await self._keys.check_request(request, charge, await self._node.now())
        return charge

    async def authorizing_gas(self, request: TempoRequest) -> int:
        """What gas a request's `keyAuthorization` takes. Raises `RPCError` if the chain would refuse it."""
        return await self._keys.authorizing_gas(request)
