"""The guide's server for stablecoins: one endpoint that costs a cent, paid into your Stripe account.

    STRIPE_SECRET_KEY=sk_… MPP_SECRET_KEY=… uvicorn crypto:app --app-dir examples --port 4242

STRIPE_API_BASE and RPC_URL point it at the sandboxes; TEMPO_NETWORK=mainnet goes with a live key.
"""

import os

from fastapi import FastAPI

from coinslot import Paywall
from coinslot.methods import stripe, tempo

deposits = stripe.deposits(
    secret_key=os.environ["STRIPE_SECRET_KEY"], api_base=os.environ.get("STRIPE_API_BASE")
)
paywall = Paywall(
    methods=[
        tempo.charge(
            recipient=deposits,
            network=os.environ.get("TEMPO_NETWORK", "testnet"),
            rpc_url=os.environ.get("RPC_URL"),
        )
    ]
)
app = FastAPI()
paywall.attach(app)


@app.get("/paid")
@paywall.charge("0.01")
async def paid() -> dict[str, str]:
    """What was paid for."""
    return {"data": "..."}
