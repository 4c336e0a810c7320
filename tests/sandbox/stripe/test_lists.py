"""Lists: cursors, limits, filters."""

from __future__ import annotations

from coinslot.sandbox.stripe import ThreadedStripeSandbox
from stripe_api import StripeApi


def test_cursors_walk_in_both_directions(seller: StripeApi) -> None:
    """Newest first; `starting_after` goes on to the older, `ending_before` back to the newer."""
    made = [seller.post("/v1/customers", name=str(number))["id"] for number in range(5)]
    newest = made[::-1]
    first = seller.get("/v1/customers", limit=2)
    assert [each["id"] for each in first["data"]] == newest[:2]
    assert (first["has_more"], first["object"], first["url"]) == (True, "list", "/v1/customers")
    second = seller.get("/v1/customers", limit=2, starting_after=newest[1])
    assert [each["id"] for each in second["data"]] == newest[2:4]
    last = seller.get("/v1/customers", limit=2, starting_after=newest[3])
    assert ([each["id"] for each in last["data"]], last["has_more"]) == (newest[4:], False)
    back = seller.get("/v1/customers", limit=2, ending_before=newest[3])
    assert ([each["id"] for each in back["data"]], back["has_more"]) == (newest[1:3], True)


def test_a_cursor_that_is_no_object_is_refused(seller: StripeApi) -> None:
    """400 resource_missing, which names the parameter."""
    error = seller.get("/v1/customers", starting_after="cus_x").error
    assert (error["code"], error["param"]) == ("resource_missing", "starting_after")


def test_a_limit_is_from_1_to_100(seller: StripeApi) -> None:
    """Ten without one; beyond the limits it is refused."""
    for number in range(11):
        seller.post("/v1/customers", name=str(number))
    assert len(seller.get("/v1/customers")["data"]) == 10
    assert [seller.get("/v1/customers", limit=limit).status for limit in (1, 100)] == [200, 200]
    assert [seller.get("/v1/customers", limit=limit).status for limit in (0, 101)] == [400, 400]


def test_members_filter(seller: StripeApi) -> None:
    """By customer, by PaymentIntent, by type, and by when it was made."""
    customer = seller.post("/v1/customers")["id"]
    mine, other = seller.charge(customer=customer), seller.charge()
    assert [each["id"] for each in seller.get("/v1/payment_intents", customer=customer)["data"]] == [
        mine["id"]
    ]
    charges = seller.get("/v1/charges", payment_intent=other["id"])["data"]
    assert [each["id"] for each in charges] == [other["latest_charge"]]
    created = seller.get("/v1/events", type="payment_intent.created")["data"]
    assert len(created) == 2
    assert seller.get("/v1/events", created={"gt": created[0]["created"] + 60})["data"] == []
    assert seller.get("/v1/events", created={"gte": created[0]["created"] - 60})["data"] != []


def test_lists_are_expanded(sandbox: ThreadedStripeSandbox, seller: StripeApi) -> None:
    """`data.latest_charge.balance_transaction` reaches into every object of the list."""
    seller.charge()
    (intent,) = seller.get("/v1/payment_intents", expand=["data.latest_charge.balance_transaction"])["data"]
    assert intent["latest_charge"]["balance_transaction"]["net"] == 500 - 45
