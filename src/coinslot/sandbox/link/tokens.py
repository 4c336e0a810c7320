"""Shared payment tokens, drawn from a Stripe API: the buyer's half of it."""

from __future__ import annotations

from typing import Final, Literal, TypeAlias

import httpx2
import msgspec
from msgspec import Struct

from coinslot.sandbox.link.requests import SpendRequest

Draw: TypeAlias = Literal["issued", "granted"]

STRIPE_VERSION: Final = "2026-10-14.preview"
_TIMEOUT: Final = 30.0


class NotIssued(Exception):
    """Stripe refused. `code` is its reason, in its own words."""

    def __init__(self, code: str) -> None:
        super().__init__(f"Stripe refused: {code}")
        self.code = code


class Unreachable(Exception):
    """Stripe did not answer, or answered that it could not."""


class _Error(Struct):
    type: str = "api_error"
    code: str | None = None
    message: str = ""


class _Answer(Struct):
    id: str | None = None
    error: _Error | None = None


class TokenSource:
    """A Stripe API that issues shared payment tokens.

    `draw` is how: `"issued"` asks as the agent's account, `key`, for a token that the seller of the request's
    network profile may charge; `"granted"` has the test helper of the seller's account, `key`, make one.
    """

    def __init__(self, url: str, key: str, draw: Draw = "issued") -> None:
        self._path = "/v1/shared_payment/issued_tokens"
        if draw == "granted":
            self._path = "/v1/test_helpers/shared_payment/granted_tokens"
        self._draw = draw
        self._http = httpx2.AsyncClient(
            base_url=url, auth=(key, ""), headers={"stripe-version": STRIPE_VERSION}, timeout=_TIMEOUT
        )

    async def issue(self, request: SpendRequest) -> str:
        """The id of a token for what `request` asks for. Asked twice, it is the same token.

        Raises `NotIssued` and `Unreachable`.
        """
        form = {
            "payment_method": request.method.stripe_id,
            "usage_limits[currency]": request.terms.currency,
            "usage_limits[max_amount]": str(request.terms.amount),
            "usage_limits[expires_at]": str(int(request.expires_at)),
        }
        if self._draw == "issued":
            form["seller_details[network_business_profile]"] = request.terms.network_id or ""
        answer = await self._post(self._path, form, key=f"link-{request.id}")
        if answer.id is None:
            raise Unreachable("Stripe's answer names no token")
        return answer.id

    async def revoke(self, token: str) -> None:
        """Have `token` pay for nothing any more. Raises `Unreachable`; a token that is over is no error."""
        try:
            await self._post(f"{self._path}/{token}/revoke", {}, key=f"link-revoke-{token}")
        except NotIssued:
            return

    async def aclose(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def _post(self, path: str, form: dict[str, str], *, key: str) -> _Answer:
        try:
            response = await self._http.post(path, data=form, headers={"idempotency-key": key})
            answer = msgspec.json.decode(response.content, type=_Answer)
        except httpx2.HTTPError as error:
            raise Unreachable(f"Stripe cannot be reached ({type(error).__name__})") from error
        except msgspec.DecodeError as error:
            raise Unreachable("Stripe's answer is not Stripe's") from error
        if response.status_code >= 500 or response.status_code == 429:
            raise Unreachable(f"Stripe answered {response.status_code}")
        if answer.error is not None:
            raise NotIssued(answer.error.code or answer.error.message or answer.error.type)
        return answer
