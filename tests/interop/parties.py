"""Who sells and who buys: the peers' programs, and Coinslot, behind the same two interfaces."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple, Protocol

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse

from coinslot import Payment, Paywall, Wallet
from coinslot.errors import WalletError
from coinslot.methods import tempo
from coinslot.methods.tempo.keys import PrivateKey
from interop.ways import Way
from peer_programs import SECRET, Peer, PeerFailed, Report
from serving import serving

REALM = "127.0.0.1"  # a proof is for the host that it is sent to
RELAY_KEY = "tempo_sk_for_tests"


class Partner(NamedTuple):
    """Who gets a part of the price: an amount (and the same in base units), with this memo or any."""

    recipient: str
    amount: str
    units: int
    memo: bytes | None


class Deal(NamedTuple):
    """What is to happen in one cell: the way, and who is who on which chain.

    `funds` are what the payer has of all tokens together, in base units.
    """

    way: Way
    rpc_url: str
    chain_id: int
    currency: str
    payer: PrivateKey
    funds: int
    recipient: str
    partners: tuple[Partner, ...]
    sponsor: PrivateKey | None
    relay: str | None


class Server(Protocol):
    """Sells {"paid": true, "method": …, "body": …} at /paid."""

    @contextmanager
    def sell(self, deal: Deal) -> Iterator[str]:
        """The URL of it, for as long as it is sold."""
        ...


class Client(Protocol):
    """Buys."""

    def buy(self, url: str, deal: Deal) -> Report:
        """Make the deal's request and pay for it. Raises `PeerFailed`."""
        ...


class PeerServer:
    """A peer's server program."""

    def __init__(self, peer: Peer) -> None:
        self._peer = peer

    @contextmanager
    def sell(self, deal: Deal) -> Iterator[str]:
        """One of the shops of the one process."""
        way = deal.way
        settings = {"chain_id": str(deal.chain_id), "currency": deal.currency, "amount": way.price}
        if way.modes is not None:
            settings["modes"] = way.modes
        if deal.partners:
            settings["splits"] = json.dumps([_split(partner) for partner in deal.partners])
        if deal.sponsor is not None:
            settings["fee_payer_key"] = deal.sponsor.to_hex()
        if deal.relay is not None:
            settings |= {"relay_url": deal.relay, "relay_key": RELAY_KEY}
        if way.external_id is not None:
            settings["external_id"] = way.external_id
        if way.expires_in is not None:
            settings["expires_in"] = str(way.expires_in)
        yield self._peer.shop(deal.rpc_url, deal.recipient, **settings)


class PeerClient:
    """A peer's client program."""

    def __init__(self, peer: Peer) -> None:
        self._peer = peer

    def buy(self, url: str, deal: Deal) -> Report:
        """One of the requests of the one process."""
        settings = {"chain_id": str(deal.chain_id)}
        if deal.way.mode is not None:
            settings["mode"] = deal.way.mode
        if deal.way.body is not None:
            settings |= {"method": "POST", "body": deal.way.body}
        return self._peer.fetch(url, deal.payer.to_hex(), deal.rpc_url, **settings)


class OurServer:
    """A Paywall in this process."""

    @contextmanager
    def sell(self, deal: Deal) -> Iterator[str]:
        """A shop of its own for each deal. It says who paid."""
        way = deal.way
        method = tempo.charge(
            deal.recipient,
            rpc_url=deal.rpc_url,
            chain_id=deal.chain_id,
            currency=deal.currency,
            modes=None if way.modes is None else way.modes.split(","),
            splits=[tempo.Split(to, amount=amount, memo=memo) for to, amount, _, memo in deal.partners],
            fee_payer=None if deal.sponsor is None else tempo.FeePayer(deal.sponsor),
            relay=None if deal.relay is None else tempo.Relay(RELAY_KEY, url=deal.relay),
        )
        paywall = Paywall(
            [method],
            secret_key=SECRET,
            realm=REALM,
            ledger="memory:",
            expires_in=way.expires_in or 300,
        )
        app = FastAPI()
        paywall.attach(app)

        @app.api_route("/paid", methods=["GET", "POST"])
        @paywall.charge(way.price, external_id=way.external_id)
        async def paid(request: Request, payment: Payment) -> JSONResponse:
            body = (await request.body()).decode() or None
            sold = {"paid": True, "method": request.method, "body": body}
            return JSONResponse(sold, headers={"x-payer": str(payment.payer)})

        with serving(app) as url:
            yield f"{url}/paid"


class OurClient:
    """A Wallet in this process."""

    def buy(self, url: str, deal: Deal) -> Report:
        """A wallet of its own for each deal."""
        way = deal.way
        account = tempo.account(deal.payer, rpc_url=deal.rpc_url, mode=way.mode)
        with Wallet([account], max_amount="0.05") as wallet:
            try:
                if way.body is None:
                    response = wallet.get(url)
                else:
                    response = wallet.post(
                        url, content=way.body, headers={"content-type": "application/json"}
                    )
            except WalletError as error:
                raise PeerFailed(f"{type(error).__name__}: {error}") from error
        record = response.extensions.get("payment")
        return Report(
            status=response.status_code,
            body=response.text,
            headers=dict(response.headers),
            receipt=response.headers.get("payment-receipt"),
            credential=record.credential.to_header() if record is not None else None,
        )


def _split(partner: Partner) -> dict[str, str]:
    memo = {} if partner.memo is None else {"memo": "0x" + partner.memo.hex()}
    return {"recipient": partner.recipient, "amount": partner.amount, **memo}
