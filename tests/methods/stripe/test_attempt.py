from __future__ import annotations

import io

from rich.console import Console
from rich.pretty import Pretty

from coinslot.methods.stripe.attempt import Attempt
from coinslot.payments.method import Recovery

ATTEMPT = Attempt(
    challenge_id="c1",
    parameters={"amount": 100, "transfer_data": {"destination": "acct_1"}},
    begun=1.0,
    asked=2.0,
    account="acct_2",
)


def test_what_is_written_down_has_no_token() -> None:
    """Even if it was there, it is left out; all else comes back as it was."""
    complete = Attempt.read(ATTEMPT.with_token("spt_secret"))
    assert complete.token == "spt_secret"
    assert b"spt_" not in complete.to_recovery().data
    assert Attempt.read(complete.to_recovery()) == ATTEMPT


def test_nobody_is_shown_the_token() -> None:
    """Neither `repr` nor a pretty traceback."""
    screen = io.StringIO()
    complete = Attempt.read(Recovery(ATTEMPT.with_token("spt_secret").data))
    Console(file=screen, width=200).print(Pretty(complete))
    assert "secret" not in repr(complete) + screen.getvalue()
