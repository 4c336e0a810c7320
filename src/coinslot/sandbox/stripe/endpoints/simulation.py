"""/v1/test_helpers/payment_intents/{id}/simulate_crypto_deposit."""

from __future__ import annotations

from typing import Final, Literal

from coinslot.sandbox.stripe import deposits, intents
from coinslot.sandbox.stripe.calls import Call, endpoint
from coinslot.sandbox.stripe.errors import invalid, unexpected_state
from coinslot.sandbox.stripe.expansion import to_json
from coinslot.sandbox.stripe.parameters import Parameters
from coinslot.sandbox.stripe.shapes import PaymentIntent
from coinslot.sandbox.stripe.shapes.charge import ChargedCrypto
from coinslot.sandbox.stripe.shapes.payment_intent import CryptoDisplayDetails
from coinslot.sandbox.stripe.state import State
from coinslot.sandbox.stripe.verification import FAILURE, SUCCESS


class Simulate(Parameters, kw_only=True, frozen=True):
    """What simulating takes. `transaction_hash` is one of two, which decides what comes of it."""

    buyer_wallet: str
    network: Literal["base", "ethereum", "polygon", "solana", "tempo"]
    token_currency: Literal["usdc", "usdg", "usdp"]
    transaction_hash: str


def simulate(state: State, call: Call, given: Simulate) -> PaymentIntent:
    """POST …/simulate_crypto_deposit: the PaymentIntent, which is then being processed."""
    if given.transaction_hash not in (SUCCESS, FAILURE):
        raise invalid(
            f"{given.transaction_hash[:80]} is not a valid testmode transaction hash.",
            param="transaction_hash",
        )
    intent = state.get(PaymentIntent, call.id, call.account)
    intents.check_state(intent, ("requires_action",), "simulate a deposit for", "paid")
    details = None if intent.next_action is None else intent.next_action.crypto_display_details
    if not isinstance(details, CryptoDisplayDetails):
        raise unexpected_state("This PaymentIntent does not wait for a deposit.", to_json(intent))
    if given.network not in details.deposit_addresses:
        raise invalid(f"This PaymentIntent takes no deposits on {given.network}.", param="network")
    crypto = ChargedCrypto(
        amount_received=intent.amount,
        amount_requested=intent.amount,
        buyer_address=given.buyer_wallet,
        network=given.network,
        token_currency=given.token_currency,
        transaction_hash=given.transaction_hash,
    )
    deposits.receive(state, call.account, intent, crypto, succeeds=given.transaction_hash == SUCCESS)
    return intent


ENDPOINTS: Final = (
    endpoint(
        "POST",
        "/v1/test_helpers/payment_intents/{id}/simulate_crypto_deposit",
        Simulate,
        simulate,
        preview=True,
    ),
)
