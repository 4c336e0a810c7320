"""Stripe's own client for the Link API finds nothing wrong with the sandbox."""

from __future__ import annotations

import pytest
from link import AsyncClient, LinkAPIError, get_duplicate_spend_request

from link_parties import CONTEXT, Program
from token_booth import SELLER


async def test_sdk_reads_every_answer(program: Program) -> None:
    """Its strict models take what the sandbox answers, from the user to the token."""
    async with AsyncClient(access_token=program.access_token, api_base_url=program.url) as client:
        assert (await client.user_info.retrieve()).email == "jenny.rosen@example.com"
        assert [record.is_default for record in await client.shipping_addresses.list()] == [True]
        methods = await client.payment_methods.list()
        assert [method.is_default for method in methods].count(True) == 1
        assert (await client.payment_methods.update(methods[1].id, nickname="Spare")).nickname == "Spare"
        made = await client.spend_requests.create(
            context=CONTEXT,
            amount=500,
            credential_type="shared_payment_token",
            network_id=SELLER,
            line_items=[{"name": "Answer", "quantity": 1, "unit_amount": 500}],
            totals=[{"type": "total", "display_text": "Total", "amount": 500}],
            metadata={"order": "1"},
            test=True,
        )
        changed = await client.spend_requests.update(made.id, amount=600)
        assert (made.status, changed.amount) == ("created", 600)
        approval = await client.spend_requests.request_approval(made.id)
        await program.press(approval.approval_url, yes=True)
        found = await client.spend_requests.retrieve(made.id, include=["shared_payment_token"])
        assert found is not None
        assert found.shared_payment_token is not None
        assert [one.id for one in await client.spend_requests.list()] == [made.id]
        assert (await client.spend_requests.cancel(made.id)).status == "canceled"
        assert await client.spend_requests.retrieve("lsrq_0") is None


async def test_sdk_reads_errors(program: Program) -> None:
    """It finds the message of a refusal, and the request in the way of a duplicate."""
    made = await program.ask()
    async with AsyncClient(access_token=program.access_token, api_base_url=program.url) as client:
        with pytest.raises(LinkAPIError, match="a moment ago") as caught:
            await client.spend_requests.create(
                context=CONTEXT, amount=500, credential_type="shared_payment_token", network_id=SELLER
            )
        duplicate = get_duplicate_spend_request(caught.value)
        assert (caught.value.status, duplicate and duplicate.id) == (429, made["id"])
        await client.spend_requests.cancel(made["id"])
        with pytest.raises(LinkAPIError, match="cannot be canceled"):
            await client.spend_requests.cancel(made["id"])


async def test_sdk_reads_what_has_to_be_done(program: Program) -> None:
    """A request that needs its user's attention has the instructions where the SDK looks for them."""
    made = await program.ask(payment_details="csmrpd_expired")
    async with AsyncClient(access_token=program.access_token, api_base_url=program.url) as client:
        found = await client.spend_requests.retrieve(made["id"])
    assert found is not None
    assert found.status_details is not None
    assert found.status_details.requires_action is not None
    assert found.status_details.requires_action.next_action.type == "update_payment_method"
