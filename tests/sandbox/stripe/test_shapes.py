"""The shapes: no answer has a member that Stripe's types do not, or lacks one that they promise."""

from __future__ import annotations

import json
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest

import stripe_peers
from stripe_api import StripeApi, until

PRIVATE = "16.1.0a4"  # the private preview, which has types for all of it
PUBLIC = "16.1.0b1"  # the public one, which has no deposits

# Prints the members of classes: {class: {member: [members of its own or null, whether it may be missing]}}.
DESCRIBE = '''
import json, sys, typing
sys.path.insert(0, sys.argv[1])
import stripe
from stripe._stripe_object import StripeObject

def plain(kind):
    """The class in a type, whether it may be null, and whether it is a list."""
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin is typing.Union:
        found = [plain(each) for each in arguments if each is not type(None)]
        inner = next((each for each in found if each[0]), found[0])
        return inner[0], inner[1] or type(None) in arguments
    if origin in (list, typing.List):
        return plain(arguments[0])[0], False
    if isinstance(kind, type) and issubclass(kind, StripeObject) and kind is not StripeObject:
        return kind, False
    return None, False

def describe(cls, depth=0):
    names = {}
    scope = {**vars(sys.modules[cls.__module__]), **vars(typing), **vars(stripe), **vars(cls)}
    for name, text in cls.__annotations__.items():
        if name in ("OBJECT_NAME",) or name.startswith("_"):
            continue
        try:
            kind = eval(text, scope) if isinstance(text, str) else text
        except NameError:
            kind = typing.Optional[typing.Any]
        inner, optional = plain(kind)
        nested = inner is not None and inner.__qualname__.startswith(cls.__qualname__ + ".") and depth < 5
        names[name] = [describe(inner, depth + 1) if nested else None, optional or "Optional" in str(text)]
    return names

found = {}
for path in sys.argv[2:]:
    target = stripe
    for part in path.split("."):
        target = getattr(target, part)
    found[path] = describe(target)
print(json.dumps(found))
'''

CLASSES = (
    "PaymentIntent",
    "Charge",
    "Refund",
    "Dispute",
    "BalanceTransaction",
    "Balance",
    "PaymentMethod",
    "Customer",
    "Event",
    "WebhookEndpoint",
    "Account",
    "crypto.DepositAddress",
    "shared_payment.GrantedToken",
    "shared_payment.IssuedToken",
    "v2.network.BusinessProfile",
)

# What deposits have members in, and the public preview does not know.
DEPOSITS = {"PaymentIntent", "Charge", "crypto.DepositAddress"}

# What types promise and no account of this sandbox has: identity, banking and branding of a real business.
WITHHELD = {
    "Account": {"controller", "external_accounts", "future_requirements", "requirements", "tos_acceptance"},
}


@cache
def types_of(version: str) -> Any:
    """The members of Stripe's classes, in a version of its client."""
    folder = stripe_peers.stripe_sdk(version)
    kinds = [kind for kind in CLASSES if version == PRIVATE or kind not in DEPOSITS]
    done = subprocess.run(
        [sys.executable, "-c", DESCRIBE, str(folder), *kinds], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture
def samples(seller: StripeApi, buyer: StripeApi, profile: str) -> dict[str, list[Any]]:
    """Answers of every kind, in as many states as they have."""
    customer = seller.post("/v1/customers", address={"city": "Ulm"})
    deposit = seller.deposit()
    paid = seller.deposit()["id"]
    seller.simulate(paid)
    until(lambda: "payment_intent.succeeded" in seller.events())
    card = seller.charge(customer=customer["id"])
    for trouble in ("createDispute", "createDisputeInquiry", "refundFail"):
        troubled = seller.charge(payment_method=f"pm_card_{trouble}")["id"]
    failing = seller.post("/v1/refunds", payment_intent=troubled)["id"]
    until(lambda: {"refund.failed", "charge.dispute.funds_withdrawn"} <= set(seller.events()))
    until(lambda: len(seller.get("/v1/disputes")["data"]) == 2)
    declined = seller.charge(payment_method="pm_card_chargeDeclined").error["payment_intent"]
    action = seller.charge(payment_method="pm_card_threeDSecure2Required", return_url="https://x.example")
    sdk_action = seller.charge(payment_method="pm_card_threeDSecure2Required")
    refunds = [seller.post("/v1/refunds", payment_intent=each).body for each in (paid, card["id"])]
    refunds.append(seller.get(f"/v1/refunds/{failing}").body)
    issued = buyer.token(profile)
    granted = seller.get(f"/v1/shared_payment/granted_tokens/{issued['id']}")
    hook = seller.post("/v1/webhook_endpoints", url=seller.url, enabled_events=["x"])
    intents = [deposit.body, card.body, declined, action.body, sdk_action.body]
    return {
        "PaymentIntent": [*intents, *seller.get("/v1/payment_intents")["data"]],
        "Charge": seller.get("/v1/charges")["data"],
        "Refund": refunds,
        "Dispute": seller.get("/v1/disputes")["data"],
        "BalanceTransaction": seller.get("/v1/balance_transactions")["data"],
        "Balance": [seller.get("/v1/balance").body],
        "PaymentMethod": [seller.get(f"/v1/payment_methods/{card['payment_method']}").body],
        "Customer": [customer.body],
        "Event": seller.get("/v1/events")["data"],
        "WebhookEndpoint": [hook.body],
        "Account": [seller.get("/v1/account").body],
        "crypto.DepositAddress": [seller.post("/v1/crypto/deposit_addresses", network="tempo").body],
        "shared_payment.GrantedToken": [granted.body],
        "shared_payment.IssuedToken": [issued.body],
        "v2.network.BusinessProfile": [seller.get("/v2/network/business_profiles/me").body],
    }


def unknown(value: Any, members: dict[str, Any], path: str) -> list[str]:
    """Members of an answer that its class does not have."""
    if isinstance(value, list):
        return [name for each in value for name in unknown(each, members, path)]
    if not isinstance(value, dict):
        return []
    found = [f"{path}.{name}" for name in value if name not in members]
    for name, inner in value.items():
        nested = members.get(name, [None])[0]
        if nested is not None:
            found += unknown(inner, nested, f"{path}.{name}")
    return found


@pytest.mark.parametrize(
    ("version", "kind"),
    [(PRIVATE, kind) for kind in CLASSES] + [(PUBLIC, kind) for kind in CLASSES if kind not in DEPOSITS],
)
def test_shapes_are_stripe_s(samples: dict[str, list[Any]], kind: str, version: str) -> None:
    """Every member of every answer is in Stripe's class, at any depth; none that is required is missing."""
    members = types_of(version)[kind]
    assert len(members) > 5
    for sample in samples[kind]:
        assert unknown(sample, members, kind) == []
        required = {name for name, (_, optional) in members.items() if not optional}
        assert required - set(sample) - WITHHELD.get(kind, set()) == set()


def test_the_comparison_can_fail(samples: dict[str, list[Any]]) -> None:
    """A member that Stripe does not have is found, at any depth."""
    sample = samples["PaymentIntent"][0]
    sample["next_action"]["crypto_display_details"]["deposit_addresses"]["tempo"]["colour"] = "red"
    path = "PaymentIntent.next_action.crypto_display_details.deposit_addresses.tempo.colour"
    assert unknown({**sample, "mood": 1}, types_of(PRIVATE)["PaymentIntent"], "PaymentIntent") == [
        "PaymentIntent.mood",
        path,
    ]


def test_this_test_needs_no_installed_preview() -> None:
    """The preview lives in a folder of its own, beside the version that everything else uses."""
    import stripe

    assert stripe.VERSION == "16.1.0"
    assert Path(stripe.__file__ or "").parent != stripe_peers.stripe_sdk(PRIVATE) / "stripe"
