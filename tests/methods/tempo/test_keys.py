"""Keys, signatures and addresses."""

from __future__ import annotations

import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, strategies as st

from coinslot.errors import ConfigurationError
from coinslot.methods.tempo.keys import (
    AddressError,
    PrivateKey,
    SignatureError,
    checksum_address,
    keccak256,
    parse_address,
    recover_address,
)

GROUP_ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141

KEY = PrivateKey.from_hex("0x" + "11" * 32)
HASH = keccak256(b"a payment")
SIGNATURE = KEY.sign(HASH)

secrets = st.integers(1, GROUP_ORDER - 1).map(lambda number: number.to_bytes(32))
hashes = st.binary(min_size=32, max_size=32)


class Spelling(msgspec.Struct):
    """An address as viem writes it."""

    lower: str
    checksummed: str


class Vectors(msgspec.Struct):
    """The part of viem_vectors.json that concerns addresses."""

    addresses: list[Spelling]


SPELLINGS = msgspec.json.decode(
    (Path(__file__).parent / "viem_vectors.json").read_bytes(), type=Vectors
).addresses


@pytest.mark.parametrize(
    ("data", "digest"),
    [
        (b"", "c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470"),
        (b"mpp", "ef1ed712"),
        (b"transfer(address,uint256)", "a9059cbb"),
    ],
)
def test_keccak_is_the_original(data: bytes, digest: str) -> None:
    """The hash is Keccak-256 with its original padding, and not SHA-3."""
    assert keccak256(data).hex().startswith(digest)
    assert len(keccak256(data)) == 32


@pytest.mark.parametrize(
    ("secret", "address"),
    [
        ("0x" + "11" * 32, "0x19E7E376E7C213B7E7e7e46cc70A5dD086DAff2A"),
        ("44" * 32, "0x7564105E977516C53bE337314c7E53838967bDaC"),
        (
            "0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80",
            "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266",
        ),
        (
            "0xAC0974BEC39A17E36BA4A6B4D238FF944BACB478CBED5EFCAE784D7BF4F2FF80",
            "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266",
        ),
    ],
)
def test_known_accounts(secret: str, address: str) -> None:
    """Keys with well-known accounts have those accounts, with or without 0x and in either case."""
    assert PrivateKey.from_hex(secret).address == address


@given(secrets, hashes)
def test_a_signature_names_its_key(secret: bytes, hash32: bytes) -> None:
    """What a key signs, recovers to its address; the signature is 65 bytes, low-s, and ends in 27 or 28."""
    key = PrivateKey(secret)
    signature = key.sign(hash32)
    assert recover_address(hash32, signature) == key.address
    assert len(signature) == 65
    assert signature[64] in (27, 28)
    assert int.from_bytes(signature[32:64]) <= GROUP_ORDER // 2


def test_signing_is_deterministic() -> None:
    """The same key and hash give the same signature (RFC 6979)."""
    assert KEY.sign(HASH) == SIGNATURE


def test_a_bare_parity_is_read() -> None:
    """A signature whose v is 0 or 1 recovers to the same address as with 27 or 28."""
    by_parity = {}
    for number in range(20):
        hash32 = keccak256(bytes([number]))
        signature = KEY.sign(hash32)
        by_parity[signature[64] - 27] = hash32, signature[:64]
    assert by_parity.keys() == {0, 1}
    for parity, (hash32, r_and_s) in by_parity.items():
        assert recover_address(hash32, r_and_s + bytes([parity])) == KEY.address


@given(st.integers(0, 64), st.integers(1, 255))
def test_a_changed_signature_never_names_the_key(at: int, change: int) -> None:
    """One changed byte makes it another key's signature or none, save for v in its other spelling."""
    changed = bytearray(SIGNATURE)
    changed[at] ^= change
    if at == 64 and changed[64] == SIGNATURE[64] - 27:
        return
    with suppress(SignatureError):
        assert recover_address(HASH, bytes(changed)) != KEY.address


def test_the_upper_half_of_s_is_refused() -> None:
    """The second signature that anyone can derive from a valid one is not accepted beside it."""
    s = GROUP_ORDER - int.from_bytes(SIGNATURE[32:64])
    twin = SIGNATURE[:32] + s.to_bytes(32) + bytes([55 - SIGNATURE[64]])
    with pytest.raises(SignatureError, match="upper half"):
        recover_address(HASH, twin)


@pytest.mark.parametrize(
    "signature",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(SIGNATURE[:64], id="without v"),
        pytest.param(SIGNATURE + b"\x00", id="a byte too long"),
        pytest.param(SIGNATURE[:64] + b"\x1d", id="v of 29"),
        pytest.param(SIGNATURE[:64] + b"\x02", id="v of 2"),
        pytest.param(bytes(32) + SIGNATURE[32:], id="r of zero"),
        pytest.param(SIGNATURE[:32] + bytes(32) + SIGNATURE[64:], id="s of zero"),
        pytest.param(GROUP_ORDER.to_bytes(32) + SIGNATURE[32:], id="r of the group's order"),
        pytest.param(b"\xff" * 32 + SIGNATURE[32:], id="r beyond the group's order"),
        pytest.param((5).to_bytes(32) + SIGNATURE[32:], id="an r that no point has"),
    ],
)
def test_what_is_no_signature_is_refused(signature: bytes) -> None:
    """Malformed and impossible signatures raise SignatureError."""
    with pytest.raises(SignatureError):
        recover_address(HASH, signature)


@given(st.binary(max_size=40) | hashes, st.binary(max_size=70) | st.binary(min_size=65, max_size=65))
def test_recovery_is_total(hash32: bytes, signature: bytes) -> None:
    """Arbitrary bytes give an address or SignatureError."""
    with suppress(SignatureError):
        assert len(parse_address(recover_address(hash32, signature))) == 20


@pytest.mark.parametrize("size", [0, 31, 33])
def test_only_hashes_are_signed(size: int) -> None:
    """A message of another length than a hash is not signed, and nothing is recovered from it."""
    with pytest.raises(ValueError, match="32 bytes"):
        KEY.sign(bytes(size))
    with pytest.raises(SignatureError, match="32 bytes"):
        recover_address(bytes(size), SIGNATURE)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="nothing"),
        pytest.param("0x", id="only the prefix"),
        pytest.param("5ec1e7" * 10, id="too short"),
        pytest.param("5ec1e7" * 11, id="too long"),
        pytest.param("0x" + "5g" * 32, id="not hexadecimal"),
        pytest.param("0x" + "5e c" * 16, id="spaces between the digits"),
        pytest.param("0x" + "5e" * 32 + "\n", id="a line feed at the end"),
        pytest.param("0X" + "5e" * 32, id="a capital X"),
        pytest.param("0x" + "00" * 32, id="zero"),
        pytest.param(f"0x{GROUP_ORDER:x}", id="the group's order"),
        pytest.param("0x" + "ff" * 32, id="beyond the group's order"),
        pytest.param("٣" * 64, id="digits of another script"),
    ],
)
def test_a_bad_key_is_refused_without_showing_it(text: str) -> None:
    """A text that is no key raises ConfigurationError, in which none of the text occurs."""
    with pytest.raises(ConfigurationError) as caught:
        PrivateKey.from_hex(text)
    digits = text.strip().removeprefix("0x")
    assert not digits or digits not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None


@pytest.mark.parametrize("size", [0, 31, 33])
def test_a_secret_has_32_bytes(size: int) -> None:
    """Secret bytes of another length are refused."""
    with pytest.raises(ConfigurationError):
        PrivateKey(b"\x11" * size)


def test_repr_shows_the_address_only() -> None:
    """Neither repr, str nor formatting shows the secret; `to_hex` does."""
    for text in (repr(KEY), str(KEY), f"{KEY}"):
        assert "1111" not in text
        assert KEY.address in text
    assert KEY.to_hex() == "0x" + "11" * 32


def test_generated_keys_differ() -> None:
    """Two generated keys are not the same, and survive the way through hexadecimal."""
    one, other = PrivateKey.generate(), PrivateKey.generate()
    assert one.address != other.address
    assert PrivateKey.from_hex(one.to_hex()).address == one.address


@pytest.mark.parametrize(
    "address",
    [
        # EIP-55 §Test Cases
        "0x52908400098527886E0F7030069857D2E4169EE7",
        "0x8617E340B3D01FA5F11F306F4090FD50E238070D",
        "0xde709f2102306220921060314715629080e2fb77",
        "0x27b1fdb04752bbc536007a920d24acb045561c26",
        "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed",
        "0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359",
        "0xdbF03B407c01E7cD3CBea99509d93f8DDDC8C6FB",
        "0xD1220A0cf47c7B9Be7A2E6BA89F429762e7b9aDb",
        *[spelling.checksummed for spelling in SPELLINGS],
    ],
)
def test_checksummed_addresses(address: str) -> None:
    """The addresses that EIP-55 publishes, and those of viem, keep their spelling from any other."""
    for spelling in (address, address.lower(), "0x" + address[2:].upper(), parse_address(address)):
        assert checksum_address(spelling) == address


@given(st.binary(min_size=20, max_size=20))
def test_addresses_round_trip(raw: bytes) -> None:
    """Bytes become text and the same bytes again."""
    assert parse_address(checksum_address(raw)) == raw


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="nothing"),
        pytest.param("52908400098527886E0F7030069857D2E4169EE7", id="without 0x"),
        pytest.param("0x52908400098527886E0F7030069857D2E4169EE", id="too short"),
        pytest.param("0x52908400098527886E0F7030069857D2E4169EE70", id="too long"),
        pytest.param("0x52908400098527886E0F7030069857D2E4169EEg", id="not hexadecimal"),
        pytest.param("0x5290840009852788 E0F7030069857D2E4169EE7", id="a space"),
        pytest.param("0x52908400098527886E0F7030069857D2E4169EE7\n", id="a line feed at the end"),
        pytest.param("0x" + "5e" * 32, id="a private key"),
    ],
)
def test_what_is_no_address_is_refused(text: str) -> None:
    """Another text than 0x and 40 hexadecimal digits raises AddressError, which does not repeat it."""
    for read in (parse_address, checksum_address):
        with pytest.raises(AddressError) as caught:
            read(text)
        assert not text or text not in str(caught.value)


@pytest.mark.parametrize("size", [0, 19, 21, 32])
def test_an_address_has_20_bytes(size: int) -> None:
    """Bytes of another length have no spelling."""
    with pytest.raises(AddressError):
        checksum_address(bytes(size))


@pytest.mark.parametrize("missing", ["coincurve", "sha3"])
def test_a_missing_dependency_names_the_extra(missing: str) -> None:
    """Without its libraries the module fails to import, and says what to install."""
    program = f"import sys; sys.modules[{missing!r}] = None; import coinslot.methods.tempo.keys"
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert result.returncode == 1
    assert "pip install 'coinslot[tempo]'" in result.stderr.splitlines()[-1]
