"""Key authorizations: an account lets another key sign for it, within limits.

    [[chain id, key type, key's address, expiry?, limits?, scopes?, witness?, admin?, account?], signature]

What is absent at the end is left out, what is absent before that is an empty string. It is signed by the
account's own key, and travels in the account's next transaction, which the new key may sign already.
"""

from __future__ import annotations

from typing import Final

from msgspec import Struct
from msgspec.structs import force_setattr, replace

from coinslot.errors import CoinslotError
from coinslot.methods.tempo.keys import (
    ADDRESS_LENGTH,
    SignatureError,
    checksum_address,
    keccak256,
    parse_address,
)
from coinslot.methods.tempo.wire import rlp
from coinslot.methods.tempo.wire.rlp import Item, Items
from coinslot.methods.tempo.wire.signatures import SigningKey, check_primitive, recover_primitive

KEY_TYPES: Final = ("secp256k1", "p256", "webAuthn")
"""The kinds of key that can be authorized, each in the place of its number."""

_WITNESS_LENGTH: Final = 32
_SELECTOR_LENGTH: Final = 4
_TIME_BITS: Final = 64

_REQUIRED_FIELDS: Final = 3
_ALL_FIELDS: Final = 9


class KeyAuthorizationError(CoinslotError):
    """Bytes that are not a key authorization, or values that cannot be in one."""


class TokenLimit(Struct, frozen=True):
    """How much of a token the key may spend: `limit` base units, in each `period` of so many seconds.

    With a `period` of 0, that is all it may ever spend.
    """

    token: str
    limit: int
    period: int = 0

    def __post_init__(self) -> None:
        _checksum(self, "token")
        _check_range("a token limit", self.limit, 256)
        _check_range("a token limit's period", self.period, _TIME_BITS)


class SelectorRule(Struct, frozen=True):
    """A function that the key may call, by its 4-byte selector.

    With `recipients`, only if the function's first argument is one of these addresses.
    """

    selector: bytes
    recipients: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if len(self.selector) != _SELECTOR_LENGTH:
            raise KeyAuthorizationError(f"a selector has 4 bytes, not {len(self.selector)}")
        force_setattr(self, "recipients", tuple(map(checksum_address, self.recipients)))


class CallScope(Struct, frozen=True):
    """A contract that the key may call: the functions of `rules`, or all of them if there are none."""

    target: str
    rules: tuple[SelectorRule, ...] = ()

    def __post_init__(self) -> None:
        _checksum(self, "target")


class KeyAuthorization(Struct, frozen=True, kw_only=True):
    """Which key may sign for the account that signs this, until when, and for what.

    `key_type` is one of `KEY_TYPES`; `key_address` is the address of the key's own account. `expiry` is in
    Unix seconds; without it the key is good until revoked. Without `limits` the key may spend all, with `()`
    nothing. Without `scopes` it may call anything, with `()` nothing. `witness` is 32 bytes of any meaning
    that the account signs along (TIP-1053). `is_admin` lets the key authorize further keys, and `account`
    says whose key it is; on a chain that knows neither, they are an error.

    Addresses are taken in any case and kept EIP-55 checksummed. Constructing one with values that the
    encoding cannot hold raises `KeyAuthorizationError` or `AddressError`. `repr` does not show the signature.
    """

    chain_id: int
    key_type: str
    key_address: str
    expiry: int | None = None
    limits: tuple[TokenLimit, ...] | None = None
    scopes: tuple[CallScope, ...] | None = None
    witness: bytes | None = None
    is_admin: bool = False
    account: str | None = None
    signature: bytes | None = None

    def __post_init__(self) -> None:
        _check_range("the chain id", self.chain_id, 64)
        if self.key_type not in KEY_TYPES:
            raise KeyAuthorizationError(f"a key is of type {', '.join(KEY_TYPES[:-1])} or {KEY_TYPES[-1]}")
        _checksum(self, "key_address")
        if self.expiry is not None:
            _check_range("the expiry", self.expiry, _TIME_BITS)
        if self.expiry == 0:
            raise KeyAuthorizationError("an expiry of 0 cannot be told from none")
        if self.witness is not None and len(self.witness) != _WITNESS_LENGTH:
            raise KeyAuthorizationError(f"a witness has {_WITNESS_LENGTH} bytes, not {len(self.witness)}")
        if self.account is not None:
            _checksum(self, "account")
        if self.signature is not None:
            _check_signature(self.signature)

    def encode(self) -> bytes:
        """The RLP encoding, with the signature if there is one."""
        return rlp.encode(self.to_items())

    @classmethod
    def decode(cls, data: bytes) -> KeyAuthorization:
        """Read what `encode` writes, signed or not. Strict: it is written again byte for byte.

        Raises `KeyAuthorizationError`.
        """
        try:
            items = rlp.decode(data)
        except rlp.RLPError as error:
            raise KeyAuthorizationError(f"the key authorization is not canonical RLP: {error}") from error
        return cls.from_items(items)

    def to_items(self) -> Items:
        """The RLP items of the encoding, as they are in a transaction."""
        return (self._fields(),) if self.signature is None else (self._fields(), self.signature)

    @classmethod
    def from_items(cls, item: Item) -> KeyAuthorization:
        """Read what `to_items` gives. Raises `KeyAuthorizationError`."""
        try:
            return cls._read(item)
        except rlp.RLPError as error:
            raise KeyAuthorizationError(f"the key authorization is malformed: {error}") from error

    def signing_hash(self) -> bytes:
        """What the account's key signs."""
        return keccak256(rlp.encode(self._fields()))

    def sign(self, root: SigningKey) -> KeyAuthorization:
        """This authorization, signed by `root`, which is the own key of the account that grants it."""
        return replace(self, signature=root.sign(self.signing_hash()))

    def signed_by(self) -> str:
        """The EIP-55 address of the account whose key signed. Raises `SignatureError`."""
        if self.signature is None:
            raise SignatureError("the key authorization is not signed")
        return recover_primitive(self.signing_hash(), self.signature).account

    def _fields(self) -> Items:
        fields: list[Item] = [
            rlp.encode_integer(self.chain_id),
            rlp.encode_integer(KEY_TYPES.index(self.key_type)),
            parse_address(self.key_address),
            rlp.encode_integer(self.expiry or 0),
            b"" if self.limits is None else tuple(map(_limit_items, self.limits)),
            b"" if self.scopes is None else tuple(map(_scope_items, self.scopes)),
            self.witness or b"",
            rlp.encode_integer(self.is_admin),
            b"" if self.account is None else parse_address(self.account),
        ]
        while fields[-1] == b"" and len(fields) > _REQUIRED_FIELDS:
            fields.pop()
        return tuple(fields)

    @classmethod
    def _read(cls, item: Item) -> KeyAuthorization:
        signed = rlp.read_sequence(item)
        if not 1 <= len(signed) <= 2:
            raise KeyAuthorizationError(
                "a key authorization is a sequence of the authorization and a signature"
            )
        fields = rlp.read_sequence(signed[0])
        if not _REQUIRED_FIELDS <= len(fields) <= _ALL_FIELDS:
            raise KeyAuthorizationError(
                f"an authorization has {_REQUIRED_FIELDS} to {_ALL_FIELDS} fields, not {len(fields)}"
            )
        if fields[-1] == b"" and len(fields) > _REQUIRED_FIELDS:
            raise KeyAuthorizationError("an authorization ends in a field that is absent")
        optional: list[Item] = [*fields[_REQUIRED_FIELDS:], *[b""] * (_ALL_FIELDS - len(fields))]
        expiry, limits, scopes, witness, is_admin, account = optional
        return cls(
            chain_id=rlp.read_integer(fields[0], 64),
            key_type=_read_key_type(fields[1]),
            key_address=_read_address(fields[2]),
            expiry=rlp.read_integer(expiry, _TIME_BITS) or None,
            limits=None if limits == b"" else tuple(map(_read_limit, rlp.read_sequence(limits))),
            scopes=None if scopes == b"" else tuple(map(_read_scope, rlp.read_sequence(scopes))),
            witness=None if witness == b"" else rlp.read_string(witness, _WITNESS_LENGTH),
            is_admin=_read_flag(is_admin),
            account=None if account == b"" else _read_address(account),
            signature=rlp.read_string(signed[1]) if len(signed) == 2 else None,
        )

    def __rich_repr__(self) -> list[tuple[str, object]]:
        return [
            ("chain_id", self.chain_id),
            ("key_type", self.key_type),
            ("key_address", self.key_address),
            ("expiry", self.expiry),
            ("limits", self.limits),
            ("scopes", self.scopes),
            ("is_admin", self.is_admin),
            ("account", self.account),
            ("signed", self.signature is not None),
        ]

    def __repr__(self) -> str:
        # msgspec gives every Struct a `__rich_repr__` that shows all fields, so that one has to be safe too.
        members = ", ".join(f"{name}={member!r}" for name, member in self.__rich_repr__())
        return f"KeyAuthorization({members})"


def _limit_items(limit: TokenLimit) -> Items:
    items = (parse_address(limit.token), rlp.encode_integer(limit.limit))
    return (*items, rlp.encode_integer(limit.period)) if limit.period else items


def _read_limit(item: Item) -> TokenLimit:
    fields = rlp.read_sequence(item)
    if not 2 <= len(fields) <= 3 or fields[2:] == (b"",):
        raise KeyAuthorizationError("a token limit is a token, an amount, and a period if there is one")
    period = rlp.read_integer(fields[2], _TIME_BITS) if len(fields) == 3 else 0
    return TokenLimit(_read_address(fields[0]), rlp.read_integer(fields[1]), period)


def _scope_items(scope: CallScope) -> Items:
    rules = tuple((rule.selector, tuple(map(parse_address, rule.recipients))) for rule in scope.rules)
    return parse_address(scope.target), rules


def _read_scope(item: Item) -> CallScope:
    target, rules = rlp.read_sequence(item, 2)
    return CallScope(_read_address(target), tuple(map(_read_rule, rlp.read_sequence(rules))))


def _read_rule(item: Item) -> SelectorRule:
    selector, recipients = rlp.read_sequence(item, 2)
    return SelectorRule(
        rlp.read_string(selector, _SELECTOR_LENGTH), tuple(map(_read_address, rlp.read_sequence(recipients)))
    )


def _read_key_type(item: Item) -> str:
    number = rlp.read_integer(item, 8)
    if number >= len(KEY_TYPES):
        raise KeyAuthorizationError(f"keys have no type {number}")
    return KEY_TYPES[number]


def _read_flag(item: Item) -> bool:
    if item not in (b"", b"\x01"):
        raise KeyAuthorizationError("the mark of an admin key is 1 or absent")
    return item == b"\x01"


def _read_address(item: Item) -> str:
    return checksum_address(rlp.read_string(item, ADDRESS_LENGTH))


def _checksum(value: Struct, name: str) -> None:
    """Give an address its EIP-55 spelling. Raises `AddressError`."""
    force_setattr(value, name, checksum_address(getattr(value, name)))


def _check_range(what: str, number: int, bits: int) -> None:
    if not 0 <= number < 1 << bits:
        raise KeyAuthorizationError(f"{what} does not fit {bits} bits")


def _check_signature(signature: bytes) -> None:
    try:
        check_primitive(signature)
    except SignatureError as error:
        raise KeyAuthorizationError(f"of the key authorization, {error}") from error
