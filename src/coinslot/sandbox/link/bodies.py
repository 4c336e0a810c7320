"""Bodies, read whole and within a limit."""

from __future__ import annotations

from typing import Final
from urllib.parse import parse_qsl

from starlette.requests import Request

from coinslot.sandbox.link.refusals import Refusal

MAX_BODY: Final = 256 * 1024


async def read_body(request: Request) -> bytes:
    """The body. Raises `Refusal` if it is too large."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY:
            raise Refusal(413, f"The body has more than {MAX_BODY} bytes.")
    return bytes(body)


async def read_form(request: Request) -> dict[str, str]:
    """The fields of a form body; of a name that occurs twice, the last. Raises `Refusal`."""
    body = await read_body(request)
    try:
        return dict(parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=200))
    except ValueError:  # UnicodeDecodeError is one, too
        raise Refusal(400, "The body is not a form.") from None
