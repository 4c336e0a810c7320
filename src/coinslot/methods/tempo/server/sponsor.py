"""Who pays the fees of payments that are sponsored: an account of the seller's, or a service.

draft-tempo-charge §Fee Payment. The payer signs the transaction with the fee payer's place left open; the fee
payer chooses the token, signs over the whole of it and the payer's address (0x78), and nobody can change
anything any more.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Final, Protocol

from msgspec.structs import replace

from coinslot.errors import ConfigurationError, PaymentUnavailable
from coinslot.methods.tempo.keys import (
    AddressError,
    PrivateKey,
    SignatureError,
    checksum_address,
    parse_address,
)
from coinslot.methods.tempo.networks import PATH_USD, network_of
from coinslot.methods.tempo.node import transaction_object
from coinslot.methods.tempo.rpc import Rpc, RpcError
from coinslot.methods.tempo.server.addresses import token_address
from coinslot.methods.tempo.server.fee_policy import FeeBudget, FeePayerPolicy
from coinslot.methods.tempo.wire import Transaction, TransactionError
from coinslot.protocol import JSONObject, JSONValue

_PATIENCE: Final = 10.0  # seconds that a service has for signing
_DEFAULT_POLICY: Final = FeePayerPolicy()


class Sponsor(Protocol):
    """Somebody who pays fees."""

    @property
    def policy(self) -> FeePayerPolicy:
        """What it pays for."""
        ...

    async def co_sign(self, transaction: Transaction, currency: str) -> Transaction:
        """The transaction with the fee payer's signature; `currency` is what the payment is made in.

        Raises `PaymentUnavailable`.
        """
        ...

    def purse(self, currency: str) -> tuple[str, str] | None:
        """The token and the account that it pays from, if they can be watched."""
        ...

    def budget(self, clock: Callable[[], float]) -> FeeBudget:
        """What it has at stake, wherever it is used. `clock` tells the time in Unix seconds."""
        ...

    async def aclose(self) -> None:
        """Close the connections."""
        ...


class FeePayer:
    """An account of the seller's that pays the fees of payments, within a policy.

        tempo.charge("0x…", fee_payer=tempo.FeePayer("0x…", policy=tempo.FeePayerPolicy(max_fee="0.01")))

    `token` is what it pays in: a TIP-20 token's address, by default the currency of each charge. It has to
    hold some: before each payment its balance is compared with all that is under way, and when it is too
    little, payments are answered with 503 and an error is logged. Raises `ConfigurationError`.
    """

    def __init__(
        self,
        private_key: str | PrivateKey,
        *,
        token: str | None = None,
        policy: FeePayerPolicy = _DEFAULT_POLICY,
    ) -> None:
        self._key = private_key if isinstance(private_key, PrivateKey) else PrivateKey.from_hex(private_key)
        self._token = None if token is None else token_address("token", token)
        self.policy = policy
        self._budget: FeeBudget | None = None

    def __repr__(self) -> str:
        return f"FeePayer({self.address!r})"

    @property
    def address(self) -> str:
        """The account, EIP-55."""
        return self._key.address

    def purse(self, currency: str) -> tuple[str, str]:
        """The token and the account that it pays from."""
        return self._token or currency, self.address

    def budget(self, clock: Callable[[], float]) -> FeeBudget:
        """One for all the charges that this account pays the fees of."""
        self._budget = self._budget or FeeBudget(self.policy, clock, name=self.address)
        return self._budget

    async def co_sign(self, transaction: Transaction, currency: str) -> Transaction:
        """Sign it. The same transaction always gets the same signature."""
        return transaction.co_sign(self._key, parse_address(self._token or currency))

    async def aclose(self) -> None:
        """There is nothing to close."""


class HostedFeePayer:
    """A service that pays the fees of payments: `eth_fillTransaction` with `feePayer: true`, over JSON-RPC.

    `url` is the service's, `headers` what it wants to know its customer by. `tokens` are the fee tokens
    (addresses) that it may choose, by default pathUSD, the network's stablecoin and the currency of each
    charge. What a service signs is put into the payer's own transaction, so it can change nothing else.
    Raises `ConfigurationError`.
    """

    def __init__(
        self,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        tokens: Iterable[str] | None = None,
        policy: FeePayerPolicy = _DEFAULT_POLICY,
    ) -> None:
        if isinstance(tokens, str):
            raise ConfigurationError("tokens is a list of addresses, not one")
        self._rpc = Rpc(url, headers=headers)
        self._tokens = None if tokens is None else frozenset(token_address("tokens", one) for one in tokens)
        self.policy = policy
        self._budget: FeeBudget | None = None

    def __repr__(self) -> str:
        return f"HostedFeePayer({self._rpc.host!r})"

    def purse(self, currency: str) -> None:
        """Unknown."""

    def budget(self, clock: Callable[[], float]) -> FeeBudget:
        """One for all the charges that this service pays the fees of."""
        self._budget = self._budget or FeeBudget(self.policy, clock, name=self._rpc.host)
        return self._budget

    async def co_sign(self, transaction: Transaction, currency: str) -> Transaction:
        """Have the service sign. Raises `PaymentUnavailable` if it does not, or not for this transaction."""
        request = {**transaction_object(transaction, transaction.sender()), "feePayer": True}
        try:
            answer = await self._rpc.send("eth_fillTransaction", request, seconds=_PATIENCE)
            return self._completed(transaction, answer, currency)
        except (AddressError, RpcError, SignatureError, TransactionError) as error:
            raise PaymentUnavailable(
                "The fee cannot be paid right now. Nothing was taken; send it again.",
                log=f"the fee payer at {self._rpc.host}: {error}",
            ) from error

    async def aclose(self) -> None:
        """Close the connections."""
        await self._rpc.aclose()

    def _completed(self, transaction: Transaction, answer: JSONValue, currency: str) -> Transaction:
        filled = answer.get("tx") if isinstance(answer, dict) else None
        signature = filled.get("feePayerSignature") if isinstance(filled, dict) else None
        token = filled.get("feeToken") if isinstance(filled, dict) else None
        if not isinstance(signature, dict) or not isinstance(token, str):
            raise TransactionError("it answered without a feePayerSignature and a feeToken")
        fee_token = parse_address(token)
        if checksum_address(fee_token) not in self._allowed(transaction.chain_id, currency):
            raise TransactionError("it chose a fee token that is not among those it may pay in")
        completed = replace(transaction, fee_token=fee_token, fee_payer_signature=_signature(signature))
        if completed.fee_payer() == completed.sender():
            raise TransactionError("it signed as the payer")
        return completed

    def _allowed(self, chain_id: int, currency: str) -> frozenset[str]:
        if self._tokens is not None:
            return self._tokens
        network = network_of(chain_id)
        return frozenset({PATH_USD.address, currency} | ({network.currency.address} if network else set()))


def as_sponsor(fee_payer: str | PrivateKey | Sponsor) -> Sponsor:
    """Whom a seller means: a key, a service's URL, or a sponsor as it is. Raises `ConfigurationError`."""
    if isinstance(fee_payer, PrivateKey):
        return FeePayer(fee_payer)
    if not isinstance(fee_payer, str):
        return fee_payer
    return HostedFeePayer(fee_payer) if "://" in fee_payer else FeePayer(fee_payer)


def _signature(members: JSONObject) -> bytes:
    """r ‖ s ‖ v of a signature as JSON-RPC writes it. Raises `TransactionError`."""
    r, s = (_number(members.get(name)) for name in ("r", "s"))
    parity = _number(members.get("yParity"))
    if max(r, s) >> 256 or parity > 1:
        raise TransactionError("it answered with a signature that is out of range")
    return r.to_bytes(32) + s.to_bytes(32) + bytes([27 + parity])


def _number(value: JSONValue) -> int:
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    try:
        if isinstance(value, str) and value.startswith("0x") and len(value) <= 66:
            return int(value[2:] or "0", 16)
    except ValueError:
        pass
    raise TransactionError("it answered with a signature that is not one")
