"""What is the PostgreSQL ledger's own: its server, what can go wrong with it, and sharing it."""

from __future__ import annotations

import asyncio
import logging
import time
import traceback
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from itertools import chain
from urllib.parse import quote

import asyncpg  # type: ignore[import-untyped]  # it has no stubs
import pytest
from hypothesis import given, strategies as st

from coinslot.errors import AlreadyClaimed, ConfigurationError, LedgerError
from coinslot.payments.payment import Payment
from coinslot.storage import PostgresLedger, schema
from coinslot.storage.postgres_pool import NOW
from coinslot.storage.postgres_text import from_postgres, numbered, to_postgres
from ledgers import make_payment, make_refund, settled
from postgres import PASSWORD, PostgresServer


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    """A server that may be stopped and killed: nobody else's."""
    with PostgresServer() as running:
        yield running


@pytest.fixture(scope="module")
def unsteady(server: PostgresServer) -> str:
    """The URL of a database on it."""
    return server.new_database()


@pytest.fixture
async def impatient(unsteady: str) -> AsyncIterator[PostgresLedger]:
    """An open ledger on that server, which waits half a second for it."""
    made = PostgresLedger(unsteady, patience=0.5)
    await made.open()
    yield made
    await made.close()


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[PostgresLedger]:
    """A ledger, patient enough for a busy machine."""
    made = PostgresLedger(url, patience=30)
    await made.open()
    yield made
    await made.close()


async def until_it_works(ledger: PostgresLedger, payment: Payment) -> None:
    """Insert, again and again."""
    while True:
        try:
            await ledger.insert(payment)
        except AlreadyClaimed:
            return
        except LedgerError:
            await asyncio.sleep(0.01)


async def found(ledger: PostgresLedger, payments: list[Payment]) -> list[Payment | None]:
    return list(await asyncio.gather(*(ledger.find(payment.challenge_id) for payment in payments)))


# Sharing.


async def test_another_ledger_on_the_same_database_sees_everything(
    postgres_ledger: PostgresLedger, database: str
) -> None:
    """Two instances share payments, unique keys, revisions and leases."""
    async with opened(database) as other:
        payment = make_payment()
        await postgres_ledger.insert(payment)
        assert await other.find(payment.challenge_id) == payment
        with pytest.raises(AlreadyClaimed):
            await other.insert(payment)
        assert await other.replace(payment, settled(payment))
        assert not await postgres_ledger.replace(payment, settled(payment))


async def test_instances_that_open_a_new_database_at_once_make_one_ledger(postgres: PostgresServer) -> None:
    """Eight openings race to make the tables; all succeed, and all share them."""
    url = postgres.new_database()
    ledgers = [PostgresLedger(url, patience=30) for _ in range(8)]
    await asyncio.gather(*(ledger.open() for ledger in ledgers))
    payment = make_payment()
    claims = await asyncio.gather(*(ledger.insert(payment) for ledger in ledgers), return_exceptions=True)
    assert sorted(type(claim).__name__ for claim in claims) == ["AlreadyClaimed"] * 7 + ["NoneType"]
    await asyncio.gather(*(ledger.close() for ledger in ledgers))


async def test_event_loops_can_share_a_ledger(postgres_ledger: PostgresLedger) -> None:
    """Threads with loops of their own insert into one ledger; each loop disconnects when it ends."""
    payments = [[make_payment() for _ in range(20)] for _ in range(4)]

    async def work(mine: list[Payment]) -> None:
        await asyncio.gather(*(postgres_ledger.insert(payment) for payment in mine))
        assert await found(postgres_ledger, mine) == mine

    await asyncio.gather(*(asyncio.to_thread(asyncio.run, work(mine)) for mine in payments))
    everything = list(chain(*payments))
    assert await found(postgres_ledger, everything) == everything


async def test_refunds_of_several_workers_never_exceed_what_was_paid(
    postgres_ledger: PostgresLedger, database: str
) -> None:
    """Ledgers of their own, all at once: what is written fits, and nothing more would."""
    payment = make_payment(amount=100)
    await postgres_ledger.insert(payment)
    async with opened(database) as other:
        answers = await asyncio.gather(
            *(
                ledger.insert_refund(make_refund(payment, amount=7))
                for ledger in (postgres_ledger, other)
                for _ in range(30)
            )
        )
    assert answers.count(True) == 14
    assert sum(refund.amount for refund in await postgres_ledger.select_refunds(payment.challenge_id)) == 98


async def test_closing_finishes_what_was_asked_for(postgres_ledger: PostgresLedger) -> None:
    """Writes that were begun when the ledger was closed are done, and their callers are told so."""
    payments = [make_payment() for _ in range(20)]
    writes = [asyncio.create_task(postgres_ledger.insert(payment)) for payment in payments]
    await asyncio.sleep(0)
    await postgres_ledger.close()
    await asyncio.gather(*writes)
    await postgres_ledger.open()
    assert await found(postgres_ledger, payments) == payments


@pytest.mark.parametrize("closed", [True, False])
async def test_a_ledger_that_is_not_open_says_so(database: str, closed: bool) -> None:
    """Before `open` and after `close` every call is refused."""
    ledger = PostgresLedger(database)
    if closed:
        await ledger.close()
    for call in (ledger.find("c"), ledger.insert(make_payment()), ledger.release("c", "one")):
        with pytest.raises(LedgerError, match=r"not open: await its open"):
            await call


async def test_leases_go_by_the_databases_clock(
    database: str, postgres_ledger: PostgresLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker whose clock is a day ahead does not take what another one holds."""
    async with opened(database) as ledger:
        assert await ledger.lease("c", "one", 60)
        now = time.time()
        monkeypatch.setattr(time, "time", lambda: now + 86_400)
        assert not await ledger.lease("c", "two", 60)
        assert await ledger.lease("d", "one", 0.01)
        while not await ledger.lease("d", "two", 60):
            await asyncio.sleep(0.01)


async def test_lapsed_leases_are_found_without_a_scan(postgres_ledger: PostgresLedger) -> None:
    """What is swept is found by an index, also where nothing has lapsed: time stands still in it."""
    statement = next(postgres_ledger._passing.sweep_leases())
    sql = numbered(statement.sql).replace("wall_clock()", NOW)

    async def explain(connection: asyncpg.Connection) -> str:
        await connection.execute("SET enable_seqscan = off; SET enable_bitmapscan = off")
        return "\n".join(row[0] for row in await connection.fetch(f"EXPLAIN {sql}", *statement.values))

    plan = await (await postgres_ledger._pools.get()).use(explain, 30)
    assert "Index Cond: (until <=" in plan


# The tables.


async def test_other_tables_are_left_alone(postgres: PostgresServer) -> None:
    """A database that has a table `payments` of its own can hold the ledger beside it."""
    url = postgres.new_database()
    postgres.query("CREATE TABLE payments (theirs TEXT); INSERT INTO payments VALUES ('x')", url)
    async with opened(url) as ledger:
        await ledger.insert(make_payment())
    assert postgres.query("SELECT theirs FROM public.payments", url) == "x"
    assert postgres.query("SELECT count(*) FROM coinslot.payments", url) == "1"


async def test_somebody_elses_schema_is_refused_and_left_alone(postgres: PostgresServer) -> None:
    """Where another program has a schema of that name, opening says so and makes nothing."""
    url = postgres.new_database()
    postgres.query("CREATE SCHEMA coinslot; CREATE TABLE coinslot.theirs (x TEXT)", url)
    ledger = PostgresLedger(url)
    with pytest.raises(ConfigurationError, match="another program's"):
        await ledger.open()
    await ledger.close()
    tables = postgres.query("SELECT tablename FROM pg_tables WHERE schemaname = 'coinslot'", url)
    assert tables == "theirs"


async def test_a_newer_releases_tables_are_refused(postgres: PostgresServer) -> None:
    """A schema that this release does not know is not touched, and the error says to upgrade."""
    url = postgres.new_database()
    async with opened(url):
        pass
    postgres.query(f"INSERT INTO coinslot.migrations VALUES ({len(schema.MIGRATIONS) + 1})", url)
    ledger = PostgresLedger(url)
    with pytest.raises(ConfigurationError, match=r"newer release of Coinslot.*upgrade"):
        await ledger.open()
    await ledger.close()


async def test_an_old_database_gets_only_what_is_new(
    postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What migration 1 made, with a payment in it, is brought up to date and keeps it."""
    url = postgres.new_database()
    everything = schema.MIGRATIONS
    for module in ("schema", "postgres_schema"):
        monkeypatch.setattr(f"coinslot.storage.{module}.MIGRATIONS", everything[:1])
    payment = make_payment()
    async with opened(url) as ledger:
        await ledger.insert(payment)
    monkeypatch.undo()
    async with opened(url) as ledger:
        assert await ledger.find(payment.challenge_id) == payment
        assert await ledger.insert_refund(make_refund(payment))
    assert postgres.query("SELECT max(number) FROM coinslot.migrations", url) == str(len(everything))


async def test_a_database_that_cannot_hold_every_text_is_refused(postgres: PostgresServer) -> None:
    """One that is not in UTF-8 is found at start-up, not when a payer has a name."""
    postgres.query("CREATE DATABASE latin ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0")
    ledger = PostgresLedger(postgres.url.removesuffix("postgres") + "latin")
    with pytest.raises(ConfigurationError, match=r"LATIN1.*UTF8"):
        await ledger.open()
    await ledger.close()


async def test_a_database_that_does_not_wait_for_the_disk_is_overruled(postgres: PostgresServer) -> None:
    """Whatever it is set to, a payment's commit is on the disk before anybody is told."""
    url = postgres.new_database()
    name = url.rpartition("/")[2]
    postgres.query(f"ALTER DATABASE {name} SET synchronous_commit = off")
    postgres.query(f"ALTER DATABASE {name} SET default_transaction_isolation = serializable")
    async with opened(url) as ledger:
        pool = await ledger._pools.get()
        for setting, value in (("synchronous_commit", "on"), ("transaction_isolation", "read committed")):
            assert await pool.use(lambda it, name=setting: it.fetchval(f"SHOW {name}"), 30) == value  # type: ignore[misc]  # mypy infers no lambda with a default


# What can go wrong. Each error is a sentence without a secret, it comes in time, and none is the end.


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("postgresql://coinslot:hunter2@127.0.0.1:1/shop", "cannot be reached"),
        ("postgresql://coinslot:hunter2@nowhere.invalid/shop", "cannot be reached"),
        ("postgresql://coinslot:hunter2@[::1/shop", "cannot be understood"),
        ("postgresql://coinslot:hunter2@127.0.0.1:hunter2/shop", "cannot be understood"),
        ("postgresql://coinslot:hunter2@127.0.0.1/shop?sslmode=hunter2", "cannot be understood"),
    ],
)
async def test_a_url_that_leads_nowhere_is_not_repeated(url: str, sentence: str) -> None:
    """The error says what is wrong, and neither it nor its traceback nor `repr` has the password."""
    ledger = PostgresLedger(url, patience=5)
    with pytest.raises((LedgerError, ConfigurationError), match=sentence) as caught:
        await ledger.open()
    assert "hunter2" not in "".join(traceback.format_exception(caught.value)) + repr(ledger)
    await ledger.close()


async def test_a_wrong_password_is_a_ledger_error(postgres: PostgresServer) -> None:
    """So are a user and a database that are not there, and none of the messages has the password."""
    for wrong, sentence in (
        (postgres.url.replace(PASSWORD, "hunter3"), "refuses the user, or the password"),
        (postgres.url.replace("coinslot:", "nobody:"), "refuses the user, or the password"),
        (postgres.url + "_not", "no database of this name"),
    ):
        ledger = PostgresLedger(wrong)
        with pytest.raises(LedgerError, match=sentence) as caught:
            await ledger.open()
        assert "hunter" not in "".join(traceback.format_exception(caught.value))
        await ledger.close()


async def test_a_value_that_the_table_refuses_fails_its_own_caller_only(
    postgres_ledger: PostgresLedger,
) -> None:
    """Text that is not Unicode, a number out of range and a key without end spoil nobody else's write."""
    good = [make_payment() for _ in range(12)]
    bad = [
        make_payment(payer="\ud800"),
        make_payment(attempts=2**63),
        make_payment(reference=None),
        make_payment(proof_key="".join(chr(n % 50_000 + 300) for n in range(20_000))),
    ]
    mixed = list(chain(*zip(good, bad * 3, strict=True)))
    answers = await asyncio.gather(
        *(postgres_ledger.insert(payment) for payment in mixed), return_exceptions=True
    )
    assert answers[::2] == [None] * 12
    assert {str(answer).partition(" (")[0] for answer in answers[1::2]} == {
        "the PostgreSQL ledger refused a value that no payment may have"
    }
    assert await found(postgres_ledger, good) == good


async def test_a_stopped_server_is_a_ledger_error_until_it_is_back(
    server: PostgresServer, impatient: PostgresLedger
) -> None:
    """While it is away every call fails, and afterwards the ledger goes on by itself."""
    before, after = make_payment(), make_payment()
    await impatient.insert(before)
    server.stop()
    try:
        for _ in range(3):
            with pytest.raises(LedgerError, match=r"cannot be reached|was lost|shutting down"):
                await impatient.insert(after)
    finally:
        server.start()
    assert await impatient.find(before.challenge_id) == before
    await impatient.insert(after)


async def test_a_server_that_stands_still_is_a_ledger_error_in_time(
    server: PostgresServer, impatient: PostgresLedger, caplog: pytest.LogCaptureFixture
) -> None:
    """More calls than there are connections all end, and once it goes on so does the ledger."""
    caplog.set_level(logging.DEBUG)
    payment = make_payment()
    await asyncio.gather(*(impatient.find(str(n)) for n in range(20)))  # every connection is made
    server.pause()
    try:
        answers = await asyncio.gather(
            *(impatient.insert(payment) for _ in range(40)),
            *(impatient.insert_refund(make_refund(payment)) for _ in range(5)),
            return_exceptions=True,
        )
    finally:
        server.resume()
    assert [str(answer).partition(" (")[0] for answer in answers] == [
        "the PostgreSQL ledger does not answer in time"
    ] * 45
    await until_it_works(impatient, payment)
    assert await impatient.find(payment.challenge_id) == payment
    assert PASSWORD not in caplog.text


async def test_connections_that_were_cut_are_made_anew(
    server: PostgresServer, impatient: PostgresLedger
) -> None:
    """After somebody ended them all, the ledger works again, and what was acknowledged is there."""
    payments = [make_payment() for _ in range(20)]
    await asyncio.gather(*(impatient.insert(payment) for payment in payments))
    server.query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname LIKE 'shop%'")
    await until_it_works(impatient, make_payment())
    assert await found(impatient, payments) == payments


async def test_what_was_acknowledged_survives_a_kill(server: PostgresServer, unsteady: str) -> None:
    """Killed with -9 while many write: whatever was told done is there afterwards, and so is its claim."""
    payments = [make_payment() for _ in range(300)]
    async with opened(unsteady) as ledger:
        writes = [asyncio.create_task(ledger.insert(payment)) for payment in payments]
        while sum(write.done() for write in writes) < 50:
            await asyncio.sleep(0.001)
        await asyncio.to_thread(server.kill)
        server.start()
        answers = await asyncio.gather(*writes, return_exceptions=True)
        acknowledged = [payment for payment, answer in zip(payments, answers, strict=True) if answer is None]
        assert len(acknowledged) >= 50
        await until_it_works(ledger, make_payment())
        assert await found(ledger, acknowledged) == acknowledged
        for payment in acknowledged[:10]:
            with pytest.raises(AlreadyClaimed):
                await ledger.insert(payment)


async def test_a_lock_that_somebody_holds_is_waited_for_and_no_longer(
    server: PostgresServer, unsteady: str, impatient: PostgresLedger
) -> None:
    """A row that another program keeps locked is an error in time; once it lets go, the ledger goes on."""
    payment = make_payment()
    await impatient.insert(payment)
    other = await asyncpg.connect(unsteady)
    await other.execute("BEGIN; UPDATE coinslot.payments SET reason = 'looking'")
    with pytest.raises(LedgerError, match="does not answer in time"):
        await impatient.replace(payment, settled(payment))
    await other.execute("ROLLBACK")
    await other.close()
    assert await impatient.replace(payment, settled(payment))


async def test_a_database_that_was_emptied_is_a_ledger_error(postgres: PostgresServer) -> None:
    """No new tables are made under a running ledger: they would let every proof pay a second time."""
    url = postgres.new_database()
    async with opened(url) as ledger:
        await ledger.insert(make_payment())
        postgres.query("DROP SCHEMA coinslot CASCADE", url)
        with pytest.raises(LedgerError, match="lost its tables"):
            await ledger.insert(make_payment())


async def test_special_characters_in_a_password_are_percent_encoded(postgres: PostgresServer) -> None:
    """A password can be anything, as in every URL."""
    password = "p@ss/w:rd?#%"
    postgres.query(f"CREATE ROLE shopkeeper LOGIN SUPERUSER PASSWORD '{password}'")
    url = postgres.new_database().replace(f"coinslot:{PASSWORD}", f"shopkeeper:{quote(password, safe='')}")
    async with opened(url) as ledger:
        await ledger.insert(make_payment())


# Text.


@given(st.text(alphabet=st.sampled_from(["\0", "\x10", "@", "a", "\n", "é"])) | st.text())
def test_any_text_can_be_stored_and_comes_back(text: str) -> None:
    """What is stored has no NUL, is different for different texts, and is read as it was."""
    stored = to_postgres(text)
    assert isinstance(stored, str)
    assert "\0" not in stored
    assert from_postgres(stored) == text


def test_statements_are_numbered() -> None:
    """Each question mark is its own value."""
    assert numbered("SELECT ? WHERE (?, ?) > (1, 2)") == "SELECT $1 WHERE ($2, $3) > (1, 2)"
