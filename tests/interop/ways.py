"""The table: the ways in which a Tempo charge is paid, and what some peers cannot do."""

from __future__ import annotations

from typing import Literal, NamedTuple

PARTIES = ("mppx", "pympp", "ours")


class Way(NamedTuple):
    """A way to pay: what the server is told to ask for, and what the client is told to do.

    `chains` are where it is tried: "T0" and "T4" are testnets of these hardforks, "mainnet" is of T0. `kind`
    is what the credential holds. `modes` are what the server offers, `mode` what the client is set to; unless
    said, each does what it does by itself, and so with `expires_in`, the seconds for which a challenge can be
    paid.
    """

    name: str
    chains: tuple[str, ...] = ("T0",)
    kind: str = "transaction"
    price: str = "0.01"
    modes: str | None = None
    mode: Literal["pull", "push"] | None = None
    splits: bool = False
    sponsored: bool = False
    external_id: str | None = None
    body: str | None = None
    relayed: bool = False
    expires_in: int | None = None


_EVERYWHERE = ("T0", "T4")

WAYS = (
    # T4 takes no transaction that is good for more than 30 s. What pympp signs is good for a minute, or until
    # its challenge expires.
    Way("pull", _EVERYWHERE, expires_in=28),
    Way("push", _EVERYWHERE, kind="hash", modes="push", expires_in=28),
    Way("push by choice", _EVERYWHERE, kind="hash", mode="push", expires_in=28),
    Way("sponsored", _EVERYWHERE, sponsored=True, expires_in=28),
    Way("splits", _EVERYWHERE, splits=True, expires_in=28),
    Way("sponsored splits", _EVERYWHERE, sponsored=True, splits=True, expires_in=28),
    Way("pushed splits", kind="hash", mode="push", splits=True),
    Way("proof", kind="proof", price="0"),
    Way("external id", external_id="order-7"),
    Way("body", body='{"question": "π?", "n": [1, 2, 3]}'),
    Way("relayed", relayed=True),
    Way("relayed push", kind="hash", mode="push", relayed=True),
    Way("in five minutes", ("T4",)),
    Way("USDC.e", ("mainnet",)),
    Way("sponsored USDC.e", ("mainnet",), sponsored=True),
)


class Cell(NamedTuple):
    """One of the table's cells: who pays whom, in which way, where."""

    way: Way
    chain: str
    server: str
    client: str

    def __str__(self) -> str:
        return f"{self.way.name}-{self.chain}-{self.client}_pays_{self.server}"


def cells(*ways: str, server: str | None = None, client: str | None = None) -> list[Cell]:
    """The whole table; or these ways where they are tried first, with this server or this client."""
    return [
        Cell(way, chain, seller, buyer)
        for way in WAYS
        for chain in (way.chains[:1] if ways else way.chains)
        for seller in PARTIES
        for buyer in PARTIES
        if (not ways or way.name in ways) and server in (None, seller) and client in (None, buyer)
    ]


class Limit(NamedTuple):
    """What a peer cannot do, in which cells that shows, and how: `says` is sought in the cell's outcome.

    An outcome is the status, the body and the receipt's reference, or what the client said when it gave up.
    In none of these cells does the recipient get anything.
    """

    ways: tuple[str, ...]
    servers: tuple[str, ...]
    clients: tuple[str, ...]
    says: str
    why: str


LIMITS = (
    Limit(
        ("push",),
        ("pympp",),
        PARTIES,
        r"^500 .*supported_modes\s+Extra inputs are not permitted",
        "pympp's server cannot say which modes it takes; it takes both, as `push by choice` shows",
    ),
    Limit(
        ("push",),
        ("mppx", "ours"),
        ("pympp",),
        r"^402 .*(Transaction credentials are not supported|`transaction`; .* paid in push mode only)",
        "pympp's client signs a transaction whatever the modes are",
    ),
    Limit(
        ("push by choice", "pushed splits", "relayed push"),
        PARTIES,
        ("pympp",),
        r"charge\(\) got an unexpected keyword argument 'mode'",
        "pympp's client has no push",
    ),
    Limit(
        ("sponsored splits",),
        ("pympp",),
        PARTIES,
        r"^500 .*splits and fee_payer cannot be used together",
        "pympp's server sponsors no splits",
    ),
    Limit(
        ("proof",),
        ("pympp",),
        ("mppx", "ours"),
        r"Input tag 'proof' found using 'type' does not match any of the expected tags",
        "pympp's server knows no proofs",
    ),
    Limit(
        ("proof",),
        ("mppx", "ours"),
        ("pympp",),
        r"^402 .*(require a proof credential|paid with a payload of type `proof`)",
        "pympp's client knows no proofs: it signs a transfer of nothing",
    ),
    Limit(
        ("proof",),
        ("pympp",),
        ("pympp",),
        r"^200 .* 0x[0-9a-f]{64}$",
        "what pympp has instead of proofs: a transfer of nothing, for a fee",
    ),
    Limit(
        ("in five minutes",),
        PARTIES,
        ("pympp",),
        r"^500 .*(internal-payment-error|InternalPaymentError)|^402 .*validBefore is further ahead than",
        "pympp's client signs what is good for a minute, which is more than T4 takes",
    ),
)


def limit_of(cell: Cell) -> Limit | None:
    """What is known to stand in a cell's way."""
    for limit in LIMITS:
        if cell.way.name in limit.ways and cell.server in limit.servers and cell.client in limit.clients:
            return limit
    return None
