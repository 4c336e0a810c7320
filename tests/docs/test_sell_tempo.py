"""The page on selling on Tempo, followed to the letter: its code is run."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from coinslot.methods import tempo
from tempo_payments import offered

PAGE = Path(__file__).parents[2] / "docs" / "sell-tempo.md"


def test_every_snippet_makes_a_method_that_can_ask() -> None:
    """Each block ends with a method, which prepares an offer of a cent."""
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert len(blocks) == 6
    namespace: dict[str, Any] = {}
    for block in blocks:
        code = re.sub(r'"0x…[^"]*"', repr("0x" + "07" * 32), block)
        exec(compile(code, str(PAGE), "exec"), namespace)
        method = namespace["method"]
        assert isinstance(method, tempo.TempoCharge)
        assert offered(method).amount == 10_000


def test_the_policys_defaults_are_those_of_the_page() -> None:
    """The table of limits says what `FeePayerPolicy` has."""
    text = PAGE.read_text()
    policy = tempo.FeePayerPolicy()
    assert f'| `max_fee` | `"{policy.max_fee}"` |' in text
    assert f"| `max_gas` | {policy.max_gas:,} |" in text
    assert (
        f"| {policy.max_fee_per_gas // 10**9} and {policy.max_priority_fee_per_gas // 10**9} gwei |" in text
    )
    assert f"| `max_validity` | {policy.max_validity} |" in text
    assert f"| {policy.max_in_flight}, {policy.max_in_flight_per_payer} |" in text
    assert f'| `max_in_flight_fee` | `"{policy.max_in_flight_fee}"` |' in text
    assert f"| `max_reverts_per_payer` | {policy.max_reverts_per_payer} |" in text
    assert f'| `max_lost_fee` | `"{policy.max_lost_fee}"` |' in text
