"""The guide's server for both rails: one 402 that a card, a Link wallet or a stablecoin account can pay.

    STRIPE_SECRET_KEY=sk_… STRIPE_PROFILE_ID=profile_… MPP_SECRET_KEY=… \
        uvicorn both:app --app-dir examples --port 4242

STRIPE_API_BASE and RPC_URL point it at the sandboxes; TEMPO_NETWORK=mainnet goes with a live key.
"""

import os

from fastapi import FastAPI

from coinslot import Paywall
from coinslot.methods import stripe

paywall = Paywall(
    methods=stripe.machine_payments(
        secret_key=os.environ["STRIPE_SECRET_KEY"],
        network_id=os.environ["STRIPE_PROFILE_ID"],
        network=os.environ.get("TEMPO_NETWORK", "testnet"),
        rpc_url=os.environ.get("RPC_URL"),
        api_base=os.environ.get("STRIPE_API_BASE"),
    )
)
app = FastAPI()
paywall.attach(app)


@app.get("/paid")
@paywall.charge("0.50")
async def paid() -> dict[str, str]:
    """What was paid for; half a dollar is the least that a card can be charged."""
    return {"data": "..."}
