"""`Accept-Payment`: what a client can pay with (draft-httpauth-payment §Client Payment Preferences).

Accept-Payment = #payment-range
payment-range  = ( payment-method-id / "*" ) "/" ( intent-token / "*" ) [ weight ]
weight         = OWS ";" OWS "q=" qvalue                                    ; RFC 9110 §12.4.2
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from msgspec import Struct

from coinslot.protocol.auth_params import split_list

MAX_PREFERENCE = 4096
"""Characters in an `Accept-Payment` value that are read."""

_range = re.compile(
    r"([a-z][a-z0-9:_-]*+|\*)/([A-Za-z0-9-]++|\*)"
    r"(?:[ \t]*+;[ \t]*+[qQ]=(0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?))?"
)


class PaymentRange(Struct, frozen=True):
    """One range: a method and an intent, either may be `*`, and its weight in thousandths (0 to 1000)."""

    method: str
    intent: str
    weight: int = 1000

    def matches(self, method: str, intent: str) -> bool:
        """Whether this range covers that offer."""
        return self.method in ("*", method) and self.intent in ("*", intent)

    @property
    def specificity(self) -> int:
        """How much of it is not a wildcard: 0, 1 or 2."""
        return (self.method != "*") + (self.intent != "*")


class Preference(Struct, frozen=True):
    """The ranges of an `Accept-Payment` value, in order."""

    ranges: tuple[PaymentRange, ...]

    def rank(self, offers: Sequence[tuple[str, str]]) -> list[int]:
        """The indexes of `offers`, pairs of method and intent, that the client accepts, best first.

        The most specific range that matches an offer weighs it, the heavier of two equally specific ones;
        offers of one weight keep their order. If the client accepts none, all of them in their order: it
        may still decide.
        """
        weights = [self._weight(method, intent) for method, intent in offers]
        accepted = [index for index, weight in enumerate(weights) if weight > 0]
        if not accepted:
            return list(range(len(offers)))
        return sorted(accepted, key=lambda index: -weights[index])

    def _weight(self, method: str, intent: str) -> int:
        matching = [(r.specificity, r.weight) for r in self.ranges if r.matches(method, intent)]
        return max(matching)[1] if matching else 0


def parse_preference(value: str) -> Preference | None:
    """The preference in an `Accept-Payment` value, or None if it is malformed, empty or too long to read.

    A server ignores such a value.
    """
    if len(value) > MAX_PREFERENCE:
        return None
    ranges = []
    for element in split_list(value):
        match = _range.fullmatch(element)
        if match is None:
            return None
        method, intent, weight = match.groups()
        ranges.append(PaymentRange(method, intent, 1000 if weight is None else _thousandths(weight)))
    return Preference(tuple(ranges)) if ranges else None


def format_preference(methods: Iterable[tuple[str, str]]) -> str:
    """An `Accept-Payment` value for pairs of method and intent, all equally welcome; repeated pairs once."""
    return ", ".join(dict.fromkeys(f"{method}/{intent}" for method, intent in methods))


def _thousandths(qvalue: str) -> int:
    whole, _, fraction = qvalue.partition(".")
    return int(whole) * 1000 + int(fraction.ljust(3, "0"))
