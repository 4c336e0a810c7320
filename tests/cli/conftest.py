"""The command in a home of its own, and shops for it to pay at."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import keyring
import keyring.backends.fail
import pytest
from fastapi import FastAPI, Request
from fastapi.responses import RedirectResponse, StreamingResponse

from coinslot import Paywall
from coinslot.cli import sealing
from coinslot.methods import tempo
from coinslot.sandbox.tempo import ThreadedDevnet
from command import Command, InlineCommand
from keychains import MemoryKeychain
from serving import serving
from stall import Pitch, Shop, serve_pitch


@pytest.fixture
def coinslot(tmp_path: Path) -> Command:
    """The command, used for the first time."""
    return Command(tmp_path)


@pytest.fixture
def inline(tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> InlineCommand:
    """The same, without the cost of a process."""
    return InlineCommand(tmp_path, capfdbinary)


@pytest.fixture
def no_keychain() -> Iterator[None]:
    """A machine that keyring finds no keychain on."""
    before = keyring.get_keyring()
    keyring.set_keyring(keyring.backends.fail.Keyring())  # type: ignore[no-untyped-call]  # keyring is not annotated there
    yield
    keyring.set_keyring(before)


@pytest.fixture
def keychain() -> Iterator[MemoryKeychain]:
    """A machine with a keychain."""
    before = keyring.get_keyring()
    backend = MemoryKeychain()
    keyring.set_keyring(backend)
    yield backend
    keyring.set_keyring(before)


@pytest.fixture
def cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    """scrypt at a thousandth of its cost."""
    monkeypatch.setattr(sealing, "_N", 2**7)


@pytest.fixture(scope="session")
def funded(devnet: ThreadedDevnet) -> tempo.PrivateKey:
    """An account with plenty of every token."""
    key = tempo.PrivateKey.generate()
    devnet.fund(key.address)
    return key


@pytest.fixture
def payer(coinslot: Command, devnet: ThreadedDevnet, funded: tempo.PrivateKey) -> Command:
    """The command, with money to spend on the devnet."""
    coinslot.environment |= {"COINSLOT_PRIVATE_KEY": funded.to_hex(), "COINSLOT_RPC_URL": devnet.rpc_url}
    return coinslot


@pytest.fixture(scope="session")
def paid_api(devnet: ThreadedDevnet) -> Iterator[str]:
    """The URL of a real server behind a real Paywall that takes money on the devnet."""
    method = tempo.charge(
        recipient="0x742d35Cc6634c0532925a3b844bC9e7595F8fE00", network="testnet", rpc_url=devnet.rpc_url
    )
    paywall = Paywall(
        [method], secret_key="a secret of at least thirty-two bytes", ledger="memory:", realm="api"
    )
    app = FastAPI()
    paywall.attach(app)

    @app.get("/free")
    async def free() -> str:
        return "free"

    @app.get("/paid")
    @paywall.charge("0.01", description="a fortune cookie")
    async def paid() -> str:
        return "paid"

    @app.get("/stream")
    @paywall.charge("0.01")
    async def stream() -> StreamingResponse:
        return StreamingResponse(iter([b"stre", b"am"]))

    @app.get("/dear")
    @paywall.charge("5.00")
    async def dear() -> str:
        return "dear"

    @app.post("/echo")
    @paywall.charge("0.02")
    async def echo(request: Request) -> str:
        return f"{request.headers['content-type']}: {(await request.body()).decode()}"

    @app.get("/moved")
    async def moved() -> RedirectResponse:
        return RedirectResponse("/paid")

    with serving(app) as url:
        yield url


@pytest.fixture(scope="session")
def pitch() -> Iterator[Pitch]:
    """A place to open a shop at."""
    with serve_pitch() as pitch:
        yield pitch


@pytest.fixture
def shop(pitch: Pitch) -> Shop:
    """A shop whose answers a test chooses."""
    return pitch.open()
