"""Requests with answers that last: connections are kept, left and lost as they should be."""

from __future__ import annotations

import ssl

import pytest
import trio
import trustme
from trio.testing import MockClock, memory_stream_pair

from mcptrio.wire.dial import dial, parse_url
from mcptrio.wire.http_client import KEEP, CannotConnect, HttpClient, HttpFailure

Stream = trio.StapledStream[trio.testing.MemorySendStream, trio.testing.MemoryReceiveStream]
ENDPOINT = parse_url("http://example.org/mcp?a=1")
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-A: one\r\n\r\nok"


class Origin:
    """Answers each request with the next of its answers, on any number of connections, and keeps what was asked."""

    def __init__(self, nursery: trio.Nursery, *answers: bytes) -> None:
        self.answers = list(answers)
        self.requests: list[bytes] = []
        self.streams: list[Stream] = []
        self.left: list[trio.Event] = []
        self._nursery = nursery

    async def connect(self) -> trio.abc.Stream:
        await trio.lowlevel.checkpoint()
        near, far = memory_stream_pair()
        self.streams.append(far)
        self.left.append(trio.Event())
        self._nursery.start_soon(self._serve, far, self.left[-1])
        return near

    async def _serve(self, stream: Stream, left: trio.Event) -> None:
        while data := await stream.receive_some():
            self.requests.append(data)
            answer = self.answers.pop(0)
            await stream.send_all(answer)
            if b"close" in answer:
                await stream.aclose()
                break
        left.set()


def client(origin: Origin, **options: float) -> HttpClient:
    return HttpClient(ENDPOINT, origin.connect, headers=[("Authorization", b"Bearer t")], **options)


async def read(client: HttpClient, method: str = "POST", body: bytes = b"{}") -> bytes:
    async with client.ask(method, [("X-B", b"two")], body) as answer:
        assert answer.status == 200
        return await answer.read(1000)


async def test_a_request_has_its_headers_and_its_answer_is_read(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    origin = Origin(nursery, OK)
    async with client(origin).ask("POST", [("X-B", b"two")], b"{}") as answer:
        assert (answer.status, answer.header("x-a"), answer.content_type) == (200, b"one", "")
        assert await answer.chunk() == b"ok"
        assert await answer.chunk() == b""
    head, _, body = origin.requests[0].partition(b"\r\n\r\n")
    assert head.split(b"\r\n") == [
        b"POST /mcp?a=1 HTTP/1.1",
        b"Host: example.org",
        b"Authorization: Bearer t",
        b"X-B: two",
        b"Content-Length: 2",
    ]
    assert body == b"{}"


async def test_a_connection_is_kept_for_the_next_request_but_not_for_long(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    origin = Origin(nursery, OK, OK, OK)
    asking = client(origin)
    assert await read(asking) == b"ok"
    assert await read(asking, "GET", b"") == b"ok"
    assert len(origin.streams) == 1
    await trio.sleep(KEEP + 1)
    assert await read(asking) == b"ok"
    assert len(origin.streams) == 2
    await origin.left[0].wait()
    await asking.aclose()
    await origin.left[1].wait()


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok",
        b"HTTP/1.0 200 OK\r\nX: close\r\n\r\nok",
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nConnection: close\r\n\r\nok",
    ],
)
async def test_a_server_may_close_after_its_answer(
    nursery: trio.Nursery, autojump_clock: MockClock, answer: bytes
) -> None:
    origin = Origin(nursery, answer, OK)
    asking = client(origin)
    assert await read(asking) == b"ok"
    assert await read(asking) == b"ok"
    assert len(origin.streams) == 2


async def test_an_answer_that_is_left_closes_its_connection(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Type: Text/Event-Stream; charset=utf-8\r\n\r\n"
    origin = Origin(nursery, head + b"2\r\nok\r\n", OK)
    asking = client(origin)
    async with asking.ask("GET", []) as answer:
        assert answer.content_type == "text/event-stream"
        assert await answer.chunk() == b"ok"
    await origin.left[0].wait()
    assert await read(asking) == b"ok"
    with trio.move_on_after(1):
        origin.answers.append(head)
        async with asking.ask("GET", []) as answer:
            await answer.chunk()
    await origin.left[1].wait()


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (b"SSH-2.0-OpenSSH close\r\n\r\n", "no HTTP"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\nX: close\r\n\r\nok", "without an answer"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nclose\r\n", "no HTTP"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 1001\r\n\r\n" + b"x" * 1001, "larger than 1000 bytes"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"x" * 70_000, "no HTTP"),
    ],
)
async def test_an_answer_that_breaks_off_or_is_none_is_a_failure(
    nursery: trio.Nursery, autojump_clock: MockClock, answer: bytes, said: str
) -> None:
    origin = Origin(nursery, answer)
    with pytest.raises(HttpFailure, match=said):
        await read(client(origin))
    await origin.left[0].wait()


async def test_a_server_that_hangs_up_is_a_failure(nursery: trio.Nursery, autojump_clock: MockClock) -> None:
    async def connect() -> trio.abc.Stream:
        near, far = memory_stream_pair()
        await trio.aclose_forcefully(far)
        return near

    with pytest.raises(HttpFailure, match="closed without an answer"):
        await read(HttpClient(ENDPOINT, connect))


async def test_a_server_that_takes_nothing_is_given_up_on(
    nursery: trio.Nursery, autojump_clock: MockClock
) -> None:
    async def connect() -> trio.abc.Stream:
        near, _ = memory_stream_pair()
        near.send_stream.send_all_hook = trio.sleep_forever
        return near

    with pytest.raises(HttpFailure, match="took nothing for 7 s"):
        await read(HttpClient(ENDPOINT, connect, send_timeout=7))
    assert trio.current_time() == 7


async def test_nobody_there_is_another_failure(autojump_clock: MockClock) -> None:
    async def connect() -> trio.abc.Stream:
        raise ConnectionRefusedError("nobody")

    with pytest.raises(CannotConnect, match="nobody"):
        await read(HttpClient(ENDPOINT, connect))


@pytest.mark.parametrize("tls", [False, True])
async def test_a_kept_connection_that_the_server_has_closed_is_not_used(
    nursery: trio.Nursery, tls: bool
) -> None:
    authority = trustme.CA()
    ours, theirs = ssl.create_default_context(), ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.configure_trust(ours)
    authority.issue_cert("localhost").configure_cert(theirs)
    served = 0

    async def serve(plain: trio.SocketStream) -> None:
        nonlocal served
        served += 1
        stream: trio.abc.Stream = trio.SSLStream(plain, theirs, server_side=True) if tls else plain
        async with stream:
            await stream.receive_some()
            await stream.send_all(OK)
        gone.set()

    gone = trio.Event()
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    nursery.start_soon(trio.serve_listeners, serve, [listener])
    port = listener.socket.getsockname()[1]
    endpoint = parse_url(f"{'https' if tls else 'http'}://localhost:{port}/")

    async def connect() -> trio.abc.Stream:
        return await dial(endpoint, timeout=10, tls=ours)

    asking = HttpClient(endpoint, connect)
    for number in (1, 2):
        assert await read(asking) == b"ok"
        await gone.wait()
        assert served == number
    await asking.aclose()
    nursery.cancel_scope.cancel()
