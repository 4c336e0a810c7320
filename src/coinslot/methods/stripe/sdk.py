"""The official SDK and the HTTP client that it is given, or what to install."""

from __future__ import annotations

try:
    import httpx2
    import stripe
except ImportError as error:
    raise ImportError(
        f"Stripe needs {error.name}, which is not installed: pip install 'coinslot[stripe]'"
    ) from error

__all__ = ["httpx2", "stripe"]
