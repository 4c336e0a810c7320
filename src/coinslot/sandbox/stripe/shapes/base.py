"""What every object has."""

from __future__ import annotations

from typing import ClassVar

from msgspec import Struct


class Resource(Struct, kw_only=True):
    """An object of the API. `KIND` is its `object` member, `NOUN` what errors call it."""

    KIND: ClassVar[str]
    NOUN: ClassVar[str]

    id: str


class Lasting(Resource, kw_only=True):
    """An object that is kept, listed and looked up."""

    created: int
