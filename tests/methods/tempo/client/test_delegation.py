"""Access keys: made offline, or authorized and revoked on the chain by the account's own key."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any

import pytest

from coinslot.errors import ConfigurationError, InsufficientFunds, OverLimit, WalletError
from coinslot.methods import tempo
from coinslot.methods.tempo.client import broadcast
from coinslot.methods.tempo.keys import PrivateKey
from coinslot.methods.tempo.node import Node
from coinslot.methods.tempo.rpc import Rpc
from coinslot.methods.tempo.wire.key_authorization import TokenLimit
from coinslot.methods.tempo.wire.signatures import Signer
from coinslot.sandbox.tempo import ThreadedDevnet
from faulty_node import FaultyNode, answers, drops, first, forwards_and, hangs, refuses
from tempo_buying import PATH_USD, asking
from tempo_payments import new_address

ROOT = PrivateKey(b"\x11" * 32)
SEND = "eth_sendRawTransactionSync"


class TestLimit:
    """How much of a token a key may spend."""

    @pytest.mark.parametrize(
        ("amount", "per", "expected"),
        [
            ("5.00", None, TokenLimit(PATH_USD, 5_000_000, 0)),
            ("0.000001", "hour", TokenLimit(PATH_USD, 1, 3600)),
            (Decimal(5), "day", TokenLimit(PATH_USD, 5_000_000, 86_400)),
            ("5", "week", TokenLimit(PATH_USD, 5_000_000, 604_800)),
            ("5", 90, TokenLimit(PATH_USD, 5_000_000, 90)),
            ("0", None, TokenLimit(PATH_USD, 0, 0)),
        ],
    )
    def test_an_amount_per_period(self, amount: str | Decimal, per: Any, expected: TokenLimit) -> None:
        """In the token's unit, exactly, and for ever unless a period is named."""
        assert tempo.limit(amount, PATH_USD.lower(), per=per) == expected

    @pytest.mark.parametrize(
        ("amount", "currency", "per", "reason"),
        [
            ("5", PATH_USD, "year", "a limit is per hour, day, week or so many seconds, not per 'year'"),
            ("5", PATH_USD, -1, "a limit: .* period"),
            ("five", PATH_USD, None, "a limit: "),
            ("0.0000001", PATH_USD, None, "a limit: "),
            ("-5", PATH_USD, None, "a limit: "),
            ("5", "USD", None, "a limit: an address is"),
        ],
    )
    def test_what_is_no_limit(self, amount: str, currency: str, per: Any, reason: str) -> None:
        """A sentence says what is wrong, at once and not when the agent pays."""
        with pytest.raises(ConfigurationError, match=reason):
            tempo.limit(amount, currency, per=per)


class TestAuthorize:
    """A key for somebody else, made without asking anyone."""

    def test_it_signs_for_the_account_within_its_limits(self) -> None:
        """The account signs the key, its limits, its end, and the one chain that it is good on."""
        limit = tempo.limit("5.00", PATH_USD, per="day")
        key = tempo.authorize(ROOT.to_hex(), limits=[limit], expires=1_900_000_000.9)
        assert key.address == ROOT.address
        assert key.key_address != ROOT.address
        authorization = key.authorization
        assert authorization is not None
        assert authorization.signed_by() == ROOT.address
        assert (authorization.key_address, authorization.key_type) == (key.key_address, "secp256k1")
        assert (authorization.chain_id, authorization.expiry) == (42431, 1_900_000_000)
        assert (authorization.limits, authorization.scopes) == ((limit,), None)
        assert not authorization.is_admin

    def test_each_has_a_key_of_its_own(self) -> None:
        """Unless one is given, which may be of another kind, as may the account's."""
        first, second = (tempo.authorize(ROOT, limits=(), expires=None) for _ in range(2))
        assert first.key_address != second.key_address
        own = tempo.P256Key(b"\x22" * 32)
        key = tempo.authorize(tempo.P256Key(b"\x11" * 32), limits=None, expires=None, key=own)
        assert key.key_address == own.address
        assert key.authorization is not None
        assert (key.authorization.key_type, key.authorization.limits) == ("p256", None)
        assert key.authorization.signed_by() == key.address == tempo.P256Key(b"\x11" * 32).address

    def test_a_chain_can_be_named(self) -> None:
        """A network by its name, or any chain by its id."""
        mainnet = tempo.authorize(ROOT, limits=(), expires=None, network="mainnet").authorization
        local = tempo.authorize(ROOT, limits=(), expires=None, chain_id=31337).authorization
        assert mainnet is not None
        assert local is not None
        assert (mainnet.chain_id, local.chain_id) == (4217, 31337)

    @pytest.mark.parametrize(
        ("root", "settings", "reason"),
        [
            ("0x11", {}, "a private key is"),
            (ROOT, {"network": "devnet"}, "no Tempo network"),
            (ROOT, {"expires": 0}, "an access key: an expiry of 0"),
            (ROOT, {"chain_id": -1}, "an access key: the chain id"),
            (
                tempo.AccessKey(PrivateKey(b"\x22" * 32), ROOT.address),
                {},
                "an access key authorizes no other",
            ),
        ],
        ids=["no key", "no network", "no end", "no chain", "an access key"],
    )
    def test_what_cannot_be_authorized(self, root: Any, settings: dict[str, Any], reason: str) -> None:
        """Only the account's own key authorizes others, on a chain that there can be."""
        with pytest.raises(ConfigurationError, match=reason):
            tempo.authorize(root, **{"limits": (), "expires": None, **settings})

    def test_no_secret_is_shown(self) -> None:
        """Neither key occurs in the repr of what is handed over."""
        own = PrivateKey(b"\x22" * 32)
        shown = repr(tempo.authorize(ROOT, limits=None, expires=None, key=own))
        assert own.to_hex()[2:] not in shown
        assert ROOT.address in shown


@pytest.fixture
async def node_t4(devnet_t4: ThreadedDevnet) -> AsyncIterator[FaultyNode]:
    """The way to the chain that has access keys."""
    node = FaultyNode(devnet_t4.rpc_url)
    await node.start()
    yield node
    await node.aclose()


@pytest.fixture
async def owner(devnet_t4: ThreadedDevnet, node_t4: FaultyNode) -> AsyncIterator[tempo.TempoAccount]:
    """An account with a million, by its own key."""
    root = PrivateKey.generate()
    devnet_t4.fund(root.address)
    account = tempo.account(root, network="testnet", rpc_url=node_t4.url, max_fee="0.5")
    yield account
    await account.aclose()


class TestOnChain:
    """What the chain is told of an account's keys."""

    @pytest.mark.parametrize("curve", [PrivateKey, tempo.P256Key], ids=["secp256k1", "p256"])
    async def test_a_key_is_authorized_and_revoked(
        self, owner: tempo.TempoAccount, devnet_t4: ThreadedDevnet, curve: Any
    ) -> None:
        """When it returns, the chain has it: the key may sign within its limits, or never again."""
        agent = curve.generate()
        expires = int(time.time()) + 3600
        await owner.authorize_key(
            agent.address,
            key_type=agent.key_type,
            expires=expires,
            limits=[tempo.limit("1", PATH_USD, per="day")],
        )
        node = Node(Rpc(devnet_t4.rpc_url))
        signer = Signer(owner.address, access_key=agent.address)
        known = await node.access_key(signer)
        assert (known.exists, known.key_type, known.expiry) == (True, agent.key_type, expires)
        assert known.enforces_limits
        key = tempo.AccessKey(agent, owner.address)
        account = tempo.account(key, rpc_url=devnet_t4.rpc_url, mode="push")
        await account.pay(asking(to=new_address()))
        with pytest.raises(InsufficientFunds, match=r"may spend 0\.9\d+ pathUSD"):
            await account.pay(asking("1"))
        reference = await owner.revoke_key(agent.address.lower())
        assert reference.startswith("0x")
        assert (await node.access_key(signer)).is_revoked
        with pytest.raises(WalletError, match="was revoked"):
            await account.pay(asking())
        await account.aclose()
        await node.aclose()

    async def test_a_key_without_an_end(self, owner: tempo.TempoAccount, devnet_t4: ThreadedDevnet) -> None:
        """It may be good for ever, and for everything."""
        agent = PrivateKey.generate()
        await owner.authorize_key(agent.address, expires=None, limits=None)
        account = tempo.account(tempo.AccessKey(agent, owner.address), rpc_url=devnet_t4.rpc_url, mode="push")
        await account.pay(asking("1000", to=new_address()))
        await account.aclose()

    async def test_what_is_so_already_costs_nothing(
        self, owner: tempo.TempoAccount, node_t4: FaultyNode
    ) -> None:
        """What is authorized, or was revoked, is not authorized; what is unknown is not revoked."""
        agent = PrivateKey.generate().address
        with pytest.raises(WalletError, match=f"{agent} is not authorized for {owner.address}"):
            await owner.revoke_key(agent)
        await owner.authorize_key(agent, expires=None, limits=())
        with pytest.raises(WalletError, match=f"{agent} is authorized already"):
            await owner.authorize_key(agent, expires=None, limits=())
        await owner.revoke_key(agent)
        with pytest.raises(WalletError, match=f"{agent} was revoked, which is for good"):
            await owner.authorize_key(agent, expires=None, limits=())
        assert node_t4.sent == [SEND, SEND]

    async def test_only_the_accounts_own_key_changes_keys(self, node_t4: FaultyNode) -> None:
        """An access key cannot, and is told so before anything is asked."""
        account = tempo.account(tempo.authorize(ROOT, limits=None, expires=None), rpc_url=node_t4.url)
        for change in (
            account.authorize_key(new_address(), expires=None, limits=None),
            account.revoke_key(new_address()),
        ):
            with pytest.raises(ConfigurationError, match="an access key changes no keys"):
                await change
        assert not node_t4.methods

    async def test_which_network_has_to_be_said(self) -> None:
        """Each network has keys of its own."""
        with pytest.raises(ConfigurationError, match="which network's keys"):
            await tempo.account(ROOT).revoke_key(new_address())

    @pytest.mark.parametrize("address", ["0x12", "agent"])
    async def test_what_is_no_key(self, address: str, owner: tempo.TempoAccount) -> None:
        """A key is named by its address."""
        with pytest.raises(ConfigurationError, match="an address is"):
            await owner.authorize_key(address, expires=None, limits=None)
        with pytest.raises(ConfigurationError, match="an address is"):
            await owner.revoke_key(address)

    async def test_the_fee_is_limited_and_has_to_be_there(
        self, owner: tempo.TempoAccount, node_t4: FaultyNode, devnet_t4: ThreadedDevnet
    ) -> None:
        """Nothing is sent that costs more than `max_fee`, or that the account cannot pay."""
        poor = tempo.account(ROOT, rpc_url=node_t4.url, max_fee="1")
        node_t4.behaviours["eth_estimateGas"] = answers(hex(900_000))
        with pytest.raises(InsufficientFunds, match=f"{ROOT.address} has 0 pathUSD .* needs 0.0"):
            await poor.authorize_key(new_address(), expires=None, limits=None)
        await poor.aclose()
        node_t4.behaviours["eth_gasPrice"] = answers(hex(10**15))
        with pytest.raises(OverLimit, match="max_fee"):
            await owner.authorize_key(new_address(), expires=None, limits=None)
        assert not node_t4.sent

    @pytest.mark.parametrize(
        ("method", "fault", "reason"),
        [
            ("eth_call", drops, "keys cannot be read"),
            ("eth_call", answers("0x"), "keys cannot be read"),
            ("eth_gasPrice", drops, "keys cannot be changed"),
            ("eth_estimateGas", refuses(3, "execution reverted"), "would fail"),
            (SEND, refuses(-32000, "insufficient funds"), "the node refuses it"),
        ],
        ids=["silent", "nonsense", "silent later", "reverts", "refuses"],
    )
    async def test_trouble_is_told(
        self, method: str, fault: Any, reason: str, owner: tempo.TempoAccount, node_t4: FaultyNode
    ) -> None:
        """Whatever the node has against it, and wherever it falls silent."""
        node_t4.behaviours[method] = fault
        with pytest.raises(WalletError, match=reason):
            await owner.authorize_key(new_address(), expires=None, limits=None)

    async def test_what_is_not_known_is_said(
        self, owner: tempo.TempoAccount, node_t4: FaultyNode, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """If no answer comes to the broadcast, the error names the transaction to look for."""
        monkeypatch.setattr(broadcast, "WAIT", 0.5)
        node_t4.behaviours[SEND] = hangs
        with pytest.raises(WalletError, match=r"not known whether 0x[0-9a-f]{64}, .* went through"):
            await owner.authorize_key(new_address(), expires=None, limits=None)

    async def test_what_was_reverted_is_said(self, owner: tempo.TempoAccount, node_t4: FaultyNode) -> None:
        """Two changes at once, of which one comes too late: it costs its fee, and says so."""
        agent = new_address()

        async def overtake(request: Any, forward: Any) -> Any:
            await owner.authorize_key(agent, expires=None, limits=())
            return await forward()

        node_t4.behaviours[SEND] = first(overtake)
        with pytest.raises(WalletError, match="was reverted"):
            await owner.authorize_key(agent, expires=None, limits=None)

    async def test_a_lost_answer_is_asked_for(self, owner: tempo.TempoAccount, node_t4: FaultyNode) -> None:
        """It got there, and the node did not say: its receipt does."""
        node_t4.behaviours[SEND] = forwards_and(drops)
        await owner.authorize_key(new_address(), expires=None, limits=None)
