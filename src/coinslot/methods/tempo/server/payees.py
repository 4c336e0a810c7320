"""Who gets a payment's money back: whoever the chain says it came from, if it can be sent there."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Final

from msgspec import Struct

from coinslot.errors import RefundError
from coinslot.methods.tempo.client.survey import BuyerNode
from coinslot.methods.tempo.node import read_call
from coinslot.methods.tempo.rpc import RpcRefused, RpcUnanswered
from coinslot.methods.tempo.wire import Transfer, abi
from coinslot.methods.tempo.wire.memo import names_challenge
from coinslot.payments.method import Repayment

logger = logging.getLogger("coinslot.tempo")

_POLICIES: Final = "0x403c000000000000000000000000000000000000"  # TIP-403's registry
_ACCEPTS: Final = abi.selector("validateReceivePolicy(address,address,address)")

_DELEGATION: Final = "0xef0100"
"""The code of an account that a key signs for and a contract acts for (EIP-7702)."""


class Payee(Struct, frozen=True):
    """What the chain says of an account that is to be paid."""

    is_contract: bool
    accepts: bool


class SellerNode(BuyerNode):
    """A node as a seller needs it who pays back. Every coroutine may raise `RpcError`."""

    async def payee(self, address: str, token: str, sender: str) -> Payee:
        """What the chain says of `address`, to which `sender` is to send `token`.

        A receive policy (TIP-1028) does not make a transfer fail: it turns it aside. Chains that have no such
        policies yet refuse the question.
        """
        words = b"".join(abi.address_word(each) for each in (token, sender, address))
        code, answer = await self._rpc.read_all(
            ("eth_getCode", [address, "latest"]), read_call(_POLICIES, _ACCEPTS + words)
        )
        if isinstance(code, RpcRefused):
            raise code
        if not isinstance(code, str):
            raise RpcUnanswered(f"the node at {self.host} answered with something that is not code")
        # The first of two words says whether it is accepted.
        blocked = isinstance(answer, str) and len(answer) == 2 + 2 * 64 and int(answer[2:66], 16) == 0
        return Payee(
            is_contract=len(code) > 2 and not code.lower().startswith(_DELEGATION), accepts=not blocked
        )


def find_payee(transfers: Sequence[Transfer], repayment: Repayment) -> str:
    """From whom the payment came, as the logs of its transaction say. Raises `RefundError`.

    Of several that paid the recipient in it, it is the one whose memo names the challenge, or else whom the
    ledger names. Where the ledger names somebody else, the chain is right.
    """
    paid = repayment.paid
    came_in = [
        transfer
        for transfer in transfers
        if (transfer.token, transfer.recipient) == (paid.currency, paid.recipient)
    ]
    bound = [
        transfer
        for transfer in came_in
        if transfer.memo is not None and names_challenge(transfer.memo, repayment.challenge_id)
    ]
    senders = {transfer.sender for transfer in bound or came_in if transfer.sender is not None}
    if not senders:
        raise RefundError(f"{paid.reference} moved no {paid.currency} to {paid.recipient}")
    if len(senders) > 1 and paid.payer not in senders:
        raise RefundError(f"{paid.reference} has several payers, and nothing says which of them it was")
    payee = paid.payer if len(senders) > 1 and paid.payer is not None else senders.pop()
    if paid.payer is not None and payee != paid.payer:
        logger.warning(
            "the ledger has %s as the payer of %s, and on the chain it is %s, who gets the refund",
            paid.payer,
            paid.reference,
            payee,
        )
    return payee
