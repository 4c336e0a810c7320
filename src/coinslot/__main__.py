"""`python -m coinslot`: the same as the `coinslot` command."""

from __future__ import annotations

from coinslot.cli import main

main()
