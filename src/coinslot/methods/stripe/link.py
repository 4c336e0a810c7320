"""The agent's side of Stripe: a user's Link wallet, and the tokens that it gives when its user says yes.

    link = Link(LinkSession(LinkAuth(), store))
    request = await link.create_spend_request(amount=500, network_id="profile_…", context="…")
    approved = await link.wait_for_approval(request.id)
    approved.shared_payment_token

The calls are made with Stripe's own `stripe-link-sdk`; logging in (`link_auth`) and refreshing tokens
(`link_session`) it leaves to its callers.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final, TypeVar

from msgspec import to_builtins

from coinslot.errors import ConfigurationError
from coinslot.methods.stripe.link_errors import (
    LinkError,
    LinkRefused,
    LinkUnreachable,
    NotApproved,
    NotLoggedIn,
)
from coinslot.methods.stripe.link_http import httpx, open_http, safe_base_url
from coinslot.methods.stripe.link_session import LinkSession
from coinslot.methods.stripe.link_values import (
    API_URL,
    MIN_CONTEXT,
    LineItem,
    LinkPaymentMethod,
    LinkUser,
    SpendRequest,
    Total,
)

try:
    import link as sdk
except ImportError as error:
    raise ImportError(
        f"Link needs {error.name}, which is not installed: pip install 'coinslot[link]'"
    ) from error

_PATIENCE: Final = 5
"""Polls in a row that may go unanswered before waiting is given up."""

T = TypeVar("T")


class Link:
    """A user's Link wallet at `url`, as far as `session` lets this program use it.

    Every method raises `NotLoggedIn`, `LinkRefused` if Link says no, and `LinkUnreachable`. Close it with
    `aclose`, which closes the session's connections as well, or use it as an asynchronous context manager.
    Raises `ConfigurationError` for a URL that is neither https nor this machine's.
    """

    def __init__(self, session: LinkSession, *, url: str = API_URL, timeout: float = 30.0) -> None:
        self.url = safe_base_url(url, "api_url")
        self._session = session
        self._http = open_http(self.url, timeout)

    async def user(self) -> LinkUser:
        """Whose wallet it is."""
        found = await self._call(lambda client: client.user_info.retrieve())
        return LinkUser(email=found.email, name=found.name)

    async def list_payment_methods(self) -> list[LinkPaymentMethod]:
        """What can be paid with."""
        found = await self._call(lambda client: client.payment_methods.list())
        return list(map(LinkPaymentMethod.of, found))

    async def create_spend_request(
        self,
        *,
        amount: int,
        network_id: str,
        context: str,
        currency: str = "usd",
        payment_method: str | None = None,
        line_items: Sequence[LineItem] = (),
        totals: Sequence[Total] = (),
        metadata: Mapping[str, str] | None = None,
        request_approval: bool = True,
        test: bool = False,
        idempotency_key: str | None = None,
    ) -> SpendRequest:
        """Ask for a shared payment token of `amount`, in minor units, for the seller with `network_id`.

        `context` is what its user reads when they decide: at least `MIN_CONTEXT` characters on what is bought
        and why. Without `payment_method` it is the user's default one. With `request_approval` they are asked
        at once. `test` asks for a token of test money. A repetition with the same `idempotency_key` makes no
        second request. Raises `ConfigurationError` for a context that is too short.
        """
        if len(context) < MIN_CONTEXT:
            raise ConfigurationError(
                f"the context has {len(context)} characters, and Link wants {MIN_CONTEXT} or more:"
                " say what is bought, from whom and why; it is what your user reads"
            )
        items = to_builtins(list(line_items)) if line_items else None
        sums = to_builtins(list(totals)) if totals else None
        made = await self._call(
            lambda client: client.spend_requests.create(
                amount=amount,
                currency=currency,
                credential_type="shared_payment_token",
                network_id=network_id,
                context=context,
                payment_details=payment_method,
                line_items=items,
                totals=sums,
                metadata=metadata,
                request_approval=request_approval or None,
                test=test or None,
                idempotency_key=idempotency_key,
            )
        )
        return SpendRequest.of(made)

    async def list_spend_requests(self, *, history: bool = False) -> list[SpendRequest]:
        """The active ones; with `history`, all."""
        found = await self._call(lambda client: client.spend_requests.list(include_history=history))
        return list(map(SpendRequest.of, found))

    async def retrieve_spend_request(self, identifier: str, *, with_token: bool = False) -> SpendRequest:
        """How a request stands; `with_token`, and its token, if it was approved."""
        include = ("shared_payment_token",) if with_token else None
        found = await self._call(lambda client: client.spend_requests.retrieve(identifier, include=include))
        if found is None:
            raise LinkRefused(f"Link knows no spend request {identifier!r}", status=404, code="not_found")
        return SpendRequest.of(found)

    async def request_approval(self, identifier: str) -> str:
        """Have the user asked, if that was not done at once; the URL at which they decide."""
        answer = await self._call(lambda client: client.spend_requests.request_approval(identifier))
        return answer.approval_url

    async def cancel_spend_request(self, identifier: str) -> SpendRequest:
        """Take a request back, and its token if there is one."""
        return SpendRequest.of(await self._call(lambda client: client.spend_requests.cancel(identifier)))

    async def wait_for_approval(
        self,
        identifier: str,
        *,
        within: float = 600.0,
        interval: float = 2.0,
        on_change: Callable[[SpendRequest], None] | None = None,
    ) -> SpendRequest:
        """The request with its token, once it is approved. Asks every `interval` seconds.

        `on_change` is called with the request whenever its status is another one, and it still has to be
        waited for. Raises `NotApproved` if it will not be approved, or was not within `within` seconds.
        """
        deadline, status = time.monotonic() + within, None
        while True:
            request = await self._retrieve_patiently(identifier, interval)
            if request.is_granted:
                return request
            if not request.is_waiting:
                raise NotApproved(_why_not(request), request=request)
            if on_change is not None and request.status != status:
                on_change(request)
            status = request.status
            if time.monotonic() >= deadline:
                waited = (
                    f"the spend request {identifier} was not approved within {within:g} s, and may yet be"
                )
                raise NotApproved(waited, request=request, timed_out=True)
            await asyncio.sleep(interval)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._http.aclose()
        await self._session.aclose()

    async def __aenter__(self) -> Link:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def _retrieve_patiently(self, identifier: str, interval: float) -> SpendRequest:
        """The request with its token. What may pass is waited out, some times."""
        for _ in range(_PATIENCE - 1):
            try:
                return await self.retrieve_spend_request(identifier, with_token=True)
            except (LinkUnreachable, LinkRefused) as error:
                if not _may_pass(error):
                    raise
            await asyncio.sleep(interval)
        return await self.retrieve_spend_request(identifier, with_token=True)

    async def _call(self, operation: Callable[[sdk.AsyncClient], Awaitable[T]]) -> T:
        client = sdk.AsyncClient(
            get_access_token=_Tokens(self._session), api_base_url=self.url, http_client=self._http
        )
        try:
            return await operation(client)
        except sdk.LinkAPIError as error:
            raise _refusal(error) from None
        except sdk.LinkTransportError as error:
            timed_out = isinstance(error.__cause__, httpx.TimeoutException)
            reason = type(error.__cause__).__name__
            raise LinkUnreachable(
                f"Link at {self.url} cannot be reached ({reason})", timed_out=timed_out
            ) from error
        except sdk.LinkResponseError as error:
            raise LinkUnreachable(f"what answered at {self.url} is not Link ({error.status})") from None
        except sdk.LinkSDKError as error:
            raise LinkError(str(error)) from None


class _Tokens:
    """The tokens of one call: it knows which one was refused."""

    def __init__(self, session: LinkSession) -> None:
        self._session = session
        self._last: str | None = None

    async def __call__(self, options: sdk.GetAccessTokenOptions) -> str:
        refused = self._last if options.force_refresh else None
        self._last = await self._session.access_token(refused=refused)
        return self._last


def _may_pass(error: LinkError) -> bool:
    return isinstance(error, LinkUnreachable) or (
        isinstance(error, LinkRefused) and (error.status >= 500 or error.status == 429)
    )


def _refusal(error: sdk.LinkAPIError) -> LinkError:
    details = error.details if isinstance(error.details, dict) else {}
    found = details.get("error")
    members = found if isinstance(found, dict) else {}
    message = members.get("message") or (found if isinstance(found, str) else None)
    if error.status == 401:  # even with a new token
        return NotLoggedIn(f"Link does not accept the session: {message or 'without a reason'}")
    duplicate = sdk.get_duplicate_spend_request(error)
    code = members.get("code")
    url = members.get("verification_url") or members.get("support_url")
    return LinkRefused(
        f"Link refused ({error.status}): {message or 'without a reason'}",
        status=error.status,
        code=code if isinstance(code, str) else None,
        url=url if isinstance(url, str) else None,
        duplicate=None if duplicate is None else SpendRequest.of(duplicate),
    )


def _why_not(request: SpendRequest) -> str:
    action = request.next_action
    match request.status:
        case "denied":
            return f"the spend request {request.id} was denied"
        case "expired":
            return f"the spend request {request.id} was not approved in time"
        case "requires_action" if action is not None:
            where = f" ({action.action_url})" if action.action_url else ""
            return f"{action.display_message}{where} Then make a new spend request"
        case "failed":
            reason = f": {request.failure}" if request.failure else ""
            return f"the spend request {request.id} failed{reason}"
        case status:
            return f"the spend request {request.id} is {status}"
