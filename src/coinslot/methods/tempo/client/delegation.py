"""Access keys: other keys that may sign for an account.

    limit       how much of a token such a key may spend
    authorize   a new access key, offline: its first payment takes the authorization along
    Keyring     an account's keys on the chain: authorizes and revokes them there

The chain itself enforces the limits. The account's own key has none, and makes all the others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from decimal import Decimal
from typing import Final, Literal

from coinslot.errors import AmountError, ConfigurationError, InsufficientFunds, WalletError
from coinslot.intents import to_base_units
from coinslot.methods.tempo.client.broadcast import broadcast
from coinslot.methods.tempo.client.drafting import VALIDITY, draft, fee_of, priced
from coinslot.methods.tempo.client.spending import Need, find_shortage
from coinslot.methods.tempo.client.survey import BuyerNode
from coinslot.methods.tempo.key_requests import key_type
from coinslot.methods.tempo.keys import AddressError, PrivateKey, checksum_address, parse_address
from coinslot.methods.tempo.networks import DECIMALS, PATH_USD, find_network, network_of
from coinslot.methods.tempo.node import transaction_hash
from coinslot.methods.tempo.rpc import RpcError
from coinslot.methods.tempo.wire import Call, keychain
from coinslot.methods.tempo.wire.key_authorization import KeyAuthorization, KeyAuthorizationError, TokenLimit
from coinslot.methods.tempo.wire.keychain import KeyInfo
from coinslot.methods.tempo.wire.signatures import AccessKey, Signer, SigningKey

_PERIODS: Final = {"hour": 3600, "day": 24 * 3600, "week": 7 * 24 * 3600}


def limit(
    amount: str | Decimal, currency: str, *, per: Literal["hour", "day", "week"] | int | None = None
) -> TokenLimit:
    """How much of a token an access key may spend, fees in that token included.

    `amount` is in the token's unit, `currency` the token's address. `per` is the period after which the limit
    starts anew, by name or in seconds; without it, that is all that the key may ever spend.

    Raises `ConfigurationError`.
    """
    period = _PERIODS.get(per) if isinstance(per, str) else per or 0
    if period is None:
        raise ConfigurationError(f"a limit is per {', '.join(_PERIODS)} or so many seconds, not per {per!r}")
    try:
        return TokenLimit(currency, to_base_units(str(amount), DECIMALS), period)
    except (AmountError, AddressError, KeyAuthorizationError) as error:
        raise ConfigurationError(f"a limit: {error}") from error


def authorize(
    root: str | SigningKey,
    *,
    limits: Iterable[TokenLimit] | None,
    expires: float | None,
    network: str = "testnet",
    chain_id: int | None = None,
    key: SigningKey | None = None,
) -> AccessKey:
    """An access key for the account of `root`, made offline: its first payment takes the authorization along.

    `root` is the account's own key, `0x` and 64 hexadecimal digits or a `SigningKey`. `limits` are what the
    access key may spend, each of another token: of tokens that are not among them it may spend nothing, and
    None lets it spend everything. `expires` is in Unix seconds, None for never. It is good on one network,
    or the chain that `chain_id` names. `key` is the access key itself, a new secp256k1 key if there is none.

    Raises `ConfigurationError`.
    """
    by = PrivateKey.from_hex(root) if isinstance(root, str) else root
    if isinstance(by, AccessKey):
        raise ConfigurationError("an access key authorizes no other keys: use the account's own")
    signing = PrivateKey.generate() if key is None else key
    authorization = _authorization(
        signing.address,
        key_type=key_type(signing),
        chain_id=find_network(network).chain_id if chain_id is None else chain_id,
        expires=expires,
        limits=limits,
    )
    return AccessKey(signing, by.address, authorization.sign(by))


class Keyring:
    """The keys that may sign for an account, as the chain knows them."""

    def __init__(
        self, node: BuyerNode, key: SigningKey, *, max_fee: Decimal, clock: Callable[[], float]
    ) -> None:
        """`key` is the account's own. `max_fee` is the most that each change may cost."""
        self._node = node
        self._key = key
        self._max_fee = max_fee
        self._clock = clock

    async def authorize(
        self, key_address: str, *, key_type: str, expires: float | None, limits: Iterable[TokenLimit] | None
    ) -> str:
        """Have the chain take signatures of this key for the account: the transaction's hash.

        Raises `ConfigurationError` or `WalletError`.
        """
        authorization = _authorization(
            key_address, key_type=key_type, chain_id=0, expires=expires, limits=limits
        )
        known = await self._known(authorization.key_address)
        if known.is_revoked:
            raise WalletError(f"the key {key_address} was revoked, which is for good: authorize another one")
        if known.exists:
            raise WalletError(f"the key {key_address} is authorized already: to change its limits, revoke it")
        return await self._change(keychain.authorize_key(authorization))

    async def revoke(self, key_address: str) -> str:
        """Have the chain never again take signatures of this key for the account: the transaction's hash.

        Raises `ConfigurationError` or `WalletError`.
        """
        try:
            change = keychain.revoke_key(key_address)
        except AddressError as error:
            raise ConfigurationError(f"a key's address: {error}") from error
        if not (await self._known(key_address)).exists:
            raise WalletError(f"the key {key_address} is not authorized for {self._key.address}")
        return await self._change(change)

    async def _known(self, key_address: str) -> KeyInfo:
        if isinstance(self._key, AccessKey):
            raise ConfigurationError("an access key changes no keys: use the account's own")
        try:
            await self._node.check_chain()
            return await self._node.access_key(Signer(self._key.address, access_key=key_address))
        except RpcError as error:
            raise WalletError(f"the account's keys cannot be read: {error}") from error

    async def _change(self, data: bytes) -> str:
        """Call the keychain as the account, and wait until that is on the chain."""
        try:
            chain_id = await self._node.chain_id()
            network = network_of(chain_id)
            fee_token = (network.currency if network is not None else PATH_USD).address
            drafted = draft(
                (Call(parse_address(keychain.ADDRESS), 0, data),),
                chain_id=chain_id,
                fee_token=fee_token,
                valid_before=int(self._clock()) + VALIDITY,
            )
            conditions = await self._node.survey(drafted, self._key, fee_token)
        except RpcError as error:
            raise WalletError(f"the account's keys cannot be changed: {error}") from error
        transaction = priced(drafted, conditions, self._max_fee)
        need = Need(token=fee_token, amount=0, fee=fee_of(transaction))
        shortage = find_shortage(need, conditions.means)
        if shortage is not None:
            raise InsufficientFunds(shortage.explain(self._key, chain_id))
        signed = transaction.sign(self._key)
        receipt = await broadcast(self._node, signed)
        reference = transaction_hash(signed)
        if receipt is None:
            raise WalletError(f"it is not known whether {reference}, which changes the keys, went through")
        if not receipt.succeeded:
            raise WalletError(f"the transaction {reference}, which changes the account's keys, was reverted")
        return reference


def _authorization(
    key_address: str,
    *,
    key_type: str,
    chain_id: int,
    expires: float | None,
    limits: Iterable[TokenLimit] | None,
) -> KeyAuthorization:
    try:
        return KeyAuthorization(
            chain_id=chain_id,
            key_type=key_type,
            key_address=checksum_address(key_address),
            expiry=None if expires is None else int(expires),
            limits=None if limits is None else tuple(limits),
        )
    except (AddressError, KeyAuthorizationError) as error:
        raise ConfigurationError(f"an access key: {error}") from error
