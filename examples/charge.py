"""The guide's server: one endpoint that costs 0.01, paid in stablecoin on Tempo.

    RECIPIENT=0x… MPP_SECRET_KEY=… uvicorn charge:app --app-dir examples --port 4242

RPC_URL points it at a node of your own, such as the sandbox.
"""

import os

from fastapi import FastAPI

from coinslot import Paywall
from coinslot.methods import tempo

paywall = Paywall(
    methods=[tempo.charge(os.environ["RECIPIENT"], network="testnet", rpc_url=os.environ.get("RPC_URL"))]
)
app = FastAPI()
paywall.attach(app)


@app.get("/paid")
@paywall.charge("0.01")
async def paid() -> dict[str, str]:
    """What was paid for."""
    return {"data": "..."}
