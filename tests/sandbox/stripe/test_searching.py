"""Search: clauses over members and metadata."""

from __future__ import annotations

import pytest

from stripe_api import StripeApi

PATH = "/v1/payment_intents/search"


@pytest.fixture
def ids(seller: StripeApi) -> dict[str, str]:
    """Three payments, by what is special about them."""
    return {
        seller.charge(amount=500, metadata={"order": "a'b"})["id"]: "quoted",
        seller.charge(amount=700, metadata={"order": "7", "mpp_challenge_id": "c-1"})["id"]: "seven",
        seller.deposit()["id"]: "deposit",
    }


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("status:'succeeded'", {"quoted", "seven"}),
        ("-status:'succeeded'", {"deposit"}),
        ("metadata['mpp_challenge_id']:'c-1'", {"seven"}),
        ('metadata["order"]:"7" AND amount>=700', {"seven"}),
        (r"metadata['order']:'a\'b'", {"quoted"}),
        ("metadata['order']:null", {"quoted", "seven"}),
        ("-metadata['order']:null", {"deposit"}),
        ("metadata['mpp_challenge_id']~'C-'", {"seven"}),
        ("amount<500 OR amount>600", {"seven", "deposit"}),
        ("amount:500 AND currency:'USD'", {"quoted"}),
        ("status:'canceled'", set()),
    ],
)
def test_queries_find(seller: StripeApi, ids: dict[str, str], query: str, found: set[str]) -> None:
    """Equality, comparison, negation, parts of text, presence, AND and OR."""
    result = seller.get(PATH, query=query)
    assert {ids[each["id"]] for each in result["data"]} == found
    assert (result["object"], result["has_more"], result["next_page"]) == ("search_result", False, None)


def test_results_come_in_pages(seller: StripeApi, ids: dict[str, str]) -> None:
    """`next_page` goes on where the page before ended."""
    first = seller.get(PATH, query="amount>0", limit=2)
    assert (len(first["data"]), first["has_more"]) == (2, True)
    rest = seller.get(PATH, query="amount>0", limit=2, page=first["next_page"])
    assert (len(rest["data"]), rest["has_more"]) == (1, False)
    assert {each["id"] for each in [*first["data"], *rest["data"]]} == set(ids)


@pytest.mark.parametrize(
    "query",
    [
        "",
        "status",
        "status='x'",
        "status:'x",
        "a:'x'",
        "metadata:'x'",
        "amount>'x'",
        "amount>1 AND",
        "amount>1 AND amount>2 OR amount>3",
    ],
)
def test_what_is_no_query_is_refused(seller: StripeApi, query: str) -> None:
    """400, with `query` as the parameter."""
    assert seller.get(PATH, query=query).error["param"] == "query"


def test_charges_are_searched_too(seller: StripeApi, ids: dict[str, str]) -> None:
    """A charge has its PaymentIntent's metadata."""
    result = seller.get("/v1/charges/search", query="metadata['order']:'7'", expand=["data.payment_intent"])
    assert [ids[each["payment_intent"]["id"]] for each in result["data"]] == ["seven"]
