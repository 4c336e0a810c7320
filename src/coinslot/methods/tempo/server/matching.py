"""Whether transfers pay a charge: who gets how much, in which token, under which memo. Pure.

The same question is asked of a transaction's calls before it is broadcast and of a receipt's logs after
(draft-tempo-charge §Transaction Verification, §Hash Verification). What the specification leaves to the
server is that the primary transfer has to be bound to its challenge, so that no transfer pays twice: by the
attribution memo, which names the challenge, or by the memo that the challenge made up for itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from coinslot.errors import PaymentError, PaymentInsufficient, VerificationFailed
from coinslot.methods.tempo.wire.memo import is_attribution, memo_binds
from coinslot.methods.tempo.wire.terms import Terms
from coinslot.methods.tempo.wire.tip20 import Transfer
from coinslot.protocol import Challenge

_PRIMARY: Final = 0


def match_transfers(
    made: Sequence[Transfer], terms: Terms, challenge: Challenge, *, unbound: bool = False
) -> list[Transfer]:
    """The transfers among `made` that pay `terms`: the primary one, then one for each split.

    The order of `made` means nothing, and each of them pays for one thing only. With `unbound` a primary
    transfer without a memo is taken as well. Raises `PaymentInsufficient` or `VerificationFailed`, which say
    what is missing.
    """
    due = terms.transfers(terms.memo)
    left = list(made)
    found: dict[int, Transfer] = {}
    # Whoever accepts fewer memos chooses first. Each one's set of memos contains those of all before it, or
    # has none in common with them, so nobody is left without a transfer that somebody else did not need.
    for index in sorted(range(len(due)), key=lambda index: _freedom(index, due[index])):
        fitting = (
            transfer
            for transfer in left
            if _pays(transfer, due[index])
            and _memo_fits(index, transfer.memo, terms, challenge, unbound=unbound)
        )
        transfer = next(fitting, None)
        if transfer is None:
            raise _missing(index, due[index], left)
        left.remove(transfer)
        found[index] = transfer
    return [found[index] for index in range(len(due))]


def bound_transfers(made: Sequence[Transfer], terms: Terms, challenge: Challenge) -> list[Transfer]:
    """The transfers among `made` to the recipient that can be for nothing but this challenge.

    Whatever their amount. They are of one token and one sender: those of the first that there is, of what was
    asked for if it is among them.
    """
    bound = [
        transfer
        for transfer in made
        if transfer.recipient == terms.recipient and _binds(transfer.memo, terms, challenge)
    ]
    bound.sort(key=lambda transfer: transfer.token != terms.currency)
    first = bound[0] if bound else None
    return [one for one in bound if first and (one.token, one.sender) == (first.token, first.sender)]


def _freedom(index: int, due: Transfer) -> int:
    """How many memos will do: one, those that bind, or any."""
    if index == _PRIMARY:
        return 1
    return 0 if due.memo is not None else 2


def _pays(made: Transfer, due: Transfer) -> bool:
    return (made.token, made.recipient, made.amount) == (due.token, due.recipient, due.amount)


def _memo_fits(index: int, memo: bytes | None, terms: Terms, challenge: Challenge, *, unbound: bool) -> bool:
    """A split's memo is free unless the charge names one; the primary transfer's has to bind."""
    if index != _PRIMARY:
        wanted = terms.splits[index - 1].memo
        if wanted is not None or memo is None:
            return memo == wanted
        # Not that of another challenge, though, which this transfer could pay as well.
        return not is_attribution(memo) or memo_binds(memo, challenge.id, challenge.realm)
    return unbound if memo is None else _binds(memo, terms, challenge)


def _binds(memo: bytes | None, terms: Terms, challenge: Challenge) -> bool:
    return memo is not None and (memo == terms.memo or memo_binds(memo, challenge.id, challenge.realm))


def _missing(index: int, due: Transfer, left: Sequence[Transfer]) -> PaymentError:
    """Why nothing in `left` is this transfer: the nearest there is, and what is wrong with it."""
    in_token = [transfer for transfer in left if transfer.token == due.token]
    to_recipient = [transfer for transfer in in_token if transfer.recipient == due.recipient]
    if any(transfer.amount == due.amount for transfer in to_recipient):
        if index == _PRIMARY:
            return VerificationFailed(
                "The transfer's memo is not bound to this challenge: "
                "transferWithMemo with the challenge's attribution memo is what pays it."
            )
        if due.memo is None:
            return VerificationFailed(f"The transfer to {due.recipient} has another challenge's memo.")
        return VerificationFailed(f"The transfer to {due.recipient} has not the memo that is asked for.")
    if to_recipient:
        paid = max(transfer.amount for transfer in to_recipient)
        kind = PaymentInsufficient if paid < due.amount else VerificationFailed
        return kind(f"The transaction pays {paid} base units; exactly {due.amount} are asked.")
    if len(in_token) == 1:
        return VerificationFailed(f"The transaction pays {in_token[0].recipient}, not {due.recipient}.")
    if in_token or not left:
        return VerificationFailed(f"The transaction makes no transfer to {due.recipient}.")
    return VerificationFailed(f"The transaction pays in {left[0].token}, not in {due.token}.")
