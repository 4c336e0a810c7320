"""The fee payer service: an account of the sandbox's that pays the fees of whoever asks.

Sellers and wallets ask in two ways. Both are answered at the devnet's own endpoint:

    eth_fillTransaction      with `feePayer: true` and a transaction that lacks nothing else
    eth_signRawTransaction   with a transaction that its sender has signed, as 0x78 or as 0x76

A client that has its transaction filled, and means to find its fee payer later, sends `feePayer: true` too.
It leaves out what it wants to be told, which is how the two are told apart.
"""

from __future__ import annotations

from typing import Final

from msgspec.structs import replace

from coinslot.methods.tempo.keys import SignatureError, parse_address
from coinslot.methods.tempo.wire import Transaction, TransactionError
from coinslot.methods.tempo.wire.transaction import FEE_PAYER_TYPE
from coinslot.protocol import JSONObject, JSONValue
from coinslot.sandbox.tempo.accounts import SPONSOR
from coinslot.sandbox.tempo.envelopes import encode_filled, envelope, fee_payer_hash
from coinslot.sandbox.tempo.fees import PATH_USD
from coinslot.sandbox.tempo.jsonrpc import invalid_params
from coinslot.sandbox.tempo.requests import TempoRequest, address, raw_transaction

_COMPLETE: Final = ("from", "gas", "maxFeePerGas", "nonce")


class FeePayerService:
    """Signs as the fee payer of any transaction on `chain_id`."""

    def __init__(self, chain_id: int) -> None:
        self._chain_id = chain_id

    def is_asked(self, request: TempoRequest) -> bool:
        """Whether an `eth_fillTransaction` asks for a fee payer's signature, and for nothing else."""
        members = request.members
        return members.get("feePayer") is True and all(members.get(name) is not None for name in _COMPLETE)

    def fill(self, request: TempoRequest) -> JSONObject:
        """The answer to it: the transaction as it was asked for, with `feePayerSignature` and `feeToken`.

        The fee is paid in the request's `feeToken`, else in pathUSD. Raises `RPCError`.
        """
        sender = request.sender
        if sender is None:
            invalid_params("from is not an address")
        token = address(request.members.get("feeToken")) or PATH_USD
        unsigned = replace(envelope(request, self._chain_id), fee_token=parse_address(token))
        self._check(unsigned, sender)
        signature = SPONSOR.sign(fee_payer_hash(unsigned, sender))
        tx: JSONObject = {
            **{name: member for name, member in request.members.items() if member is not None},
            "type": "0x76",
            "chainId": hex(unsigned.chain_id),
            "calls": request.shown_calls(),
            "feeToken": token,
            "feePayerSignature": _signature_object(signature),
        }
        raw = encode_filled(replace(unsigned, fee_payer_signature=signature))
        return {"raw": "0x" + raw.hex(), "tx": tx}

    async def sign_raw(self, params: list[JSONValue]) -> JSONValue:
        """Answer `eth_signRawTransaction(raw)`: the transaction with the fee payer's signature, in 0x76.

        Raises `RPCError`.
        """
        return "0x" + self.co_sign(raw_transaction(params)).encode().hex()

    def co_sign(self, raw: bytes) -> Transaction:
        """A transaction that awaits its fee payer, in either spelling, signed. Raises `RPCError`."""
        try:
            transaction = Transaction.decode_sponsored(raw)
            self._check(transaction, transaction.sender())
            return transaction.co_sign(SPONSOR, parse_address(PATH_USD))
        except (TransactionError, SignatureError) as error:
            invalid_params(str(error))

    def _check(self, transaction: Transaction, sender: str) -> None:
        if transaction.chain_id != self._chain_id:
            invalid_params(f"the transaction is for chain {transaction.chain_id}, not {self._chain_id}")
        if sender == SPONSOR.address:
            invalid_params("the fee payer does not pay for itself")


def awaits_fee_payer(raw: bytes) -> bool:
    """Whether a raw transaction is on its way to a fee payer (0x78), and no node's to take."""
    return raw[:1] == bytes([FEE_PAYER_TYPE])


def _signature_object(signature: bytes) -> JSONObject:
    parity = hex(signature[64] - 27)
    r, s = ("0x" + half.hex() for half in (signature[:32], signature[32:64]))
    return {"r": r, "s": s, "yParity": parity, "v": parity}
