from __future__ import annotations

from typing import Any

from hypothesis import assume, given, strategies as st
from msgspec.structs import replace

from coinslot.methods.tempo.keys import parse_address
from coinslot.methods.tempo.wire import FEE_PAYER_PLACEHOLDER, Transaction
from coinslot.methods.tempo.wire.signatures import SigningKey
from coinslot.sandbox.tempo.envelopes import encode_filled, envelope, fee_payer_hash
from coinslot.sandbox.tempo.requests import read_request
from sandbox_authorizations import spelled
from tempo_strategies import SIGNERS, transactions

TOKEN = parse_address("0x20c0000000000000000000000000000000000000")
accesses = st.lists(
    st.tuples(st.binary(min_size=20, max_size=20), st.lists(st.binary(min_size=32, max_size=32)).map(tuple)),
    max_size=2,
).map(tuple)


def described(transaction: Transaction) -> dict[str, object]:
    """The request that describes a transaction."""
    access_list: Any = transaction.access_list
    members: dict[str, object] = {
        "type": "0x76",
        "calls": [
            {
                **({} if call.to is None else {"to": "0x" + call.to.hex()}),
                "value": hex(call.value),
                "data": "0x" + call.data.hex(),
            }
            for call in transaction.calls
        ],
        "chainId": hex(transaction.chain_id),
        "gas": hex(transaction.gas_limit),
        "maxFeePerGas": hex(transaction.max_fee_per_gas),
        "maxPriorityFeePerGas": hex(transaction.max_priority_fee_per_gas),
        "nonce": hex(transaction.nonce),
        "nonceKey": hex(transaction.nonce_key),
        "accessList": [
            {"address": "0x" + address.hex(), "storageKeys": ["0x" + key.hex() for key in keys]}
            for address, keys in access_list
        ],
    }
    if transaction.valid_before is not None:
        members["validBefore"] = hex(transaction.valid_before)
    if transaction.valid_after is not None:
        members["validAfter"] = hex(transaction.valid_after)
    if transaction.fee_token is not None:
        members["feeToken"] = "0x" + transaction.fee_token.hex()
    if transaction.fee_payer_signature is not None:
        members["feePayer"] = True
    if transaction.key_authorization is not None:
        members["keyAuthorization"] = spelled(transaction.key_authorization)
    return members


unsigned = st.builds(
    lambda transaction, accesses, awaits: replace(
        transaction,
        access_list=accesses,
        authorization_list=(),
        fee_payer_signature=FEE_PAYER_PLACEHOLDER if awaits else None,
        signature=None,
    ),
    transactions,
    accesses,
    st.booleans(),
)


@given(unsigned)
def test_a_request_describes_its_transaction(transaction: Transaction) -> None:
    """The transaction of a request is the one that the request was made of."""
    request = read_request(described(transaction))  # type: ignore[arg-type]  # a dict of JSON values
    assert request is not None
    assert envelope(request, 42431) == transaction


@given(unsigned)
def test_a_filled_transaction_is_what_was_filled(transaction: Transaction) -> None:
    """Its encoding is read as the transaction, but for a signature that nobody made."""
    assert replace(Transaction.decode(encode_filled(transaction)), signature=None) == transaction


@given(unsigned, st.sampled_from(list(SIGNERS.values())))
def test_a_fee_payer_signs_the_same_before_and_after(transaction: Transaction, key: SigningKey) -> None:
    """What a fee payer signs for a sender who has yet to sign is what it would sign afterwards."""
    assume(transaction.fee_payer_signature is not None)
    chosen = replace(transaction, fee_token=TOKEN)
    assert fee_payer_hash(chosen, key.address) == chosen.sign(key).fee_payer_hash()


def test_the_chain_is_the_sandboxs_own() -> None:
    """A request that names no chain is for this one."""
    request = read_request({"type": "0x76", "to": "0x" + "12" * 20, "data": "0x"})
    assert request is not None
    assert envelope(request, 4217).chain_id == 4217
