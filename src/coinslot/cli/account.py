"""`coinslot account`: the accounts that pay, and what they hold."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from coinslot.cli.asking import confirm
from coinslot.cli.output import CommandError, Exit, plain, print_json, print_line, print_table, say

if TYPE_CHECKING:
    from coinslot.cli.holdings import Holdings
    from coinslot.cli.keys import Place
    from coinslot.methods.tempo import PrivateKey

app = typer.Typer(
    help="Make and look after the accounts that pay.",
    epilog=(
        "Keys are kept in the operating system's keychain or, where there is none, in files sealed under a "
        "passphrase (asked for, or COINSLOT_PASSPHRASE). COINSLOT_ACCOUNT names the account to use; "
        "COINSLOT_PRIVATE_KEY takes the place of all of them."
    ),
    rich_markup_mode=None,
    no_args_is_help=True,
)

Name = Annotated[
    str | None,
    typer.Option("-a", "--name", metavar="NAME", help="The account; the default one if not given."),
]
NewName = Annotated[str, typer.Option("-a", "--name", metavar="NAME", help="What to call it.")]
Store = Annotated[
    Literal["keychain", "file"] | None,
    typer.Option(metavar="PLACE", help="Keep the key in the OS keychain, or in a sealed file."),
]
Network = Annotated[
    Literal["mainnet", "testnet"] | None,
    typer.Option("-n", "--network", metavar="NETWORK", help="mainnet or testnet only; else both."),
]
RpcUrl = Annotated[
    str | None,
    typer.Option(
        "-r",
        "--rpc-url",
        metavar="URL",
        envvar="COINSLOT_RPC_URL",
        help="The Tempo node, in place of the public one.",
    ),
]
AsJSON = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Yes = Annotated[bool, typer.Option("-y", "--yes", help="Do not ask.")]


@app.command()
def create(name: NewName = "default", store: Store = None) -> None:
    """Make a new account, and print its address.

    The first account is the default one. An account that exists is never replaced.
    """
    from coinslot.methods.tempo import PrivateKey

    _keep(name, PrivateKey.generate(), store)


@app.command("import")
def import_(name: NewName = "default", store: Store = None) -> None:
    """Make an account of a private key that you have.

    The key is typed in, or read from stdin if that is no terminal.
    """
    from coinslot.errors import ConfigurationError
    from coinslot.methods.tempo import PrivateKey

    try:
        key = PrivateKey.from_hex(_read_key().strip())
    except ConfigurationError as error:
        raise CommandError(str(error), Exit.USAGE) from None
    _keep(name, key, store)


@app.command("list")
def list_(as_json: AsJSON = False) -> None:
    """List the accounts. The default one has a star."""
    from coinslot.cli.keys import Keystore

    keystore = Keystore()
    accounts, default = keystore.accounts(), keystore.default_name()
    if as_json:
        print_json(
            [
                {
                    "name": account.name,
                    "address": account.address,
                    "place": account.place,
                    "created": account.created,
                    "default": account.name == default,
                }
                for account in accounts
            ]
        )
    elif accounts:
        print_table(
            [
                ("*" if account.name == default else "", account.name, account.address, account.place)
                for account in accounts
            ],
            headings=("", "NAME", "ADDRESS", "KEY IN"),
        )
    else:
        say("coinslot: there is no account yet: make one with `coinslot account create`")


@app.command()
def show(
    name: Name = None,
    balance: Annotated[bool, typer.Option("--balance", help="Ask the networks what it holds.")] = False,
    network: Network = None,
    rpc_url: RpcUrl = None,
    reveal_key: Annotated[bool, typer.Option("--reveal-key", help="Print the private key as well.")] = False,
    yes: Yes = False,
    as_json: AsJSON = False,
) -> None:
    """Show an account's address, and what it holds."""
    from coinslot.cli.payer import find_payer

    payer = find_payer(name)
    key = None
    if reveal_key:
        if not yes:
            confirm(f"Print the private key of {payer.label!r}? Whoever sees it can take all it holds.")
        key = payer.unlock().to_hex()
    held = _holdings(payer.address, network, rpc_url) if balance else []
    if as_json:
        content: dict[str, object] = {"name": payer.label, "address": payer.address, "place": payer.place}
        if balance:
            content["balances"] = {holdings.network: _amounts(holdings) for holdings in held}
        if key is not None:
            content["private_key"] = key
        print_json(content)
        return
    rows = [("Name", payer.label), ("Address", payer.address), ("Key in", payer.place)]
    for holdings in held:
        rows += [(holdings.network, f"{amount} {token}") for token, amount in _amounts(holdings).items()]
    if key is not None:
        rows.append(("Private key", key))
    print_table(rows)


@app.command()
def fund(name: Name = None, rpc_url: RpcUrl = None, as_json: AsJSON = False) -> None:
    """Have a test network's faucet send tokens to an account.

    That is the testnet's, or that of the sandbox that --rpc-url names.
    """
    import asyncio

    from coinslot.cli import holdings
    from coinslot.cli.payer import find_payer

    address = find_payer(name).address
    funding = asyncio.run(holdings.fund(address, rpc_url=rpc_url))
    before, after = _amounts(funding.before), _amounts(funding.after)
    if as_json:
        print_json(
            {
                "address": address,
                "network": funding.after.network,
                "transactions": funding.transactions,
                "before": before,
                "after": after,
            }
        )
    else:
        say(f"coinslot: the faucet of {funding.after.network} sent tokens to {address}")
        print_table(
            [(token, before[token], amount) for token, amount in after.items()],
            headings=("TOKEN", "BEFORE", "AFTER"),
        )


@app.command()
def default(name: Annotated[str, typer.Argument(metavar="NAME", help="The account.")]) -> None:
    """Choose the account that pays when none is named."""
    from coinslot.cli.keys import Keystore

    Keystore().set_default(name)


@app.command()
def delete(
    name: Annotated[str, typer.Option("-a", "--name", metavar="NAME", help="The account.")], yes: Yes = False
) -> None:
    """Destroy an account's key. Whatever the account still holds is lost."""
    from coinslot.cli.keys import Keystore

    keystore = Keystore()
    account = keystore.find(name)
    if not yes:
        confirm(f"Destroy the key of {account.name!r} ({account.address})? What it still holds is lost.")
    keystore.remove(account.name)
    say(f"coinslot: deleted {account.name!r} ({account.address})")


def _keep(name: str, key: PrivateKey, place: Place | None) -> None:
    from coinslot.cli.keys import Keystore
    from coinslot.cli.payer import ask_passphrase

    account = Keystore().add(
        name,
        bytes.fromhex(key.to_hex().removeprefix("0x")),
        key.address,
        ask_passphrase=lambda: ask_passphrase(twice=True),
        place=place,
    )
    print_line(account.address)
    where = "the OS keychain" if account.place == "keychain" else "a sealed file"
    say(f"coinslot: made the account {account.name!r}; its key is in {where}")


def _read_key() -> str:
    if sys.stdin.isatty():
        from getpass import getpass

        return getpass("Private key: ")
    return sys.stdin.read(256)


def _holdings(address: str, network: str | None, rpc_url: str | None) -> list[Holdings]:
    import asyncio

    from coinslot.cli.holdings import holdings

    return asyncio.run(holdings(address, network=network, rpc_url=rpc_url))


def _amounts(holdings: Holdings) -> dict[str, str]:
    return {token: plain(amount) for token, amount in holdings.balances.items()}
