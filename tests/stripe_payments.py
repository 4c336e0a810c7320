"""Stripe payments to test with: challenges, tokens that pay them, and a sandbox that misbehaves to order."""

from __future__ import annotations

import time
from typing import Any, Final

import httpx2
from msgspec.structs import replace

from coinslot.methods.stripe import StripeCharge
from coinslot.payments.method import NotSent, Price, Proof, Settlement, Unknown
from coinslot.protocol import Challenge, Credential, format_timestamp
from coinslot.sandbox.stripe import BUYER, SELLER, Keys

PREVIEW: Final = "2026-07-29.preview"
INTENTS: Final = "/v1/payment_intents"

_numbers = iter(range(1, 10**9))


class Stripe:
    """A sandbox as a test sees it: from the outside, and with the power to make it fail."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.seller = Keys(SELLER)
        self.buyer = Keys(BUYER)
        self._http = httpx2.AsyncClient(base_url=url, trust_env=False)

    async def aclose(self) -> None:
        """Let nothing go wrong any more, and close the connection."""
        await self.clear_faults()
        await self._http.aclose()

    async def clear_faults(self) -> None:
        """Let nothing go wrong any more."""
        await self._http.delete("/_sandbox/faults")

    async def fault(self, kind: str, *, method: str = "POST", path: str = INTENTS, **settings: Any) -> None:
        """Have the next requests like these go wrong."""
        body = {"kind": kind, "method": method, "path": path, **settings}
        answer = await self._http.post("/_sandbox/faults", json=body)
        assert answer.status_code == 201, answer.text

    async def authenticate(self, intent: str, *, succeeded: bool = True) -> None:
        """The payer authenticates a payment that waits for it, or fails to."""
        path = f"/_sandbox/authentications/{intent}"
        answer = await self._http.post(path, json={"succeeded": succeeded})
        assert answer.status_code == 200, answer.text

    async def open_account(self, name: str) -> Keys:
        """One more account."""
        answer = await self._http.post("/_sandbox/accounts", json={"name": name})
        assert answer.status_code == 201, answer.text
        return Keys(name)

    async def ask(
        self,
        method: str,
        path: str,
        keys: Keys,
        form: dict[str, Any] | None = None,
        *,
        status: int = 200,
        **headers: str,
    ) -> Any:
        """One request to the API, by an account: the answer, which has that status."""
        answer = await self._http.request(
            method,
            path,
            data=form,
            headers={"Stripe-Version": PREVIEW, "Authorization": f"Bearer {keys.secret_key}", **headers},
        )
        assert answer.status_code == status, answer.text
        return answer.json()

    async def token(
        self,
        *,
        amount: int = 100,
        currency: str = "usd",
        card: str = "pm_card_visa",
        expires_in: float = 300,
        seller: Keys | None = None,
    ) -> str:
        """A token that the buyer issues to the seller."""
        form = {
            "payment_method": card,
            "seller_details[network_business_profile]": (seller or self.seller).profile,
            "usage_limits[currency]": currency,
            "usage_limits[max_amount]": amount,
            "usage_limits[expires_at]": int(time.time() + expires_in),
        }
        issued = await self.ask("POST", "/v1/shared_payment/issued_tokens", self.buyer, form)
        return str(issued["id"])

    async def revoke(self, token: str) -> None:
        """The buyer takes a token back."""
        await self.ask("POST", f"/v1/shared_payment/issued_tokens/{token}/revoke", self.buyer)

    async def intents(self, challenge: Challenge, keys: Keys | None = None) -> list[Any]:
        """Every PaymentIntent that was created for a challenge."""
        listed = await self.ask("GET", f"{INTENTS}?limit=100", keys or self.seller)
        return [each for each in listed["data"] if each["metadata"].get("mpp_challenge_id") == challenge.id]


def issue(method: StripeCharge, price: str = "1.00", **price_members: str) -> Challenge:
    """A challenge over a price, as a paywall issues it."""
    offer = method.prepare(Price(amount=price, **price_members))
    assert offer is not None
    return Challenge.create(
        id=f"challenge-{time.time_ns()}-{next(_numbers)}",
        realm="shop.example",
        method=method.name,
        intent=method.intent,
        request=offer.request,
        expires=format_timestamp(time.time() + 300),
    )


async def verified(method: StripeCharge, challenge: Challenge, token: str) -> Proof:
    """The proof of a token for a challenge, as it is written down."""
    return await method.verify(_credential(challenge, token), challenge.decode_request())


def complete(method: StripeCharge, proof: Proof, challenge: Challenge, token: str) -> Proof:
    """The proof as it is settled."""
    return method.complete(proof, _credential(challenge, token))


def _credential(challenge: Challenge, token: str) -> Credential:
    return Credential(challenge=challenge, payload={"spt": token})


class Clock:
    """The time, `ahead` seconds before everybody else's."""

    ahead = 0.0

    def __call__(self) -> float:
        return time.time() + self.ahead


class Purchase:
    """One payment on its way: a challenge, the token that is to pay it, and what the ledger knows of them."""

    def __init__(self, method: StripeCharge, challenge: Challenge, token: str, proof: Proof) -> None:
        self.method = method
        self.challenge = challenge
        self.token = token
        self.proof = proof

    @classmethod
    async def begin(cls, method: StripeCharge, token: str, price: str = "1.00", **members: str) -> Purchase:
        """A challenge over a price, and a verified proof for it."""
        challenge = issue(method, price, **members)
        return cls(method, challenge, token, await verified(method, challenge, token))

    async def settle(self) -> Settlement:
        """As the till does: with the token, and writing down what is learned."""
        settlement = await self.method.settle(complete(self.method, self.proof, self.challenge, self.token))
        if isinstance(settlement, NotSent | Unknown) and settlement.recovery is not None:
            self.proof = replace(self.proof, recovery=settlement.recovery)
        return settlement

    async def look_up(self) -> Settlement:
        """As the till does, from what is written down."""
        return await self.method.look_up(self.proof)
