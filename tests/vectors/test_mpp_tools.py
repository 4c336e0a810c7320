"""The conformance vectors that tempoxyz/mpp-tools publishes, where they are at hand.

The suite restricts some scenarios to the SDKs, and versions of them, that are known to pass (`adapters`,
`sdkVersions`). They are run here as well, since the wire is the same for all. Coinslot differs from none.
"""

from __future__ import annotations

import json
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from time import perf_counter
from typing import Any

import pytest

from coinslot.errors import MalformedChallenge, MalformedCredential, MalformedEncoding
from coinslot.protocol import (
    Challenge,
    Credential,
    challenge_id,
    decode_base64url,
    encode_base64url,
    encode_object,
)

VECTORS = Path(__file__).parents[3] / "shared" / "vectors" / "mpp-tools"

Scenario = dict[str, Any]


def scenarios(file: str, *tests: str) -> list[Any]:
    """The scenarios of a file that ask for one of these tests, as parameters."""
    if not VECTORS.is_dir():
        return [pytest.param({}, marks=pytest.mark.skip(reason="the published vectors are not here"))]
    found = json.loads((VECTORS / f"{file}.json").read_text())["scenarios"]
    return [
        pytest.param(scenario, id=scenario["name"])
        for scenario in found
        if not tests or any(test in scenario["tests"] for test in tests)
    ]


def outcome(scenario: Scenario, test: str, *errors: type[Exception]) -> AbstractContextManager[object]:
    """Expect what the scenario does of this test: success, or one of these errors."""
    return nullcontext() if scenario["tests"][test] is True else pytest.raises(errors)


def wire(scenario: Scenario) -> str:
    """The field value, written out where the scenario only describes it."""
    value = scenario["wire"]
    if isinstance(value, str):
        return value
    return str(value.get("prefix", "") + value["repeat"] * value["count"] + value.get("suffix", ""))


def challenge_of(members: dict[str, Any]) -> Challenge:
    """The challenge that a scenario's object describes."""
    return Challenge.from_object({**members, "request": encode_object(members["request"])})


def credential_of(members: dict[str, Any]) -> Credential:
    """The credential that a scenario's object describes."""
    challenge = challenge_of(members["challenge"])
    return Credential(challenge=challenge, payload=members["payload"], source=members.get("source"))


def as_object(challenge: Challenge) -> dict[str, Any]:
    """A challenge as the suite compares it: with the request decoded."""
    return {**challenge.to_object(), "request": challenge.decode_request()}


class TestChallenge:
    @pytest.mark.parametrize("scenario", scenarios("www-authenticate", "parse"))
    def test_parse(self, scenario: Scenario) -> None:
        """The field value is read as the scenario's object, or refused, in the time the scenario allows."""
        started = perf_counter()
        with outcome(scenario, "parse", MalformedChallenge):
            assert as_object(Challenge.parse(wire(scenario))) == scenario["object"]
        allowed = scenario.get("maxDurationMsByAdapter", {}).get("python", 5000)
        assert (perf_counter() - started) * 1000 < allowed

    @pytest.mark.parametrize("scenario", scenarios("www-authenticate", "format", "roundtrip"))
    def test_format(self, scenario: Scenario) -> None:
        """The object is written as what reads like the scenario's field value."""
        written = challenge_of(scenario["object"]).to_header()
        assert Challenge.parse(written) == Challenge.parse(wire(scenario))
        assert as_object(Challenge.parse(written)) == scenario["object"]


class TestCredential:
    @pytest.mark.parametrize("scenario", scenarios("authorization", "parse"))
    def test_parse(self, scenario: Scenario) -> None:
        """The field value is read as the scenario's object, or refused."""
        with outcome(scenario, "parse", MalformedCredential):
            assert Credential.parse(wire(scenario)) == credential_of(scenario["object"])

    @pytest.mark.parametrize("scenario", scenarios("authorization", "format", "roundtrip"))
    def test_format(self, scenario: Scenario) -> None:
        """The object is written as what reads like the scenario's field value."""
        credential = credential_of(scenario["object"])
        assert Credential.parse(credential.to_header()) == Credential.parse(wire(scenario)) == credential


class TestBase64url:
    @pytest.mark.parametrize("scenario", scenarios("base64url", "parse"))
    def test_decode(self, scenario: Scenario) -> None:
        """Text is decoded to the scenario's, or refused; decoding its bytes as UTF-8 is up to the caller."""
        with outcome(scenario, "parse", MalformedEncoding, UnicodeDecodeError):
            assert decode_base64url(scenario["encoded"]).decode() == scenario["decoded"]

    @pytest.mark.parametrize("scenario", scenarios("base64url", "format", "roundtrip"))
    def test_encode(self, scenario: Scenario) -> None:
        """Text is encoded as the scenario's."""
        assert encode_base64url(scenario["decoded"].encode()) == scenario["encoded"]


@pytest.mark.parametrize("scenario", scenarios("challenge-id"))
def test_challenge_id(scenario: Scenario) -> None:
    """The parameters have the scenario's id; a description does not count."""
    given = scenario["input"]
    slots = {
        name: text for name, text in given.items() if name not in ("secretKey", "request", "description")
    }
    identifier = challenge_id(given["secretKey"].encode(), request=encode_object(given["request"]), **slots)
    assert identifier == scenario["expected"]
