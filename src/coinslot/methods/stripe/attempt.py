"""What is written down of a charge before Stripe is asked: all that it takes to find it, or to ask again.

Asking again has to be asking the same, to the last parameter: to Stripe, an idempotency key with other
parameters is a mistake. So the parameters are kept, and not made again from settings that may have changed.
The token is not among them. It is taken from the credential each time, and a credential has to come for it.
"""

from __future__ import annotations

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from coinslot.payments.method import Recovery
from coinslot.protocol import JSONObject


class Attempt(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A charge, from the first time that Stripe is asked for it. Times are in Unix seconds.

    `parameters` create the PaymentIntent, together with the `token`; `account` is the connected account that
    they are sent for. `begun` is when it was first asked for, `asked` when last. `sent` says that Stripe may
    have heard of it, `intent` is the PaymentIntent, once its id is known.
    """

    challenge_id: str
    parameters: JSONObject
    begun: float
    asked: float
    account: str | None = None
    sent: bool = False
    intent: str | None = None
    token: str | None = None

    @classmethod
    def read(cls, recovery: Recovery) -> Attempt:
        """The attempt in `recovery`. Raises `msgspec.DecodeError` for anything else."""
        return msgspec.json.decode(recovery.data, type=cls)

    def to_recovery(self) -> Recovery:
        """The attempt for the ledger, which does not get the token."""
        return Recovery(msgspec.json.encode(replace(self, token=None)))

    def with_token(self, token: str) -> Recovery:
        """The attempt for `settle`, with the token."""
        return Recovery(msgspec.json.encode(replace(self, token=token)))

    def __repr__(self) -> str:
        return f"Attempt({self.challenge_id!r}, begun={self.begun}, asked={self.asked})"

    def __rich_repr__(self) -> list[tuple[str, object]]:
        # msgspec's own would show the token wherever rich prints a traceback.
        return [("challenge_id", self.challenge_id), ("begun", self.begun), ("asked", self.asked)]
