"""Buying on Tempo: challenges, what was signed for them, and money to pay with."""

from __future__ import annotations

import time
from typing import Any

from coinslot.methods import tempo
from coinslot.methods.tempo.keys import PrivateKey, parse_address
from coinslot.methods.tempo.networks import TESTNET
from coinslot.methods.tempo.node import Node
from coinslot.methods.tempo.rpc import Rpc
from coinslot.methods.tempo.wire import EXPIRING_NONCE_KEY, Call, Transaction, Transfer, decode_call, transfer
from coinslot.payments.method import Failed, Payload, Settled
from coinslot.protocol import Challenge, Credential
from coinslot.sandbox.tempo import ThreadedDevnet
from tempo_payments import GWEI, issue

PATH_USD, ALPHA_USD, BETA_USD, THETA_USD = (token.address for token in TESTNET.tokens)
RECIPIENT = "0x742d35Cc6634c0532925a3b844bC9e7595F8fE00"


def asking(price: str = "0.01", /, *, to: str = RECIPIENT, details: Any = None, **changes: Any) -> Challenge:
    """A challenge on the testnet; `details` are added to its method details, `changes` replace members."""
    if details is not None:
        changes["methodDetails"] = {"chainId": 42431, **details}
    return issue(tempo.charge(to), price, **changes)


def signed(payload: Payload) -> Transaction:
    """The transaction that a payload presents."""
    data = bytes.fromhex(str(payload.payload["signature"])[2:])
    return Transaction.decode_sponsored(data) if data[0] == 0x78 else Transaction.decode(data)


def transfers(transaction: Transaction) -> list[Transfer | None]:
    """What its calls transfer, None for each that is something else."""
    return [decode_call(call) for call in transaction.calls]


async def settled(charge: tempo.TempoCharge, challenge: Challenge, payload: Payload) -> Settled | Failed:
    """Present a payload as a server would have it presented."""
    presented = Credential(
        challenge=challenge, payload=charge.canonical(payload.payload), source=payload.source
    )
    outcome = await charge.settle(await charge.verify(presented, challenge.decode_request()))
    assert isinstance(outcome, Settled | Failed), outcome
    return outcome


async def give(devnet: ThreadedDevnet, to: str, **units: int) -> None:
    """Have an account hold so many base units of tokens: `alpha_usd=10_000`."""
    giver = PrivateKey.generate()
    devnet.fund(giver.address)
    calls = [
        Call(parse_address(globals()[name.upper()]), 0, transfer(to, amount))
        for name, amount in units.items()
    ]
    gift = Transaction(
        chain_id=42431,
        max_priority_fee_per_gas=GWEI,
        max_fee_per_gas=50 * GWEI,
        gas_limit=5_000_000,
        calls=tuple(calls),
        nonce_key=EXPIRING_NONCE_KEY,
        valid_before=int(time.time()) + 25,
        fee_token=parse_address(PATH_USD),
    ).sign(giver)
    node = Node(Rpc(devnet.rpc_url))
    receipt = await node.send(gift, 10)
    assert receipt is not None
    assert receipt.succeeded
    await node.aclose()


async def balance(devnet: ThreadedDevnet, owner: str, token: str = PATH_USD) -> int:
    """How many base units of a token an account holds."""
    node = Node(Rpc(devnet.rpc_url))
    try:
        return await node.balance(token, owner)
    finally:
        await node.aclose()
