"""Line items, totals and metadata as they are typed: `name:Coffee,quantity:2,unit_amount:350`."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TypeVar

import msgspec

from coinslot.cli.output import CommandError, Exit
from coinslot.methods.stripe.link_values import LineItem, Total

Kind = TypeVar("Kind", LineItem, Total)


def line_items(texts: Iterable[str]) -> list[LineItem]:
    """The items of --line-item. Raises `CommandError`."""
    return [_read(text, LineItem, "--line-item") for text in texts]


def totals(texts: Iterable[str]) -> list[Total]:
    """The sums of --total. Raises `CommandError`."""
    return [_read(text, Total, "--total") for text in texts]


def metadata(texts: Iterable[str]) -> dict[str, str]:
    """The pairs of --metadata. Raises `CommandError`."""
    pairs = {}
    for text in texts:
        name, colon, value = text.partition(":")
        if not (name.strip() and colon):
            raise CommandError(f"--metadata {text!r} will not do: write it as key:value", Exit.USAGE)
        pairs[name.strip()] = value.strip()
    return pairs


def _read(text: str, kind: type[Kind], option: str) -> Kind:
    names = kind.__struct_fields__
    # A comma is part of a value unless a name follows it: "name:Salt, coarse,quantity:1".
    parts = re.split(rf",(?=\s*(?:{'|'.join(names)})\s*:)", text)
    split = (part.partition(":") for part in parts)
    pairs = {name.strip(): value.strip() for name, _, value in split}
    unknown = [name for name in pairs if name not in names]
    if unknown:
        raise CommandError(f"{option} {text!r} will not do: its keys are {', '.join(names)}", Exit.USAGE)
    try:
        return msgspec.convert(pairs, kind, strict=False)
    except msgspec.ValidationError as error:
        raise CommandError(f"{option} {text!r} will not do: {error}", Exit.USAGE) from None
