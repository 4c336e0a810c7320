"""Stripe's endpoints for shared payment tokens, over real HTTP, which take orders to misbehave."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from urllib.parse import parse_qsl

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from serving import serving

KEY = "sk_test_agent"
SELLER = "profile_test_seller"


@dataclass
class TokenBooth:
    """What was asked of it, and what it is to answer."""

    url: str = ""
    forms: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    tokens: dict[str, str] = field(default_factory=dict)
    revoked: list[str] = field(default_factory=list)
    refusal: tuple[int, dict[str, object]] | None = None
    meanwhile: Callable[[], None] = lambda: None
    """What happens while a token is issued."""

    def refuse(self, status: int, **error: object) -> None:
        """Answer everything with this error from now on."""
        self.refusal = (status, {"error": error})

    def reset(self) -> None:
        """Forget everything."""
        self.forms, self.tokens, self.revoked, self.refusal = [], {}, [], None
        self.meanwhile = lambda: None

    async def answer(self, request: Request) -> JSONResponse:
        """Issue, grant or revoke."""
        assert request.headers["authorization"].startswith("Basic ")
        self.forms.append((request.url.path, dict(parse_qsl((await request.body()).decode()))))
        if self.refusal is not None:
            status, body = self.refusal
            return JSONResponse(body, status)
        if "token" in request.path_params:
            self.revoked.append(request.path_params["token"])
            return JSONResponse({"id": request.path_params["token"]})
        self.meanwhile()
        key = request.headers["idempotency-key"]
        return JSONResponse({"id": self.tokens.setdefault(key, f"spt_{len(self.tokens) + 1}")})


@contextmanager
def token_booth() -> Iterator[TokenBooth]:
    """An open one, on a thread of its own."""
    booth = TokenBooth()
    paths = ("/v1/shared_payment/issued_tokens", "/v1/test_helpers/shared_payment/granted_tokens")
    routes = [Route(path, booth.answer, methods=["POST"]) for path in paths]
    routes += [Route(path + "/{token}/revoke", booth.answer, methods=["POST"]) for path in paths]
    with serving(Starlette(routes=routes)) as url:
        booth.url = url
        yield booth
