"""Phrases that a person can compare at a glance: the user codes of RFC 8628 §6.1."""

from __future__ import annotations

import secrets
from typing import Final

_LIST: Final = (
    "acorn amber anchor apple arrow autumn badge bamboo basil beacon birch bison blossom bridge "
    "bronze cactus candle canyon cedar cherry clover cobalt comet copper coral crane crystal daisy "
    "delta dune eagle ember falcon feather fern fjord forest garnet ginger glacier granite harbor "
    "hazel heron honey indigo island ivory jasper juniper kestrel lagoon lantern lemon lilac linen "
    "lotus maple marble meadow mint nectar nutmeg oasis olive onyx orchid otter pebble pepper pine "
    "plum poppy prairie quartz raven reef river saffron sage sequoia silver sparrow spruce sunset "
    "teal thistle tulip tundra velvet violet walnut willow zephyr"
)
_WORDS: Final = tuple(_LIST.split())


def phrase() -> str:
    """Four words, all different: some 73 million phrases, each of them good for ten minutes."""
    return "-".join(secrets.SystemRandom().sample(_WORDS, 4))
