"""TLS between the socket and what is said: judged by Python's own client, in a thread and on Trio."""

import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import trio
import trustme
from trio.testing import MockClock

from mcptrio.wire import EventKind, Exchange, Limits, TransportStream, memory_transport_pair
from mcptrio.wire.tls import TlsCodec, server_context
from tests.wire.rig import TEXT, Client, Rig, close_frame, echo, frame, upgrade_request


@dataclass
class Papers:
    """A certificate for `localhost` and who trusts it."""

    server: ssl.SSLContext
    client: ssl.SSLContext
    folder: Path


@pytest.fixture(scope="module")
def papers(tmp_path_factory: pytest.TempPathFactory) -> Papers:
    folder = tmp_path_factory.mktemp("papers")
    authority = trustme.CA()
    certificate = authority.issue_cert("localhost")
    certificate.private_key_and_cert_chain_pem.write_to_path(str(folder / "both.pem"))
    certificate.private_key_pem.write_to_path(str(folder / "key.pem"))
    certificate.cert_chain_pems[0].write_to_path(str(folder / "chain.pem"))
    authority.issue_cert("other.example").private_key_pem.write_to_path(str(folder / "other.pem"))
    (folder / "junk.pem").write_text("junk")
    client = ssl.create_default_context()
    authority.configure_trust(client)
    return Papers(server_context(folder / "chain.pem", folder / "key.pem"), client, folder)


async def say(exchange: Exchange) -> None:
    body = await exchange.read_body()
    exchange.respond(200, b"secure " + body if exchange.secure else b"plain " + body)


async def streaming(exchange: Exchange) -> None:
    stream = exchange.open_stream()
    for _ in range(3):
        stream.push(b"x" * 100_000)
        await stream.wait_below_high_water()


ROUTES = {"/mcp": echo, "/": say, "/stream": streaming}


def connect(rig: Rig, papers: Papers, capacity: int = 65_536) -> Client:
    """A client in memory, whose handshake takes place with its first bytes."""
    server, client = memory_transport_pair(capacity)

    async def serve() -> None:
        await rig.listener.connection(server, tls=papers.server)

    rig.nursery.start_soon(serve)
    stream = trio.SSLStream(TransportStream(client), papers.client, server_hostname="localhost")
    return Client(stream)  # type: ignore[arg-type]  # it cannot half-close, and need not


async def listen(rig: Rig, papers: Papers) -> int:
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    sock = listeners[0].socket

    async def serve() -> None:
        await rig.listener.serve([sock], tls=papers.server)

    rig.nursery.start_soon(serve)
    port: int = sock.getsockname()[1]
    return port


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_requests_streams_and_websockets_go_over_tls(
    nursery: trio.Nursery, autojump_clock: MockClock, papers: Papers, version: ssl.TLSVersion
) -> None:
    rig = Rig(nursery, routes=ROUTES)
    context = papers.client
    context.minimum_version, context.maximum_version = ssl.TLSVersion.TLSv1_2, version
    try:
        client = connect(rig, papers, capacity=4096)
        for size in (0, 10, 100_000):
            await client.send(b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % size)
            await client.send(b"x" * size)
            assert (await client.response()).body == b"secure " + b"x" * size
        assert (await client.get("/stream")).body == b"x" * 300_000
        await client.send(upgrade_request() + frame(TEXT, b"hello"))
        assert (await client.take_head())[0] == 101
        assert await client.frame() == (TEXT, b"hello")
        await client.send(frame(TEXT, b"y" * 300_000))
        assert await client.frame() == (TEXT, b"y" * 300_000)
        await client.send(close_frame(1000))
        assert await client.closing() == (1000, "")  # which a close_notify follows, or this would raise
    finally:
        context.maximum_version = ssl.TLSVersion.MAXIMUM_SUPPORTED
    assert await rig.wait_closed() == [("", 1000)]


async def test_a_blocking_client_of_another_make_is_served_on_a_real_socket(
    nursery: trio.Nursery, papers: Papers
) -> None:
    rig = Rig(nursery, routes=ROUTES)
    port = await listen(rig, papers)

    def converse() -> list[bytes]:
        answers = []
        with socket.create_connection(("127.0.0.1", port), timeout=10) as sock:
            with papers.client.wrap_socket(sock, server_hostname="localhost") as secure:
                for last in (False, True):
                    lines = b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 200000\r\n"
                    secure.sendall(lines + (b"Connection: close\r\n" if last else b"") + b"\r\n")
                    secure.sendall(b"z" * 200_000)
                    answer = b""
                    while not answer.endswith(b"secure " + b"z" * 200_000):
                        answer += secure.recv(65_536)
                    answers.append(answer.partition(b"\r\n")[0])
                answers.append(secure.recv(1))  # the end, properly said: else this would raise
                secure.unwrap()
        return answers

    assert await trio.to_thread.run_sync(converse) == [b"HTTP/1.1 200 OK"] * 2 + [b""]
    assert await rig.wait_closed() == [("answered", 200)]


@pytest.mark.parametrize(
    "garbage",
    [
        pytest.param(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", id="plain HTTP"),
        pytest.param(b"\x00" * 300, id="zeros"),
        pytest.param(b"\x16\x03\x01\xff\xff" + b"\xff" * 70_000, id="a record too long"),
        pytest.param(bytes.fromhex("16030100050100000100"), id="a hello too short"),
        pytest.param(b"\x80\x2e\x01\x00\x02" + b"\x01" * 60, id="SSL 2"),
    ],
)
async def test_garbage_on_a_tls_port_is_refused_and_nobody_else_notices(
    nursery: trio.Nursery, papers: Papers, garbage: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    rig = Rig(nursery, routes=ROUTES)
    port = await listen(rig, papers)
    client = await rig.dial(port)
    try:
        await client.send(garbage)
        await client.rest()
    except trio.BrokenResourceError:
        pass  # it left bytes unread
    await rig.wait_closed()
    assert rig.told(EventKind.REFUSED) == [("tls", None)]
    assert rig.told(EventKind.CLOSED) == [("tls", None)]
    assert caplog.records == []
    await rig.still_serves()


async def test_a_client_that_offers_too_old_a_version_is_told_why(
    nursery: trio.Nursery, autojump_clock: MockClock, papers: Papers
) -> None:
    rig = Rig(nursery, routes=ROUTES)
    client = ssl.create_default_context()
    client.check_hostname, client.verify_mode = False, ssl.CERT_NONE
    client.set_alpn_protocols(["x"])
    with pytest.warns(DeprecationWarning):
        client.minimum_version = ssl.TLSVersion.TLSv1
        client.maximum_version = ssl.TLSVersion.TLSv1_1
    client.set_ciphers("ALL:@SECLEVEL=0")
    server, transport = memory_transport_pair()
    nursery.start_soon(lambda: rig.listener.connection(server, tls=papers.server))
    stream = trio.SSLStream(TransportStream(transport), client, server_hostname="localhost")
    with pytest.raises(trio.BrokenResourceError) as caught:
        await stream.do_handshake()
    assert "alert" in str(caught.value.__cause__).lower()
    assert await rig.wait_closed() == [("tls", None)]


async def test_a_tls_hello_on_a_plain_port_is_a_bad_request(
    nursery: trio.Nursery, autojump_clock: MockClock, papers: Papers
) -> None:
    rig = Rig(nursery, routes=ROUTES)
    client = rig.connect()
    stream = trio.SSLStream(client.stream, papers.client, server_hostname="localhost")
    with pytest.raises(trio.BrokenResourceError):
        await stream.do_handshake()
    assert (await rig.wait_closed())[0] == ("bad_request", 400)


async def test_a_handshake_that_stalls_ends_at_the_deadline_without_a_word(
    nursery: trio.Nursery, autojump_clock: MockClock, papers: Papers
) -> None:
    rig = Rig(nursery, Limits(head_timeout=10), routes=ROUTES)
    for half in (False, True):
        server, transport = memory_transport_pair()

        async def serve(server: object = server) -> None:
            await rig.listener.connection(server, tls=papers.server)  # type: ignore[arg-type]

        nursery.start_soon(serve)
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        hello = papers.client.wrap_bio(incoming, outgoing, server_hostname="localhost")
        with pytest.raises(ssl.SSLWantReadError):
            hello.do_handshake()
        data = outgoing.read()
        started = trio.current_time()
        transport.send(data[: len(data) // 2] if half else data)
        await rig.wait_closed(1 + half)
        assert trio.current_time() - started == pytest.approx(10, abs=0.1)
    assert rig.told(EventKind.CLOSED) == [("no request", None)] * 2
    assert rig.told(EventKind.REFUSED) == []


async def test_an_end_without_close_notify_is_simply_the_end(
    nursery: trio.Nursery, autojump_clock: MockClock, papers: Papers, caplog: pytest.LogCaptureFixture
) -> None:
    rig = Rig(nursery, routes=ROUTES)
    client = connect(rig, papers)
    await client.get()
    stream = client.stream
    assert isinstance(stream, trio.SSLStream)
    await stream.transport_stream.aclose()
    assert await rig.wait_closed() == [("answered", 200)]
    assert caplog.records == []


async def test_a_close_notify_is_the_end_too_where_the_connection_stays_open(
    nursery: trio.Nursery, autojump_clock: MockClock, papers: Papers
) -> None:
    gone = trio.Event()

    async def work(exchange: Exchange) -> None:
        exchange.open_stream()
        await exchange.wait_disconnected()
        await exchange.wait_disconnected()  # it stays so
        gone.set()

    rig = Rig(nursery, routes={"/": work})
    client = connect(rig, papers)
    await client.send(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
    await client.take_head()
    stream = client.stream
    assert isinstance(stream, trio.SSLStream)
    with pytest.raises(
        trio.BrokenResourceError
    ):  # the end of the body comes where it reads for another's goodbye
        await stream.unwrap()
    await gone.wait()
    assert await rig.wait_closed() == [("answered", 200)]
    assert trio.current_time() < 5


async def test_bytes_that_were_tampered_with_end_the_connection(
    nursery: trio.Nursery, autojump_clock: MockClock, papers: Papers, caplog: pytest.LogCaptureFixture
) -> None:
    rig = Rig(nursery, routes=ROUTES)
    client = connect(rig, papers)
    await client.get()
    assert isinstance(client.stream, trio.SSLStream)
    await client.stream.transport_stream.send_all(b"\x17\x03\x03\x00\x20" + b"\x00" * 32)
    assert await rig.wait_closed() == [("tls", None)]
    assert rig.told(EventKind.REFUSED) == [("tls", None)]
    assert caplog.records == []


async def test_a_stream_that_is_pushed_to_after_its_client_sent_nonsense_is_closed(
    nursery: trio.Nursery, autojump_clock: MockClock, papers: Papers
) -> None:
    taken: list[bool] = []

    async def work(exchange: Exchange) -> None:
        stream = exchange.open_stream()
        await exchange.wait_disconnected()
        taken.append(stream.push(b"x"))

    rig = Rig(nursery, routes={"/": work})
    client = connect(rig, papers)
    await client.send(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
    await client.take_head()
    assert isinstance(client.stream, trio.SSLStream)
    await client.stream.transport_stream.send_all(b"\x17\x03\x03\x00\x20" + b"\x00" * 32)
    assert await rig.wait_closed() == [("connection lost", 200)]
    assert taken == [False]


async def test_one_too_many_is_closed_without_a_handshake(
    nursery: trio.Nursery, autojump_clock: MockClock, papers: Papers
) -> None:
    rig = Rig(nursery, Limits(max_connections=0), routes=ROUTES)
    server, client = memory_transport_pair()
    await rig.listener.connection(server, tls=papers.server)
    assert client.recv_into(bytearray(100)) == 0  # what it would be told it could not read
    assert rig.told(EventKind.REFUSED) == [("connection_limit", 503)]


@pytest.mark.parametrize(
    ("certificate", "key", "message"),
    [
        pytest.param("none.pem", None, r"cannot read .*none.pem: No such file", id="no certificate"),
        pytest.param("both.pem", "none.pem", r"cannot read .*none.pem: No such file", id="no key"),
        pytest.param("chain.pem", None, r"chain.pem must hold .* and its private key", id="key not in it"),
        pytest.param("junk.pem", "key.pem", r"junk.pem must hold a PEM certificate", id="junk"),
        pytest.param("chain.pem", "other.pem", r"other.pem is not that of .*chain.pem", id="another's key"),
    ],
)
def test_papers_that_cannot_be_used_are_refused_by_name(
    papers: Papers, certificate: str, key: str | None, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        server_context(papers.folder / certificate, papers.folder / key if key else None)
    assert server_context(papers.folder / "both.pem").minimum_version is ssl.TLSVersion.TLSv1_2


def test_an_encrypted_key_is_refused_instead_of_asked_for_at_the_terminal(
    papers: Papers, tmp_path: Path
) -> None:
    serialization = pytest.importorskip("cryptography.hazmat.primitives.serialization")
    key = serialization.load_pem_private_key((papers.folder / "key.pem").read_bytes(), None)
    encrypted = tmp_path / "encrypted.pem"
    encrypted.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(b"secret"),
        )
    )
    with pytest.raises(ValueError, match="is encrypted: store it without"):
        server_context(papers.folder / "chain.pem", encrypted)


def _handshake(papers: Papers) -> tuple[ssl.SSLObject, TlsCodec, Callable[[], bytes]]:
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = papers.client.wrap_bio(incoming, outgoing, server_hostname="localhost")
    codec = TlsCodec(papers.server)

    def deliver() -> bytes:
        """Carry what the client wrote; return what the server reads."""
        plain, reply = codec.open(bytearray(outgoing.read()))
        incoming.write(reply)
        return bytes(plain)

    for _ in range(2):
        try:
            client.do_handshake()
        except ssl.SSLWantReadError:
            deliver()
    return client, codec, deliver


def test_all_plain_bytes_of_a_read_are_given_at_once_and_the_end_is_remembered(papers: Papers) -> None:
    client, codec, deliver = _handshake(papers)
    deliver()
    for _ in range(3):
        client.write(b"x" * 20_000)
    assert deliver() == b"x" * 60_000
    assert not codec.ended
    client.write(b"last")
    with pytest.raises(ssl.SSLWantReadError):
        client.unwrap()
    assert deliver() == b"last"
    assert codec.ended
    assert codec.end()
    assert codec.end() == b""


def test_the_peer_may_go_on_after_our_end_until_it_says_the_same(papers: Papers) -> None:
    client, codec, deliver = _handshake(papers)
    deliver()
    assert codec.end()
    client.write(b"an answer to the last")
    assert deliver() == b"an answer to the last"
    assert not codec.ended
    with pytest.raises(ssl.SSLWantReadError):
        client.unwrap()
    assert deliver() == b""
    assert codec.ended


def test_there_is_nothing_to_say_at_the_end_of_a_handshake_that_never_was(papers: Papers) -> None:
    assert TlsCodec(papers.server).end() == b""
