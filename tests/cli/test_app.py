"""The command as a whole: help, version, start-up, and the edge where errors end."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys

import pytest

from command import Command, InlineCommand

COMMANDS = [
    (),
    ("pay",),
    ("account",),
    ("account", "create"),
    ("account", "import"),
    ("account", "list"),
    ("account", "show"),
    ("account", "fund"),
    ("account", "default"),
    ("account", "delete"),
    ("payments",),
    ("payments", "list"),
    ("payments", "show"),
    ("payments", "export"),
    ("payments", "totals"),
    ("payments", "refund"),
    ("payments", "reconcile"),
    ("payments", "audit"),
    ("stripe",),
    ("stripe", "simulate-deposit"),
    ("sandbox",),
    ("sandbox", "up"),
    ("sandbox", "tempo"),
    ("sandbox", "stripe"),
    ("sandbox", "link"),
]

HEAVY = (
    "asyncio",
    "ssl",
    "sqlite3",
    "httpx2",
    "httpcore2",
    "coincurve",
    "keyring",
    "cryptography",
    "rich",
    "starlette",
)


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_command_explains_itself(inline: InlineCommand, command: tuple[str, ...]) -> None:
    """--help fits 80 columns, says something of the command and of each option, and has no escape codes.

    What a group says of its commands is whole sentences.
    """
    run = inline(*command, "--help")
    assert (run.code, run.err) == (0, "")
    usage, empty, sentence, *rest = run.text.splitlines()
    assert usage.startswith(f"Usage: {' '.join(('coinslot', *command))} ")
    assert empty == ""
    assert re.match(r"  [A-Z].*\w", sentence)
    assert "\x1b" not in run.text
    assert "..." not in run.text.replace("COMMAND [ARGS]...", "")
    assert max(map(len, run.text.splitlines())) <= 80
    options = [line for line in rest if line.startswith("  -")]
    assert options
    assert all(re.search(r"\S {2,}\S", option) for option in options)


def test_pay_help_has_the_exit_codes(coinslot: Command) -> None:
    """Every code that `pay` can end with is in its help, a line each."""
    from coinslot.cli.output import Exit

    run = coinslot("pay", "--help")
    assert run.code == 0
    lines = run.text.splitlines()
    assert [int(line.split()[0]) for line in lines if re.match(r" +\d+  \S", line)] == [
        *sorted(set(Exit) - {Exit.FAILURE, Exit.DIFFERENCES, Exit.NO_PAYMENT}),
        Exit.FAILURE,
    ]


def test_help_and_mistakes_load_nothing_heavy(coinslot: Command) -> None:
    """Whatever takes long to import is left alone by --help, --version and a mistyped command."""
    for arguments in (["--help"], ["pay", "--help"], ["payments", "list", "--help"], ["--version"], ["payy"]):
        program = (
            "import sys; from coinslot.cli.app import run; run(sys.argv[1:]);"
            f"print('loaded', *sorted(set({HEAVY}) & set(sys.modules)))"
        )
        run = subprocess.run(
            [sys.executable, "-c", program, *arguments],
            env=coinslot.environment,
            capture_output=True,
            text=True,
            check=True,
        )
        assert run.stdout.splitlines()[-1] == "loaded"


def test_version_is_the_packages(coinslot: Command) -> None:
    """--version prints the package's version, by `python -m coinslot` and by the installed script."""
    import coinslot as package

    expected = f"coinslot {package.__version__}\n"
    assert coinslot("--version").text == expected
    script = shutil.which("coinslot", path=f"{sys.prefix}/bin")
    assert script is not None
    run = subprocess.run(
        [script, "--version"], env=coinslot.environment, capture_output=True, text=True, check=True
    )
    assert run.stdout == expected


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["payy", "x"], "Did you mean 'pay'?"),
        (["pay"], "Missing argument 'URL'"),
        (["pay", "x", "--nope"], "No such option: --nope"),
        (["pay", "x", "--timeout", "0"], "--timeout is a number"),
        (["pay", "x", "--timeout", "nan"], "--timeout is a number"),
        (["pay", "ftp://example.com"], "use https"),
        (["pay", "example.com", "--max", "1e3"], "write it as 0.50"),
        (["pay", "example.com", "--max", "-1"], "write it as 0.50"),
        (["pay", "example.com", "--max", "NaN"], "write it as 0.50"),
        (["pay", "example.com", "-H", "nonsense"], "write -H 'Name: value'"),
        (["pay", "example.com", "-d", "@/nowhere"], "cannot be read"),
        (["pay", "example.com", "-r", "nonsense"], "rpc_url"),
        (["pay", "example.com", "-n", "mars"], "testnet"),
        (["pay", "example.com", "--spend-request-id", "lsrq_1", "-a", "me"], "do not go with it"),
    ],
)
def test_wrong_usage_is_2(inline: InlineCommand, arguments: list[str], said: str) -> None:
    """A mistake in the arguments says what is wrong on stderr, and ends with 2 before anything is sent."""
    run = inline(*arguments)
    assert (run.code, run.out) == (2, b"")
    assert said in run.err
    assert "Traceback" not in run.err


def test_unexpected_errors_show_no_traceback_unless_asked(coinslot: Command) -> None:
    """A bug is one sentence without its message, which may hold anything; COINSLOT_DEBUG=1 shows it all."""
    program = (
        "import sys, coinslot.cli.keys as keys;"
        "keys.Keystore.accounts = lambda self: {}['hunter2'];"
        "from coinslot.cli import main; sys.argv[1:] = ['account', 'list']; main()"
    )
    plain, debug = (
        subprocess.run(
            [sys.executable, "-c", program],
            env=coinslot.environment | extra,
            capture_output=True,
            text=True,
            check=False,
        )
        for extra in ({}, {"COINSLOT_DEBUG": "1"})
    )
    assert (plain.returncode, debug.returncode) == (1, 1)
    assert plain.stderr.splitlines() == [
        "coinslot: unexpected KeyError: run it again with COINSLOT_DEBUG=1 to see where"
    ]
    assert "Traceback" in debug.stderr


def test_missing_extra_is_named(coinslot: Command) -> None:
    """Where typer is not installed, the command says what to install."""
    program = "import sys; sys.modules['typer'] = None; from coinslot.cli import main; main()"
    run = subprocess.run(
        [sys.executable, "-c", program], env=coinslot.environment, capture_output=True, text=True, check=False
    )
    assert run.returncode == 1
    assert run.stderr == "coinslot: the command line needs typer: pip install 'coinslot[cli]'\n"
