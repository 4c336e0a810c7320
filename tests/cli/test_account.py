"""`coinslot account`: keys made, kept, shown and destroyed, and money from a real faucet."""

from __future__ import annotations

import json
import re

import pytest

from coinslot.methods import tempo
from coinslot.sandbox.tempo import ThreadedDevnet
from command import Command, InlineCommand, Terminal
from keychains import MemoryKeychain
from stall import Answer, Shop, Visit

SECRET = "0x59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d"
ADDRESS = "0x70997970C51812dc3A010C7d01b50e0d17dc79C8"


@pytest.fixture
def sealed(inline: InlineCommand, no_keychain: None, cheap: None) -> InlineCommand:
    """The command on a machine without a keychain, with a passphrase in its environment."""
    inline.environment["COINSLOT_PASSPHRASE"] = "korrekt"
    return inline


def test_account_from_beginning_to_end(coinslot: Command) -> None:
    """In processes of their own: create prints the address, list has it, show reveals its key, delete."""
    coinslot.environment["COINSLOT_PASSPHRASE"] = "korrekt"
    created = coinslot("account", "create")
    address = created.text.strip()
    assert created.code == 0
    assert re.fullmatch("0x[0-9a-fA-F]{40}", address)
    assert created.err == "coinslot: made the account 'default'; its key is in a sealed file\n"
    (listed,) = coinslot("account", "list", "--json").json
    assert listed.pop("created")
    assert listed == {"name": "default", "address": address, "place": "file", "default": True}
    shown = coinslot("account", "show", "--reveal-key", "--yes", "--json").json
    assert tempo.PrivateKey.from_hex(shown["private_key"]).address == address
    deleted = coinslot("account", "delete", "-a", "default", "--yes")
    assert (deleted.code, deleted.err) == (0, f"coinslot: deleted 'default' ({address})\n")
    assert coinslot("account", "list").err.startswith("coinslot: there is no account yet")


def test_create_never_replaces(sealed: InlineCommand) -> None:
    """A second account of the same name is refused with 1, and the first stays what it is."""
    first = sealed("account", "create", "-a", "purse").text
    again = sealed("account", "create", "-a", "purse")
    assert (again.code, again.out) == (1, b"")
    assert "there is an account called 'purse' already" in again.err
    assert first.strip() in sealed("account", "show", "-a", "purse").text


def test_list_is_aligned_and_marks_the_default(sealed: InlineCommand) -> None:
    """One line an account, in columns, with a star for the default, which `account default` moves."""
    for name in ("b", "a-long-name"):
        sealed("account", "create", "-a", name)
    heading, *lines = sealed("account", "list").text.splitlines()
    assert [line.split()[:-2] for line in lines] == [["a-long-name"], ["*", "b"]]
    column = heading.index("ADDRESS")
    assert all(line[column:].startswith("0x") for line in lines)
    assert sealed("account", "default", "a-long-name").code == 0
    assert "*  a-long-name" in sealed("account", "list").text
    assert sealed("account", "default", "nobody").code == 69


def test_import_keeps_a_given_key(sealed: InlineCommand) -> None:
    """A key from stdin becomes an account; what is no key is refused without being quoted."""
    assert sealed("account", "import", "-a", "dev", stdin=f"{SECRET}\n".encode()).text == f"{ADDRESS}\n"
    shown = sealed("account", "show", "--reveal-key", "-y", "-a", "dev", "--json").json
    assert shown["private_key"] == SECRET
    bad = sealed("account", "import", "-a", "bad", stdin=b"hunter2\n")
    assert bad.code == 2
    assert "hunter2" not in bad.err


def test_key_is_shown_only_if_asked_twice(sealed: InlineCommand) -> None:
    """show has the address and not the key; --reveal-key and delete want a terminal to ask on, or --yes."""
    sealed("account", "import", stdin=SECRET.encode())
    shown = sealed("account", "show").text
    assert ADDRESS in shown
    assert SECRET.removeprefix("0x") not in shown
    for arguments in (["show", "--reveal-key"], ["delete", "-a", "default"]):
        refused = sealed("account", *arguments)
        assert (refused.code, refused.out) == (2, b"")
        assert "say --yes" in refused.err
    assert sealed("account", "delete").code == 2
    assert ADDRESS in sealed("account", "list").text


def test_wrong_or_missing_passphrase_is_69(sealed: InlineCommand) -> None:
    """A wrong passphrase, an empty one, and nobody to ask for one are errors of one sentence."""
    sealed("account", "create")
    wrong = sealed("account", "show", "--reveal-key", "-y", COINSLOT_PASSPHRASE="falsch")
    assert (wrong.code, wrong.err) == (69, "coinslot: that passphrase does not open the account 'default'\n")
    empty = sealed("account", "create", "-a", "other", COINSLOT_PASSPHRASE="")
    assert (empty.code, empty.err) == (69, "coinslot: an empty passphrase protects nothing: choose one\n")


def test_nobody_to_ask_for_a_passphrase_is_69(coinslot: Command) -> None:
    """Without a terminal the passphrase has to be in the environment, and the error says in what."""
    run = coinslot("account", "create")
    assert (run.code, run.out) == (69, b"")
    assert "set COINSLOT_PASSPHRASE" in run.err


def test_keychain_keeps_the_key_if_there_is_one(inline: InlineCommand, keychain: MemoryKeychain) -> None:
    """With a keychain nobody is asked for anything; --store file leaves it alone."""
    created = inline("account", "create")
    assert "its key is in the OS keychain" in created.err
    assert list(keychain.entries) == [("coinslot", created.text.strip())]
    assert inline("account", "show", "--json").json["place"] == "keychain"
    keychain.is_locked = True
    locked = inline("account", "show", "--reveal-key", "-y")
    assert (locked.code, locked.err) == (
        69,
        "coinslot: the OS keychain would not give the key: unlock it and try again\n",
    )


def test_insisting_on_a_keychain_where_there_is_none_is_69(sealed: InlineCommand) -> None:
    """--store keychain makes no file in its stead."""
    run = sealed("account", "create", "--store", "keychain")
    assert (run.code, run.err) == (69, "coinslot: there is no OS keychain here: use --store file\n")


def test_environment_names_the_account(sealed: InlineCommand) -> None:
    """--name comes before COINSLOT_PRIVATE_KEY, that before COINSLOT_ACCOUNT, and that before the default."""
    addresses = {name: sealed("account", "create", "-a", name).text.strip() for name in ("one", "two")}
    assert sealed("account", "show", "--json").json["address"] == addresses["one"]
    sealed.environment["COINSLOT_ACCOUNT"] = "two"
    assert sealed("account", "show", "--json").json["address"] == addresses["two"]
    sealed.environment["COINSLOT_PRIVATE_KEY"] = SECRET
    assert sealed("account", "show", "--json").json == {
        "name": "COINSLOT_PRIVATE_KEY",
        "address": ADDRESS,
        "place": "environment",
    }
    assert sealed("account", "show", "-a", "one", "--json").json["address"] == addresses["one"]


def test_faucet_funds_and_balance_shows_it(sealed: InlineCommand, devnet: ThreadedDevnet) -> None:
    """fund prints every token's balance before and after; show --balance has the same from then on."""
    sealed.environment["COINSLOT_RPC_URL"] = devnet.rpc_url
    address = sealed("account", "create").text.strip()
    funded = sealed("account", "fund")
    assert funded.code == 0
    assert [line.split() for line in funded.text.splitlines()][:2] == [
        ["TOKEN", "BEFORE", "AFTER"],
        ["pathUSD", "0", "1000000"],
    ]
    shown = sealed("account", "show", "--balance")
    assert "testnet  1000000 pathUSD" in shown.text
    again = sealed("account", "fund", "--json").json
    assert (again["address"], again["network"]) == (address, "testnet")
    assert (again["before"]["AlphaUSD"], again["after"]["AlphaUSD"]) == ("1000000", "2000000")
    assert all(re.fullmatch("0x[0-9a-f]{64}", transaction) for transaction in again["transactions"])
    balances = sealed("account", "show", "--balance", "--json").json["balances"]
    assert balances["testnet"]["pathUSD"] == "2000000"


def test_node_that_is_not_there_is_7(sealed: InlineCommand) -> None:
    """A node that cannot be reached, and a URL that is none, are told apart."""
    sealed.environment["COINSLOT_PRIVATE_KEY"] = SECRET
    gone = sealed("account", "fund", "-r", "http://127.0.0.1:1")
    assert (gone.code, gone.out) == (7, b"")
    assert "cannot be reached" in gone.err
    assert sealed("account", "show", "--balance", "-r", "nonsense").code == 2


def test_node_without_a_faucet_is_2(sealed: InlineCommand, shop: Shop) -> None:
    """A node of a network whose money is real says that it has no faucet; one of an unknown chain is 1."""
    answers: dict[str, dict[str, object]] = {
        "eth_chainId": {"result": hex(4217)},
        "eth_call": {"result": "0x" + "00" * 32},
        "tempo_fundAddress": {"error": {"code": -32601, "message": "Method not found"}},
    }

    def node(visit: Visit) -> Answer:
        request = json.loads(visit.body)
        return Answer(200, body=json.dumps({"id": request["id"], **answers[request["method"]]}).encode())

    sealed.environment |= {"COINSLOT_PRIVATE_KEY": SECRET, "COINSLOT_RPC_URL": shop.sell("/", node)}
    run = sealed("account", "fund")
    assert (run.code, run.err) == (2, "coinslot: this node has no faucet: those of test networks have\n")
    answers["eth_call"] = {"error": {"code": 3, "message": "execution reverted"}}
    refused = sealed("account", "show", "--balance")
    assert (refused.code, refused.err) == (1, "coinslot: the node refused: execution reverted\n")
    answers["eth_chainId"] = {"result": "0x1"}
    unknown = sealed("account", "show", "--balance")
    assert (unknown.code, unknown.out) == (1, b"")
    assert "the node is on chain 1, whose tokens are not known here" in unknown.err


def test_passphrase_is_asked_twice_and_not_echoed(coinslot: Command) -> None:
    """At a terminal, create asks for a passphrase and for the same again, and shows neither."""
    terminal = Terminal(coinslot, "account", "create")
    terminal.read_until("Passphrase: ")
    terminal.type("hunter2\n")
    terminal.read_until("The same again: ")
    terminal.type("hunter2\n")
    assert terminal.finish() == 0
    assert "hunter2" not in terminal.seen
    shown = coinslot("account", "show", "--reveal-key", "-y", COINSLOT_PASSPHRASE="hunter2")
    assert shown.code == 0


def test_mistyped_passphrase_makes_nothing(coinslot: Command) -> None:
    """Two different passphrases make no account."""
    terminal = Terminal(coinslot, "account", "create")
    terminal.read_until("Passphrase: ")
    terminal.type("hunter2\n")
    terminal.read_until("The same again: ")
    terminal.type("hunter3\n")
    assert terminal.finish() == 69
    assert not (coinslot.data / "accounts").exists()


def test_deleting_asks_at_a_terminal(coinslot: Command) -> None:
    """delete asks, and anything but yes keeps the account."""
    coinslot.environment["COINSLOT_PASSPHRASE"] = "korrekt"
    address = coinslot("account", "create").text.strip()
    terminal = Terminal(coinslot, "account", "delete", "-a", "default")
    terminal.read_until("[y/N]")
    assert address in terminal.seen
    terminal.type("n\n")
    assert terminal.finish() == 1
    assert address in coinslot("account", "list").text


def test_prompt_while_paying_can_be_left(coinslot: Command, devnet: ThreadedDevnet, paid_api: str) -> None:
    """Ctrl-C at the passphrase that a price asks for ends the command at once, and nothing was paid."""
    created = coinslot("account", "create", COINSLOT_PASSPHRASE="korrekt")
    assert created.code == 0
    coinslot.environment["COINSLOT_RPC_URL"] = devnet.rpc_url
    terminal = Terminal(coinslot, "pay", f"{paid_api}/paid")
    terminal.read_until("Passphrase: ")
    terminal.type("\x03")
    assert terminal.finish() == 130
    assert "coinslot: interrupted" in terminal.seen
    assert coinslot.unfinished() == []


def test_emphasis_is_for_terminals(coinslot: Command) -> None:
    """A table has escape codes at a terminal, and none in a pipe."""
    coinslot.environment["COINSLOT_PASSPHRASE"] = "korrekt"
    coinslot("account", "create")
    terminal = Terminal(coinslot, "account", "list")
    assert terminal.finish() == 0
    assert "\x1b[1m" in terminal.seen
    assert "\x1b" not in coinslot("account", "list").text
