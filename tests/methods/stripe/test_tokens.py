from __future__ import annotations

import logging

import pytest

from coinslot.methods.stripe.tokens import TOKEN, fingerprint, keep_out_of_logs


@pytest.mark.parametrize(
    ("text", "is_token"),
    [
        ("spt_1N4Zv32eZvKYlo2CPhVPkJlW", True),
        ("spt_" + "a_Z9" * 32, True),
        ("spt_" + "a" * 129, False),
        ("spt_", False),
        ("SPT_1", False),
        ("spt_1-2", False),
        ("spt_1\n", False),
        ("spt_ä", False),
        ("tok_1", False),
    ],
)
def test_what_a_token_looks_like(text: str, is_token: bool) -> None:
    """`spt_`, and 1 to 128 ASCII letters, digits and underscores: safe in a URL, a header and a key."""
    assert (TOKEN.fullmatch(text) is not None) is is_token


def test_a_fingerprint_is_not_the_token() -> None:
    """It is the same for the same token, another for another, and SHA-256."""
    assert fingerprint("spt_1") == fingerprint("spt_1") != fingerprint("spt_2")
    assert len(bytes.fromhex(fingerprint("spt_1"))) == 32


def test_the_sdks_log_has_no_tokens(caplog: pytest.LogCaptureFixture) -> None:
    """Whether it quotes them in the message or in its arguments; other lines are left alone."""
    keep_out_of_logs()
    keep_out_of_logs()
    logger = logging.getLogger("stripe")
    with caplog.at_level(logging.DEBUG, "stripe"):
        logger.info("No such shared_payment_token: 'spt_secret'")
        logger.debug("body: %s", {"shared_payment_granted_token": "spt_secret"})
        logger.info("hello %s", "world")
    said = [record.getMessage() for record in caplog.records]
    assert "secret" not in str(said)
    assert said[-1] == "hello world"
    assert len(logger.filters) == 1
