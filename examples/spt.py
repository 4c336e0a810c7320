"""The guide's server for cards and Link: one endpoint that costs a dollar, paid by shared payment token.

    STRIPE_SECRET_KEY=sk_… STRIPE_PROFILE_ID=profile_… MPP_SECRET_KEY=… \
        uvicorn spt:app --app-dir examples --port 4242

STRIPE_API_BASE points it at the sandbox.
"""

import os

from fastapi import FastAPI

from coinslot import Paywall
from coinslot.methods import stripe

paywall = Paywall(
    methods=[
        stripe.charge(
            secret_key=os.environ["STRIPE_SECRET_KEY"],
            network_id=os.environ["STRIPE_PROFILE_ID"],
            payment_method_types=["card", "link"],
            api_base=os.environ.get("STRIPE_API_BASE"),
        )
    ]
)
app = FastAPI()
paywall.attach(app)


@app.get("/paid")
@paywall.charge("1.00")
async def paid() -> dict[str, str]:
    """What was paid for."""
    return {"data": "..."}
