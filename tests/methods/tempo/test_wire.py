"""The names that the rest of the method imports."""

from __future__ import annotations

import inspect

from coinslot.methods.tempo import wire


def test_all_names_are_exported() -> None:
    """`__all__` is exactly what is public in the module."""
    public = {
        name for name, value in vars(wire).items() if not name.startswith("_") and not inspect.ismodule(value)
    }
    assert set(wire.__all__) == public - {"annotations"}
