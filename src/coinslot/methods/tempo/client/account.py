"""An account on Tempo that pays challenges (draft-tempo-charge).

pull    sign a transaction, which the server broadcasts, and perhaps pays the fee of
push    broadcast it, and tell the server its hash
proof   sign who pays, where nothing is to be paid
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from decimal import Decimal

from coinslot.errors import (
    ConfigurationError,
    MalformedChallenge,
    NoAcceptableChallenge,
    UnexpectedTerms,
    WalletError,
)
from coinslot.intents import from_base_units
from coinslot.methods.tempo.client.aftermath import is_dead, trace
from coinslot.methods.tempo.client.broadcast import check_time_to_push, push
from coinslot.methods.tempo.client.delegation import Keyring
from coinslot.methods.tempo.client.preparing import Preparer, Swapping
from coinslot.methods.tempo.client.survey import BuyerNode
from coinslot.methods.tempo.keys import checksum_address
from coinslot.methods.tempo.networks import DECIMALS, network_of, token_name
from coinslot.methods.tempo.node import transaction_hash
from coinslot.methods.tempo.rpc import RpcError
from coinslot.methods.tempo.wire import PROOF_VERSIONS, TokenLimit, proof_hash
from coinslot.methods.tempo.wire.signatures import SigningKey
from coinslot.methods.tempo.wire.source import format_source
from coinslot.methods.tempo.wire.terms import PULL, PUSH, Terms
from coinslot.payments.method import Payload, Quote, Share
from coinslot.protocol import Challenge

logger = logging.getLogger("coinslot.tempo")


class TempoAccount:
    """The client method `tempo/charge`, for one account. Made by `account`."""

    name: str = "tempo"
    intent: str = "charge"

    def __init__(
        self,
        *,
        key: SigningKey,
        nodes: list[BuyerNode],
        currencies: frozenset[str] | None,
        recipients: frozenset[str] | None,
        client_id: str | None,
        max_fee: Decimal,
        mode: str | None,
        swapping: Swapping | None,
        clock: Callable[[], float],
    ) -> None:
        self._key = key
        self._nodes = nodes
        self._currencies = currencies
        self._recipients = recipients
        self._max_fee = max_fee
        self._mode = mode
        self._swapping = swapping
        self._clock = clock
        self._preparer = Preparer(key, client_id=client_id, max_fee=max_fee, swapping=swapping, clock=clock)

    @property
    def address(self) -> str:
        """The address of the account that pays, EIP-55 checksummed."""
        return self._key.address

    @property
    def key(self) -> SigningKey:
        """What signs for the account."""
        return self._key

    def __repr__(self) -> str:
        return f"TempoAccount({self.address!r})"

    async def balance(self, currency: str) -> Decimal:
        """How much of a token (its address) the account holds, on the one network that it was made for.

        Raises `ConfigurationError` if it was made for several, and `WalletError` if the node does not answer.
        """
        node = self._only_node("balance")
        try:
            return from_base_units(await node.balance(checksum_address(currency), self.address), DECIMALS)
        except RpcError as error:
            raise WalletError(f"the balance cannot be read: {error}") from error

    async def authorize_key(
        self,
        key_address: str,
        *,
        key_type: str = "secp256k1",
        expires: float | None,
        limits: Iterable[TokenLimit] | None,
    ) -> str:
        """Let the key of this address sign for the account, within limits: the transaction's hash.

        `key_type` is `secp256k1`, `p256` or `webAuthn`. `expires` is in Unix seconds, None for never.
        `limits` are what the key may spend of each token (see `tempo.limit`), None for everything. It is on
        the chain when this returns. Costs a fee, in the network's own currency, of at most `max_fee`.

        Raises `ConfigurationError` or `WalletError`.
        """
        keyring = self._keyring()
        return await keyring.authorize(key_address, key_type=key_type, expires=expires, limits=limits)

    async def revoke_key(self, key_address: str) -> str:
        """Let the key of this address never again sign for the account: the transaction's hash.

        Costs a fee as `authorize_key` does. Raises `ConfigurationError` or `WalletError`.
        """
        return await self._keyring().revoke(key_address)

    async def quote(self, challenge: Challenge) -> Quote | None:
        """What the challenge would cost; None if it is for another method or chain.

        Asks the node only for its chain, and only once, where nothing else says which that is. Raises
        `UnexpectedTerms`, or `WalletError` if the node does not answer.
        """
        terms = self._read(challenge)
        if terms is None:
            return None
        if terms.amount == 0:
            return self._quote(terms, fee=0) if self._may_be_on(terms.chain_id) else None
        if await self._node(terms.chain_id) is None:
            return None
        self._check(terms)
        fee = Decimal(0) if terms.fee_payer else self._max_fee
        if self._swapping is not None:
            fee += from_base_units(self._swapping.surcharge(terms.amount), DECIMALS)
        return self._quote(terms, fee)

    async def pay(self, challenge: Challenge) -> Payload:
        """Sign what the challenge asks for, and in push mode broadcast it.

        What is only signed costs nothing until somebody broadcasts it. Raises `InsufficientFunds`,
        `ChallengeExpired`, `OverLimit` for the fee, `UnexpectedTerms`, `NoAcceptableChallenge`, or
        `WalletError` if the node does not answer or would refuse the payment. If any of them is raised,
        nothing was paid, save the fee of a pushed transaction that was reverted.
        """
        terms = self._read(challenge)
        if terms is None or await self.quote(challenge) is None:
            raise NoAcceptableChallenge("this challenge is not one that this Tempo account can pay")
        source = format_source(terms.chain_id, self.address)
        if terms.amount == 0:
            return self._prove(challenge, terms, source)
        node = await self._node(terms.chain_id)
        assert node is not None  # or there would be no quote
        transaction = await self._preparer.prepare(node, challenge, terms)
        if self._choose_mode(terms) == PUSH:
            check_time_to_push(challenge, self._clock())
            return await push(node, transaction.sign(self._key), source)
        signed = transaction.sign(self._key)
        # Of a sponsored one only the seller knows the hash that it will have.
        encoded = signed.encode_sponsored() if terms.fee_payer else signed.encode()
        return Payload(
            payload={"type": "transaction", "signature": "0x" + encoded.hex()},
            source=source,
            reference=None if terms.fee_payer else transaction_hash(signed),
            lapses=signed.valid_before,
        )

    async def is_dead(self, payload: Payload) -> bool:
        """Whether a payload that was made here moved nothing and never will.

        True if its transaction was reverted, or is not on the chain though the chain's clock is past its
        validBefore. A proof moves nothing at all.
        """
        try:
            sent = trace(payload)
            if sent is None:
                return payload.payload.get("type") == "proof"
            node = await self._node(sent.chain_id)
            return node is not None and await is_dead(node, sent)
        except (RpcError, WalletError) as error:
            logger.warning("the outcome of %s cannot be found out: %s", payload.reference, error)
            return False

    async def aclose(self) -> None:
        """Close the connections to the nodes."""
        for node in self._nodes:
            await node.aclose()

    def _prove(self, challenge: Challenge, terms: Terms, source: str) -> Payload:
        """§Proof Payload. That the realm is the host's own is the wallet's business."""
        digest = proof_hash(
            PROOF_VERSIONS[0],
            chain_id=terms.chain_id,
            challenge_id=challenge.id,
            realm=challenge.realm,
            account=self.address,
        )
        signature = "0x" + self._key.sign(digest).hex()
        return Payload(payload={"type": "proof", "signature": signature}, source=source)

    def _read(self, challenge: Challenge) -> Terms | None:
        if challenge.method != self.name or challenge.intent != self.intent:
            return None
        try:
            return Terms.from_request(challenge.decode_request())
        except MalformedChallenge as error:
            logger.info("a challenge of %r cannot be paid: %s", challenge.realm, error)
            return None

    def _quote(self, terms: Terms, fee: Decimal | int) -> Quote:
        return Quote(
            amount=from_base_units(terms.amount, DECIMALS),
            base_units=terms.amount,
            asset=token_name(terms.chain_id, terms.currency),
            currency=terms.currency,
            network=f"{self.name}:{terms.chain_id}",
            recipient=terms.recipient,
            fee=Decimal(fee),
            shares=tuple(
                Share(recipient=split.recipient, amount=from_base_units(split.amount, DECIMALS))
                for split in terms.splits
            ),
        )

    def _only_node(self, what: str) -> BuyerNode:
        if len(self._nodes) > 1:
            raise ConfigurationError(f"which network's {what}? Make the account with network= or rpc_url=")
        return self._nodes[0]

    def _keyring(self) -> Keyring:
        return Keyring(self._only_node("keys"), self._key, max_fee=self._max_fee, clock=self._clock)

    def _may_be_on(self, chain_id: int) -> bool:
        """Whether one of the nodes is on this chain, as far as is known without asking it."""
        return any(node.known_chain_id in (None, chain_id) for node in self._nodes)

    async def _node(self, chain_id: int) -> BuyerNode | None:
        """The node for a chain, if there is one."""
        for node in self._nodes:
            try:
                if await node.chain_id() == chain_id:
                    return node
            except RpcError as error:
                raise WalletError(f"the node does not say which chain it is on: {error}") from error
        return None

    def _check(self, terms: Terms) -> None:
        """Raise `UnexpectedTerms` unless currency, recipients and mode are as expected."""
        if terms.currency not in self._accepted(terms.chain_id):
            raise UnexpectedTerms(
                f"{terms.currency} on chain {terms.chain_id} is not a currency that this account pays in"
            )
        for recipient in (terms.recipient, *(split.recipient for split in terms.splits)):
            if self._recipients is not None and recipient not in self._recipients:
                raise UnexpectedTerms(f"{recipient} is not among the recipients that this account pays")
        self._choose_mode(terms)

    def _accepted(self, chain_id: int) -> frozenset[str]:
        if self._currencies is not None:
            return self._currencies
        network = network_of(chain_id)
        return frozenset(token.address for token in network.tokens) if network is not None else frozenset()

    def _choose_mode(self, terms: Terms) -> str:
        """Pull if there is a choice: it moves money only when the server is there to see it.

        §Hash Settlement: what the server pays the fee of, only it can broadcast. Raises `UnexpectedTerms`.
        """
        offered = [mode for mode in terms.modes if mode == PULL or not terms.fee_payer]
        if not offered:
            raise UnexpectedTerms("it wants to pay the fee of a payment that it does not broadcast")
        if self._mode is None:
            return PULL if PULL in offered else PUSH
        if self._mode not in offered:
            raise UnexpectedTerms(f"this account pays by {self._mode} only, and it takes {offered[0]}")
        return self._mode
