"""`coinslot stripe simulate-deposit`: deposits at the Stripe sandbox."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from coinslot.sandbox.stripe import Keys, ThreadedStripeSandbox
from command import Command, InlineCommand, Terminal
from stripe_api import StripeApi

KEY = Keys("seller").secret_key


@pytest.fixture(scope="module")
def stripe_url() -> Iterator[str]:
    """A Stripe that settles deposits quickly."""
    with ThreadedStripeSandbox(settle_after=0.1) as sandbox:
        yield sandbox.url


@pytest.fixture(scope="module")
def api(stripe_url: str) -> Iterator[StripeApi]:
    """Its API, for the seller."""
    api = StripeApi(stripe_url, KEY)
    yield api
    api.close()


@pytest.fixture
def seller(inline: InlineCommand, stripe_url: str) -> InlineCommand:
    """The command, with a test key."""
    inline.environment |= {"STRIPE_API_BASE": stripe_url, "STRIPE_SECRET_KEY": KEY}
    return inline


def deposit(api: StripeApi, *networks: str) -> str:
    """A PaymentIntent over 1.01 USD that waits for a deposit."""
    crypto = {"mode": "deposit", "deposit_options": {"networks": list(networks or ("tempo",))}}
    return str(api.deposit(payment_method_options={"crypto": crypto})["id"])


@pytest.mark.parametrize(
    ("outcome", "status"), [("success", "succeeded"), ("failed", "requires_payment_method")]
)
def test_both_outcomes_come_about(seller: InlineCommand, api: StripeApi, outcome: str, status: str) -> None:
    """--wait returns when the PaymentIntent is where the outcome leads, and says so; Stripe agrees."""
    intent = deposit(api)
    run = seller("stripe", "simulate-deposit", intent, outcome, "--wait", "--json")
    assert (run.code, run.json["id"], run.json["status"], run.json["network"]) == (0, intent, status, "tempo")
    assert api.get(f"/v1/payment_intents/{intent}")["status"] == status
    again = seller("stripe", "simulate-deposit", intent, outcome)
    assert again.code == 22
    assert again.err == f"coinslot: {intent} is {status}, and waits for no deposit\n"


def test_a_network_is_chosen_or_refused(seller: InlineCommand, api: StripeApi) -> None:
    """--network is one of those that the PaymentIntent has an address on."""
    wrong = seller("stripe", "simulate-deposit", deposit(api, "tempo"), "success", "--network", "base")
    assert wrong.code == 2
    assert "takes deposits on tempo, not on base" in wrong.err
    run = seller(
        "stripe", "simulate-deposit", deposit(api, "tempo", "solana"), "success", "--network", "solana"
    )
    assert (run.code, "solana" in run.text) == (0, True)


def test_live_keys_are_refused_before_anything_is_sent(inline: InlineCommand) -> None:
    """A live key, or what is none, is 2; it is not repeated."""
    live = inline("stripe", "simulate-deposit", "pi_1", "success", STRIPE_SECRET_KEY="sk_live_hunter2")
    assert (live.code, "live key" in live.err, "hunter2" in live.err) == (2, True, False)
    none = inline("stripe", "simulate-deposit", "pi_1", "success", STRIPE_SECRET_KEY="pk_test_hunter2")
    assert (none.code, "hunter2" in none.err) == (2, False)


def test_the_key_comes_from_a_file_or_stdin(inline: InlineCommand, api: StripeApi, tmp_path: Path) -> None:
    """--secret-key-file comes before the environment; without either, and with nobody to ask, it is 69."""
    (tmp_path / "key").write_text(KEY + "\n")
    inline.environment |= {"STRIPE_API_BASE": api.url}
    command = ("stripe", "simulate-deposit", deposit(api), "success")
    assert inline(*command).code == 69
    assert inline(*command, "--secret-key-file", str(tmp_path / "nowhere")).code == 69
    assert inline(*command, "--secret-key-file", "-", stdin=b"sk_live_1").code == 2
    run = inline(*command, "--secret-key-file", str(tmp_path / "key"), STRIPE_SECRET_KEY="sk_live_1")
    assert run.code == 0


def test_the_key_is_asked_for_in_a_terminal(coinslot: Command, api: StripeApi) -> None:
    """What is typed is not shown."""
    coinslot.environment["STRIPE_API_BASE"] = api.url
    terminal = Terminal(coinslot, "stripe", "simulate-deposit", deposit(api), "success")
    terminal.read_until("secret key")
    terminal.type(KEY + "\n")
    assert terminal.finish() == 0
    assert KEY not in terminal.seen


def test_what_stripe_has_against_it(seller: InlineCommand, api: StripeApi) -> None:
    """Somebody else's PaymentIntent, a key that Stripe does not know, and no Stripe at all."""
    unknown = seller("stripe", "simulate-deposit", "pi_none", "success")
    assert (unknown.code, "no such PaymentIntent" in unknown.err) == (22, True)
    stranger = seller(
        "stripe", "simulate-deposit", "pi_none", "success", STRIPE_SECRET_KEY="sk_test_stranger"
    )
    assert stranger.code == 22
    gone = seller("stripe", "simulate-deposit", "pi_none", "success", STRIPE_API_BASE="http://127.0.0.1:9")
    assert gone.code == 7
    elsewhere = seller(
        "stripe", "simulate-deposit", "pi_none", "success", STRIPE_API_BASE="http://example.com"
    )
    assert (elsewhere.code, "https" in elsewhere.err) == (2, True)
    card = api.charge()["id"]
    assert seller("stripe", "simulate-deposit", card, "success").code == 22
