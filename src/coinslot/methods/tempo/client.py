"""The buyer's half of Tempo: an account that signs transfers for a server to broadcast (pull)."""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Callable, Iterable
from decimal import Decimal, InvalidOperation
from typing import Final

from msgspec.structs import replace

from coinslot.errors import (
    ChallengeExpired,
    ConfigurationError,
    InsufficientFunds,
    MalformedChallenge,
    NoAcceptableChallenge,
    OverLimit,
    UnexpectedTerms,
    WalletError,
)
from coinslot.intents import format_amount, from_base_units
from coinslot.methods.tempo.keys import AddressError, PrivateKey, checksum_address, parse_address
from coinslot.methods.tempo.networks import DECIMALS, NETWORKS, find_network, network_of, token_name
from coinslot.methods.tempo.node import Absence, Conditions, Node, Receipt, transaction_hash
from coinslot.methods.tempo.refusals import explain
from coinslot.methods.tempo.rpc import Rpc, RpcError, RpcRefused, RpcTimeout
from coinslot.methods.tempo.terms import Terms
from coinslot.methods.tempo.verification import SENDING_MARGIN, format_source
from coinslot.methods.tempo.wire import (
    EXPIRING_NONCE_KEY,
    Call,
    Transaction,
    TransactionError,
    attribution_memo,
    transfer_with_memo,
)
from coinslot.payments.method import Payload, Quote
from coinslot.protocol import Challenge

logger = logging.getLogger("coinslot.tempo")

VALIDITY: Final = 25
"""Seconds for which a signed transaction can be broadcast. Chains older than T11 take no more than 30."""

_ATTODOLLARS: Final = 10**12  # in a base unit of a fee token


def account(
    private_key: str | PrivateKey,
    *,
    network: str | None = None,
    rpc_url: str | None = None,
    currencies: Iterable[str] | None = None,
    recipients: Iterable[str] | None = None,
    client_id: str | None = None,
    max_fee: str | Decimal = "0.02",
    clock: Callable[[], float] = time.time,
) -> TempoAccount:
    """Pay from an account on Tempo.

    `private_key` is the account's, `0x` and 64 hexadecimal digits, or a `PrivateKey`.

    `network` is `mainnet` or `testnet`; without it, and without `rpc_url`, challenges of both are paid.
    `rpc_url` takes the place of the network's own node, and given alone it decides the chain. `currencies`
    are the tokens (addresses) that are paid in, by default those known by name on each network; `recipients`,
    if given, the only addresses that are paid. `client_id` names this program in the memos of its payments.
    `max_fee` is the most that one payment may cost beside its price, in the currency's unit. `clock` tells
    the time in Unix seconds.

    Raises `ConfigurationError`.
    """
    chosen = find_network(network) if network is not None else None
    if rpc_url is not None:
        nodes = [Node(Rpc(rpc_url), chosen.chain_id if chosen is not None else None)]
    else:
        networks = NETWORKS if chosen is None else [chosen]
        nodes = [Node(Rpc(known.rpc_url), known.chain_id) for known in networks]
    return TempoAccount(
        key=private_key if isinstance(private_key, PrivateKey) else PrivateKey.from_hex(private_key),
        nodes=nodes,
        currencies=None if currencies is None else _addresses("currencies", currencies),
        recipients=None if recipients is None else _addresses("recipients", recipients),
        client_id=client_id,
        max_fee=_amount("max_fee", max_fee),
        clock=clock,
    )


async def fund(rpc_url: str, address: str, *, seconds: float = 30.0) -> list[str]:
    """Have a test network's faucet send tokens to `address`, and wait for them: the transactions' hashes.

    Raises `RpcError`: the node has no faucet, it fails, or it takes longer than so many seconds.
    """
    node = Node(Rpc(rpc_url))
    try:
        async with asyncio.timeout(seconds):
            hashes = await node.fund(address, seconds)
            await asyncio.gather(*(node.wait_for_receipt(transaction) for transaction in hashes))
    except TimeoutError as error:
        raise RpcTimeout(f"the faucet's transfers were not on the chain after {seconds:g} s") from error
    finally:
        await node.aclose()
    return hashes


class TempoAccount:
    """The client method `tempo/charge`, for one account. Made by `account`."""

    name: Final = "tempo"
    intent: Final = "charge"

    def __init__(
        self,
        *,
        key: PrivateKey,
        nodes: list[Node],
        currencies: frozenset[str] | None,
        recipients: frozenset[str] | None,
        client_id: str | None,
        max_fee: Decimal,
        clock: Callable[[], float],
    ) -> None:
        self._key = key
        self._nodes = nodes
        self._currencies = currencies
        self._recipients = recipients
        self._client_id = client_id
        self._max_fee = max_fee
        self._clock = clock

    @property
    def address(self) -> str:
        """The account's address, EIP-55 checksummed."""
        return self._key.address

    def __repr__(self) -> str:
        return f"TempoAccount({self.address!r})"

    async def balance(self, currency: str) -> Decimal:
        """How much of a token (its address) the account holds, on the one network that it was made for.

        Raises `ConfigurationError` if it was made for several, and `WalletError` if the node does not answer.
        """
        if len(self._nodes) > 1:
            raise ConfigurationError("which network's balance? Make the account with network= or rpc_url=")
        (node,) = self._nodes
        try:
            return from_base_units(await node.balance(checksum_address(currency), self.address), DECIMALS)
        except RpcError as error:
            raise WalletError(f"the balance cannot be read: {error}") from error

    async def quote(self, challenge: Challenge) -> Quote | None:
        """What the challenge would cost; None if it is for another method or chain, or no plain transfer.

        Asks the node only for its chain, and only once, where nothing else says which that is. Raises
        `UnexpectedTerms`, or `WalletError` if the node does not answer.
        """
        if challenge.method != self.name or challenge.intent != self.intent:
            return None
        try:
            terms = Terms.from_request(challenge.decode_request())
        except MalformedChallenge as error:
            logger.info("a challenge of %r cannot be paid: %s", challenge.realm, error)
            return None
        if not terms.is_plain or await self._node(terms.chain_id) is None:
            return None
        self._check(terms)
        return Quote(
            amount=from_base_units(terms.amount, DECIMALS),
            base_units=terms.amount,
            asset=token_name(terms.chain_id, terms.currency),
            currency=terms.currency,
            network=f"{self.name}:{terms.chain_id}",
            recipient=terms.recipient,
            fee=self._max_fee,
        )

    async def pay(self, challenge: Challenge) -> Payload:
        """Sign the transfer that the challenge asks for. It costs nothing until somebody broadcasts it.

        Raises `InsufficientFunds`, `ChallengeExpired`, `OverLimit` for the fee, `UnexpectedTerms`,
        `NoAcceptableChallenge`, or `WalletError` if the node does not answer or would refuse the transfer.
        """
        if await self.quote(challenge) is None:
            raise NoAcceptableChallenge("this challenge is not one that this Tempo account can pay")
        terms = Terms.from_request(challenge.decode_request())
        node = await self._node(terms.chain_id)
        assert node is not None  # or there would be no quote
        draft = self._draft(challenge, terms)
        try:
            await node.check_chain()
            conditions = await node.survey(draft, self.address, terms.currency)
        except RpcError as error:
            raise WalletError(f"the payment cannot be prepared: {error}. Nothing was paid.") from error
        signed = self._priced(draft, terms, conditions).sign(self._key)
        return Payload(
            payload={"type": "transaction", "signature": "0x" + signed.encode().hex()},
            source=format_source(terms.chain_id, self.address),
            reference=transaction_hash(signed),
        )

    async def is_dead(self, payload: Payload) -> bool:
        """Whether a transaction that was signed here moved nothing and never will.

        True if it was reverted, or is not on the chain though the chain's clock is past its validBefore.
        """
        transaction = _transaction(payload)
        if transaction is None or transaction.valid_before is None:
            return False
        try:
            node = await self._node(transaction.chain_id)
            if node is None:
                return False
            await node.check_chain()
            found = await node.find(transaction_hash(transaction), transaction.valid_before)
        except (RpcError, WalletError) as error:
            logger.warning("the outcome of %s cannot be found out: %s", payload.reference, error)
            return False
        return found is Absence.FOREVER or (isinstance(found, Receipt) and not found.succeeded)

    async def aclose(self) -> None:
        """Close the connections to the nodes."""
        for node in self._nodes:
            await node.aclose()

    async def _node(self, chain_id: int) -> Node | None:
        """The node for a chain, if there is one."""
        for node in self._nodes:
            try:
                if await node.chain_id() == chain_id:
                    return node
            except RpcError as error:
                raise WalletError(f"the node does not say which chain it is on: {error}") from error
        return None

    def _check(self, terms: Terms) -> None:
        """Raise `UnexpectedTerms` unless currency and recipient are as expected."""
        if terms.currency not in self._accepted(terms.chain_id):
            raise UnexpectedTerms(
                f"{terms.currency} on chain {terms.chain_id} is not a currency that this account pays in"
            )
        if self._recipients is not None and terms.recipient not in self._recipients:
            raise UnexpectedTerms(f"{terms.recipient} is not among the recipients that this account pays")

    def _accepted(self, chain_id: int) -> frozenset[str]:
        if self._currencies is not None:
            return self._currencies
        network = network_of(chain_id)
        return frozenset(token.address for token in network.tokens) if network is not None else frozenset()

    def _draft(self, challenge: Challenge, terms: Terms) -> Transaction:
        """The transaction without gas and fees.

        Its nonce is 0 in the lane of expiring nonces, where transactions are told apart by their hash. Some
        clients put a random number there, which newer chains take and older ones do not. There is no need for
        it here: the memo differs with each challenge, and of two equal transactions for one challenge only
        one can ever be settled.
        """
        valid_before = int(self._clock()) + VALIDITY
        expires = challenge.expires_at()
        if expires is not None:
            valid_before = min(valid_before, math.floor(expires))
        if valid_before <= self._clock() + SENDING_MARGIN:
            raise ChallengeExpired(f"the challenge expires at {challenge.expires}: too soon to be paid")
        memo = attribution_memo(challenge.id, challenge.realm, self._client_id)
        currency = parse_address(terms.currency)
        return Transaction(
            chain_id=terms.chain_id,
            max_priority_fee_per_gas=0,
            max_fee_per_gas=0,
            gas_limit=0,
            calls=(Call(currency, 0, transfer_with_memo(terms.recipient, terms.amount, memo)),),
            nonce_key=EXPIRING_NONCE_KEY,
            nonce=0,
            valid_before=valid_before,
            fee_token=currency,
        )

    def _priced(self, draft: Transaction, terms: Terms, conditions: Conditions) -> Transaction:
        """The transaction with gas and fees that hold for a while, if the account can bear them."""
        if conditions.balance < terms.amount:
            raise self._short_of(terms, conditions.balance, fee=0)
        if isinstance(conditions.gas, RpcRefused):
            refusal = explain(conditions.gas)
            reason = refusal.detail if refusal is not None else conditions.gas.reason
            raise WalletError(f"the payment would fail: {reason}") from conditions.gas
        # Somebody else's transfer may come first and make this one dearer; unused gas costs nothing.
        gas_limit = conditions.gas * 5 // 4 + 10_000
        max_fee_per_gas = conditions.base_fee * 3 // 2 + conditions.priority_fee
        fee = -(-gas_limit * max_fee_per_gas // _ATTODOLLARS)
        if from_base_units(fee, DECIMALS) > self._max_fee:
            raise OverLimit(
                f"the fee may come to {format_amount(fee, DECIMALS)}, which is more than max_fee allows",
                price=from_base_units(fee, DECIMALS),
                limit=self._max_fee,
            )
        if conditions.balance < terms.amount + fee:
            raise self._short_of(terms, conditions.balance, fee)
        return replace(
            draft,
            gas_limit=gas_limit,
            max_fee_per_gas=max_fee_per_gas,
            max_priority_fee_per_gas=conditions.priority_fee,
        )

    def _short_of(self, terms: Terms, balance: int, fee: int) -> InsufficientFunds:
        name = token_name(terms.chain_id, terms.currency)
        have, price, need = (
            format_amount(units, DECIMALS) for units in (balance, terms.amount, terms.amount + fee)
        )
        costs = f"{need} ({price}, and a fee of up to {format_amount(fee, DECIMALS)})" if fee else price
        return InsufficientFunds(
            f"{self.address} has {have} {name} on chain {terms.chain_id}; this payment needs {costs}"
        )


def _transaction(payload: Payload) -> Transaction | None:
    """The transaction in a payload made by `pay`."""
    signed = payload.payload.get("signature")
    if payload.payload.get("type") != "transaction" or not isinstance(signed, str):
        return None
    try:
        return Transaction.decode(bytes.fromhex(signed.removeprefix("0x")))
    except (TransactionError, ValueError):
        return None


def _addresses(name: str, addresses: Iterable[str]) -> frozenset[str]:
    if isinstance(addresses, str):
        raise ConfigurationError(f"{name} is a list of addresses, not one")
    try:
        return frozenset(checksum_address(address) for address in addresses)
    except AddressError as error:
        raise ConfigurationError(f"{name}: {error}") from error


def _amount(name: str, amount: str | Decimal) -> Decimal:
    try:
        value = Decimal(amount)
    except InvalidOperation:
        value = Decimal("NaN")
    if not value.is_finite() or value < 0:
        raise ConfigurationError(f'{name} is an amount such as "0.02"')
    return value
