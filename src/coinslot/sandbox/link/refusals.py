"""What Link answers when it will not: the API's errors, and OAuth's."""

from __future__ import annotations

from starlette.responses import JSONResponse

from coinslot.protocol import JSONObject


class Refusal(Exception):
    """An error of the API: `{"error": {"message", "code", …}}` with `status`.

    `extra` are further members of `error`, as `duplicate_spend_request` is one.
    """

    def __init__(
        self, status: int, message: str, *, code: str = "invalid_request", extra: JSONObject | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.extra = extra or {}

    def response(self) -> JSONResponse:
        """The error as it goes over the wire."""
        error: JSONObject = {"message": str(self), "code": self.code, **self.extra}
        headers = {"www-authenticate": "Bearer"} if self.status == 401 else None
        return JSONResponse({"error": error}, self.status, headers)


class OAuthRefusal(Exception):
    """An error of the login: `{"error": code, "error_description": …}` (RFC 6749 §5.2, RFC 8628 §3.5)."""

    def __init__(self, code: str, description: str) -> None:
        super().__init__(description)
        self.code = code

    def response(self) -> JSONResponse:
        """The error as it goes over the wire."""
        return JSONResponse(
            {"error": self.code, "error_description": str(self)}, 400, {"cache-control": "no-store"}
        )
