"""The seller's half of Tempo: the method `tempo/charge` for a Paywall.

payload          who takes it         what moves the money
transaction      Pull, or Relayed     the server broadcasts it
hash             Push, or Relayed     it has been broadcast
proof            Identity             nothing: the price is zero
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from typing import Final

from msgspec.structs import replace

from coinslot.errors import ConfigurationError, InvalidChallenge, InvalidPayload, MalformedChallenge
from coinslot.intents import ChargeRequest, to_base_units
from coinslot.methods.tempo.keys import PrivateKey
from coinslot.methods.tempo.networks import DECIMALS, find_network
from coinslot.methods.tempo.node import Node
from coinslot.methods.tempo.rpc import Rpc
from coinslot.methods.tempo.server import identity, push, relay as relaying
from coinslot.methods.tempo.server.addresses import payable_address, token_address
from coinslot.methods.tempo.server.identity import Identity
from coinslot.methods.tempo.server.pull import Pull
from coinslot.methods.tempo.server.push import Push, ValidateSender
from coinslot.methods.tempo.server.relay import Relay, Relayed
from coinslot.methods.tempo.server.splits import Split, check_splits, split_price
from coinslot.methods.tempo.server.sponsor import Sponsor, as_sponsor
from coinslot.methods.tempo.wire import MAX_TRANSACTION_SIZE
from coinslot.methods.tempo.wire.memo import MEMO_LENGTH
from coinslot.methods.tempo.wire.terms import MODES, PULL, PUSH, Terms
from coinslot.methods.tempo.wire.tip20 import Transfer
from coinslot.payments.method import Offer, Price, Proof, Settlement
from coinslot.protocol import Credential, JSONObject

_MAX_PROOF_SIZE: Final = 4096

_HEX: Final = re.compile(r"0x(?:[0-9a-fA-F]{2})++")
_HASH: Final = re.compile(r"0x[0-9a-fA-F]{64}")


def charge(
    recipient: str,
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
    settle_timeout: float = 30.0,
    clock: Callable[[], float] = time.time,
) -> TempoCharge:
    """Charge in stablecoins on Tempo (draft-tempo-charge). A price of zero asks for a proof of who pays.

    `recipient` is the address that is paid. `network` is `mainnet` or `testnet`; `rpc_url`, `currency` (a
    token's address) and `chain_id` take the place of that network's own node, stablecoin and chain.
    `decimals` are the currency's.

    `modes` are `pull` (the server broadcasts) and `push` (the payer does), both by default. `fee_payer` pays
    the payers' fees, in pull only: a key, a service's URL, a `FeePayer` or a `HostedFeePayer`.
    `splits` are parts of each payment that go to others. `memo` makes 32 bytes for each challenge, which its
    transfer may carry; it has to make different ones. `relay` checks and broadcasts in the node's place.

    `validate_sender` is asked about a push payment whose tokens come from another account than the payer's
    (a smart account, say). `unbound_transfers` also takes transfers without a memo, in pull.

    What became of a payment that is not on the chain after `settle_timeout` seconds is found out later.
    `clock` tells the time in Unix seconds.

    Raises `ConfigurationError`.
    """
    known = find_network(network)
    chain = chain_id if chain_id is not None else known.chain_id
    node = Node(Rpc(rpc_url or known.rpc_url), chain)
    sponsor = None if fee_payer is None else as_sponsor(fee_payer)
    if relay is not None and sponsor is not None:
        raise ConfigurationError("a relay pays fees itself: say so with Relay(…, pays_fees=True)")
    pays_fees = sponsor is not None or (relay is not None and relay.pays_fees)
    return TempoCharge(
        recipient=payable_address("recipient", recipient),
        currency=token_address("currency", currency or known.currency.address),
        chain_id=chain,
        decimals=decimals,
        modes=_modes(modes, pays_fees=pays_fees),
        splits=check_splits(splits),
        memo=None if memo is None else _unique(memo),
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
    )


class TempoCharge:
    """The server method `tempo/charge`. Made by `charge`."""

    name: Final = "tempo"
    intent: Final = "charge"

    def __init__(
        self,
        *,
        recipient: str,
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
    ) -> None:
        self._recipient = recipient
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

    def prepare(self, price: Price) -> Offer:
        """The offer for this price. Raises `AmountError`, or `ConfigurationError` for the splits."""
        amount = to_base_units(price.amount, self._decimals)
        request = ChargeRequest(
            amount=str(amount),
            currency=self._currency,
            recipient=self._recipient,
            description=price.description,
            external_id=price.external_id,
            method_details=self._details(amount),
        )
        return Offer(
            request=request.to_object(),
            amount=amount,
            currency=self._currency,
            is_drawn=self._memo is not None and amount > 0,
        )

    async def draw(self, offer: Offer) -> Offer:
        """The same with a memo of its own."""
        assert self._memo is not None
        details = offer.request["methodDetails"]
        assert isinstance(details, dict)
        return replace(
            offer,
            request={**offer.request, "methodDetails": {**details, "memo": "0x" + self._memo().hex()}},
        )

    def pinned(self, request: JSONObject) -> JSONObject:
        """The request without its memo."""
        details = request.get("methodDetails")
        if not isinstance(details, dict):
            return request
        return {
            **request,
            "methodDetails": {name: value for name, value in details.items() if name != "memo"},
        }

    def canonical(self, payload: JSONObject) -> JSONObject:
        """The payload of draft-tempo-charge §Credential Schema, its hex in lower case.

        Raises `InvalidPayload`.
        """
        kind = payload.get("type")
        if kind == "hash":
            return {"type": kind, "hash": _matching(payload, "hash", _HASH, 2 + 64)}
        if kind in ("transaction", "proof"):
            limit = MAX_TRANSACTION_SIZE if kind == "transaction" else _MAX_PROOF_SIZE
            return {"type": kind, "signature": _matching(payload, "signature", _HEX, 2 + 2 * limit)}
        raise InvalidPayload("The payload's type has to be `transaction`, `hash` or `proof`.")

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
        return await self._taker(proof).settle(proof)

    async def look_up(self, proof: Proof) -> Settlement:
        """What became of it."""
        taker = self._taker(proof)
        return await (taker.settle(proof) if isinstance(taker, Identity) else taker.look_up(proof))

    async def aclose(self) -> None:
        """Close the connections."""
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
            details["splits"] = [_split(split) for split in splits]
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


def _modes(modes: Sequence[str] | None, *, pays_fees: bool) -> tuple[str, ...]:
    """The modes in the specification's order. Raises `ConfigurationError`."""
    if modes is None:
        return (PULL,) if pays_fees else MODES
    if isinstance(modes, str) or not modes or not set(modes) <= set(MODES):
        raise ConfigurationError(f"modes is a list of {' and '.join(repr(mode) for mode in MODES)}")
    if pays_fees and PUSH in modes:
        raise ConfigurationError("who pushes a transaction pays its fee: fee_payer goes with pull only")
    return tuple(mode for mode in MODES if mode in modes)


def _unique(memo: Callable[[], bytes]) -> Callable[[], bytes]:
    """Raises `ConfigurationError` unless it makes 32 bytes, and others each time."""
    if not callable(memo):
        raise ConfigurationError(
            "memo is a function that makes a new one for each challenge: "
            "with a constant memo one transfer would pay for any of them"
        )
    one, other = memo(), memo()
    if {type(one), type(other)} != {bytes} or {len(one), len(other)} != {MEMO_LENGTH}:
        raise ConfigurationError(f"memo has to make {MEMO_LENGTH} bytes")
    if one == other:
        raise ConfigurationError("memo made the same twice: it has to make a new one for each challenge")
    return memo


def _split(split: Transfer) -> JSONObject:
    """§Split Entry Schema."""
    entry: JSONObject = {"amount": str(split.amount), "recipient": split.recipient}
    if split.memo is not None:
        entry["memo"] = "0x" + split.memo.hex()
    return entry


def _matching(payload: JSONObject, name: str, form: re.Pattern[str], limit: int) -> str:
    value = payload.get(name)
    if not isinstance(value, str) or len(value) > limit or not form.fullmatch(value):
        raise InvalidPayload(f"The payload's {name} is not what it should be, in hexadecimal after 0x.")
    return value.lower()
