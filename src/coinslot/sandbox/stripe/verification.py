"""Transaction verification: a PaymentIntent that records a transfer which has been made already.

Stripe has not published its rules. Here the transaction has to be on the chain, not reverted, and hold a
transfer of the right token and amount to a deposit address of the account; and it is recorded once. Cents are
what is compared: clients round a transfer of 1.005 cents down before they record it.
"""

from __future__ import annotations

from typing import Final

from coinslot.methods.tempo.wire import Transfer
from coinslot.sandbox.stripe import deposits, money, networks
from coinslot.sandbox.stripe.chain import Evidence
from coinslot.sandbox.stripe.errors import ApiError, invalid, refused
from coinslot.sandbox.stripe.payment_parameters import CryptoOptions
from coinslot.sandbox.stripe.shapes import PaymentIntent
from coinslot.sandbox.stripe.shapes.charge import ChargedCrypto
from coinslot.sandbox.stripe.shapes.private import Deposit, DepositWallet, RecordedTransfer
from coinslot.sandbox.stripe.state import State

SUCCESS: Final = "0x" + "testsuccess".rjust(64, "0")
FAILURE: Final = "0x" + "testfailed".rjust(64, "0")
"""The two hashes that stand for a transfer where there is no chain."""

_OPTIONS: Final = "payment_method_options[crypto][transaction_verification_options]"
_HASH: Final = f"{_OPTIONS}[transaction_hash]"


def verify(
    state: State, account: str, intent: PaymentIntent, options: CryptoOptions, evidence: Evidence | None
) -> None:
    """Record the transfer, which pays the PaymentIntent. Raises `ApiError` if it does not."""
    wanted = options.transaction_verification_options
    if wanted is None:
        raise invalid(f"Missing required param: {_OPTIONS}.", param=_OPTIONS, code="parameter_missing")
    if wanted.transaction_hash == SUCCESS:
        crypto = ChargedCrypto(
            network=wanted.network, token_currency=money.STABLECOIN, transaction_hash=SUCCESS
        )
        deposits.record(state, account, intent, crypto)
        return
    if wanted.transaction_hash != FAILURE and not networks.is_transaction(
        wanted.network, wanted.transaction_hash
    ):
        raise invalid("Invalid transaction hash.", param=_HASH)
    if evidence is None or not evidence.found:
        raise _refused(f"The transaction was not found on {wanted.network}.")
    if not evidence.succeeded:
        raise _refused("The transaction was reverted.")
    transfer = _payment(state, account, intent, wanted.network, evidence.transfers)
    _claim(state, account, intent, wanted.network, wanted.transaction_hash)
    crypto = ChargedCrypto(
        amount_received=transfer.amount // money.UNITS_PER_CENT,
        amount_requested=intent.amount,
        buyer_address=transfer.sender,
        network=wanted.network,
        token_currency=money.STABLECOIN,
        transaction_hash=wanted.transaction_hash,
    )
    deposits.record(state, account, intent, crypto)


def _payment(
    state: State, account: str, intent: PaymentIntent, network: str, transfers: list[Transfer]
) -> Transfer:
    """The transfer that pays the PaymentIntent."""
    token = networks.token_of(network, state.settings.tokens).lower()
    ours = [
        each
        for each in transfers
        if state.find(DepositWallet, networks.key_of(network, each.recipient), account) is not None
    ]
    if not ours:
        raise _refused("The transaction pays none of this account's deposit addresses.")
    ours = [each for each in ours if each.token.lower() == token]
    if not ours:
        raise _refused("The transaction pays in a token that is not supported.")
    exact = [each for each in ours if each.amount // money.UNITS_PER_CENT == intent.amount]
    if not exact:
        raise _refused("The transaction pays another amount than the PaymentIntent's.")
    return exact[0]


def _claim(state: State, account: str, intent: PaymentIntent, network: str, hash_: str) -> None:
    """A transfer pays one PaymentIntent, whether it is recorded or was waited for."""
    id_ = networks.key_of(network, hash_)
    known = state.find(RecordedTransfer, id_)
    if known is not None:
        raise _refused(f"The transaction has been recorded already, by {known.payment_intent}.")
    for deposit in state.all(Deposit, account, transaction_hash=hash_):
        if deposit.payment_intent is not None:
            raise _refused(f"The transaction has paid {deposit.payment_intent} already.")
    state.add(RecordedTransfer(id=id_, created=state.now, payment_intent=intent.id), account)


def _refused(message: str) -> ApiError:
    return refused(message, param=_HASH, code="payment_intent_invalid_parameter")
