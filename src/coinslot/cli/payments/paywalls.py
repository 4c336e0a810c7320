"""The seller's own Paywall, found as uvicorn finds an app: `module:attribute`, from this directory."""

from __future__ import annotations

import asyncio
import importlib
import logging
import os
import sys
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from coinslot.cli.output import CommandError, Exit, say
from coinslot.cli.payments.ledgers import check_presence
from coinslot.errors import CoinslotError
from coinslot.server.paywall import Paywall

T = TypeVar("T")

_ATTRIBUTE: Final = "paywall"


def use_paywall(spec: str | None, work: Callable[[Paywall], Awaitable[T]]) -> T:
    """What `work` makes of the seller's Paywall, whose ledger has to be there already. Raises `CommandError`.

    Nothing runs in the background meanwhile: that is for the servers.
    """
    paywall = find_paywall(spec)
    check_presence(paywall.ledger)
    logger = logging.getLogger("coinslot")
    if not logger.hasHandlers():  # their module may have its own
        logger.addHandler(_Said(logging.WARNING))

    async def run() -> T:
        await paywall.ledger.open()
        paywall.office.furnish()
        try:
            return await work(paywall)
        finally:
            await paywall.aclose()

    return asyncio.run(run())


class _Said(logging.Handler):
    """What is logged meanwhile, as this command says things."""

    def emit(self, record: logging.LogRecord) -> None:
        """Say it."""
        say(f"coinslot: {record.getMessage()}")


def find_paywall(spec: str | None) -> Paywall:
    """The Paywall that `module:attribute` names; `paywall` is the attribute if it has none.

    Raises `CommandError`.
    """
    if not spec:
        raise CommandError(
            "this needs your payment methods: name your Paywall with --paywall MODULE:NAME", Exit.USAGE
        )
    name, _, path = spec.partition(":")
    if not all(part.isidentifier() for part in name.split(".")):
        raise CommandError(f"{name!r} is not the name of a module: see --paywall", Exit.USAGE)
    found: object = _import(name)
    for attribute in (path or _ATTRIBUTE).split("."):
        try:
            found = getattr(found, attribute)
        except AttributeError:
            raise CommandError(f"{name} has no {path or _ATTRIBUTE}: see --paywall", Exit.USAGE) from None
    if not isinstance(found, Paywall):
        raise CommandError(f"{spec} is a {type(found).__name__}, and not a Paywall", Exit.USAGE)
    return found


def _import(name: str) -> object:
    if os.getcwd() not in sys.path:  # noqa: PTH109 - as an entry of sys.path
        sys.path.insert(0, os.getcwd())  # noqa: PTH109
    try:
        return importlib.import_module(name)
    except CoinslotError:
        raise
    except ImportError as error:
        if error.name is None or not f"{name}.".startswith(f"{error.name}."):
            raise CommandError(f"{name} cannot be imported: {error}", Exit.USAGE) from error
        raise CommandError(f"there is no module {name} here: see --paywall", Exit.USAGE) from error
    except Exception as error:  # their module may raise anything, with anything in its message
        raise CommandError(
            f"{name} raised {type(error).__name__} when it was imported: set COINSLOT_DEBUG=1 to see where",
            Exit.USAGE,
        ) from error
