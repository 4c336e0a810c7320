from __future__ import annotations

import logging
import time
from collections.abc import AsyncIterator, Callable
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from coinslot.errors import (
    ChallengeExpired,
    ConfigurationError,
    InsufficientFunds,
    NoAcceptableChallenge,
    OverLimit,
    UnexpectedTerms,
    WalletError,
)
from coinslot.methods import tempo
from coinslot.methods.tempo.keys import PrivateKey, checksum_address
from coinslot.methods.tempo.networks import MAINNET, TESTNET
from coinslot.methods.tempo.rpc import RpcRefused, RpcTimeout
from coinslot.methods.tempo.wire import (
    EXPIRING_NONCE_KEY,
    Transaction,
    attribution_memo,
    decode_call,
)
from coinslot.payments.method import (
    ClientMethod,
    Closes,
    Failed,
    Payload,
    Revokes,
    Settled,
)
from coinslot.protocol import Challenge, Credential, JSONObject
from coinslot.sandbox.tempo import ThreadedDevnet
from faulty_node import FaultyNode, answers, drops, edits, refuses
from tempo_payments import REALM, issue, new_address

KEY = "0x" + "11" * 32
RECIPIENT = "0x742d35Cc6634c0532925a3b844bC9e7595F8fE00"
PATH_USD = TESTNET.currency.address
# None of these tests may reach the world.
NOWHERE = "http://127.0.0.1:9"


@pytest.fixture
async def account(node: FaultyNode, payer: PrivateKey) -> AsyncIterator[tempo.TempoAccount]:
    """An account with a million, on the node that misbehaves to order."""
    made = tempo.account(payer, rpc_url=node.url)
    yield made
    await made.aclose()


def asking(price: str = "0.01", /, **changes: Any) -> Challenge:
    """A challenge on the testnet."""
    return issue(tempo.charge(RECIPIENT), price, **changes)


def signed(payload: Payload) -> Transaction:
    return Transaction.decode(bytes.fromhex(str(payload.payload["signature"])[2:]))


async def settled(charge: tempo.TempoCharge, challenge: Challenge, payload: Payload) -> Settled | Failed:
    """Present a payload as a server would have it presented."""
    presented = Credential(
        challenge=challenge, payload=charge.canonical(payload.payload), source=payload.source
    )
    outcome = await charge.settle(await charge.verify(presented, challenge.decode_request()))
    assert isinstance(outcome, Settled | Failed)
    return outcome


def test_an_account_is_a_whole_client_method() -> None:
    """It fulfils the contract, can tell when a payment is dead, and closes."""
    method = tempo.account(KEY)
    contract: ClientMethod = method
    assert isinstance(contract, ClientMethod)
    assert isinstance(method, Revokes)
    assert isinstance(method, Closes)
    assert (method.name, method.intent) == ("tempo", "charge")
    assert method.address == "0x19E7E376E7C213B7E7e7e46cc70A5dD086DAff2A"


class TestConfiguration:
    """What cannot work is found when the account is made."""

    @pytest.mark.parametrize(
        ("settings", "reason"),
        [
            ({"network": "devnet"}, "no Tempo network called 'devnet'"),
            ({"rpc_url": "localhost"}, "rpc_url has to be"),
            ({"currencies": PATH_USD}, "currencies is a list of addresses"),
            ({"currencies": ["USD"]}, "currencies: an address is"),
            ({"recipients": ["0x"]}, "recipients: an address is"),
            ({"max_fee": "-1"}, "max_fee is an amount"),
            ({"max_fee": "cheap"}, "max_fee is an amount"),
            ({"max_fee": "NaN"}, "max_fee is an amount"),
            ({"mode": "both"}, "mode is 'pull' or 'push', not 'both'"),
            ({"auto_swap": PATH_USD}, "auto_swap is a list of addresses"),
            ({"auto_swap": ["USD"]}, "auto_swap: an address is"),
            ({"auto_swap": True, "slippage": "1"}, "slippage is a part of the price"),
            ({"slippage": "1 %"}, "slippage is an amount"),
        ],
        ids=lambda value: str(value),
    )
    def test_one_sentence_says_what_is_wrong(self, settings: dict[str, Any], reason: str) -> None:
        """Each setting that cannot work is refused by its name."""
        with pytest.raises(ConfigurationError, match=reason):
            tempo.account(KEY, **settings)

    @pytest.mark.parametrize("text", ["", "0x", "11" * 31, "0x" + "zz" * 32, "0x" + "00" * 32])
    def test_a_bad_key_is_refused_and_not_shown(self, text: str) -> None:
        """What was meant to be a key may be one with a digit too many."""
        with pytest.raises(ConfigurationError) as error:
            tempo.account(text)
        assert not text.removeprefix("0x") or text.removeprefix("0x") not in str(error.value)

    def test_the_key_is_in_no_repr(self) -> None:
        """A repr shows the address, which is public."""
        assert repr(tempo.account(KEY)) == "TempoAccount('0x19E7E376E7C213B7E7e7e46cc70A5dD086DAff2A')"


class TestQuote:
    """What a challenge costs, before anything is asked of anyone."""

    @settings(deadline=None)
    @given(st.integers(1, 10**20))
    async def test_the_price_is_exact(self, units: int) -> None:
        """Not one base unit is lost between the wire and the wallet's limits."""
        quote = await tempo.account(KEY).quote(asking(f"{units // 10**6}.{units % 10**6:06}"))
        assert quote is not None
        assert quote.base_units == units
        assert quote.amount * 10**6 == units

    async def test_the_terms_are_told_in_the_wallets_words(self) -> None:
        """Asset, network, recipient, and the most that paying costs beside the price."""
        quote = await tempo.account(KEY, rpc_url=NOWHERE, network="testnet", max_fee="0.5").quote(asking())
        assert quote is not None
        assert (quote.amount, quote.asset, quote.network) == (Decimal("0.01"), "pathUSD", "tempo:42431")
        assert (quote.currency, quote.recipient, quote.fee) == (PATH_USD, RECIPIENT, Decimal("0.5"))

    async def test_without_a_network_both_are_paid_on(self) -> None:
        """Neither needs a node to be asked."""
        account = tempo.account(KEY)
        mainnet = issue(tempo.charge(RECIPIENT, network="mainnet"))
        for challenge, network, asset in (
            (asking(), "tempo:42431", "pathUSD"),
            (mainnet, "tempo:4217", "USDC.e"),
        ):
            quote = await account.quote(challenge)
            assert quote is not None
            assert (quote.network, quote.asset) == (network, asset)

    async def test_a_challenge_without_a_chain_is_for_the_testnet(self) -> None:
        """draft-tempo-charge §Method Details: the default chain is 42431."""
        quote = await tempo.account(KEY).quote(asking(methodDetails=None))
        assert quote is not None
        assert quote.network == "tempo:42431"

    async def test_a_node_given_alone_decides_the_chain(self, node: FaultyNode) -> None:
        """It is asked once, and challenges of other chains are not paid."""
        account = tempo.account(KEY, rpc_url=node.url)
        for _ in range(2):
            assert await account.quote(asking()) is not None
            assert await account.quote(issue(tempo.charge(RECIPIENT, network="mainnet"))) is None
        assert node.methods == ["eth_chainId"]
        await account.aclose()

    async def test_a_node_that_does_not_say_its_chain_is_an_error(self) -> None:
        """It is not the challenge's fault, so it does not look like one that cannot be paid."""
        account = tempo.account(KEY, rpc_url=NOWHERE)
        with pytest.raises(WalletError, match="does not say which chain"):
            await account.quote(asking())
        await account.aclose()

    @pytest.mark.parametrize(
        "details",
        [
            {"chainId": 4217},
            {"chainId": 1},
            {"chainId": "42431"},
            {"chainId": True},
            {"chainId": 0},
            {"feePayer": "yes"},
            {"memo": "0x11"},
            {"splits": []},
            {"splits": [{"amount": "10000", "recipient": RECIPIENT}]},
            {"supportedModes": []},
            {"supportedModes": "pull"},
        ],
        ids=str,
    )
    async def test_what_cannot_be_understood_is_not_quoted(self, details: JSONObject) -> None:
        """Another chain, or details that break the schema: left to other methods and wallets."""
        account = tempo.account(KEY, rpc_url=NOWHERE, network="testnet")
        assert await account.quote(asking(methodDetails={"chainId": 42431, **details})) is None

    @pytest.mark.parametrize(
        "changes",
        [
            {"amount": "-1"},
            {"amount": "1.0"},
            {"amount": 1},
            {"currency": "usd"},
            {"recipient": None},
        ],
        ids=str,
    )
    async def test_what_is_no_charge_is_not_quoted(self, changes: dict[str, Any]) -> None:
        """A request that breaks the schema is not payable."""
        assert await tempo.account(KEY).quote(asking(**changes)) is None

    @pytest.mark.parametrize(("name", "value"), [("method", "stripe"), ("intent", "session")])
    async def test_other_methods_are_not_quoted(self, name: str, value: str) -> None:
        """A challenge for another method or intent is somebody else's."""
        challenge = asking()
        members = {**challenge.to_object(), name: value}
        assert await tempo.account(KEY).quote(Challenge.from_object(members)) is None

    async def test_only_allowed_currencies_are_paid_in(self) -> None:
        """A token of a server's own making, worth whatever it says, is refused by name."""
        strange = "0x20c0000000000000000000006a37DA5C996874BE"
        challenge = issue(tempo.charge(RECIPIENT, currency=strange))
        with pytest.raises(UnexpectedTerms, match=strange):
            await tempo.account(KEY).quote(challenge)
        quote = await tempo.account(KEY, currencies=[strange.lower()]).quote(challenge)
        assert quote is not None
        assert quote.asset == "0x20c0…74BE"
        with pytest.raises(UnexpectedTerms, match=PATH_USD):
            await tempo.account(KEY, currencies=[strange]).quote(asking())

    async def test_only_allowed_recipients_are_paid(self) -> None:
        """An allow-list is compared by address, not by spelling."""
        assert await tempo.account(KEY, recipients=[RECIPIENT.lower()]).quote(asking()) is not None
        with pytest.raises(UnexpectedTerms, match=RECIPIENT):
            await tempo.account(KEY, recipients=[new_address()]).quote(asking())
        with pytest.raises(UnexpectedTerms, match=RECIPIENT):
            await tempo.account(KEY, recipients=[]).quote(asking())

    @settings(deadline=None)
    @given(
        st.dictionaries(
            st.sampled_from(["amount", "currency", "recipient", "methodDetails"]),
            st.recursive(
                st.none()
                | st.booleans()
                | st.integers(-10, 10**6)
                | st.text()
                | st.just("10000")
                | st.just(PATH_USD),
                lambda inner: (
                    st.lists(inner)
                    | st.dictionaries(st.sampled_from(["chainId", "splits", "memo", "supportedModes"]), inner)
                ),
                max_leaves=4,
            ),
        )
    )
    async def test_any_request_can_be_quoted(self, changes: dict[str, Any]) -> None:
        """Whatever a server asks, it is a price, no price, or not what was allowed."""
        account = tempo.account(KEY, rpc_url=NOWHERE, network="testnet")
        try:
            quote = await account.quote(asking(**changes))
        except UnexpectedTerms:
            return
        assert quote is None or quote.amount * 10**6 == quote.base_units >= 0


class TestPay:
    """A transfer, signed for one challenge."""

    @pytest.mark.parametrize("chain", ["devnet", "devnet_t4"])
    async def test_the_server_is_paid(self, chain: str, request: pytest.FixtureRequest) -> None:
        """What is signed here settles there, on old and new chains, again and again."""
        devnet: ThreadedDevnet = request.getfixturevalue(chain)
        account = tempo.account(PrivateKey.generate(), rpc_url=devnet.rpc_url)
        devnet.fund(account.address)
        charge = tempo.charge(new_address(), rpc_url=devnet.rpc_url)
        for _ in range(3):
            challenge = issue(charge)
            payload = await account.pay(challenge)
            assert await settled(charge, challenge, payload) == Settled(
                reference=str(payload.reference), payer=account.address
            )
        await account.aclose()
        await charge.aclose()

    async def test_the_transaction_is_what_other_servers_expect(
        self, node: FaultyNode, payer: PrivateKey
    ) -> None:
        """One transferWithMemo, an expiring nonce, an end, and a fee that the payer pays in that token."""
        account = tempo.account(payer, rpc_url=node.url, client_id="my-app")
        challenge = asking()
        before = int(time.time())
        payload = await account.pay(challenge)
        transaction = signed(payload)
        transfer = decode_call(transaction.calls[0])
        assert transfer is not None
        assert (transfer.token, transfer.recipient, transfer.amount) == (PATH_USD, RECIPIENT, 10_000)
        assert transfer.memo == attribution_memo(challenge.id, REALM, "my-app")
        assert len(transaction.calls) == 1
        assert (transaction.nonce_key, transaction.nonce) == (EXPIRING_NONCE_KEY, 0)
        assert transaction.valid_before is not None
        assert before + 25 <= transaction.valid_before <= int(time.time()) + 25
        assert transaction.fee_token is not None
        assert checksum_address(transaction.fee_token) == PATH_USD
        assert transaction.fee_payer_signature is None
        assert payload.source == f"did:pkh:eip155:42431:{payer.address}"
        assert payload.reference == "0x" + transaction.hash().hex()
        await account.aclose()

    async def test_it_ends_with_the_challenge(self, account: tempo.TempoAccount) -> None:
        """`validBefore` is no later than the challenge's expiry (draft-tempo-charge §Submission Modes)."""
        expires = time.time() + 10.5
        assert signed(await account.pay(asking(expires_at=expires))).valid_before == int(expires)

    @pytest.mark.parametrize("left", [3, 0, -60])
    async def test_too_late_is_too_late(
        self, left: int, account: tempo.TempoAccount, node: FaultyNode
    ) -> None:
        """A challenge that the chain would not see in time is not signed for."""
        await account.quote(asking())
        with pytest.raises(ChallengeExpired):
            await account.pay(asking(expires_at=time.time() + left))
        assert node.methods == ["eth_chainId"]

    async def test_preparing_is_one_exchange(self, account: tempo.TempoAccount, node: FaultyNode) -> None:
        """Balance, gas and fees come in one batch; the chain's id is asked for once in all."""
        for _ in range(2):
            await account.pay(asking())
        batch = ["eth_call", "eth_estimateGas", "eth_gasPrice", "eth_maxPriorityFeePerGas"]
        assert node.methods == ["eth_chainId", *batch, *batch]
        assert node.exchanges == 3

    async def test_nodes_without_batches_or_tips_will_do(
        self, account: tempo.TempoAccount, node: FaultyNode, charge: tempo.TempoCharge
    ) -> None:
        """What a node lacks is done without."""
        node.takes_batches = False
        node.behaviours["eth_maxPriorityFeePerGas"] = refuses(-32601, "Method not found")
        challenge = issue(charge)
        payload = await account.pay(challenge)
        assert signed(payload).max_priority_fee_per_gas == 0
        assert isinstance(await settled(charge, challenge, payload), Settled)

    async def test_an_empty_account_is_told_what_it_lacks(self, node: FaultyNode) -> None:
        """The message says who has how much, and how much it takes."""
        account = tempo.account(KEY, rpc_url=node.url)
        with pytest.raises(
            InsufficientFunds, match=r"0x19E7.* has 0 pathUSD on chain 42431; .* needs 0\.01$"
        ):
            await account.pay(asking())
        await account.aclose()

    async def test_the_fee_is_part_of_what_it_takes(
        self, node: FaultyNode, account: tempo.TempoAccount, charge: tempo.TempoCharge
    ) -> None:
        """An account that has the price and no more is told so before it signs."""
        poor = tempo.account(PrivateKey.generate(), rpc_url=node.url)
        gift = issue(charge, "0.01", recipient=poor.address)
        await settled(charge, gift, await account.pay(gift))
        with pytest.raises(
            InsufficientFunds, match=r"has 0\.01 pathUSD .* needs 0\.0\d+ \(0\.01, and a fee of up to"
        ):
            await poor.pay(asking())
        await poor.aclose()

    async def test_the_fee_is_limited(self, node: FaultyNode, payer: PrivateKey) -> None:
        """A node cannot make a cheap thing dear."""
        account = tempo.account(payer, rpc_url=node.url)
        node.behaviours["eth_gasPrice"] = answers(hex(10**15))
        with pytest.raises(OverLimit, match="max_fee") as error:
            await account.pay(asking())
        assert error.value.limit == Decimal("0.02")
        assert error.value.price is not None
        assert error.value.price > Decimal("0.02")
        await account.aclose()

    async def test_what_would_revert_is_not_signed(self, account: tempo.TempoAccount) -> None:
        """The node's reason is told, in words."""
        with pytest.raises(WalletError, match=r"would fail: .* cannot be sent to this recipient"):
            await account.pay(asking(recipient=TESTNET.tokens[1].address))

    @pytest.mark.parametrize(
        "method", ["eth_call", "eth_gasPrice", "eth_estimateGas", "eth_maxPriorityFeePerGas"]
    )
    @pytest.mark.parametrize(
        "fault", [drops, answers(None), answers("soon"), answers({})], ids=["drops", *"123"]
    )
    async def test_trouble_with_the_node_is_a_wallet_error(
        self, method: str, fault: Any, account: tempo.TempoAccount, node: FaultyNode
    ) -> None:
        """Nothing is signed on the word of a node that talks nonsense, or none at all."""
        node.behaviours[method] = fault
        with pytest.raises(WalletError, match=r"cannot be prepared: .* Nothing was paid"):
            await account.pay(asking())

    @pytest.mark.parametrize("method", ["eth_gasPrice", "eth_estimateGas", "eth_maxPriorityFeePerGas"])
    @pytest.mark.parametrize("digits", [5, 9, 13, 24, 25, 64, 65])
    async def test_no_number_is_too_large(
        self, method: str, digits: int, account: tempo.TempoAccount, node: FaultyNode
    ) -> None:
        """A node may name any gas and any fee: what is signed is within `max_fee`, or nothing is."""
        node.behaviours[method] = answers("0x" + "f" * digits)
        try:
            transaction = signed(await account.pay(asking()))
        except WalletError:
            return
        assert transaction.gas_limit * transaction.max_fee_per_gas <= 2 * 10**16

    async def test_a_node_on_another_chain_is_not_believed(self, node: FaultyNode, payer: PrivateKey) -> None:
        """Gas and balance of one chain say nothing about another."""
        node.behaviours["eth_chainId"] = answers("0x1079")
        account = tempo.account(payer, network="testnet", rpc_url=node.url)
        with pytest.raises(WalletError, match="is on chain 4217, not on 42431"):
            await account.pay(asking())
        assert node.methods == ["eth_chainId"]
        await account.aclose()

    async def test_what_was_not_quoted_is_not_paid(self, account: tempo.TempoAccount) -> None:
        """Paying asks again what quoting asked."""
        with pytest.raises(NoAcceptableChallenge):
            await account.pay(issue(tempo.charge(RECIPIENT, network="mainnet")))
        with pytest.raises(UnexpectedTerms):
            await account.pay(issue(tempo.charge(RECIPIENT, currency=MAINNET.currency.address)))

    async def test_nothing_secret_is_logged(
        self,
        account: tempo.TempoAccount,
        node: FaultyNode,
        payer: PrivateKey,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        """Neither key nor transaction, whatever happens, at no log level."""
        caplog.set_level(logging.DEBUG)
        payload = await account.pay(asking())
        node.behaviours["eth_getTransactionReceipt"] = drops
        assert not await account.is_dead(payload)
        said = "\n".join([repr(payload), *(record.getMessage() for record in caplog.records)])
        assert str(payload.payload["signature"])[-130:-66] not in said
        assert payer.to_hex()[2:] not in said


class TestBalance:
    """How much there is, and where more comes from on a test network."""

    async def test_the_faucet_fills_the_account(self, devnet: ThreadedDevnet) -> None:
        """`fund` returns when the money is there."""
        account = tempo.account(PrivateKey.generate(), network="testnet", rpc_url=devnet.rpc_url)
        assert await account.balance(PATH_USD) == 0
        hashes = await tempo.fund(devnet.rpc_url, account.address)
        assert all(len(transaction_hash) == 66 for transaction_hash in hashes)
        assert await account.balance(PATH_USD) == Decimal(1_000_000)
        await account.aclose()

    async def test_a_node_without_a_faucet_says_so(self, node: FaultyNode) -> None:
        """Mainnet gives nothing away."""
        node.behaviours["tempo_fundAddress"] = refuses(-32601, "Method not found")
        with pytest.raises(RpcRefused, match="tempo_fundAddress: Method not found"):
            await tempo.fund(node.url, new_address())

    async def test_a_faucet_that_does_not_deliver_is_given_up_on(self, node: FaultyNode) -> None:
        """Transfers that never get onto the chain end in a timeout, and not in silence."""
        node.behaviours["tempo_fundAddress"] = answers(["0x" + "11" * 32])
        with pytest.raises(RpcTimeout, match=r"after 0\.5 s"):
            await tempo.fund(node.url, new_address(), seconds=0.5)

    async def test_which_network_has_to_be_said(self) -> None:
        """An account on two networks has two balances."""
        with pytest.raises(ConfigurationError, match="network="):
            await tempo.account(KEY).balance(PATH_USD)

    @pytest.mark.parametrize("lie", [lambda word: "0x", lambda word: word + "00", lambda word: 7], ids="123")
    async def test_nonsense_is_no_balance(
        self, lie: Callable[[Any], Any], account: tempo.TempoAccount, node: FaultyNode
    ) -> None:
        """A node that does not answer with a number has not told the balance."""
        node.behaviours["eth_call"] = edits(lie)
        with pytest.raises(WalletError, match="balance cannot be read"):
            await account.balance(PATH_USD)
