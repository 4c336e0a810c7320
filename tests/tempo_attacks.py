"""Tempo payments in all their shapes, each of which is right, and what makes an attack of one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol, TypeAlias, TypeVar

from hypothesis import HealthCheck, settings, strategies as st
from msgspec.structs import replace

from coinslot.methods.tempo.keys import PrivateKey, checksum_address, keccak256, parse_address
from coinslot.methods.tempo.networks import TESTNET
from coinslot.methods.tempo.wire import (
    EXPIRING_NONCE_KEY,
    FEE_PAYER_PLACEHOLDER,
    Call,
    KeyAuthorization,
    Swap,
    Transaction,
    Transfer,
    attribution_memo,
    swap_calls,
)
from coinslot.methods.tempo.wire.p256 import P256Key
from coinslot.methods.tempo.wire.signatures import AccessKey, SigningKey
from coinslot.methods.tempo.wire.source import format_source
from coinslot.methods.tempo.wire.terms import Terms
from coinslot.protocol import Challenge, Credential, JSONObject, format_timestamp
from tempo_payments import GWEI, REALM, call_of
from tempo_strategies import P256, ROOT, SECP256K1, Passkey, hashes

EXAMPLES: Final = settings(
    max_examples=8,
    # One till serves all examples of a test.
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
"""How often an attack is tried."""

NOW: Final = 1_800_000_000.25
"""The time at the till, in Unix seconds."""

CHAIN_ID: Final = 42431
CURRENCY: Final = TESTNET.currency.address
OTHER_TOKEN: Final = TESTNET.tokens[1].address

MORE: Final = "swaps for more than it pays"
"""What a transaction is told that swaps for what it should have paid."""

COUNT: Final = rf"makes \d+ transfers; exactly \d+ (is|are) asked|{MORE}"
"""What a transaction is told that makes too many transfers, or too few."""

SECP256K1_ORDER: Final = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
P256_ORDER: Final = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551

RECIPIENTS: Final = tuple(checksum_address(keccak256(bytes([number]))[-20:]) for number in range(11))
"""The seller, and ten others who may get a part."""

STRANGER: Final = PrivateKey.from_hex("0x" + "66" * 32)
"""Somebody who has no business with any payment."""

PASSKEY: Final = Passkey(P256Key.from_hex("0x" + "55" * 32))

KEYS: Final[dict[str, SigningKey]] = {
    "secp256k1": SECP256K1,
    "p256": P256,
    "webAuthn": PASSKEY,
    "access key of type secp256k1": AccessKey(SECP256K1, ROOT.address),
    "access key of type p256": AccessKey(P256, ROOT.address),
    "access key of type webAuthn": AccessKey(PASSKEY, ROOT.address),
}
"""A key of each kind that pays."""

KEY_TYPES: Final = {
    SECP256K1.address: "secp256k1",
    STRANGER.address: "secp256k1",
    P256.address: "p256",
    PASSKEY.address: "webAuthn",
}


@dataclass(frozen=True)
class Payment:
    """What pays a challenge, before it is signed. `transfers` are the primary one and then the splits."""

    challenge: Challenge
    key: SigningKey
    transfers: tuple[Transfer, ...]
    order: tuple[int, ...] = (0,)
    swap: Swap | None = None
    is_handed_over: bool = False
    key_authorization: KeyAuthorization | None = None

    @property
    def terms(self) -> Terms:
        """What the challenge asks for."""
        return Terms.from_request(self.challenge.decode_request())

    @property
    def first(self) -> int:
        """The index of the first call that is a transfer."""
        return 0 if self.swap is None else 2

    def transaction(self, transfers: Sequence[Transfer] | None = None) -> Transaction:
        """The transaction, with other transfers if any are given."""
        if transfers is None:
            transfers = [self.transfers[index] for index in self.order]
        swapping = () if self.swap is None else swap_calls(self.swap)
        sponsored = self.terms.fee_payer
        return Transaction(
            chain_id=CHAIN_ID,
            max_priority_fee_per_gas=GWEI,
            max_fee_per_gas=20 * GWEI,
            gas_limit=2_000_000,
            calls=(*swapping, *map(call_of, transfers)),
            nonce_key=EXPIRING_NONCE_KEY,
            valid_before=int(NOW) + 25,
            fee_token=None if sponsored else parse_address(CURRENCY),
            fee_payer_signature=FEE_PAYER_PLACEHOLDER if sponsored else None,
            key_authorization=self.key_authorization,
        )

    def present(self, transaction: Transaction | None = None) -> Credential:
        """Sign it, or what was made of it, and present it as the payer's."""
        signed = (self.transaction() if transaction is None else transaction).sign(self.key)
        return self.present_bytes(signed.encode_sponsored() if self.is_handed_over else signed.encode())

    def present_bytes(self, data: bytes, source: str | None = None) -> Credential:
        """Present these bytes as the payer's transaction."""
        return Credential(
            challenge=self.challenge,
            payload={"type": "transaction", "signature": "0x" + data.hex()},
            source=format_source(CHAIN_ID, self.key.address) if source is None else source,
        )


T = TypeVar("T")


class Draw(Protocol):
    """Draws a value of a strategy."""

    def __call__(self, strategy: st.SearchStrategy[T], label: Any = None) -> T: ...


Make: TypeAlias = Callable[[Payment, Draw], Credential]


@dataclass(frozen=True)
class Attack:
    """What makes a bad credential of a good payment, and the words with which it is refused.

    `shape` are the arguments of `payments` that draw what can be attacked so. `by_chain` says that it takes
    the chain's word to see through it.
    """

    name: str
    make: Make
    words: str
    shape: Mapping[str, Any] = field(default_factory=dict)
    by_chain: bool = False

    def __repr__(self) -> str:
        return self.name


def challenge_for(
    transfers: Sequence[Transfer],
    *,
    identifier: str = "a challenge",
    sponsored: bool = False,
    memo: bytes | None = None,
    lasts: float = 300,
) -> Challenge:
    """The challenge that asks for these transfers: the primary one and then the splits."""
    details: JSONObject = {"chainId": CHAIN_ID}
    if sponsored:
        details |= {"feePayer": True, "supportedModes": ["pull"]}
    if memo is not None:
        details["memo"] = "0x" + memo.hex()
    if transfers[1:]:
        details["splits"] = [_split(transfer) for transfer in transfers[1:]]
    request: JSONObject = {
        "amount": str(sum(transfer.amount for transfer in transfers)),
        "currency": transfers[0].token,
        "recipient": transfers[0].recipient,
        "methodDetails": details,
    }
    return Challenge.create(
        id=identifier,
        realm=REALM,
        method="tempo",
        intent="charge",
        request=request,
        expires=format_timestamp(NOW + lasts),
    )


def _split(transfer: Transfer) -> JSONObject:
    entry: JSONObject = {"amount": str(transfer.amount), "recipient": transfer.recipient.lower()}
    return entry if transfer.memo is None else {**entry, "memo": "0x" + transfer.memo.hex()}


identifiers = st.integers(0, 2**64 - 1).map("{:016x}".format)
amounts = st.integers(1, 10**6) | st.integers(1, 2**80)
few = st.integers(0, 3) | st.integers(0, 10)


@st.composite
def payments(
    draw: st.DrawFn,
    *,
    sponsored: bool | None = None,
    swapped: bool | None = None,
    at_least: int = 0,
    with_memos: bool | None = None,
    lasts: float = 300,
    keys: tuple[str, ...] = tuple(KEYS),
) -> Payment:
    """A payment that is right, with `at_least` so many splits, which name memos or not."""
    key = KEYS[draw(st.sampled_from(keys))]
    if sponsored is None:
        sponsored = draw(st.booleans())
    named = hashes if with_memos else st.none() if with_memos is False else st.none() | hashes
    due = [
        Transfer(
            token=CURRENCY,
            recipient=recipient,
            amount=draw(amounts),
            memo=draw(named) if number else None,
        )
        for number, recipient in enumerate(RECIPIENTS[: 1 + max(at_least, draw(few))])
    ]
    own = draw(st.none() | hashes)
    challenge = challenge_for(due, identifier=draw(identifiers), sponsored=sponsored, memo=own, lasts=lasts)
    attribution = attribution_memo(challenge.id, challenge.realm, draw(st.sampled_from([None, "a client"])))
    primary = replace(due[0], memo=draw(st.sampled_from([attribution, own or attribution])))
    swap = None
    if draw(st.booleans()) if swapped is None else swapped:
        swap = Swap(
            token_in=OTHER_TOKEN,
            token_out=CURRENCY,
            amount_out=draw(st.integers(1, sum(transfer.amount for transfer in due))),
            max_amount_in=draw(st.integers(1, 2**100)),
        )
    authorizes = not sponsored and isinstance(key, AccessKey) and draw(st.booleans())
    return Payment(
        challenge=challenge,
        key=key,
        transfers=(primary, *due[1:]),
        order=tuple(draw(st.permutations(range(len(due))))),
        swap=swap,
        is_handed_over=sponsored and draw(st.booleans()),
        key_authorization=authorization_of(key).sign(ROOT) if authorizes else None,
    )


def authorization_of(key: SigningKey, **changes: Any) -> KeyAuthorization:
    """What lets an access key sign for its account."""
    assert isinstance(key, AccessKey)
    members = {
        "chain_id": CHAIN_ID,
        "key_type": KEY_TYPES[key.key_address],
        "key_address": key.key_address,
        **changes,
    }
    return KeyAuthorization(**members)


def splice(calls: Sequence[Call], index: int, *put: Call) -> tuple[Call, ...]:
    """The calls with others in the place of one."""
    return (*calls[:index], *put, *calls[index + 1 :])


def twin(signature: bytes) -> bytes:
    """The other signature that there is for each, by any key: the one with s in the upper half."""
    size = len(signature)
    is_p256 = size in (130, 1 + 20 + 130)
    if size in (65, 1 + 20 + 65):
        signature, at, order = signature[:-1] + bytes([55 - signature[-1]]), size - 33, SECP256K1_ORDER
    else:
        at, order = size - 96 - is_p256, P256_ORDER
    s = order - int.from_bytes(signature[at : at + 32])
    return signature[:at] + s.to_bytes(32) + signature[at + 32 :]
