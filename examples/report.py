"""A server whose answer takes a while: what is paid for, and then lost in a crash, is handed over later.

RECIPIENT=0x… MPP_SECRET_KEY=… uvicorn report:app --app-dir examples --port 4242
"""

import asyncio
import os

from fastapi import FastAPI

from coinslot import Payment, Paywall
from coinslot.methods import tempo

paywall = Paywall(
    methods=[tempo.charge(os.environ["RECIPIENT"], network="testnet", rpc_url=os.environ.get("RPC_URL"))]
)
app = FastAPI()
paywall.attach(app)


@app.get("/report")
@paywall.charge("0.25", description="A report, written for you")
async def report(payment: Payment) -> dict[str, str]:
    """Takes as many seconds as WRITING_TIME says."""
    await asyncio.sleep(int(os.environ.get("WRITING_TIME", "0")))
    return {"report": "…", "paid_by": payment.payer or "", "transaction": payment.reference}
