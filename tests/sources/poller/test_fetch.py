"""One poll's way to its document: redirects, bodies that are too large, and servers that answer anything."""

import gzip
import ssl
import zlib
from collections.abc import AsyncIterator

import httpx
import pytest
import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st

from mcptrio.sources.poller.conditional import Validators
from mcptrio.sources.poller.fetch import MAX_REDIRECTS, Document, Fetcher, FetchFailed
from tests.sources.poller.origin import URL, Origin, respond

SECRET = {"authorization": "Bearer hush", "x-key": "hush"}


async def fetch(
    origin: Origin, known: Validators | None = None, *, url: str = URL, max_body: int = 1000
) -> Document | None:
    async with origin.open_client() as client:
        return await Fetcher(client, url, SECRET, max_body).fetch(known or Validators())


async def failure(origin: Origin, **options: object) -> FetchFailed:
    with pytest.raises(FetchFailed) as caught:
        await fetch(origin, **options)  # type: ignore[arg-type]
    return caught.value


def redirecting(*locations: str) -> Origin:
    """Redirects along these locations; whatever comes after the last is a document."""
    origin = Origin()

    async def answer(request: httpx.Request) -> httpx.Response:
        await trio.lowlevel.checkpoint()
        hop = len(origin.requests) - 1
        if hop < len(locations):
            return respond(302, location=locations[hop])
        return respond(200, b"[]", etag='"a"')

    origin.answer = answer
    return origin


async def test_a_document_comes_with_what_identifies_it() -> None:
    origin = Origin()
    origin.always(lambda: respond(200, b"[1,", b"2]", etag='"a"'))
    document = await fetch(origin)
    assert document == Document(b"[1,2]", Validators(URL, '"a"'))
    assert origin.requests[0].headers["accept-encoding"] == "gzip"
    assert origin.requests[0].headers["x-key"] == "hush"


async def test_a_known_document_is_none() -> None:
    origin = Origin()
    origin.always(lambda: respond(304))
    assert await fetch(origin, Validators(URL, '"a"')) is None
    assert origin.requests[0].headers["if-none-match"] == '"a"'


async def test_not_modified_to_a_request_without_conditions_is_a_failure() -> None:
    origin = Origin()
    origin.always(lambda: respond(304))
    failed = await failure(origin)
    assert str(failed) == f"{URL} answered 304 Not Modified to a request without conditions"
    assert failed.lasting


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_redirects_are_followed(status: int) -> None:
    origin = Origin()

    async def answer(request: httpx.Request) -> httpx.Response:
        await trio.lowlevel.checkpoint()
        return respond(200, b"[]") if request.url.path == "/new" else respond(status, location="/new#part")

    origin.answer = answer
    document = await fetch(origin)
    assert document is not None
    assert document.validators.url == "http://origin.test/new"
    assert origin.requests[1].headers["x-key"] == "hush"


async def test_secrets_do_not_follow_a_redirect_to_another_origin() -> None:
    for location in ("http://elsewhere.test/", "https://origin.test/", "http://origin.test:8080/"):
        origin = redirecting(location)
        await fetch(origin)
        assert origin.requests[0].headers["x-key"] == "hush"
        assert "hush" not in str(origin.requests[1].headers.raw)


async def test_the_default_port_is_the_same_origin() -> None:
    origin = redirecting("http://origin.test:80/")
    await fetch(origin)
    assert origin.requests[1].headers["x-key"] == "hush"


async def test_redirects_end() -> None:
    failed = await failure(redirecting(*["/again"] * 100))
    assert str(failed) == f"{URL} redirects more than {MAX_REDIRECTS} times"
    assert failed.lasting
    assert await fetch(redirecting(*["/again"] * MAX_REDIRECTS)) is not None


@pytest.mark.parametrize("location", ["ftp://a/", "file:///etc/passwd", "https://"])
async def test_a_redirect_to_no_http_url_is_a_failure(location: str) -> None:
    failed = await failure(redirecting(location))
    assert str(failed) == f"{URL} redirects to something that is no http URL"


@pytest.mark.parametrize(
    "location", ["http://[::1", "http://a:b/", "http://a:99999/", "http://\x01/", "//é é"]
)
async def test_a_redirect_to_no_url_at_all_is_a_failure(location: str) -> None:
    assert str(await failure(redirecting(location))).startswith(URL)


async def test_conditions_go_only_to_the_url_they_came_from() -> None:
    origin = redirecting("/new")
    document = await fetch(origin, Validators(URL, '"old"'))
    assert document is not None
    assert origin.requests[0].headers["if-none-match"] == '"old"'
    assert "if-none-match" not in origin.requests[1].headers


@pytest.mark.parametrize(
    ("status", "words", "lasting"),
    [
        (204, "204 No Content", True),
        (302, "302 Found", True),
        (401, "401 Unauthorized", True),
        (404, "404 Not Found", True),
        (408, "408 Request Timeout", False),
        (429, "429 Too Many Requests", False),
        (503, "503 Service Unavailable", False),
        (599, "599", False),
    ],
)
async def test_every_other_answer_is_a_failure_in_words(status: int, words: str, lasting: bool) -> None:
    origin = Origin()
    origin.always(lambda: respond(status, b"x", retry_after="7"))
    failed = await failure(origin)
    assert str(failed) == f"{URL} answered {words}"
    assert (failed.lasting, failed.retry_after) == (lasting, 7.0)


async def test_a_failure_shows_no_secret_of_the_url() -> None:
    origin = Origin()
    origin.always(lambda: respond(500))
    failed = await failure(origin, url="http://user:hush@origin.test/a?key=hush")
    assert str(failed) == "http://origin.test/a?... answered 500 Internal Server Error"


@pytest.mark.parametrize(
    "error",
    [
        httpx.ReadError(""),
        httpx.RemoteProtocolError("peer closed"),
        ssl.SSLError("wrong version"),
        ValueError("anything"),
        ExceptionGroup("several", [OSError("one"), OSError("two")]),
    ],
)
async def test_whatever_the_client_raises_is_a_failure_that_may_pass(error: Exception) -> None:
    origin = Origin()

    async def answer(request: httpx.Request) -> httpx.Response:
        raise error

    origin.answer = answer
    failed = await failure(origin)
    assert str(failed).startswith(f"{URL} cannot be fetched: {type(error).__name__}")
    assert not failed.lasting


async def test_a_bodys_bound_is_exact() -> None:
    origin = Origin()
    origin.always(lambda: respond(200, b"x" * 600, b"x" * 400))
    document = await fetch(origin, max_body=1000)
    assert document is not None and len(document.body) == 1000
    failed = await failure(origin, max_body=999)
    assert str(failed) == f"{URL} sent a document of more than 999 bytes (see `max_body`)"
    assert failed.lasting


async def test_a_body_that_is_too_large_is_not_read_to_its_end() -> None:
    origin = Origin()
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        while True:
            await trio.lowlevel.checkpoint()
            sent += 1
            yield b"x" * 100

    async def answer(request: httpx.Request) -> httpx.Response:
        await trio.lowlevel.checkpoint()
        return httpx.Response(200, content=endless())

    origin.answer = answer
    await failure(origin, max_body=1000)
    assert sent == 11


async def test_what_comes_after_too_much_is_dropped_where_reading_never_waits() -> None:
    async def at_once() -> AsyncIterator[bytes]:
        for _ in range(5):
            yield b"x" * 600

    async def answer(request: httpx.Request) -> httpx.Response:
        await trio.lowlevel.checkpoint()
        return httpx.Response(200, content=at_once())

    origin = Origin()
    origin.answer = answer
    assert "more than 1000 bytes" in str(await failure(origin))


@pytest.mark.parametrize("coding", ["gzip", "x-gzip", " GZIP "])
async def test_gzip_is_unpacked(coding: str) -> None:
    packed = gzip.compress(b"[1]") + gzip.compress(b"")
    origin = Origin()
    origin.always(
        lambda: respond(200, *(packed[n : n + 1] for n in range(len(packed))), content_encoding=coding)
    )
    document = await fetch(origin)
    assert document is not None and document.body == b"[1]"


async def test_a_body_that_unpacks_to_too_much_is_stopped_at_its_bound() -> None:
    bomb = gzip.compress(b"0" * 50_000_000)
    origin = Origin()
    origin.always(lambda: respond(200, bomb, content_encoding="gzip"))
    assert "more than 1000 bytes" in str(await failure(origin))


@pytest.mark.parametrize(
    "body",
    [b"", b"no gzip", gzip.compress(b"[1, 2, 3]")[:-9], zlib.compress(b"[1]")],
    ids=["nothing", "no gzip", "a part", "zlib"],
)
async def test_unsound_gzip_is_a_failure(body: bytes) -> None:
    origin = Origin()
    origin.always(lambda: respond(200, body, content_encoding="gzip"))
    assert str(await failure(origin)) == f"{URL} sent a document that is no sound gzip"


async def test_a_coding_that_was_not_asked_for_is_a_failure() -> None:
    origin = Origin()
    origin.always(lambda: respond(200, b"x", content_encoding="br"))
    assert str(await failure(origin)) == f"{URL} sent a document packed as 'br', not as gzip"


async def test_a_cookie_is_not_carried_into_the_next_poll() -> None:
    origin = Origin()
    origin.always(lambda: respond(200, b"[]", set_cookie="a=b"))
    async with origin.open_client() as client:
        fetcher = Fetcher(client, URL, {}, 1000)
        await fetcher.fetch(Validators())
        await fetcher.fetch(Validators())
    assert "cookie" not in origin.requests[1].headers


async def test_a_cancelled_fetch_ends_at_once(autojump_clock: trio.testing.MockClock) -> None:
    origin = Origin()
    origin.always(lambda: respond(200, b"x", gap=100))
    with trio.move_on_after(1) as scope:
        await fetch(origin)
    assert scope.cancelled_caught
    assert trio.current_time() == pytest.approx(1)


@given(
    pieces=st.lists(st.binary(max_size=50), max_size=5),
    packed=st.booleans(),
    bound=st.integers(1, 200),
    cut=st.integers(1, 60),
)
def test_any_body_arrives_whole_or_is_refused_by_its_size(
    pieces: list[bytes], packed: bool, bound: int, cut: int
) -> None:
    plain = b"".join(pieces)
    sent = b"".join(gzip.compress(piece) for piece in pieces or [b""]) if packed else plain
    headers = {"content_encoding": "gzip"} if packed else {}
    origin = Origin()
    origin.always(lambda: respond(200, *(sent[n : n + cut] for n in range(0, len(sent), cut)), sent=headers))

    async def main() -> bytes | None:
        try:
            document = await fetch(origin, max_body=bound)
        except FetchFailed as failed:
            assert "more than" in str(failed)
            return None
        assert document is not None
        return document.body

    assert trio.run(main) == (plain if len(plain) <= bound else None)
