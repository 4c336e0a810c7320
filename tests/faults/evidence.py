"""Evidence: what the chain, Stripe, the ledger, the handler and the buyers have to say about one case."""

from __future__ import annotations

from typing import Any, Final

import httpx2
from msgspec import Struct

from coinslot.intents import to_base_units
from coinslot.methods.tempo.networks import DECIMALS, TESTNET
from coinslot.methods.tempo.node import Node, transaction_hash
from coinslot.methods.tempo.rpc import Rpc
from coinslot.methods.tempo.wire import Transaction
from coinslot.payments.books import Query
from coinslot.payments.payment import Payment
from coinslot.payments.refunds import Refund
from coinslot.protocol import Credential
from coinslot.sandbox.stripe import Keys
from coinslot.storage import open_ledger
from coinslot.storage.postgres import PostgresLedger
from faults.journal import Completion, read_journal
from faults.points import Passage
from faults.shop import PRICE
from faults.stage import Stage

_TRANSFER: Final = "0xddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef"
_FEE_MANAGER: Final = "feec000000000000000000000000000000000000"
_PREVIEW: Final = "2026-07-29.preview"


class Evidence(Struct, frozen=True, kw_only=True):
    """Everything that was found.

    `moved` has, for each challenge that a credential was presented for, the base units that the world says
    were taken for it. `received` is everything that came in at the seller's, by method; `sent_back` all that
    went out again.
    """

    rows: dict[str, Payment] = {}
    refunds: list[Refund] = []
    moved: dict[str, int] = {}
    received: dict[str, int] = {}
    sent_back: dict[str, int] = {}
    journal: list[Completion] = []
    trace: list[Passage] = []


async def gather(stage: Stage) -> Evidence:
    """Ask all of them."""
    rows, refunds = await read_ledger(stage.settings.ledger)
    stripe = await _Stripe.read(stage.settings.stripe_url, Keys(stage.settings.seller))
    node = Node(Rpc(stage.settings.rpc_url))
    try:
        moved = {
            challenge_id: await _moved(node, stripe, credential)
            for buyer in stage.buyers
            for challenge_id, credential in buyer.credentials.items()
        }
        received = {
            "tempo": await node.balance(TESTNET.currency.address, stage.settings.recipient),
            "stripe": sum(stripe.succeeded.values()),
        }
        sent_back = {"tempo": await _sent_by(stage), "stripe": stripe.refunded}
    finally:
        await node.aclose()
    return Evidence(
        rows=rows,
        refunds=refunds,
        moved=moved,
        received=received,
        sent_back=sent_back,
        journal=read_journal(stage.settings.journal),
        trace=stage.trace,
    )


async def read_ledger(url: str) -> tuple[dict[str, Payment], list[Refund]]:
    """Every payment, by its challenge, and every refund. Patiently: what is counted has to be there."""
    ledger = PostgresLedger(url, patience=60) if url.startswith("postgres") else open_ledger(url)
    await ledger.open()
    try:
        rows: dict[str, Payment] = {}
        after = None
        while page := await ledger.select(Query(), after=after):
            rows |= {payment.challenge_id: payment for payment in page}
            after = (page[-1].created_at, page[-1].challenge_id)
        refunds = [refund for name in rows for refund in await ledger.select_refunds(name)]
    finally:
        await ledger.close()
    return rows, refunds


async def _moved(node: Node, stripe: _Stripe, credential: Credential) -> int:
    """What was taken for a credential."""
    payload = credential.payload
    if "spt" in payload:
        return stripe.succeeded.get(credential.challenge.id, 0)
    if payload["type"] == "hash":
        name = str(payload["hash"])
    else:
        name = transaction_hash(Transaction.decode(bytes.fromhex(str(payload["signature"])[2:])))
    receipt = await node.receipt(name)
    return to_base_units(PRICE, DECIMALS) if receipt is not None and receipt.succeeded else 0


async def _sent_by(stage: Stage) -> int:
    """What the chain says went out of the refund account, but for fees."""
    account = stage.refund_account
    if account is None:
        return 0
    topics = [_TRANSFER, "0x" + account[2:].lower().rjust(64, "0")]
    asked = {
        "jsonrpc": "2.0",
        "id": 1,
        "method": "eth_getLogs",
        "params": [{"fromBlock": "earliest", "address": TESTNET.currency.address, "topics": topics}],
    }
    answer = (await stage.http.post(stage.settings.rpc_url, json=asked)).json()
    return sum(
        int(log["data"], 16) for log in answer["result"] if not log["topics"][2].endswith(_FEE_MANAGER)
    )


class _Stripe(Struct):
    """A seller's account: what succeeded, by challenge, and what was refunded, in minor units."""

    succeeded: dict[str, int]
    refunded: int

    @classmethod
    async def read(cls, url: str, seller: Keys) -> _Stripe:
        """All that the account has."""
        headers = {"Authorization": f"Bearer {seller.secret_key}", "Stripe-Version": _PREVIEW}
        async with httpx2.AsyncClient(base_url=url, headers=headers, trust_env=False, timeout=30) as http:
            succeeded: dict[str, int] = {}
            for intent in await _listed(http, "/v1/payment_intents"):
                if intent["status"] == "succeeded":
                    challenge_id = intent["metadata"]["mpp_challenge_id"]
                    succeeded[challenge_id] = succeeded.get(challenge_id, 0) + intent["amount_received"]
            refunds = await _listed(http, "/v1/refunds")
            return cls(succeeded, sum(each["amount"] for each in refunds if each["status"] == "succeeded"))


async def _listed(http: httpx2.AsyncClient, path: str) -> list[Any]:
    found: list[Any] = []
    while True:
        params = {"limit": "100"} | ({"starting_after": found[-1]["id"]} if found else {})
        page = (await http.get(path, params=params)).json()
        found += page["data"]
        if not page["has_more"]:
            return found
