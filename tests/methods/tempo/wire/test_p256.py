"""Keys and signatures on P-256."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from contextlib import suppress

import pytest
from hypothesis import given, strategies as st

from coinslot.errors import ConfigurationError
from coinslot.methods.tempo.keys import SignatureError
from coinslot.methods.tempo.wire.p256 import P256Key, verify_point
from tempo_strategies import hashes

GROUP_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551

KEY = P256Key.from_hex("0x" + "11" * 32)
HASH = hashlib.sha256(b"a payment").digest()
SIGNATURE = KEY.sign(HASH)
R_AND_S, POINT = SIGNATURE[1:65], SIGNATURE[65:129]

secrets = st.integers(1, GROUP_ORDER - 1).map(lambda number: number.to_bytes(32))


@pytest.mark.parametrize(
    ("message", "r", "s"),
    [
        # RFC 6979 §A.2.5, SHA-256
        (
            b"sample",
            "EFD48B2AACB6A8FD1140DD9CD45E81D69D2C877B56AAF991C34D0EA84EAF3716",
            "F7CB1C942D657C41D436C7A1B6E29F65F3E900DBB9AFF4064DC4AB2F843ACDA8",
        ),
        (
            b"test",
            "F1ABB023518351CD71D881567B1EA663ED3EFCF6C5132B354F28D3B0B7D38367",
            "019F4113742A2B14BD25926B49C649155F267E60D3814B4C0CC84250E46F0083",
        ),
    ],
)
def test_signs_as_published(message: bytes, r: str, s: str) -> None:
    """The published key makes the published signatures, s brought into the lower half, and names itself."""
    key = P256Key.from_hex("C9AFA9D845BA75166B5C215767B1D6934E50C3DB36E89B127B8A622B120F6721")
    point = bytes.fromhex(
        "60FED4BA255A9D31C961EB74C6356D68C049B8923B61FA6CE669622E60F29FB6"
        "7903FE1008B8BC99A41AE9E95628BC64F2F1B20C2D7E9F5177A3C294D4462299"
    )
    low_s = min(int(s, 16), GROUP_ORDER - int(s, 16)).to_bytes(32)
    signature = key.sign(hashlib.sha256(message).digest())
    assert signature == b"\x01" + bytes.fromhex(r) + low_s + point + b"\x00"


@given(secrets, hashes)
def test_a_signature_names_its_key(secret: bytes, hash32: bytes) -> None:
    """What a key signs, verifies to its address; the signature is 130 bytes, low-s, and not hashed before."""
    key = P256Key(secret)
    signature = key.sign(hash32)
    assert verify_point(hash32, signature[1:65], signature[65:129]) == key.address
    assert len(signature) == 130
    assert signature[129] == 0
    assert int.from_bytes(signature[33:65]) <= GROUP_ORDER // 2
    assert key.sign(hash32) == signature


def test_the_upper_half_of_s_is_refused() -> None:
    """The second signature that anyone can derive from a valid one is not accepted beside it."""
    s = GROUP_ORDER - int.from_bytes(R_AND_S[32:])
    with pytest.raises(SignatureError, match="upper half"):
        verify_point(HASH, R_AND_S[:32] + s.to_bytes(32), POINT)


@pytest.mark.parametrize(
    ("signature", "point"),
    [
        pytest.param(bytes(32) + R_AND_S[32:], POINT, id="r of zero"),
        pytest.param(R_AND_S[:32] + bytes(32), POINT, id="s of zero"),
        pytest.param(bytes(64), POINT, id="nothing but zeros"),
        pytest.param(GROUP_ORDER.to_bytes(32) + R_AND_S[32:], POINT, id="r of the group's order"),
        pytest.param(b"\xff" * 32 + R_AND_S[32:], POINT, id="r beyond the group's order"),
        pytest.param(R_AND_S, bytes(64), id="the origin for a point"),
        pytest.param(R_AND_S, POINT[32:] + POINT[:32], id="coordinates in the other order"),
        pytest.param(R_AND_S, b"\xff" * 64, id="coordinates beyond the field"),
        pytest.param(R_AND_S, P256Key.from_hex("22" * 32).sign(HASH)[65:129], id="another key's point"),
    ],
)
def test_what_is_no_signature_is_refused(signature: bytes, point: bytes) -> None:
    """Impossible signatures, points off the curve and other keys raise SignatureError."""
    with pytest.raises(SignatureError):
        verify_point(HASH, signature, point)


@given(st.integers(0, 127), st.integers(1, 255))
def test_a_changed_signature_is_refused(at: int, change: int) -> None:
    """One changed byte of signature or point leaves no signature."""
    changed = bytearray(R_AND_S + POINT)
    changed[at] ^= change
    with pytest.raises(SignatureError):
        verify_point(HASH, bytes(changed[:64]), bytes(changed[64:]))


@given(hashes, st.binary(min_size=64, max_size=64), st.binary(min_size=64, max_size=64))
def test_verification_is_total(hash32: bytes, signature: bytes, point: bytes) -> None:
    """Arbitrary bytes of the right lengths give an address or SignatureError, on the curve or not."""
    for coordinates in (point, POINT):
        with suppress(SignatureError):
            assert len(verify_point(hash32, signature, coordinates)) == 42


@pytest.mark.parametrize("size", [0, 31, 33])
def test_only_hashes_are_signed(size: int) -> None:
    """A message of another length than a hash is not signed."""
    with pytest.raises(ValueError, match="32 bytes"):
        KEY.sign(bytes(size))


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="nothing"),
        pytest.param("5ec1e7" * 10, id="too short"),
        pytest.param("0x" + "5g" * 32, id="not hexadecimal"),
        pytest.param("0x" + "00" * 32, id="zero"),
        pytest.param(f"0x{GROUP_ORDER:x}", id="the group's order"),
        pytest.param("0x" + "ff" * 32, id="beyond the group's order"),
    ],
)
def test_a_bad_key_is_refused_without_showing_it(text: str) -> None:
    """A text that is no key raises ConfigurationError, in which none of the text occurs."""
    with pytest.raises(ConfigurationError) as caught:
        P256Key.from_hex(text)
    assert not text or text.removeprefix("0x") not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None


@pytest.mark.parametrize("size", [0, 31, 33])
def test_a_secret_has_32_bytes(size: int) -> None:
    """Secret bytes of another length are refused."""
    with pytest.raises(ConfigurationError):
        P256Key(b"\x11" * size)


def test_repr_shows_the_address_only() -> None:
    """Neither repr, str nor formatting shows the secret; `to_hex` does."""
    for text in (repr(KEY), str(KEY), f"{KEY}"):
        assert "1111" not in text
        assert KEY.address in text
    assert KEY.to_hex() == "0x" + "11" * 32


def test_generated_keys_differ() -> None:
    """Two generated keys are not the same, and survive the way through hexadecimal."""
    one, other = P256Key.generate(), P256Key.generate()
    assert one.address != other.address
    assert P256Key.from_hex(one.to_hex()).address == one.address


def test_a_missing_dependency_names_the_extra() -> None:
    """Without its library no key is made, and the error says what to install."""
    program = (
        "import sys; sys.modules['cryptography'] = None\n"
        "from coinslot.methods.tempo.wire.p256 import P256Key; P256Key.generate()"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert result.returncode == 1
    assert "pip install 'coinslot[tempo]'" in result.stderr.splitlines()[-1]
