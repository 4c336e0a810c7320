"""The seller's half of Tempo: the method `tempo/charge` for a Paywall.

payload          who takes it         what moves the money
transaction      Pull, or Relayed     the server broadcasts it
hash             Push, or Relayed     it has been broadcast
proof            Identity             nothing: the price is zero
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Sequence
from typing import TYPE_CHECKING

from msgspec.structs import replace

from coinslot.errors import (
    ConfigurationError,
    InvalidChallenge,
    InvalidPayload,
    LedgerError,
    MalformedChallenge,
)
from coinslot.intents import ChargeRequest, to_base_units
from coinslot.methods.tempo.client.account import TempoAccount
from coinslot.methods.tempo.keys import PrivateKey, checksum_address
from coinslot.methods.tempo.networks import DECIMALS, find_network
from coinslot.methods.tempo.node import Node
from coinslot.methods.tempo.rpc import Rpc
from coinslot.methods.tempo.server import identity, push, relay as relaying
from coinslot.methods.tempo.server.addresses import payable_address, token_address
from coinslot.methods.tempo.server.identity import Identity
from coinslot.methods.tempo.server.movements import Movements
from coinslot.methods.tempo.server.payees import SellerNode
from coinslot.methods.tempo.server.payloads import canonical_payload
from coinslot.methods.tempo.server.pull import Pull
from coinslot.methods.tempo.server.push import Push, ValidateSender
from coinslot.methods.tempo.server.recipients import OneRecipient, Recipients
from coinslot.methods.tempo.server.relay import Relay, Relayed
from coinslot.methods.tempo.server.repayers import choose_repayer
from coinslot.methods.tempo.server.repayments import Repayments, as_refund_key
from coinslot.methods.tempo.server.settings import check_modes, unique_memo
from coinslot.methods.tempo.server.splits import Split, check_splits, split_entry, split_price
from coinslot.methods.tempo.server.sponsor import Sponsor, as_sponsor
from coinslot.methods.tempo.wire.signatures import SigningKey
from coinslot.methods.tempo.wire.terms import MODES, PULL, PUSH, Terms
from coinslot.payments.method import (
    Movement,
    NotSent,
    Offer,
    Price,
    Proof,
    Recovery,
    Repayment,
    Settlement,
    Unknown,
)
from coinslot.protocol import Credential, JSONObject

if TYPE_CHECKING:
    from coinslot.payments.desk import Desk


def charge(
    recipient: str | Recipients,
    *,
    network: str = "testnet",
    rpc_url: str | None = None,
    currency: str | None = None,
    chain_id: int | None = None,
    decimals: int = DECIMALS,
    modes: Sequence[str] | None = None,
    splits: Sequence[Split] = (),
    memo: Callable[[], bytes] | None = None,
    fee_payer: str | PrivateKey | Sponsor | None = None,
    relay: Relay | None = None,
    validate_sender: ValidateSender | None = None,
    unbound_transfers: bool = False,
    refund_account: str | SigningKey | TempoAccount | None = None,
    max_refund_fee: str = "0.02",
    settle_timeout: float = 30.0,
    clock: Callable[[], float] = time.time,
) -> TempoCharge:
    """Charge in stablecoins on Tempo (draft-tempo-charge). A price of zero asks for a proof of who pays.

    `recipient` is the address that is paid, or what hands out one for each challenge, such as Stripe's
    deposit addresses: `stripe.deposits(…)`. `network` is `mainnet` or `testnet`; `rpc_url`, `currency` (a
    token's address) and `chain_id` take the place of that network's own node, stablecoin and chain.
    `decimals` are the currency's.

    `modes` are `pull` (the server broadcasts) and `push` (the payer does), both by default. `fee_payer` pays
    the payers' fees, in pull only: a key, a service's URL, a `FeePayer` or a `HostedFeePayer`.
    `splits` are parts of each payment that go to others. `memo` makes 32 bytes for each challenge, which its
    transfer may carry; it has to make different ones. `relay` checks and broadcasts in the node's place.

    `validate_sender` is asked about a push payment whose tokens come from another account than the payer's
    (a smart account, say). `unbound_transfers` also takes transfers without a memo, in pull.

    `refund_account` is what refunds are sent from: a key or an account, with the tokens that were paid in. It
    pays their fees as well, each of at most `max_refund_fee` in the token's unit.

    What became of a payment that is not on the chain after `settle_timeout` seconds is found out later.
    `clock` tells the time in Unix seconds.

    Raises `ConfigurationError`.
    """
    known = find_network(network)
    chain = chain_id if chain_id is not None else known.chain_id
    node = SellerNode(Rpc(rpc_url or known.rpc_url), chain)
    sponsor = None if fee_payer is None else as_sponsor(fee_payer)
    if relay is not None and sponsor is not None:
        raise ConfigurationError("a relay pays fees itself: say so with Relay(…, pays_fees=True)")
    pays_fees = sponsor is not None or (relay is not None and relay.pays_fees)
    if splits and not isinstance(recipient, str):
        raise ConfigurationError("splits go with a recipient of your own: others are paid exact prices")
    return TempoCharge(
        recipient=payable_address("recipient", recipient) if isinstance(recipient, str) else recipient,
        currency=token_address("currency", currency or known.currency.address),
        chain_id=chain,
        decimals=decimals,
        modes=check_modes(modes, pays_fees=pays_fees),
        splits=check_splits(splits),
        memo=None if memo is None else unique_memo(memo),
        pays_fees=pays_fees,
        node=node,
        pull=Pull(
            node,
            sponsor=sponsor,
            unbound=unbound_transfers,
            settle_timeout=settle_timeout,
            clock=clock,
        ),
        push=Push(node, validate_sender=validate_sender, clock=clock),
        identity=Identity(node, clock=clock),
        relayed=None if relay is None else Relayed(relay, node, clock=clock),
        repayments=Repayments(
            node,
            None if refund_account is None else as_refund_key(refund_account),
            chain_id=chain,
            max_fee=max_refund_fee,
            settle_timeout=settle_timeout,
            clock=clock,
        ),
    )


class TempoCharge:
    """The server method `tempo/charge`. Made by `charge`."""

    name: str = "tempo"
    intent: str = "charge"

    def __init__(
        self,
        *,
        recipient: str | Recipients,
        currency: str,
        chain_id: int,
        decimals: int,
        modes: tuple[str, ...],
        splits: tuple[Split, ...],
        memo: Callable[[], bytes] | None,
        pays_fees: bool,
        node: Node,
        pull: Pull,
        push: Push,
        identity: Identity,
        relayed: Relayed | None,
        repayments: Repayments,
    ) -> None:
        self._draws_recipients = not isinstance(recipient, str)
        self._recipients = OneRecipient(recipient) if isinstance(recipient, str) else recipient
        self._recipients.serve(node, chain_id=chain_id, currency=currency, decimals=decimals)
        self._currency = currency
        self._chain_id = chain_id
        self._decimals = decimals
        self._modes = modes
        self._splits = splits
        self._memo = memo
        self._pays_fees = pays_fees
        self._node = node
        self._pull = pull
        self._push = push
        self._identity = identity
        self._relayed = relayed
        # Whoever hands out addresses may have a way of its own to send back what came in there.
        self._repayer = choose_repayer(self._recipients, repayments)
        self._movements = Movements(
            node,
            recipients=[recipient] if isinstance(recipient, str) else [],
            partners=[split.recipient for split in splits],
            refund_account=repayments.account,
        )

    def prepare(self, price: Price) -> Offer | None:
        """The offer for this price, or None if whoever is paid cannot take it.

        Raises `AmountError`, or `ConfigurationError` for the splits.
        """
        amount = to_base_units(price.amount, self._decimals)
        if not self._recipients.takes(amount):
            return None
        request = ChargeRequest(
            amount=str(amount),
            currency=self._currency,
            recipient=None if self._draws_recipients else self._recipients.draw(amount),
            description=price.description,
            external_id=price.external_id,
            method_details=self._details(amount),
        )
        return Offer(
            request=request.to_object(),
            amount=amount,
            currency=self._currency,
            is_drawn=(self._memo is not None or self._draws_recipients) and amount > 0,
        )

    async def draw(self, offer: Offer) -> Offer | None:
        """The same with a memo and a recipient of its own. None if there is no recipient right now."""
        request = {**offer.request}
        if self._draws_recipients:
            address = self._recipients.draw(offer.amount)
            if address is None:
                return None
            request["recipient"] = checksum_address(address)
        if self._memo is not None:
            details = request["methodDetails"]
            assert isinstance(details, dict)
            request["methodDetails"] = {**details, "memo": "0x" + self._memo().hex()}
        return replace(offer, request=request)

    def pinned(self, request: JSONObject) -> JSONObject:
        """The request without what was drawn for it. That it was drawn here, the challenge's id proves."""
        pinned = {**request}
        if self._draws_recipients:
            pinned.pop("recipient", None)
        details = request.get("methodDetails")
        if self._memo is not None and isinstance(details, dict):
            pinned["methodDetails"] = {name: value for name, value in details.items() if name != "memo"}
        return pinned

    def canonical(self, payload: JSONObject) -> JSONObject:
        """The payload of draft-tempo-charge §Credential Schema, its hex in lower case.

        Raises `InvalidPayload`.
        """
        return canonical_payload(payload)

    def has_moved(self, payload: JSONObject) -> bool:
        """A hash is shown of what was broadcast before."""
        return payload["type"] == "hash"

    async def verify(self, credential: Credential, request: JSONObject) -> Proof:
        """Every check that moves no money. Raises a refusal, or `PaymentUnavailable`."""
        terms = self._terms(request)
        kind = credential.payload["type"]
        if (terms.amount == 0) != (kind == "proof"):
            raise InvalidPayload(
                "A price of zero is paid with a payload of type `proof`, and no other price is."
            )
        if kind == "proof":
            return await self._identity.verify(credential, terms)
        mode = PULL if kind == "transaction" else PUSH
        if mode not in terms.modes or (mode == PUSH and terms.fee_payer):
            raise InvalidPayload(
                f"The payload's type is `{kind}`; this challenge is paid in {terms.modes[0]} mode only."
            )
        if self._relayed is not None:
            return await self._relayed.verify(credential, terms)
        return await (self._pull if mode == PULL else self._push).verify(credential, terms)

    async def settle(self, proof: Proof) -> Settlement:
        """Move the money, if it has not moved already."""
        try:
            await self._recipients.settling(proof)
        except LedgerError as error:
            return NotSent(reason=f"{proof.reference} could not be noted for its recipient: {error}")
        return await self._taker(proof).settle(proof)

    async def look_up(self, proof: Proof) -> Settlement:
        """What became of it."""
        try:
            # Whoever was to settle it may have died before that.
            await self._recipients.settling(proof)
        except LedgerError as error:
            return Unknown(reason=f"{proof.reference} could not be noted for its recipient: {error}")
        taker = self._taker(proof)
        return await (taker.settle(proof) if isinstance(taker, Identity) else taker.look_up(proof))

    async def draft_repayment(self, repayment: Repayment) -> Recovery:
        """What it takes to send money back once. Raises `RefundError`."""
        return await self._repayer.draft_repayment(repayment)

    async def repay(self, repayment: Repayment) -> Settlement:
        """Send it back."""
        return await self._repayer.repay(repayment)

    async def look_up_repayment(self, repayment: Repayment) -> Settlement:
        """What became of it."""
        return await self._repayer.look_up_repayment(repayment)

    def movements(self, *, since: float, until: float, recipients: frozenset[str]) -> AsyncIterator[Movement]:
        """What the chain says came in, and went back."""
        return self._movements.read(since=since, until=until, recipients=recipients)

    def keep(self, desk: Desk) -> None:
        """Have a desk: what looks after recipients needs one, and what pays fees its cache."""
        self._recipients.keep(desk)
        self._pull.share(desk.cache)

    async def tend(self) -> float:
        """Look after the recipients."""
        return await self._recipients.tend()

    async def check(self) -> None:
        """Ask the node for its latest block. Raises `RpcError`."""
        await self._node.latest_block()

    async def aclose(self) -> None:
        """Close the connections."""
        await self._recipients.aclose()
        await self._pull.aclose()
        if self._relayed is not None:
            await self._relayed.aclose()
        await self._node.aclose()

    def _details(self, amount: int) -> JSONObject:
        """§Method Details."""
        details: JSONObject = {"chainId": self._chain_id}
        if amount == 0:
            return details
        if self._pays_fees:
            details["feePayer"] = True
        splits = split_price(self._splits, amount, currency=self._currency, decimals=self._decimals)
        if splits:
            details["splits"] = [split_entry(split) for split in splits]
        if self._modes != MODES:
            details["supportedModes"] = list(self._modes)
        return details

    def _terms(self, request: JSONObject) -> Terms:
        try:
            terms = Terms.from_request(request)
        except MalformedChallenge as error:
            raise InvalidChallenge(f"The challenge cannot be read: {error}.") from error
        if terms.chain_id != self._chain_id:
            raise InvalidChallenge("The challenge asks for a payment on a chain that is not used any more.")
        return terms

    def _taker(self, proof: Proof) -> Pull | Push | Identity | Relayed:
        """Who verified it, as what was kept of it says."""
        data = proof.recovery.data
        if data == push.RECOVERY:
            return self._push
        if data == identity.RECOVERY:
            return self._identity
        if data.startswith(relaying.RECOVERY):
            if self._relayed is None:
                raise ConfigurationError("a payment was left to a relay, and none is configured any more")
            return self._relayed
        return self._pull
