"""What goes wrong between this program and the user's Link wallet.

LinkError
├── NotLoggedIn         no session, or one that is over
├── LoginRefused        the user, or Link, did not let this program in
├── LinkUnreachable     no answer, or not one of Link's
├── LinkRefused         an answer that says no; carries Link's status, code and data
└── NotApproved         a spend request that will give no token
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from coinslot.errors import WalletError

if TYPE_CHECKING:
    from coinslot.methods.stripe.link_values import SpendRequest


class LinkError(WalletError):
    """The Link wallet did not pay, or could not be asked."""


class NotLoggedIn(LinkError):
    """There is no session, or it has ended: the user has to log in."""


class LoginRefused(LinkError):
    """The login was denied, ran out of time, or is not open to this account."""


class LinkUnreachable(LinkError):
    """Link did not answer, or what answered is not Link. Whether it did what was asked is not known.

    `timed_out` is whether it was too slow, as opposed to not there.
    """

    def __init__(self, message: str, *, timed_out: bool = False) -> None:
        super().__init__(message)
        self.timed_out = timed_out


class LinkRefused(LinkError):
    """Link said no.

    `status` is HTTP's, `code` Link's own, if it gave one. `url` is where its user can put it right.
    `duplicate` is the spend request that stands in the way of an equal one.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int,
        code: str | None = None,
        url: str | None = None,
        duplicate: SpendRequest | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.url = url
        self.duplicate = duplicate


class NotApproved(LinkError):
    """The spend request was denied, ran out of time, failed, or waits for what does not come by itself.

    `request` is how it stands. `timed_out` is whether waiting was given up, and it may yet be approved.
    """

    def __init__(self, message: str, *, request: SpendRequest, timed_out: bool = False) -> None:
        super().__init__(message)
        self.request = request
        self.timed_out = timed_out
