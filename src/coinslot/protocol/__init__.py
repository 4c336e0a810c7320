"""The wire format of the Machine Payments Protocol: the `Payment` HTTP authentication scheme.

Pure functions and frozen values. Nothing here does I/O, reads a clock or draws a random number. Parsing is
total: any text gives a value or a `coinslot.ProtocolError`, in time linear in its length.
"""

from __future__ import annotations

from coinslot.protocol.auth_params import AuthChallenge, quote, scan
from coinslot.protocol.binding import Binder, challenge_id
from coinslot.protocol.challenge import Challenge
from coinslot.protocol.credential import Credential, find_credentials
from coinslot.protocol.digest import content_digest, digest_matches
from coinslot.protocol.encoding import (
    JSONObject,
    JSONValue,
    canonical_json,
    decode_base64url,
    decode_object,
    encode_base64url,
    encode_object,
    strict_json,
)
from coinslot.protocol.preference import PaymentRange, Preference, format_preference, parse_preference
from coinslot.protocol.problem import PROBLEMS, Problem, problem_body, problem_type
from coinslot.protocol.receipt import Receipt
from coinslot.protocol.timestamp import format_timestamp, parse_timestamp

__all__ = [
    "PROBLEMS",
    "AuthChallenge",
    "Binder",
    "Challenge",
    "Credential",
    "JSONObject",
    "JSONValue",
    "PaymentRange",
    "Preference",
    "Problem",
    "Receipt",
    "canonical_json",
    "challenge_id",
    "content_digest",
    "decode_base64url",
    "decode_object",
    "digest_matches",
    "encode_base64url",
    "encode_object",
    "find_credentials",
    "format_preference",
    "format_timestamp",
    "parse_preference",
    "parse_timestamp",
    "problem_body",
    "problem_type",
    "quote",
    "scan",
    "strict_json",
]
