"""Paying over real HTTP: what goes over the wire, what the caller gets, and what never happens."""

from __future__ import annotations

import asyncio
import base64
import gzip
import threading
from collections.abc import AsyncIterator, Generator
from decimal import Decimal

import httpx2
import pytest

from coinslot.client import Outcome, PaymentRecord, Wallet
from coinslot.errors import (
    BodyNotReplayable,
    ChallengeExpired,
    InsufficientFunds,
    NoAcceptableChallenge,
    OverLimit,
    PaymentUndecided,
    UnexpectedTerms,
    UnsafeOrigin,
)
from coinslot.protocol import content_digest, problem_body
from stall import DROP, Answer, Buyer, Purse, RevocablePurse, Shop, Visit, goods, offer, price, problem


def payment_of(response: httpx2.Response) -> PaymentRecord:
    """The payment on a response."""
    record = response.extensions["payment"]
    assert isinstance(record, PaymentRecord)
    return record


# The happy path


async def test_a_paid_get(buyer: Buyer, shop: Shop) -> None:
    """A 402 is paid and the caller gets the goods, with the payment and its receipt beside them."""
    purse = Purse()
    response = await buyer.get(buyer.wallet(purse), shop.sell("/paid", price(offer(25))))
    assert (response.status_code, response.content) == (200, b"the goods")
    record = payment_of(response)
    assert record.outcome is Outcome.PAID
    assert record.quote.amount == Decimal("0.25")
    assert record.receipt is not None
    assert record.reference == record.receipt.reference == "settled-secret-1"
    assert [visit.method for visit in shop.visits] == ["GET", "GET"]
    assert [challenge.id for challenge in purse.paid] == [record.challenge.id]


async def test_a_free_resource(buyer: Buyer, shop: Shop) -> None:
    """What is not asked to be paid costs nothing, is sent once, and carries no payment."""
    purse = Purse()
    response = await buyer.get(buyer.wallet(purse), shop.url + "/free")
    assert response.content == b"free"
    assert "payment" not in response.extensions
    assert len(shop.visits) == 1
    assert not purse.quoted


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
async def test_a_body_in_memory_is_sent_again_as_it_was(buyer: Buyer, shop: Shop, method: str) -> None:
    """The paid request has the method, the headers and the body of the first, whatever `replay_limit` is."""
    url = shop.sell("/paid")
    document = {"text": "x" * 100}
    wallet = buyer.wallet(Purse(), replay_limit=10)
    response = await buyer.request(wallet, method, url, json=document, headers={"x-own": "1"})
    assert response.status_code == 200
    first, second = shop.visits
    assert first.body == second.body == httpx2.Request("POST", url, json=document).content
    assert (first.method, second.method) == (method, method)
    for name in ("x-own", "content-type", "content-length"):
        assert first.values(name) == second.values(name)


async def test_a_streamed_upload_is_kept_and_sent_again(buyer: Buyer, shop: Shop) -> None:
    """A body that can be read only once reaches the shop whole, twice."""
    parts = [b"a" * 1000, b"b" * 1000, b"c"]
    response = await buyer.request(
        buyer.wallet(Purse()), "POST", shop.sell("/paid"), content=buyer.stream(parts)
    )
    assert response.status_code == 200
    assert [visit.body for visit in shop.visits] == [b"".join(parts)] * 2


async def test_a_longer_upload_is_sent_if_it_is_free(buyer: Buyer, shop: Shop) -> None:
    """A body beyond `replay_limit` is no obstacle where nothing is asked for it."""
    wallet = buyer.wallet(Purse(), replay_limit=1000)
    body = buyer.stream([b"a" * 600] * 5)
    response = await buyer.request(wallet, "POST", shop.url + "/free", content=body)
    assert response.content == b"free"
    assert len(shop.visits[0].body) == 3000


async def test_a_longer_upload_is_not_paid_for(buyer: Buyer, shop: Shop) -> None:
    """A body beyond `replay_limit` that has to be paid is refused before the method is even asked."""
    purse = Purse()
    wallet = buyer.wallet(purse, replay_limit=1000)
    with pytest.raises(BodyNotReplayable, match="replay_limit"):
        await buyer.request(wallet, "POST", shop.sell("/paid"), content=buyer.stream([b"a" * 600] * 5))
    assert not purse.quoted
    assert not purse.paid


async def test_multipart_uploads_are_sent_again(buyer: Buyer, shop: Shop) -> None:
    """Form uploads are streams of httpx2's own, and are paid for like any other body."""
    response = await buyer.request(
        buyer.wallet(Purse()), "POST", shop.sell("/paid"), files={"file": ("a.txt", b"content of the file")}
    )
    assert response.status_code == 200
    assert shop.visits[0].body == shop.visits[1].body
    assert b"content of the file" in shop.visits[1].body


async def test_a_paid_download_is_streamed(buyer: Buyer, shop: Shop) -> None:
    """The caller has the first bytes of a paid answer while the shop still keeps back the rest."""
    received = threading.Event()

    async def parts() -> AsyncIterator[bytes]:
        yield b"first"
        assert await asyncio.to_thread(received.wait, 5), "the rest was waited for"
        yield b"second"

    def stream(visit: Visit) -> Answer:
        return Answer(200, dict(goods(visit).headers), parts())

    wallet = buyer.wallet(Purse())
    url = shop.sell("/paid", then=[stream])
    if buyer.is_async:
        async with (
            httpx2.AsyncClient(transport=wallet.async_transport()) as http,
            http.stream("GET", url) as response,
        ):
            body = response.aiter_raw()
            first = await anext(body)
            received.set()
            rest = b"".join([part async for part in body])
            assert payment_of(response).receipt is not None
    else:

        def read() -> tuple[bytes, bytes]:
            with httpx2.Client(transport=wallet.transport()) as http, http.stream("GET", url) as response:
                body = response.iter_raw()
                first = next(body)
                received.set()
                return first, b"".join(body)

        first, rest = await asyncio.to_thread(read)
    assert (first, rest) == (b"first", b"second")


# What the wallet says and sends


async def test_accept_payment_is_always_said(buyer: Buyer, shop: Shop) -> None:
    """Every request tells what the wallet can pay with, in the order of its methods."""
    wallet = buyer.wallet(Purse(name="gold"), Purse())
    await buyer.get(wallet, shop.sell("/paid"))
    await buyer.get(wallet, shop.url + "/free")
    assert [v.values("accept-payment") for v in shop.visits] == [["gold/charge, coin/charge"]] * 3


async def test_the_callers_accept_payment_stands(buyer: Buyer, shop: Shop) -> None:
    """A preference that the caller states is not replaced."""
    await buyer.get(buyer.wallet(Purse()), shop.sell("/paid"), headers={"Accept-Payment": "coin/*"})
    assert [v.values("accept-payment") for v in shop.visits] == [["coin/*"]] * 2


async def test_the_callers_authorization_is_kept(buyer: Buyer, shop: Shop) -> None:
    """The credential joins an `Authorization` of another scheme, in one field that has both."""
    headers = {"Authorization": "Bearer token"}
    await buyer.get(buyer.wallet(Purse()), shop.sell("/paid"), headers=headers)
    first, second = shop.visits
    assert first.values("authorization") == ["Bearer token"]
    (value,) = second.values("authorization")
    assert value.startswith("Bearer token, Payment ")


async def test_the_header_parameter_is_obeyed(buyer: Buyer, shop: Shop) -> None:
    """`header="Payment-Authorization"` puts the credential there and leaves `Authorization` alone."""
    url = shop.sell("/paid", price(offer(header="payment-authorization")))
    await buyer.get(buyer.wallet(Purse()), url, headers={"Authorization": "Bearer token"})
    paid = shop.visits[1]
    assert paid.values("authorization") == ["Bearer token"]
    assert len(paid.values("payment-authorization")) == 1


@pytest.mark.parametrize("name", ["Cookie", "Host", "X-Payment", "Proxy-Authorization"])
async def test_no_other_header_is_obeyed(buyer: Buyer, shop: Shop, name: str) -> None:
    """A challenge that wants its credential in a field of its choice is not paid."""
    purse = Purse()
    with pytest.raises(NoAcceptableChallenge, match=name):
        await buyer.get(buyer.wallet(purse), shop.sell("/paid", price(offer(header=name))))
    assert not purse.quoted
    assert len(shop.visits) == 1


async def test_paid_requests_have_an_idempotency_key(buyer: Buyer, shop: Shop) -> None:
    """The paid request has a key of its own, the unpaid one has none, and two payments never share one."""
    wallet, url = buyer.wallet(Purse()), shop.sell("/paid")
    await buyer.get(wallet, url)
    await buyer.get(wallet, url)
    keys = [visit.values("idempotency-key") for visit in shop.visits]
    assert keys[0] == keys[2] == []
    assert len(keys[1][0]) >= 32
    assert len(keys[3]) == 1
    assert keys[1] != keys[3]


async def test_the_callers_idempotency_key_stands(buyer: Buyer, shop: Shop) -> None:
    """A key that the caller chose is sent as it is."""
    headers = {"Idempotency-Key": "order-7"}
    await buyer.get(buyer.wallet(Purse()), shop.sell("/paid"), headers=headers)
    assert [visit.values("idempotency-key") for visit in shop.visits] == [["order-7"]] * 2


async def test_a_caller_who_pays_by_hand_is_left_to_it(buyer: Buyer, shop: Shop) -> None:
    """A request with a credential of the caller's own is never paid a second time."""
    purse = Purse()
    await buyer.get(buyer.wallet(purse), shop.sell("/paid"))
    (credential,) = shop.visits[1].credentials
    refused = shop.sell("/refused", then=[price(offer())])
    for field in ("Authorization", "Payment-Authorization"):
        response = await buyer.get(buyer.wallet(purse), refused, headers={field: credential})
        assert response.status_code == 402
    assert len(purse.paid) == 1


@pytest.mark.parametrize("method", ["HEAD", "OPTIONS"])
async def test_what_delivers_nothing_is_not_paid(buyer: Buyer, shop: Shop, method: str) -> None:
    """A 402 to HEAD or OPTIONS goes to the caller."""
    purse = Purse()
    response = await buyer.request(buyer.wallet(purse), method, shop.sell("/paid"))
    assert response.status_code == 402
    assert not purse.paid


def test_the_transport_below_gets_the_callers_extensions(shop: Shop) -> None:
    """Every request goes on with the timeouts and the rest that the caller gave it, and no payment."""

    class Below(httpx2.HTTPTransport):
        def handle_request(self, request: httpx2.Request) -> httpx2.Response:
            seen.append(dict(request.extensions))
            return super().handle_request(request)

    seen: list[dict[str, object]] = []
    wallet = Wallet([Purse()])
    with httpx2.Client(transport=wallet.transport(Below())) as http:
        url = shop.sell("/paid", then=[Answer(500)])
        first = http.get(url, timeout=3, extensions={"own": 1})
        http.get(url, timeout=3, extensions={"own": 1, "payment": first.extensions["payment"]})
    assert len(seen) == 3
    assert all(extensions == {"own": 1, "timeout": httpx2.Timeout(3).as_dict()} for extensions in seen)


# What is refused before anything is signed


async def test_a_402_without_a_challenge_is_an_answer(buyer: Buyer, shop: Shop) -> None:
    """A 402 that asks for no Payment is returned, its body readable and whole."""
    body = b"out of credit " * 10_000
    answer = Answer(402, {"www-authenticate": 'Basic realm="x"'}, body)
    response = await buyer.get(buyer.wallet(Purse()), shop.sell("/paid", answer))
    assert (response.status_code, response.content) == (402, body)
    assert "payment" not in response.extensions


async def test_over_the_limit(buyer: Buyer, shop: Shop) -> None:
    """A price above `max_amount` is not paid; the error names price and limit."""
    purse = Purse()
    wallet = buyer.wallet(purse, max_amount="0.50")
    with pytest.raises(OverLimit, match=r"0\.51 coin.*at most 0\.50") as caught:
        await buyer.get(wallet, shop.sell("/paid", price(offer(51))))
    assert (caught.value.price, caught.value.limit) == (Decimal("0.51"), Decimal("0.50"))
    assert not purse.paid


async def test_at_the_limit(buyer: Buyer, shop: Shop) -> None:
    """`max_amount` itself may be paid, and it is 1.00 by default."""
    response = await buyer.get(buyer.wallet(Purse()), shop.sell("/paid", price(offer(100))))
    assert response.status_code == 200
    with pytest.raises(OverLimit):
        await buyer.get(buyer.wallet(Purse()), shop.sell("/dearer", price(offer(101))))


async def test_the_fee_counts(buyer: Buyer, shop: Shop) -> None:
    """Price and fee together must be within the limit."""
    purse = Purse()
    with pytest.raises(OverLimit, match="fees"):
        await buyer.get(buyer.wallet(purse), shop.sell("/paid", price(offer(100, request={"fee": "0.01"}))))
    assert not purse.paid


@pytest.mark.parametrize("expires_in", [-60, 1])
async def test_expired_or_about_to(buyer: Buyer, shop: Shop, expires_in: float) -> None:
    """A challenge without time left to pay it is not paid."""
    purse = Purse()
    with pytest.raises(ChallengeExpired, match="expire"):
        await buyer.get(buyer.wallet(purse), shop.sell("/paid", price(offer(expires_in=expires_in))))
    assert not purse.quoted


async def test_unexpected_terms(buyer: Buyer, shop: Shop) -> None:
    """What the method was told not to pay is not paid, for its reason."""
    purse = Purse()
    purse.forbidden_recipient = "shop"
    with pytest.raises(UnexpectedTerms, match="recipient"):
        await buyer.get(buyer.wallet(purse), shop.sell("/paid"))
    assert not purse.paid


async def test_plain_http_is_not_paid(buyer: Buyer, shop: Shop) -> None:
    """A challenge over plain http from another machine is refused before the method is asked."""
    purse = Purse()
    shop.sell("/paid")
    with pytest.raises(UnsafeOrigin, match=r"http://shop\.example"):
        await buyer.visit(buyer.wallet(purse), shop.url, "http://shop.example/paid")
    assert not purse.quoted
    assert not shop.presented


async def test_a_digest_must_be_the_bodys(buyer: Buyer, shop: Shop) -> None:
    """A challenge for another body is not paid; one for this body is, streamed or not."""
    purse = Purse()
    url = shop.sell("/paid", price(offer(digest=content_digest(b"another body"))))
    with pytest.raises(NoAcceptableChallenge, match="digest"):
        await buyer.request(buyer.wallet(purse), "POST", url, content=b"this body")
    assert not purse.quoted
    url = shop.sell("/paid", price(offer(digest=content_digest(b"this body"))))
    for body in (b"this body", buyer.stream([b"this ", b"body"])):
        response = await buyer.request(buyer.wallet(purse), "POST", url, content=body)
        assert response.status_code == 200


async def test_identity_is_not_proven_to_strangers(buyer: Buyer, shop: Shop) -> None:
    """A payment of nothing is a proof of identity, made only for a realm that is the host or trusted."""
    purse = Purse()
    url = shop.sell("/login", price(offer(0, realm="bank.example")))
    with pytest.raises(UnsafeOrigin, match=r"bank\.example"):
        await buyer.get(buyer.wallet(purse), url)
    assert not purse.paid
    response = await buyer.get(buyer.wallet(purse, trusted_realms=["bank.example"]), url)
    assert response.status_code == 200
    response = await buyer.get(buyer.wallet(purse), shop.sell("/own", price(offer(0, realm="localhost"))))
    assert response.status_code == 200


async def test_nothing_acceptable_says_why(buyer: Buyer, shop: Shop) -> None:
    """With several challenges and none acceptable, the error gives each one's reason."""
    purse = Purse()
    url = shop.sell("/paid", price(offer(method="gold"), offer(200), offer(expires_in=-5)))
    with pytest.raises(NoAcceptableChallenge) as caught:
        await buyer.get(buyer.wallet(purse), url)
    message = str(caught.value)
    assert "gold/charge: this wallet has no such method" in message
    assert "at most 1.00" in message
    assert "expired" in message
    assert [type(error).__name__ for error in caught.value.refusals] == [
        "NoAcceptableChallenge",
        "OverLimit",
        "ChallengeExpired",
    ]
    assert not purse.paid


async def test_unreadable_challenges_only(buyer: Buyer, shop: Shop) -> None:
    """A 402 with Payment challenges that cannot be read is an error, not an answer."""
    with pytest.raises(NoAcceptableChallenge, match="read"):
        await buyer.get(buyer.wallet(Purse()), shop.sell("/paid", price('Payment id="x", realm="y"')))


# Choosing


async def test_a_good_challenge_among_bad_ones(buyer: Buyer, shop: Shop) -> None:
    """What cannot be read, or not be paid, does not keep a good challenge from being paid."""
    good = offer()
    bad = good.to_header().replace("Payment ", "Payment id=,", 1)
    url = shop.sell(
        "/paid", price('Basic realm="x", Payment id=""', bad, offer(method="gold"), offer(999), good)
    )
    response = await buyer.get(buyer.wallet(Purse()), url)
    assert payment_of(response).challenge == good


async def test_the_servers_order_decides(buyer: Buyer, shop: Shop) -> None:
    """Of several acceptable challenges the first is paid."""
    gold, coin = Purse(name="gold"), Purse()
    first = offer(method="gold")
    response = await buyer.get(buyer.wallet(coin, gold), shop.sell("/paid", price(first, offer())))
    assert payment_of(response).challenge == first
    assert not coin.quoted


async def test_methods_of_one_kind_are_asked_in_order(buyer: Buyer, shop: Shop) -> None:
    """Where several methods could pay a challenge, the wallet's first that can does."""
    abroad, home, spare = Purse(network="abroad"), Purse(), Purse()
    await buyer.get(buyer.wallet(abroad, home, spare), shop.sell("/paid"))
    assert (len(abroad.paid), len(home.paid), len(spare.paid)) == (0, 1, 0)


async def test_an_empty_purse_passes_to_the_next(buyer: Buyer, shop: Shop) -> None:
    """If an account cannot cover it, the next acceptable challenge is paid; failing that, it is the error."""
    empty, gold = Purse(funds=0), Purse(name="gold")
    url = shop.sell("/paid", price(offer(), offer(method="gold")))
    response = await buyer.get(buyer.wallet(empty, gold), url)
    assert payment_of(response).challenge.method == "gold"
    with pytest.raises(InsufficientFunds, match="empty"):
        await buyer.get(buyer.wallet(empty), url)


# Redirects


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_payment_is_not_carried_along_a_redirect(
    buyer: Buyer, shop: Shop, other_shop: Shop, status: int
) -> None:
    """What the paid request is redirected to, here or elsewhere, sees no header of the payment."""
    for target in (shop.url + "/next", other_shop.url + "/next"):
        moved = Answer(status, {"location": target})
        url = shop.sell("/paid", then=[moved])
        response = await buyer.get(buyer.wallet(Purse()), url, follow_redirects=True)
        assert response.content == b"free"
        last = (shop if target.startswith(shop.url) else other_shop).visits[-1]
        assert last.path == "/next"
        for name in ("authorization", "payment-authorization", "idempotency-key"):
            assert last.values(name) == []
        assert payment_of(response).origin.port == httpx2.URL(shop.url).port


async def test_a_redirect_to_something_paid(buyer: Buyer, shop: Shop, other_shop: Shop) -> None:
    """A hop that asks for a payment is paid as the request that it is, at its own origin."""
    url = shop.sell("/moved", Answer(302, {"location": other_shop.sell("/paid")}))
    response = await buyer.get(buyer.wallet(Purse()), url, follow_redirects=True)
    assert response.content == b"the goods"
    assert len(other_shop.presented) == 1
    assert not shop.presented
    assert str(payment_of(response).origin) == other_shop.url


async def test_one_call_pays_once_along_redirects(buyer: Buyer, shop: Shop, other_shop: Shop) -> None:
    """A shop that redirects whoever paid to the next till gets one payment, and the caller the 402."""
    purse = Purse()
    other_shop.sell("/paid", then=[Answer(302, {"location": shop.url + "/paid"})])
    shop.sell("/paid", then=[Answer(302, {"location": other_shop.url + "/paid"})])
    response = await buyer.get(buyer.wallet(purse), shop.url + "/paid", follow_redirects=True)
    assert response.status_code == 402
    assert len(purse.paid) == 1
    assert payment_of(response).challenge == purse.paid[0]


async def test_a_redirect_from_https_to_http_is_not_paid(buyer: Buyer, shop: Shop) -> None:
    """The origin that counts is the hop's: a secure first hop does not make the second one safe."""
    purse = Purse()
    shop.sell("/moved", Answer(302, {"location": "http://shop.example/paid"}))
    shop.sell("/paid")
    with pytest.raises(UnsafeOrigin):
        await buyer.visit(buyer.wallet(purse), shop.url, "https://shop.example/moved")
    assert not purse.paid
    response = await buyer.visit(buyer.wallet(purse), shop.url, "https://shop.example/paid")
    assert response.status_code == 200


# The body of a 402


async def test_a_huge_402_is_not_read(buyer: Buyer, shop: Shop) -> None:
    """Of the body of a 402 that is paid, or refused, a fraction is taken off the wire."""
    size = 32 * 1024 * 1024
    chunk = b"x" * 65536

    def ask(units: int) -> Answer:
        return price(offer(units), body=iter([chunk] * (size // len(chunk))))

    wallet = buyer.wallet(Purse())
    response = await buyer.get(wallet, shop.sell("/paid", lambda _: ask(1)))
    assert response.content == b"the goods"
    with pytest.raises(OverLimit):
        await buyer.get(wallet, shop.sell("/dear", lambda _: ask(999)))
    assert shop.sent < size / 2


async def test_a_short_402_keeps_the_connection(buyer: Buyer, shop: Shop) -> None:
    """The paid request goes over the connection of the first: the body of the 402 was read to its end."""
    await buyer.get(buyer.wallet(Purse()), shop.sell("/paid", price(offer(), body=b"x" * 60_000)))
    assert shop.visits[0].port == shop.visits[1].port


# Undecided payments


@pytest.mark.parametrize(
    "hitch",
    [
        problem("payment-in-progress", 409, retry_after="0"),
        problem("payment-unavailable", 503),
        problem("payment-outcome-unknown", 503, retry_after="0"),
        DROP,
    ],
    ids=["409", "503 unavailable", "503 unknown", "dropped"],
)
async def test_the_same_credential_is_presented_again(buyer: Buyer, shop: Shop, hitch: Answer) -> None:
    """While a payment is undecided, the same credential and key are sent again and nothing more is paid."""
    purse = Purse()
    response = await buyer.request(
        buyer.wallet(purse), "POST", shop.sell("/paid", then=[hitch, hitch, goods]), content=b"body"
    )
    assert response.content == b"the goods"
    assert payment_of(response).outcome is Outcome.PAID
    assert len(purse.paid) == 1
    assert len(shop.presented) == 3
    for name in ("authorization", "idempotency-key"):
        assert len({tuple(visit.values(name)) for visit in shop.presented}) == 1
    assert {visit.body for visit in shop.visits} == {b"body"}


async def test_a_problem_that_breaks_off_is_no_answer(buyer: Buyer, shop: Shop) -> None:
    """A 503 whose reason is lost on the way is like a lost answer: the same credential goes again."""
    broken = Answer(503, {"content-type": "application/problem+json"}, [b'{"type": '], is_cut=True)
    response = await buyer.get(buyer.wallet(Purse()), shop.sell("/paid", then=[broken, goods]))
    assert response.content == b"the goods"
    assert shop.coins == ["secret-1"] * 2


async def test_an_answer_that_stays_undecided_is_returned(buyer: Buyer, shop: Shop) -> None:
    """When patience is over, the caller gets the last answer, its body intact, and an undecided payment."""
    purse = Purse()
    wallet = buyer.wallet(purse, patience=0.3)
    answer = problem("payment-outcome-unknown", 503)
    response = await buyer.get(wallet, shop.sell("/paid", then=[answer]))
    assert response.status_code == 503
    assert response.content == answer.body
    record = payment_of(response)
    assert (record.outcome, record.reference) == (Outcome.UNDECIDED, "coin-1")
    assert len(purse.paid) == 1
    assert len(shop.presented) > 1


async def test_a_long_retry_after_is_not_waited_for(buyer: Buyer, shop: Shop) -> None:
    """A `Retry-After` beyond the wallet's patience ends the call at once, and is not jumped either."""
    url = shop.sell("/paid", then=[problem("payment-in-progress", 409, retry_after="3600")])
    response = await asyncio.wait_for(buyer.get(buyer.wallet(Purse()), url), 5)
    assert response.status_code == 409
    assert len(shop.presented) == 1


async def test_a_lost_answer_is_an_error_that_holds_the_payment(buyer: Buyer, shop: Shop) -> None:
    """If no answer comes, the error has the payment, and the same request with it finds out about it."""
    purse = Purse()
    wallet = buyer.wallet(purse, patience=0.2)
    url = shop.sell("/paid", then=[DROP])
    with pytest.raises(PaymentUndecided) as caught:
        await buyer.get(wallet, url)
    assert isinstance(caught.value.__cause__, httpx2.TransportError)
    record = caught.value.payment
    assert isinstance(record, PaymentRecord)
    assert record.outcome is Outcome.UNDECIDED
    assert "secret-1" not in f"{caught.value}{caught.value!r}{record!r}{record}"

    shop.sell("/paid")
    response = await buyer.get(wallet, url, extensions={"payment": record})
    assert response.content == b"the goods"
    assert payment_of(response).outcome is Outcome.PAID
    assert len(purse.paid) == 1
    assert set(shop.coins) == {"secret-1"}
    assert len({visit.values("idempotency-key")[0] for visit in shop.presented}) == 1


async def test_a_payment_brought_along_is_the_only_one(buyer: Buyer, shop: Shop) -> None:
    """A request that brings a payment pays nothing more, whatever it is answered and wherever it goes."""
    purse = Purse()
    wallet = buyer.wallet(purse)
    record = payment_of(await buyer.get(wallet, shop.sell("/paid", then=[Answer(500)])))
    shop.sell("/paid", then=[price(offer())])
    response = await buyer.get(wallet, shop.url + "/paid", extensions={"payment": record})
    assert response.status_code == 402
    presented = len(shop.presented)
    response = await buyer.get(wallet, shop.sell("/another"), extensions={"payment": record})
    assert response.status_code == 402
    assert len(shop.presented) == presented
    assert len(purse.paid) == 1


async def test_what_is_brought_along_must_be_a_payment(buyer: Buyer, shop: Shop) -> None:
    """A payment that is missing where one is named is a mistake, not a reason to pay."""
    purse = Purse()
    with pytest.raises(TypeError, match="PaymentRecord"):
        await buyer.get(buyer.wallet(purse), shop.sell("/paid"), extensions={"payment": None})
    assert not shop.visits


async def test_an_auth_flow_does_not_pay_twice(buyer: Buyer, shop: Shop) -> None:
    """An auth flow that sends a refused request again, with a fresh token, brings the payment along."""

    class Refresh(httpx2.Auth):
        def auth_flow(self, request: httpx2.Request) -> Generator[httpx2.Request, httpx2.Response, None]:
            request.headers["authorization"] = "Bearer stale"
            response = yield request
            if response.status_code == 401:
                request.headers["authorization"] = "Bearer fresh"
                yield request

    purse = Purse()
    url = shop.sell("/paid", then=[Answer(401), goods])
    response = await buyer.get(buyer.wallet(purse), url, auth=Refresh())
    assert response.content == b"the goods"
    assert len(purse.paid) == 1
    assert shop.presented[1].values("authorization")[0].startswith("Bearer fresh, Payment ")


async def test_a_request_can_be_sent_again_for_another_helping(shop: Shop) -> None:
    """A payment that was delivered is done with: sending the same request object once more pays once more."""
    purse = Purse()
    buyer = Buyer(is_async=False)
    with httpx2.Client(transport=buyer.wallet(purse).transport()) as http:
        request = http.build_request("GET", shop.sell("/paid"))
        assert http.send(request).content == b"the goods"
        assert http.send(request).content == b"the goods"
    assert shop.coins == ["secret-1", "secret-2"]


@pytest.mark.parametrize("status", [400, 403, 409, 422, 500, 502, 503])
async def test_an_error_of_the_application_is_an_answer(buyer: Buyer, shop: Shop, status: int) -> None:
    """An error that says nothing of the payment is returned at once, and the payment is undecided."""
    answer = Answer(status, {"content-type": "application/json"}, b'{"type": "about:blank"}')
    response = await buyer.get(buyer.wallet(Purse()), shop.sell("/paid", then=[answer]))
    assert (response.status_code, response.content) == (status, answer.body)
    assert payment_of(response).outcome is Outcome.UNDECIDED
    assert len(shop.presented) == 1


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b'{"type": 7}', b'{"type": "https://elsewhere/payment-in-progress"}', b"[" * 50_000],
)
async def test_problems_that_say_nothing(buyer: Buyer, shop: Shop, body: bytes) -> None:
    """A problem of another kind, or one that cannot be read, is an answer too, and stays readable."""
    answer = Answer(409, {"content-type": "application/problem+json"}, body)
    response = await buyer.get(buyer.wallet(Purse()), shop.sell("/paid", then=[answer]))
    assert (response.status_code, response.content) == (409, body)


async def test_a_compressed_problem_is_understood(buyer: Buyer, shop: Shop) -> None:
    """Content codings do not hide that a payment is in progress, and a bomb is not unpacked."""
    encoded = gzip.compress(problem_body("payment-in-progress", "Wait."))
    headers = {"content-type": "application/problem+json", "content-encoding": "gzip"}
    url = shop.sell("/paid", then=[Answer(409, headers, encoded), goods])
    assert (await buyer.get(buyer.wallet(Purse()), url)).content == b"the goods"
    bomb = gzip.compress(b" " * 10_000_000)
    response = await buyer.get(buyer.wallet(Purse()), shop.sell("/bomb", then=[Answer(409, headers, bomb)]))
    assert len(response.content) == 10_000_000


async def test_a_long_problem_stays_whole(buyer: Buyer, shop: Shop) -> None:
    """Looking into the first 64 KiB of an error's body takes nothing of it from the caller."""
    body = bytes(range(256)) * 4096
    headers = {"content-type": "application/problem+json"}
    chunks = [body[at : at + 50_000] for at in range(0, len(body), 50_000)]
    url = shop.sell("/paid", then=[lambda _: Answer(503, headers, iter(chunks))])
    assert (await buyer.get(buyer.wallet(Purse()), url)).content == body


# Receipts


@pytest.mark.parametrize("receipt", ["", "!", "e30", base64.b64encode(b'{"status":"failed"}').decode()])
async def test_a_malformed_receipt_is_tolerated(buyer: Buyer, shop: Shop, receipt: str) -> None:
    """The caller gets what was bought, paid and without a receipt."""
    url = shop.sell("/paid", then=[Answer(200, {"payment-receipt": receipt}, b"the goods")])
    response = await buyer.get(buyer.wallet(Purse()), url)
    assert response.content == b"the goods"
    record = payment_of(response)
    assert (record.outcome, record.receipt, record.reference) == (Outcome.PAID, None, "coin-1")


# Second payments


async def test_a_dead_payment_is_replaced_once(buyer: Buyer, shop: Shop) -> None:
    """After a payment that certainly took nothing there is one more, with its own key, and never a third."""
    purse = RevocablePurse()
    purse.dead = {f"secret-{number}" for number in range(1, 6)}
    told: list[PaymentRecord] = []
    wallet = buyer.wallet(purse, on_payment=told.append)
    url = shop.sell("/paid", then=[lambda _: price(offer()), goods])
    response = await buyer.get(wallet, url)
    assert response.content == b"the goods"
    assert shop.coins == ["secret-1", "secret-2"]
    assert len({visit.values("idempotency-key")[0] for visit in shop.presented}) == 2
    assert [record.outcome for record in told] == [Outcome.REFUSED, Outcome.PAID]

    response = await buyer.get(buyer.wallet(purse), shop.sell("/never", then=[lambda _: price(offer())]))
    assert response.status_code == 402
    assert payment_of(response).outcome is Outcome.REFUSED
    assert len(purse.paid) == 4


async def test_a_living_payment_is_never_replaced(buyer: Buyer, shop: Shop) -> None:
    """A shop that asks again and again gets one payment, whether the method can tell or not."""
    for purse in (Purse(), RevocablePurse()):
        url = shop.sell("/paid", then=[lambda _: price(offer())])
        response = await buyer.get(buyer.wallet(purse), url)
        assert (response.status_code, response.content) == (402, b"pay first")
        assert payment_of(response).outcome is Outcome.UNDECIDED
        assert len(purse.paid) == 1


async def test_a_second_price_is_judged_like_the_first(buyer: Buyer, shop: Shop) -> None:
    """After a dead payment, a fresh challenge above the limit is left alone and the caller gets the 402."""
    purse = RevocablePurse()
    purse.dead = {"secret-1"}
    url = shop.sell("/paid", then=[price(offer(500))])
    response = await buyer.get(buyer.wallet(purse), url)
    assert response.status_code == 402
    assert payment_of(response).outcome is Outcome.REFUSED
    assert len(purse.paid) == 1


# Hearing of payments


async def test_a_cancelled_call_is_told_of(shop: Shop) -> None:
    """Cancelling a call after it has paid cannot lose the payment: `on_payment` has it, undecided."""
    told: list[PaymentRecord] = []
    buyer = Buyer(is_async=True)
    wallet = buyer.wallet(Purse(), on_payment=told.append)
    url = shop.sell("/paid", then=[problem("payment-in-progress", 409, retry_after="30")])
    call = asyncio.create_task(wallet.aget(url))
    while not shop.presented:
        await asyncio.sleep(0.01)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    (record,) = told
    assert record.outcome is Outcome.UNDECIDED
    shop.sell("/paid")
    response = await wallet.aget(url, extensions={"payment": record})
    assert response.content == b"the goods"
    await buyer.close()


async def test_each_payment_is_told_of_when_there_is_news(buyer: Buyer, shop: Shop) -> None:
    """`on_payment` hears of a payment when its call ends, and again only if a later call learns more."""
    told: list[PaymentRecord] = []
    wallet = buyer.wallet(Purse(), on_payment=told.append)
    url = shop.sell("/paid", then=[Answer(500), Answer(500), goods])
    record = payment_of(await buyer.get(wallet, url))
    assert told == [record]
    await buyer.get(wallet, url, extensions={"payment": record})
    assert told == [record]
    paid = payment_of(await buyer.get(wallet, url, extensions={"payment": record}))
    assert told == [record, paid]
    assert (record.outcome, paid.outcome) == (Outcome.UNDECIDED, Outcome.PAID)


async def test_a_broken_on_payment_costs_nothing(
    buyer: Buyer, shop: Shop, caplog: pytest.LogCaptureFixture
) -> None:
    """If `on_payment` fails, that is logged and the caller has the answer all the same."""

    def fail(record: PaymentRecord) -> None:
        raise ValueError("no pen")

    response = await buyer.get(buyer.wallet(Purse(), on_payment=fail), shop.sell("/paid"))
    assert response.content == b"the goods"
    assert "on_payment failed" in caplog.text
    assert "secret-1" not in caplog.text


# Concurrency


async def test_many_at_once(buyer: Buyer, shop: Shop) -> None:
    """One wallet serves many threads or tasks at once, each with its own payment."""
    purse = Purse()
    wallet = buyer.wallet(purse)
    urls = [shop.sell(f"/paid/{number}") for number in range(20)]
    responses = await asyncio.gather(*(buyer.get(wallet, url) for url in urls))
    assert [response.content for response in responses] == [b"the goods"] * 20
    records = [payment_of(response) for response in responses]
    assert [f"{record.origin}{record.request.removeprefix('GET ')}" for record in records] == urls
    assert len({record.reference for record in records}) == len(purse.paid) == 20
