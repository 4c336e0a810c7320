"""Tempo payments to test with: challenges, transactions that pay them, and the ways in which one may not."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from typing import NamedTuple

from msgspec.structs import replace

from coinslot.errors import PaymentError, PaymentExpired, PaymentInsufficient, VerificationFailed
from coinslot.methods.tempo.keys import PrivateKey, checksum_address, parse_address
from coinslot.methods.tempo.networks import TESTNET
from coinslot.methods.tempo.node import Node
from coinslot.methods.tempo.rpc import Rpc
from coinslot.methods.tempo.server.charge import TempoCharge
from coinslot.methods.tempo.server.identity import Identity
from coinslot.methods.tempo.server.payees import SellerNode
from coinslot.methods.tempo.server.pull import Pull
from coinslot.methods.tempo.server.push import Push
from coinslot.methods.tempo.server.repayments import Repayments
from coinslot.methods.tempo.wire import (
    EXPIRING_NONCE_KEY,
    FEE_PAYER_PLACEHOLDER,
    Call,
    Transaction,
    Transfer,
    attribution_memo,
    transfer,
    transfer_with_memo,
)
from coinslot.methods.tempo.wire.key_authorization import KeyAuthorization
from coinslot.methods.tempo.wire.terms import Terms
from coinslot.payments.method import Offer, Price, Proof
from coinslot.protocol import Challenge, Credential, JSONObject, JSONValue, format_timestamp
from coinslot.sandbox.tempo import ThreadedDevnet
from faulty_node import Behaviour, FaultyNode, edits

REALM = "api.example.com"
OTHER = "0x" + "ab" * 20
GWEI = 10**9


def new_address() -> str:
    """An address that nobody has paid before."""
    return checksum_address(secrets.token_bytes(20))


def offered(charge: TempoCharge, price: str = "0.01", **members: str) -> Offer:
    """What the charge asks for this price, which it can take."""
    offer = charge.prepare(Price(amount=price, **members))
    assert offer is not None
    return offer


def issue(
    charge: TempoCharge, price: str = "0.01", /, *, expires_at: float | None = None, **changes: JSONValue
) -> Challenge:
    """A challenge for `price`, good for five minutes unless said otherwise; `changes` are to its request."""
    request: JSONObject = {**offered(charge, price).request, **changes}
    return Challenge.create(
        id=secrets.token_urlsafe(32),
        realm=REALM,
        method="tempo",
        intent="charge",
        request=request,
        expires=format_timestamp(time.time() + 300 if expires_at is None else expires_at),
    )


def unsigned(challenge: Challenge, *, now: float | None = None) -> Transaction:
    """A transaction that pays `challenge` exactly as it should."""
    terms = Terms.from_request(challenge.decode_request())
    memo = attribution_memo(challenge.id, challenge.realm)
    return Transaction(
        chain_id=terms.chain_id,
        max_priority_fee_per_gas=0,
        max_fee_per_gas=20 * GWEI,
        gas_limit=1_000_000 + 300_000 * len(terms.splits),
        calls=tuple(call_of(transfer) for transfer in terms.transfers(memo)),
        nonce_key=EXPIRING_NONCE_KEY,
        valid_before=int(time.time() if now is None else now) + 25,
        fee_token=None if terms.fee_payer else parse_address(terms.currency),
        fee_payer_signature=FEE_PAYER_PLACEHOLDER if terms.fee_payer else None,
    )


def call_of(made: Transfer) -> Call:
    """The call that makes a transfer."""
    data = (
        transfer(made.recipient, made.amount)
        if made.memo is None
        else transfer_with_memo(made.recipient, made.amount, made.memo)
    )
    return Call(parse_address(made.token), 0, data)


def credential(challenge: Challenge, signed: Transaction, *, source: str | None = None) -> Credential:
    """The credential that presents `signed` for `challenge`."""
    payload: JSONObject = {"type": "transaction", "signature": "0x" + signed.encode().hex()}
    return Credential(challenge=challenge, payload=payload, source=source)


def pushed(challenge: Challenge, transaction: str, *, source: str | None = None) -> Credential:
    """The credential that presents a transaction's hash for `challenge`."""
    return Credential(challenge=challenge, payload={"type": "hash", "hash": transaction}, source=source)


def pays(challenge: Challenge, **changes: object) -> Callable[[Transaction], Transaction]:
    """Replace the call by a transfer that differs from the right one in `token`, `to`, `amount` or `memo`."""
    terms = Terms.from_request(challenge.decode_request())
    token = str(changes.get("token", terms.currency))
    to = str(changes.get("to", terms.recipient))
    amount = changes.get("amount", terms.amount)
    memo = changes.get("memo", attribution_memo(challenge.id, challenge.realm))
    assert isinstance(amount, int)
    data = transfer_with_memo(to, amount, memo) if isinstance(memo, bytes) else transfer(to, amount)
    return lambda good: replace(good, calls=(Call(parse_address(token), 0, data),))


class Alteration(NamedTuple):
    """One thing that is wrong with a transaction, and how it is refused."""

    name: str
    alter: Callable[[Transaction, Challenge], Transaction]
    error: type[PaymentError]
    reason: str


def _set(**members: object) -> Callable[[Transaction, Challenge], Transaction]:
    return lambda good, challenge: replace(good, **members)


def _pays(**changes: object) -> Callable[[Transaction, Challenge], Transaction]:
    return lambda good, challenge: pays(challenge, **changes)(good)


def _window(**offsets: float) -> Callable[[Transaction, Challenge], Transaction]:
    """Set bounds relative to now, which is 25 seconds before the good transaction's end."""

    def alter(good: Transaction, challenge: Challenge) -> Transaction:
        assert good.valid_before is not None
        now = good.valid_before - 25
        return replace(good, **{name: int(now + offset) for name, offset in offsets.items()})

    return alter


def _past_expiry(good: Transaction, challenge: Challenge) -> Transaction:
    expires = challenge.expires_at()
    assert expires is not None
    return replace(good, valid_before=int(expires) + 2)


def _call(edit: Callable[[Call], tuple[Call, ...]]) -> Callable[[Transaction, Challenge], Transaction]:
    return lambda good, challenge: replace(good, calls=edit(good.calls[0]))


def _memo_of(
    challenge_id: str | None = None, realm: str | None = None
) -> Callable[[Transaction, Challenge], Transaction]:
    def alter(good: Transaction, challenge: Challenge) -> Transaction:
        memo = attribution_memo(challenge_id or challenge.id, realm or challenge.realm)
        return pays(challenge, memo=memo)(good)

    return alter


def _authorizes_a_key(good: Transaction, challenge: Challenge) -> Transaction:
    """Somebody else's authorization of a key that does not sign."""
    authorization = KeyAuthorization(
        chain_id=good.chain_id,
        key_type="secp256k1",
        key_address=OTHER,
        expiry=None,
        limits=None,
        scopes=None,
        witness=None,
    )
    return replace(good, key_authorization=authorization.sign(PrivateKey(b"\x07" * 32)))


_WRONG = VerificationFailed

ALTERATIONS = [
    Alteration(
        "another chain", _set(chain_id=4217), _WRONG, "for chain 4217; this is charged on chain 42431"
    ),
    Alteration("a fee payer", _set(fee_payer_signature=FEE_PAYER_PLACEHOLDER), _WRONG, "leaves its fee"),
    Alteration("an access list", _set(access_list=((bytes(20), ()),)), _WRONG, "an access list or an auth"),
    Alteration(
        "an authorization", _set(authorization_list=((b"\x01",),)), _WRONG, "an access list or an auth"
    ),
    Alteration("a key authorization", _authorizes_a_key, _WRONG, "authorizes another key than the one that"),
    Alteration("no gas", _set(gas_limit=0), _WRONG, "gas limit is not between"),
    Alteration("all gas there is", _set(gas_limit=30_000_001), _WRONG, "gas limit is not between"),
    Alteration("no fee", _set(max_fee_per_gas=0), _WRONG, "fee cap is zero"),
    Alteration("a tip above its cap", _set(max_priority_fee_per_gas=21 * GWEI), _WRONG, "fee cap is zero"),
    Alteration("no end", _set(valid_before=None), _WRONG, "has no validBefore"),
    Alteration("ended", _window(valid_before=-1), PaymentExpired, "validBefore is over"),
    Alteration("about to end", _window(valid_before=3), PaymentExpired, "too near"),
    Alteration("outliving the challenge", _past_expiry, _WRONG, "later than the challenge's expiry"),
    Alteration("not begun", _window(valid_after=20), _WRONG, "validAfter is in the future"),
    Alteration("two transfers", _call(lambda call: (call, call)), _WRONG, "makes 2 transfers; exactly 1 is"),
    Alteration(
        "a call beside",
        _call(lambda call: (call, Call(bytes(19) + b"\x01", 0, b""))),
        _WRONG,
        "not a transfer",
    ),
    Alteration("a contract", _call(lambda call: (replace(call, to=None),)), _WRONG, "creates a contract"),
    Alteration("native value", _call(lambda call: (replace(call, value=1),)), _WRONG, "native value"),
    Alteration("no calldata", _call(lambda call: (replace(call, data=b""),)), _WRONG, "not a transfer"),
    Alteration(
        "an approval",
        _call(lambda call: (replace(call, data=bytes.fromhex("095ea7b3") + call.data[4:68]),)),
        _WRONG,
        "not a transfer",
    ),
    Alteration(
        "trailing calldata",
        _call(lambda call: (replace(call, data=call.data + bytes(32)),)),
        _WRONG,
        "not a tr",
    ),
    Alteration(
        "another token", _pays(token=TESTNET.tokens[1].address), _WRONG, "pays in 0x20C0.*0001, not in"
    ),
    Alteration("another recipient", _pays(to=OTHER), _WRONG, "pays 0xABaBa.*, not 0x"),
    Alteration("too little", _pays(amount=9_999), PaymentInsufficient, "pays 9999 base units; exactly 10000"),
    Alteration("nothing", _pays(amount=0), PaymentInsufficient, "pays 0 base units"),
    Alteration("too much", _pays(amount=10_001), _WRONG, "pays 10001 base units; exactly 10000"),
    Alteration("no memo", _pays(memo=None), _WRONG, "memo is not bound to this challenge"),
    Alteration("an empty memo", _pays(memo=bytes(32)), _WRONG, "memo is not bound to this challenge"),
    Alteration("another challenge's memo", _memo_of(challenge_id="x"), _WRONG, "memo is not bound"),
    Alteration("another realm's memo", _memo_of(realm="evil.example"), _WRONG, "memo is not bound"),
]
"""Every refusal that needs nothing but the transaction, its challenge and the time."""


def altered(
    alteration: Alteration, challenge: Challenge, payer: PrivateKey, *, now: float | None = None
) -> Transaction:
    """A good transaction with this alteration, duly signed."""
    return alteration.alter(unsigned(challenge, now=now), challenge).sign(payer)


def impatient(url: str) -> TempoCharge:
    """A server method that does not wait long for its node."""
    node = SellerNode(Rpc(url, timeout=0.7), 42431)
    return TempoCharge(
        recipient=new_address(),
        currency=TESTNET.currency.address,
        chain_id=42431,
        decimals=6,
        modes=("pull", "push"),
        splits=(),
        memo=None,
        pays_fees=False,
        node=node,
        pull=Pull(node, sponsor=None, unbound=False, settle_timeout=1, clock=time.time),
        push=Push(node, validate_sender=None, clock=time.time),
        identity=Identity(node, clock=time.time),
        relayed=None,
        repayments=Repayments(node, None, chain_id=42431, max_fee="0.02", settle_timeout=1, clock=time.time),
    )


async def pathusd_balance(node: FaultyNode, owner: str) -> int:
    """How many base units of pathUSD an account holds."""
    asking = Node(Rpc(node.url))
    try:
        return await asking.balance(TESTNET.currency.address, owner)
    finally:
        await asking.aclose()


async def mined(chain: FaultyNode | ThreadedDevnet, signed: Transaction) -> str:
    """Put a transaction onto the chain: its hash."""
    node = Node(Rpc(chain.url if isinstance(chain, FaultyNode) else chain.rpc_url))
    try:
        receipt = await node.send(signed, 10)
    finally:
        await node.aclose()
    assert receipt is not None
    return receipt.hash


async def verified(charge: TempoCharge, challenge: Challenge, signed: Transaction) -> Proof:
    return await charge.verify(credential(challenge, signed), challenge.decode_request())


async def paid(charge: TempoCharge, payer: PrivateKey) -> Proof:
    """The proof of a good transaction, which nobody has broadcast yet."""
    challenge = issue(charge)
    return await verified(charge, challenge, unsigned(challenge).sign(payer))


def chain_is_ahead(*, by: int) -> Behaviour:
    """The latest block is so many seconds later than the clock."""
    return edits(lambda block: {**block, "timestamp": hex(int(time.time()) + by)})
