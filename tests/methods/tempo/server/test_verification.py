from __future__ import annotations

import pytest
from hypothesis import given, settings, strategies as st
from msgspec.structs import replace

from coinslot.errors import VerificationFailed
from coinslot.methods import tempo
from coinslot.methods.tempo.keys import PrivateKey, checksum_address
from coinslot.methods.tempo.node import SENDING_MARGIN
from coinslot.methods.tempo.server.verification import check_transaction
from coinslot.methods.tempo.wire import EXPIRING_NONCE_KEY, Transaction
from coinslot.methods.tempo.wire.p256 import P256Key
from coinslot.methods.tempo.wire.signatures import AccessKey, SigningKey
from coinslot.methods.tempo.wire.source import format_source, parse_source
from coinslot.methods.tempo.wire.terms import Terms
from coinslot.protocol import Challenge
from tempo_payments import ALTERATIONS, OTHER, Alteration, altered, issue, unsigned

NOW = 1_800_000_000.0
PAYER = PrivateKey(b"\x11" * 32)
CHALLENGE = issue(tempo.charge("0x742d35Cc6634C0532925a3b844Bc9e7595f8fE00"), expires_at=NOW + 300)


def check(
    signed: Transaction, *, challenge: Challenge = CHALLENGE, source: str | None = None, now: float = NOW
) -> str:
    terms = Terms.from_request(challenge.decode_request())
    return check_transaction(signed, challenge, source, terms, now).account


def good(**members: object) -> Transaction:
    return replace(unsigned(CHALLENGE, now=NOW), **members).sign(PAYER)


def test_a_good_transaction_tells_who_sent_it() -> None:
    """What pays the challenge is accepted, and its sender is recovered from the signature."""
    assert check(good()) == PAYER.address


@pytest.mark.parametrize("alteration", ALTERATIONS, ids=lambda alteration: alteration.name)
def test_one_wrong_thing_is_enough_and_is_named(alteration: Alteration) -> None:
    """A transaction that differs from a good one in one member is refused, for that reason."""
    with pytest.raises(alteration.error, match=alteration.reason) as refusal:
        check(altered(alteration, CHALLENGE, PAYER, now=NOW))
    assert type(refusal.value) is alteration.error


@settings(deadline=None)
@given(
    nonce_key=st.integers(0, EXPIRING_NONCE_KEY),
    nonce=st.integers(0, 2**64 - 1),
    gas_limit=st.integers(1, 30_000_000),
    max_fee_per_gas=st.integers(1, 2**128 - 1),
    fee_token=st.none() | st.binary(min_size=20, max_size=20),
    valid_after=st.none() | st.integers(1, int(NOW)),
    valid_before=st.integers(int(NOW) + SENDING_MARGIN + 1, int(NOW) + 301),
)
def test_what_the_payer_may_choose_is_accepted(**members: object) -> None:
    """Nonce lane, gas, fees, fee token and a window within the challenge's time are the payer's affair."""
    assert check(good(**members)) == PAYER.address


@settings(deadline=None)
@given(st.floats(0.001, 0.999))
def test_a_fraction_of_a_second_counts(fraction: float) -> None:
    """`validBefore` is exclusive and whole: the end of the second of the expiry is still in time."""
    challenge = issue(
        tempo.charge("0x742d35Cc6634C0532925a3b844Bc9e7595f8fE00"), expires_at=NOW + 20 + fraction
    )
    within = replace(unsigned(challenge, now=NOW), valid_before=int(NOW) + 21)
    assert check(within.sign(PAYER), challenge=challenge) == PAYER.address
    with pytest.raises(VerificationFailed, match="later than the challenge's expiry"):
        check(replace(within, valid_before=int(NOW) + 22).sign(PAYER), challenge=challenge)


def test_without_a_signature_nobody_sent_it() -> None:
    """An unsigned transaction has no sender."""
    with pytest.raises(VerificationFailed, match="sender cannot be told"):
        check(unsigned(CHALLENGE, now=NOW))


@pytest.mark.parametrize(("kind", "name"), [(3, "keychain"), (5, "configurable"), (9, "no known type")])
def test_signatures_of_other_kinds_are_refused_by_name(kind: int, name: str) -> None:
    """A signature that Tempo does not take, or not yet, is told by its type's name."""
    signed = replace(unsigned(CHALLENGE, now=NOW), signature=bytes([kind]) + bytes(20) + bytes(65))
    with pytest.raises(VerificationFailed, match=name):
        check(signed)


@pytest.mark.parametrize(
    "key",
    [
        PAYER,
        P256Key.generate(),
        AccessKey(PrivateKey(b"\x12" * 32), OTHER),
        AccessKey(P256Key.generate(), OTHER),
    ],
    ids=["secp256k1", "p256", "access key", "p256 access key"],
)
def test_every_kind_of_key_pays_for_its_account(key: SigningKey) -> None:
    """Who signed is told by the signature, and who pays is the account it is for."""
    assert check(unsigned(CHALLENGE, now=NOW).sign(key)) == key.address


def test_a_high_s_signature_is_refused() -> None:
    """The other spelling of a signature makes no second transaction of the same payment."""
    order = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
    signed = good()
    assert signed.signature is not None
    r, s, v = signed.signature[:32], int.from_bytes(signed.signature[32:64]), signed.signature[64]
    with pytest.raises(VerificationFailed, match="upper half"):
        check(replace(signed, signature=r + (order - s).to_bytes(32) + bytes([27 + 28 - v])))


def test_a_source_has_to_be_the_signer() -> None:
    """The optional claim of who pays is believed only if it is true."""
    assert check(good(), source=format_source(42431, PAYER.address)) == PAYER.address
    assert check(good(), source=format_source(42431, PAYER.address.lower())) == PAYER.address
    with pytest.raises(VerificationFailed, match="not the account that signed"):
        check(good(), source=format_source(42431, OTHER))
    with pytest.raises(VerificationFailed, match="is on chain 4217, not on 42431"):
        check(good(), source=format_source(4217, PAYER.address))
    for malformed in ("", "did:key:z6Mk", PAYER.address, format_source(42431, PAYER.address) + " "):
        with pytest.raises(VerificationFailed, match="not of the form did:pkh"):
            check(good(), source=malformed)


@settings(deadline=None)
@given(st.integers(1, 2**53), st.binary(min_size=20, max_size=20))
def test_sources_round_trip(chain_id: int, address: bytes) -> None:
    """What is written as a source is read as the same chain and account."""
    spelled = checksum_address(address)
    assert parse_source(format_source(chain_id, spelled)) == (chain_id, spelled)


@settings(deadline=None)
@given(st.text())
def test_any_text_can_be_asked_whether_it_is_a_source(text: str) -> None:
    """Reading a source never raises."""
    assert parse_source(text) is None or text.startswith("did:pkh:eip155:")
