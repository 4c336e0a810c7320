"""`coinslot link`: logging in, paying methods and spend requests, against a Link in a box."""

from __future__ import annotations

import json
import re
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from coinslot.sandbox.link import LinkSandbox, ThreadedLinkSandbox, authorization, login_api
from command import Command, InlineCommand, Run
from keychains import MemoryKeychain
from link_parties import CLIENT, CONTEXT, DEVICE_CODE, decide
from token_booth import KEY, SELLER, TokenBooth, token_booth

COMMANDS = [
    (),
    ("login",),
    ("status",),
    ("logout",),
    ("payment-methods",),
    ("payment-methods", "list"),
    ("spend-request",),
    ("spend-request", "create"),
    ("spend-request", "list"),
    ("spend-request", "retrieve"),
    ("spend-request", "request-approval"),
    ("spend-request", "cancel"),
]

ORDER = (
    *("spend-request", "create", "--payment-method-id", "csmrpd_visa"),
    *("--credential-type", "shared_payment_token", "--network-id", SELLER),
    *("--amount", "500", "--context", CONTEXT, "--test"),
)
"""What the guide has, but for --request-approval."""


@pytest.fixture(scope="module", autouse=True)
def short_waits() -> Iterator[None]:
    """A Link that may be asked ten times a second whether its user has decided."""
    with pytest.MonkeyPatch.context() as patch:
        for module in (authorization, login_api):
            patch.setattr(module, "INTERVAL", 0.1)
        yield


@pytest.fixture(scope="module")
def booth() -> Iterator[TokenBooth]:
    """Where tokens are drawn."""
    with token_booth() as booth:
        yield booth


@pytest.fixture(scope="module")
def willing(booth: TokenBooth) -> Iterator[str]:
    """The URL of a Link whose user says yes to everything."""
    sandbox = LinkSandbox(unattended=True, limited=False, stripe_url=booth.url, stripe_key=KEY)
    with ThreadedLinkSandbox(sandbox) as running:
        yield running.url


@pytest.fixture(scope="module")
def attended(booth: TokenBooth) -> Iterator[str]:
    """The URL of a Link whose user is the test."""
    with ThreadedLinkSandbox(LinkSandbox(limited=False, stripe_url=booth.url, stripe_key=KEY)) as sandbox:
        yield sandbox.url


@pytest.fixture
def link(inline: InlineCommand, keychain: MemoryKeychain, willing: str) -> InlineCommand:
    """The command with a session, on a machine with a keychain, with the user who says yes."""
    aim(inline, willing)
    assert inline("link", "login").code == 0
    return inline


def aim(command: Command, url: str) -> None:
    """Have it use this Link."""
    command.environment |= {
        "LINK_API_BASE_URL": url,
        "LINK_AUTH_BASE_URL": url,
        "COINSLOT_PASSPHRASE": "korrekt",
    }


def let_in(command: Command, url: str) -> None:
    """Have it use this Link, with a session that its user gave."""
    client = {"client_id": CLIENT}
    with httpx2.Client(base_url=url, trust_env=False, verify=False) as http:
        login = http.post("/device/code", data=client).json()
        decide(login["verification_uri_complete"], yes=True)
        form = {"grant_type": DEVICE_CODE, "device_code": login["device_code"], **client}
        tokens = http.post("/device/token", data=form).json()
    aim(command, url)
    command.environment["LINK_ACCESS_TOKEN"] = tokens["access_token"]


def read_line(process: subprocess.Popen[bytes], pattern: str) -> str:
    """What `pattern` captures in the first line on stderr that has it."""
    assert process.stderr is not None
    for line in process.stderr:
        if found := re.search(pattern, line.decode()):
            return found[1]
    raise AssertionError(f"no line has {pattern}")


def finish(process: subprocess.Popen[bytes]) -> Run:
    """What a command that was started leaves behind."""
    out, err = process.communicate(timeout=60)
    return Run(process.returncode, out, err.decode())


def attend(command: Command, url: str, *arguments: str, yes: bool = True) -> Run:
    """Log in and run a command, with the user at the pages that it names."""
    aim(command, url)
    with command.start("link", "login") as login:
        decide(read_line(login, r"open (http\S+)"), yes=True)
        assert finish(login).code == 0
    with command.start("link", *arguments) as process:
        page = read_line(process, r"approved at (http\S+)")
        assert read_line(process, r"(waiting) for lsrq_") == "waiting"
        decide(page, yes=yes)
        return finish(process)


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_command_explains_itself(inline: InlineCommand, command: tuple[str, ...]) -> None:
    """--help fits 80 columns, and has a sentence on the command and a word on each option."""
    run = inline("link", *command, "--help")
    assert (run.code, run.err) == (0, "")
    usage, _, sentence, *rest = run.text.splitlines()
    assert usage.startswith(f"Usage: {' '.join(('coinslot', 'link', *command))} ")
    assert re.match(r"  [A-Z].*\w", sentence)
    assert "..." not in run.text.replace("[ARGS]...", "").replace("COMMAND [ARGS]...", "")
    assert max(map(len, run.text.splitlines())) <= 80
    assert [line for line in rest if line.startswith("  -")]


def test_help_loads_nothing_heavy(coinslot: Command) -> None:
    """Neither an HTTP client nor the SDK and its models come with --help."""
    heavy = {"httpx", "httpx2", "link", "asyncio", "ssl", "rich", "keyring", "webbrowser"}
    program = (
        "import sys; from coinslot.cli.app import run; run(['link', 'spend-request', 'create', '--help']);"
        f"print('loaded', *sorted({heavy} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], env=coinslot.environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "loaded"


def test_login_and_payment_with_the_user_at_the_pages(coinslot: Command, attended: str) -> None:
    """The guide's command waits, and says so, for the page that it names, and ends with the token."""
    run = attend(
        coinslot, attended, *ORDER, "--request-approval", "--include", "shared_payment_token", "--json"
    )
    assert run.code == 0
    assert (run.json["status"], run.json["amount"], run.json["network_id"]) == ("approved", 500, SELLER)
    assert run.json["shared_payment_token"]["id"].startswith("spt_")


def test_denied_request_is_4_and_shown(coinslot: Command, attended: str) -> None:
    """Its state is on stdout, the reason on stderr, and no token anywhere."""
    run = attend(coinslot, attended, *ORDER, "--json", yes=False)
    assert (run.code, run.json["status"]) == (4, "denied")
    assert run.err.endswith("was denied\n")
    assert "shared_payment_token" not in run.json


def test_browser_is_opened_where_there_is_one(coinslot: Command, attended: str, tmp_path: Path) -> None:
    """BROWSER gets the login's page, and a request's; not with --no-open, nor in CI."""
    browser, opened = tmp_path / "browser", tmp_path / "opened"
    browser.write_text(f'#!/bin/sh\necho "$1" >> {opened}\n')
    browser.chmod(0o755)
    coinslot.environment["BROWSER"] = f"{browser} %s"
    attend(coinslot, attended, *ORDER)
    login, approval = opened.read_text().splitlines()
    assert login.startswith(f"{attended}/device?code=")
    assert approval.startswith(f"{attended}/approve/lsrq_")
    coinslot("link", *ORDER, "--no-wait", "--no-open")
    coinslot("link", *ORDER, "--no-wait", CI="true")
    assert len(opened.read_text().splitlines()) == 2


def test_session_is_sealed_in_a_private_file(coinslot: Command, willing: str) -> None:
    """Without a keychain the tokens are under the passphrase, in a file that only its owner reads."""
    aim(coinslot, willing)
    login = coinslot("link", "login", "--json")
    assert (login.json["email"], login.json["place"]) == ("jenny.rosen@example.com", "file")
    (file,) = (coinslot.data / "link").glob("*.json")
    assert (stat.S_IMODE(file.stat().st_mode), stat.S_IMODE(file.parent.stat().st_mode)) == (0o600, 0o700)
    assert "lat_test" not in file.read_text() + login.text + login.err
    wrong = coinslot("link", "status", COINSLOT_PASSPHRASE="falsch")
    assert (wrong.code, "does not open the session" in wrong.err) == (69, True)
    assert coinslot("link", "status").code == 0


def test_nobody_to_ask_for_a_passphrase_is_found_first(coinslot: Command, attended: str) -> None:
    """Where the session could not be kept, no login is started."""
    aim(coinslot, attended)
    del coinslot.environment["COINSLOT_PASSPHRASE"]
    run = coinslot("link", "login")
    assert (run.code, run.out) == (69, b"")
    assert ("set COINSLOT_PASSPHRASE" in run.err, "open http" in run.err) == (True, False)


def test_session_is_in_the_keychain_if_there_is_one(link: InlineCommand, keychain: MemoryKeychain) -> None:
    """One entry, no token in the file; logging out takes both away and ends the session at Link."""
    ((service, entry),) = keychain.entries
    assert (service, entry.startswith("link:")) == ("coinslot", True)
    (file,) = (link.data / "link").glob("*.json")
    assert json.loads(file.read_text())["tokens"] == {"place": "keychain", "entry": entry}
    secret = bytes.fromhex(keychain.entries["coinslot", entry])
    out = link("link", "logout")
    assert (out.code, out.err, keychain.entries) == (0, "coinslot: logged out\n", {})
    assert not file.exists()
    status = link("link", "status", "--json")
    assert (status.code, status.json) == (69, {"authenticated": False})
    assert "use `coinslot link login`" in status.err
    revoked = link("link", "status", LINK_ACCESS_TOKEN=json.loads(secret)["access_token"])
    assert (revoked.code, "renew LINK_ACCESS_TOKEN" in revoked.err) == (69, True)


def test_second_login_keeps_the_session(link: InlineCommand, keychain: MemoryKeychain) -> None:
    """Who is logged in already is told so, and nothing is begun."""
    before = dict(keychain.entries)
    again = link("link", "login")
    assert (again.code, again.text) == (0, "jenny.rosen@example.com\n")
    assert ("there is a session already" in again.err, keychain.entries) == (True, before)


def test_lost_session_can_be_replaced(link: InlineCommand, keychain: MemoryKeychain) -> None:
    """What to do when the keychain has forgotten it is to log in again, and that works."""
    keychain.entries.clear()
    status = link("link", "status")
    assert (status.code, "log in again" in status.err) == (69, True)
    assert link("link", "login").code == 0
    assert link("link", "status").code == 0


def test_status_shows_whose_wallet_it_is(link: InlineCommand, willing: str) -> None:
    """For people and for programs."""
    shown = link("link", "status")
    assert "jenny.rosen@example.com" in shown.text
    assert link("link", "status", "--json").json == {
        "authenticated": True,
        "email": "jenny.rosen@example.com",
        "name": "Jenny Rosen",
        "place": "keychain",
        "api_url": willing,
    }


def test_payment_methods_are_listed(link: InlineCommand) -> None:
    """A line each with a star at the default, or JSON."""
    heading, first, *_ = link("link", "payment-methods", "list").text.splitlines()
    assert heading.split() == ["ID", "NAME", "NUMBER", "EXPIRES"]
    assert first.split() == ["*", "csmrpd_visa", "Visa", "visa", "4242", "12/2034"]
    (found, *_) = link("link", "payment-methods", "list", "--json").json
    assert (found["id"], found["is_default"]) == ("csmrpd_visa", True)


def test_token_is_printed_only_if_asked_for(link: InlineCommand) -> None:
    """Neither text nor JSON has it without --include."""
    made = link("link", *ORDER, "--json")
    assert (made.code, made.json["status"], "spt_" in made.text) == (0, "approved", False)
    identifier = made.json["id"]
    assert "spt_" not in link("link", "spend-request", "retrieve", identifier, "--wait").text
    for flags in ([], ["--json"], ["--wait"]):
        shown = link(
            "link", "spend-request", "retrieve", identifier, "--include", "shared_payment_token", *flags
        )
        assert (shown.code, "spt_" in shown.text) == (0, True)


def test_what_is_ordered_reaches_link(link: InlineCommand) -> None:
    """Items, sums and metadata, commas in them included."""
    items = ("--line-item", "name:Salt, coarse,quantity:2,unit_amount:250", "--line-item", "name:Bag")
    sums = ("--total", "type:total,display_text:Total,amount:500")
    made = link(
        "link", *ORDER, *items, *sums, "--metadata", "order:a:b", "--metadata", "team:c", "--json"
    ).json
    assert made["line_items"] == [
        {"name": "Salt, coarse", "quantity": 2, "unit_amount": 250},
        {"name": "Bag"},
    ]
    assert made["totals"] == [{"type": "total", "display_text": "Total", "amount": 500}]
    assert made["metadata"] == {"order": "a:b", "team": "c"}


def test_request_from_creation_to_cancellation(inline: InlineCommand, attended: str) -> None:
    """Made without approval, put to its user, listed, waited for in vain, and taken back."""
    coinslot = inline
    let_in(coinslot, attended)
    made = coinslot("link", *ORDER, "--no-request-approval", "--json")
    identifier = made.json["id"]
    assert (made.code, made.json["status"], made.err) == (0, "created", "")
    asked = coinslot("link", "spend-request", "request-approval", identifier)
    assert f"{identifier} is to be approved at {attended}/approve/{identifier}" in asked.err
    assert identifier in coinslot("link", "spend-request", "list").text
    late = coinslot("link", "spend-request", "retrieve", identifier, "--wait", "--timeout", "0", "--json")
    assert (late.code, late.json["status"]) == (28, "pending_approval")
    assert "may yet be" in late.err
    cancelled = coinslot("link", "spend-request", "cancel", identifier, "--json")
    assert (cancelled.code, cancelled.json["status"]) == (0, "canceled")
    again = coinslot("link", "spend-request", "cancel", identifier)
    assert (again.code, again.out, "cannot be canceled" in again.err) == (22, b"", True)
    ids = [one["id"] for one in coinslot("link", "spend-request", "list", "--include-history", "--json").json]
    assert identifier in ids
    assert identifier not in coinslot("link", "spend-request", "list").text


def test_interrupted_wait_leaves_the_request(coinslot: Command, attended: str) -> None:
    """Ctrl-C ends the command with 130 and no traceback; the request waits on."""
    let_in(coinslot, attended)
    with coinslot.start("link", *ORDER) as process:
        identifier = read_line(process, r"waiting for (\S+)")
        time.sleep(1)
        process.send_signal(signal.SIGINT)
        run = finish(process)
    assert (run.code, run.out, run.err) == (130, b"", "")
    assert (
        coinslot("link", "spend-request", "retrieve", identifier, "--json").json["status"]
        == "pending_approval"
    )


def test_card_that_needs_attention_is_4(link: InlineCommand) -> None:
    """What has to be done is shown, and nothing is waited for."""
    run = link("link", *ORDER, "--payment-method-id", "csmrpd_expired")
    assert (run.code, "This card has expired" in run.text) == (4, True)


def test_expired_session_is_refreshed_and_kept(inline: InlineCommand, keychain: MemoryKeychain) -> None:
    """The next command finds the new tokens; the old ones are no longer in the keychain."""
    with ThreadedLinkSandbox(LinkSandbox(unattended=True, token_lifetime=1)) as sandbox:
        aim(inline, sandbox.url)
        assert inline("link", "login").code == 0
        seen = [dict(keychain.entries)]
        for _ in range(2):
            assert inline("link", "payment-methods", "list").code == 0
            seen.append(dict(keychain.entries))
    assert [len(entries) for entries in seen] == [1, 1, 1]
    assert len({next(iter(entries)) for entries in seen}) == 3


def test_given_session_takes_the_place_of_the_kept_one(link: InlineCommand, keychain: MemoryKeychain) -> None:
    """LINK_ACCESS_TOKEN is used, refreshed with LINK_REFRESH_TOKEN, and never kept."""
    (secret,) = keychain.entries.values()
    tokens = json.loads(bytes.fromhex(secret))
    given = {"LINK_ACCESS_TOKEN": "void", "LINK_REFRESH_TOKEN": tokens["refresh_token"]}
    status = link("link", "status", "--json", **given)
    assert (status.code, status.json["place"]) == (0, "environment")
    assert "was refreshed; the new tokens are not kept" in status.err
    assert list(keychain.entries.values()) == [secret]
    login = link("link", "login", **given)
    assert (login.code, "unset it to log in" in login.err) == (2, True)


def test_session_is_for_one_api(link: InlineCommand) -> None:
    """Its tokens are not sent to another API than the one that it was made for."""
    run = link("link", "status", "--api-url", "https://api.example.com")
    assert (run.code, "is for the API at" in run.err) == (69, True)


def test_logout_works_without_link(inline: InlineCommand, keychain: MemoryKeychain) -> None:
    """What is kept here goes even if Link does not answer; that the session lives on is said."""
    with ThreadedLinkSandbox(LinkSandbox(unattended=True)) as sandbox:
        aim(inline, sandbox.url)
        assert inline("link", "login").code == 0
    out = inline("link", "logout")
    assert (out.code, "lives on at Link" in out.err, keychain.entries) == (0, True, {})
    assert inline("link", "logout").err == "coinslot: there is no session\n"


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("status", "--api-url", "http://evil.example"), 2, "--api-url"),
        (("status", "--auth-url", "nonsense"), 2, "--auth-url"),
        ((*ORDER, "--context", "coffee"), 2, "it is what your user reads"),
        ((*ORDER, "--line-item", "title:x"), 2, "its keys are name,"),
        ((*ORDER, "--line-item", "name:x,quantity:two"), 2, "quantity"),
        ((*ORDER, "--total", "type:total"), 2, "display_text"),
        ((*ORDER, "--metadata", "x"), 2, "key:value"),
        ((*ORDER, "--include", "card"), 2, "shared_payment_token"),
        ((*ORDER, "--amount", "0"), 2, "--amount"),
        ((*ORDER, "--amount", "5.5"), 2, "--amount"),
        ((*ORDER, "--credential-type", "card"), 2, "--credential-type"),
        ((*ORDER, "--amount", "60000"), 22, "at most 50000"),
        (("spend-request", "retrieve", "lsrq_0"), 22, "knows no spend request 'lsrq_0'"),
        (("spend-request", "retrieve", "../payment-details"), 22, "knows no spend request"),
    ],
)
def test_mistakes_are_told(link: InlineCommand, arguments: tuple[str, ...], code: int, said: str) -> None:
    """One sentence on stderr, nothing on stdout, and a code that says whose mistake it was."""
    run = link("link", *arguments)
    assert (run.code, run.out) == (code, b"")
    assert said in run.err
    assert "Traceback" not in run.err


def test_link_that_does_not_answer_is_7(inline: InlineCommand, keychain: MemoryKeychain) -> None:
    """No connection has curl's code, whatever was asked."""
    aim(inline, "http://127.0.0.1:1")
    for run in (inline("link", "login"), inline("link", "status", LINK_ACCESS_TOKEN="x")):
        assert (run.code, "cannot be reached" in run.err) == (7, True)


def test_missing_extra_is_named(inline: InlineCommand, coinslot: Command) -> None:
    """Where the SDK is not installed, the command says what to install."""
    program = "import sys; sys.modules['link'] = None; from coinslot.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", program, "link", "status"],
        env=coinslot.environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr == "coinslot: Link needs link, which is not installed: pip install 'coinslot[link]'\n"


def test_sandbox_runs_until_it_is_stopped(coinslot: Command, tmp_path: Path) -> None:
    """It says where it listens, keeps a session over a restart, and ends with 0 on SIGTERM."""
    state, port = str(tmp_path / "link.db"), "0"
    for run in ("first", "second"):
        process = coinslot.start("sandbox", "link", "--port", port, "--state", state, "--unattended")
        try:
            assert process.stdout is not None
            line = process.stdout.readline().decode()
            found = re.fullmatch(r"Link sandbox on (http://127\.0\.0\.1:(\d+))\n", line)
            assert found is not None
            port = found[2]
            aim(coinslot, found[1])
            if run == "first":
                assert coinslot("link", "login").code == 0
            assert coinslot("link", "status").code == 0
        finally:
            process.send_signal(signal.SIGTERM)
            _, err = process.communicate(timeout=30)
        assert (process.returncode, err) == (0, b"")
