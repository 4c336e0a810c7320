"""Both rails into one account at Stripe: stablecoins by deposit, cards and Link by shared payment token."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from coinslot.errors import ConfigurationError
from coinslot.methods.stripe.deposit_addresses import deposits
from coinslot.methods.stripe.sdk import stripe
from coinslot.methods.stripe.server import charge
from coinslot.payments.method import ServerMethod

if TYPE_CHECKING:
    from coinslot.methods.tempo.keys import PrivateKey


def machine_payments(
    *,
    network_id: str,
    secret_key: str | None = None,
    client: stripe.StripeClient | None = None,
    network: str = "testnet",
    rpc_url: str | None = None,
    payment_method_types: Sequence[str] = ("card", "link"),
    metadata: Mapping[str, str] | None = None,
    fee_payer: str | PrivateKey | None = None,
    refund_account: str | PrivateKey | None = None,
    pool: int = 20,
    api_version: str | None = None,
    api_base: str | None = None,
) -> list[ServerMethod]:
    """Everything that your account at Stripe takes from machines, for prices in dollars.

        Paywall(methods=stripe.machine_payments(secret_key="sk_…", network_id="profile_…"))

    It is `tempo.charge(recipient=stripe.deposits(…))` and then `stripe.charge(…)`, with one key: stablecoins
    are offered first, and cards and Link where the price is not below Stripe's minimum. Make the two by hand
    for settings that are not here.

    `network` is Tempo's, `mainnet` or `testnet`, and goes with the mode of the key. `fee_payer` pays the
    payers' fees there; from `refund_account` goes back what came in and Stripe could not match. `pool` is
    that of `stripe.deposits`. The rest is as in `stripe.charge`.

    Raises `ConfigurationError`, and `ImportError` that names the extra `coinslot[tempo]` if it is missing.
    """
    from coinslot.methods import tempo

    if network == "testnet" and secret_key is not None and "_live_" in secret_key[:8]:
        raise ConfigurationError(
            "a live key goes with network='mainnet': nobody pays real money on a testnet"
        )
    recipient = deposits(
        secret_key=secret_key,
        client=client,
        pool=pool,
        metadata=metadata,
        api_version=api_version,
        api_base=api_base,
    )
    return [
        tempo.charge(
            recipient,
            network=network,
            rpc_url=rpc_url,
            fee_payer=fee_payer,
            refund_account=refund_account,
        ),
        charge(
            network_id=network_id,
            secret_key=secret_key,
            client=client,
            payment_method_types=payment_method_types,
            metadata=metadata,
            api_version=api_version,
            api_base=api_base,
        ),
    ]
