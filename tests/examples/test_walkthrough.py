"""Stripe's guide to machine payments, from its first command to its last, with Coinslot's in place of others.

npx mppx …                  coinslot account …, coinslot pay …
npx @stripe/link-cli …      coinslot link …, coinslot pay … --spend-request-id …
"""

from __future__ import annotations

import re
import subprocess

from coinslot import Challenge
from guide_reader import Reader
from link_parties import CONTEXT
from stripe_api import until

ASKED = "HTTP/1.1 402 "


def curl(url: str) -> str:
    """`curl -i`: the answer's head and body."""
    return subprocess.run(["curl", "-si", url], capture_output=True, text=True, check=True).stdout


def offers(url: str) -> dict[str, Challenge]:
    """What `curl -i` shows of a 402: the challenges, by method."""
    shown = curl(url)
    assert shown.startswith(ASKED), shown
    asked = Challenge.parse_all(re.findall(r"(?mi)^www-authenticate: (.*)$", shown))
    return {challenge.method: challenge for challenge in asked}


def waiting_at(reader: Reader, challenge: Challenge) -> str:
    """The PaymentIntent that waits at a challenge's address, as the dashboard has it."""
    recipient = str(challenge.decode_request()["recipient"]).lower()
    (found,) = [each for each in reader.payments("incomplete") if recipient in reader.payment(each).lower()]
    return found


def test_an_account_pays_to_a_deposit_address(reader: Reader) -> None:
    """Start the server, see the price, make and fund an account, pay, and find it in the dashboard."""
    with reader.server("crypto") as url:
        until(lambda: curl(url).startswith(ASKED))  # before Stripe has given an address, it is a 503
        created = reader.coinslot("account", "create")
        assert (created.code, created.text[:2]) == (0, "0x"), created.err
        assert reader.coinslot("account", "fund").code == 0
        paid = reader.coinslot("pay", url)
        assert (paid.code, paid.text) == (0, '{"data":"..."}'), paid.err
        until(lambda: len(reader.payments("succeeded")) == 1)
        (intent,) = reader.payments("succeeded")
        (transaction,) = re.findall(r"reference (0x\w{64})", paid.err)
        assert transaction in reader.payment(intent)


def test_a_deposit_is_simulated(reader: Reader) -> None:
    """Test mode watches no chain: what waits at an address is paid, or fails, because the reader says so."""
    with reader.server("crypto") as url:
        until(lambda: curl(url).startswith(ASKED))
        for outcome, list_ in (("success", "succeeded"), ("failed", "failed")):
            intent = waiting_at(reader, offers(url)["tempo"])
            done = reader.coinslot("stripe", "simulate-deposit", intent, outcome, "--wait")
            assert done.code == 0, done.err
            assert intent in reader.payments(list_)


def test_a_link_wallet_pays(reader: Reader) -> None:
    """Log in, look at the cards, ask for a payment, approve it, pay with it, and find it in the dashboard."""
    coinslot, profile = reader.coinslot, reader.stripe.account().profile
    with reader.server("spt") as url:
        assert list(offers(url)) == ["stripe"]
        assert reader.attend("link", "login").code == 0
        listed = coinslot("link", "payment-methods", "list")
        assert "csmrpd_visa" in listed.text
        asked = reader.attend(
            *("link", "spend-request", "create", "--payment-method-id", "csmrpd_visa"),
            *("--context", CONTEXT, "--amount", "100"),
            *("--credential-type", "shared_payment_token", "--network-id", profile),
            *("--test", "--request-approval"),
        )
        assert asked.code == 0, asked.err
        (request,) = re.findall(r"lsrq_\w+", asked.text)

        paid = coinslot("pay", url, "--spend-request-id", request)
        assert (paid.code, paid.text) == (0, '{"data":"..."}'), paid.err
        intent = reader.payments("succeeded")[0]
        assert intent in paid.err
        assert "1.00" in reader.payment(intent)


def test_both_ways_are_in_one_402(reader: Reader) -> None:
    """The chain and the card are asked for side by side, and the account pays as it did before."""
    with reader.server("both") as url:
        until(lambda: set(offers(url)) == {"tempo", "stripe"})
        reader.coinslot("account", "create")
        reader.coinslot("account", "fund")
        paid = reader.coinslot("pay", url)
        assert (paid.code, paid.text) == (0, '{"data":"..."}'), paid.err
        until(lambda: len(reader.payments("succeeded")) == 1)
