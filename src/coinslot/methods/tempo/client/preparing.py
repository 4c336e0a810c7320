"""Finding out how a challenge is best paid: from which token, at what fee, and whether there is enough.

One request to the node as a rule. A second one if an access key turns out not to need the authorization that
it brings along; two more if the asked token does not suffice and another one is swapped for it.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from coinslot.errors import InsufficientFunds, WalletError
from coinslot.intents import format_amount
from coinslot.methods.tempo.client.drafting import draft_payment, fee_of, priced
from coinslot.methods.tempo.client.spending import (
    Need,
    Shortage,
    check_access_key,
    check_authorization,
    find_shortage,
    limited,
)
from coinslot.methods.tempo.client.survey import BuyerNode, Conditions, SwapOffer
from coinslot.methods.tempo.networks import DECIMALS, PATH_USD, network_of, token_name
from coinslot.methods.tempo.rpc import RpcError
from coinslot.methods.tempo.wire import Swap, Transaction
from coinslot.methods.tempo.wire.signatures import AccessKey, SigningKey
from coinslot.methods.tempo.wire.terms import Terms
from coinslot.protocol import Challenge

MAX_SWAP: Final = 2**128
"""Base units from which on the DEX has no numbers."""


class Swapping(Struct, frozen=True, kw_only=True):
    """From which tokens else to pay (None: the network's known ones), and how much dearer that may be.

    `slippage` is a part of the price: 0.01 is 1 %.
    """

    tokens: tuple[str, ...] | None
    slippage: Decimal

    def surcharge(self, amount: int) -> int:
        """The most that swapping for so many base units may cost beside them, rounded up to a base unit."""
        numerator, denominator = self.slippage.as_integer_ratio()
        return -(-amount * numerator // denominator)

    def candidates(self, terms: Terms) -> list[str]:
        """The tokens to try, in order: pathUSD first, unless a list was given."""
        tokens = self.tokens if self.tokens is not None else _known_tokens(terms.chain_id)
        return [token for token in dict.fromkeys(tokens) if token != terms.currency]


class Preparer:
    """Makes transactions that are ready to be signed with one key."""

    def __init__(
        self,
        key: SigningKey,
        *,
        client_id: str | None,
        max_fee: Decimal,
        swapping: Swapping | None,
        clock: Callable[[], float],
    ) -> None:
        self._key = key
        self._client_id = client_id
        self._max_fee = max_fee
        self._swapping = swapping
        self._clock = clock
        self._authorized_on: set[int] = set()

    async def prepare(self, node: BuyerNode, challenge: Challenge, terms: Terms) -> Transaction:
        """The transaction that pays `terms`.

        Raises `InsufficientFunds`, `ChallengeExpired`, `OverLimit` for the fee, or `WalletError` if the node
        does not answer or the transaction would fail.
        """
        asked = Need(token=terms.currency, amount=terms.amount)
        try:
            await node.check_chain()
            found = await self._attempt(node, challenge, terms, asked, None)
            if not isinstance(found, Shortage):
                return found
            why = found.explain(self._key, terms.chain_id)
            # What an access key may not spend of the asked token, it may not swap for it either.
            if self._swapping is None or found.of_key:
                raise InsufficientFunds(why)
            swapped = await self._swap(node, challenge, terms, self._swapping)
        except RpcError as error:
            raise WalletError(f"the payment cannot be prepared: {error}. Nothing was paid.") from error
        if isinstance(swapped, str):
            raise InsufficientFunds(f"{why}. {swapped}")
        return swapped

    async def _swap(
        self, node: BuyerNode, challenge: Challenge, terms: Terms, swapping: Swapping
    ) -> Transaction | str:
        """The transaction that pays from the first token that suffices, or why none does."""
        candidates = swapping.candidates(terms)
        limit = terms.amount + swapping.surcharge(terms.amount)
        if not candidates or limit >= MAX_SWAP:
            return "There is nothing that could be swapped for it"
        reasons = []
        for offer in await node.swap_offers(self._key, candidates, terms.currency, terms.amount):
            need = Need(token=offer.token, amount=limit)
            reason = _against(offer, need, terms.chain_id)
            if reason is None:
                swap = Swap(
                    token_in=offer.token,
                    token_out=terms.currency,
                    amount_out=terms.amount,
                    max_amount_in=limit,
                )
                found = await self._attempt(node, challenge, terms, need, swap)
                if not isinstance(found, Shortage):
                    return found
                fee = format_amount(found.need.fee, DECIMALS)
                reason = f"{found.describe(terms.chain_id)} with a fee of up to {fee} to come"
            reasons.append(reason)
        return f"Swapping for it takes up to {format_amount(limit, DECIMALS)}, and {'; '.join(reasons)}"

    async def _attempt(
        self, node: BuyerNode, challenge: Challenge, terms: Terms, need: Need, swap: Swap | None
    ) -> Transaction | Shortage:
        """The transaction that takes `need`, if that is there."""
        drafted = draft_payment(challenge, terms, client_id=self._client_id, swap=swap, now=self._clock())
        drafted, conditions = await self._survey(node, drafted, need.token)
        means = limited(conditions.means, need.token, conditions.key, drafted.key_authorization)
        shortage = find_shortage(need, means)
        if shortage is not None:
            return shortage
        transaction = priced(drafted, conditions, self._max_fee)
        return find_shortage(replace(need, fee=fee_of(transaction)), means) or transaction

    async def _survey(
        self, node: BuyerNode, drafted: Transaction, token: str
    ) -> tuple[Transaction, Conditions]:
        """What `drafted` takes, with the authorization of the key that signs it, if that is needed."""
        key, chain_id = self._key, drafted.chain_id
        if not isinstance(key, AccessKey):
            return drafted, await node.survey(drafted, key, token)
        authorizing = drafted
        if key.authorization is not None and chain_id not in self._authorized_on:
            authorizing = replace(drafted, key_authorization=key.authorization)
        conditions = await node.survey(authorizing, key, token)
        known = conditions.key
        check_access_key(key, known, self._clock())
        if known is not None and known.exists:
            self._authorized_on.add(chain_id)
            if authorizing is not drafted:
                conditions = await node.survey(drafted, key, token)
            return drafted, conditions
        check_authorization(key, chain_id, self._clock())
        if drafted.fee_payer_signature is not None:
            raise WalletError(
                f"{key.address} has not authorized the access key {key.key_address} on the chain yet, and who"
                " pays the fee here does not pay for that: authorize it first. Nothing was paid."
            )
        return authorizing, conditions


def _against(offer: SwapOffer, need: Need, chain_id: int) -> str | None:
    """Why this offer is not worth an attempt, if it is not."""
    name = token_name(chain_id, offer.token)
    # Only the attempt knows which limit of an access key applies.
    shortage = find_shortage(need, replace(offer.means, limit=None))
    if shortage is not None:
        return shortage.describe(chain_id)
    if offer.amount_in is None:
        return f"the DEX does not give it for {name}"
    if offer.amount_in > need.amount:
        return f"of {name} it takes {format_amount(offer.amount_in, DECIMALS)}"
    return None


def _known_tokens(chain_id: int) -> list[str]:
    network = network_of(chain_id)
    return [PATH_USD.address, *(token.address for token in network.tokens)] if network else [PATH_USD.address]
