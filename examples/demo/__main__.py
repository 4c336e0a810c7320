"""Tells the story, and writes what it measured to build/demo.json.

Exits with 1 if anything is not as it should be.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from typing import Any

from coinslot.sandbox.stripe import ThreadedStripeSandbox
from coinslot.sandbox.tempo import ThreadedDevnet
from examples.demo import stripe_story, tempo_story
from examples.demo.stage import BUILD, SHOP, TOKEN, Stage, require_free_port
from examples.demo.telling import console, facts


def main() -> None:
    """Everything, in order."""
    require_free_port()
    with (
        console.status("Starting a Tempo chain and a Stripe"),
        ThreadedDevnet() as devnet,
        ThreadedStripeSandbox(chain=devnet.rpc_url, settle_after=0.5) as stripe,
    ):
        stage = Stage(devnet, stripe)
        console.rule("[bold]A chain, a Stripe, a seller and a buyer")
        facts(
            chain=f"{devnet.rpc_url}, id {devnet.chain_id}",
            dashboard=f"{stripe.url} (Stripe, in a box)",
            buyer=stage.key.address,
            seller=stage.recipient,
            server=f"{SHOP}/paid at 0.01 {TOKEN.symbol}, examples/charge.py",
        )
        results = {
            "tempo": {**tempo_story.buy(stage), **tempo_story.survive(stage)},
            **stripe_story.choose(stage),
        }
    (BUILD / "demo.json").write_text(json.dumps(results, indent=2) + "\n")
    wrong = list(mistakes(results))
    if wrong:
        sys.exit("Something went wrong: " + "; ".join(wrong))
    console.print("\n[green]All as it should be.[/] The numbers are in build/demo.json.")


def mistakes(results: Mapping[str, Any]) -> Iterator[str]:
    """What did not go as it should."""
    expected: dict[str, dict[str, object]] = {
        "tempo": {"status": 200, "replay_status": 402, "redelivered_status": 200},
        "stripe_spt": {"status": 200, "payment_intent_status": "succeeded"},
        "stripe_deposit": {"status": 200, "payment_intent_status": "succeeded"},
    }
    for story, outcome in expected.items():
        for name, value in outcome.items():
            if results[story][name] != value:
                yield f"{story}: {name} is {results[story][name]}, not {value}"
    paid = results["tempo"]["recipient_after"] - results["tempo"]["recipient_before"]
    if paid != 10_000:
        yield f"tempo: the seller got {paid} base units, not 10000"
    if not results["stripe_spt"]["receipt"]["reference"].startswith("pi_"):
        yield "stripe_spt: the receipt names no PaymentIntent"


if __name__ == "__main__":
    main()
