"""What comes to a TLS port: bytes that are no TLS, handshakes that break off, and bad requests inside of good TLS."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import trio
import trustme

from mcptrio import App
from mcptrio.wire.tls import server_context
from tests.adversary.posts import ECHO, LIST, call, chunked, head, listen_post, post
from tests.adversary.test_requests import CLIENT_HELLO, H2_PREFACE
from tests.adversary.world import (
    HOT,
    ONLY_WITNESS,
    PATIENCE,
    Raw,
    World,
    open_world,
    settled,
    until,
    with_limits,
)
from tests.wire.rig import upgrade_request


@pytest.fixture(scope="module")
def papers(tmp_path_factory: pytest.TempPathFactory) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """The server's context and a client's."""
    folder: Path = tmp_path_factory.mktemp("papers")
    authority = trustme.CA()
    certificate = authority.issue_cert("localhost")
    certificate.private_key_pem.write_to_path(str(folder / "key.pem"))
    certificate.cert_chain_pems[0].write_to_path(str(folder / "chain.pem"))
    client = ssl.create_default_context()
    authority.configure_trust(client)
    return server_context(folder / "chain.pem", folder / "key.pem"), client


def _look_often(app: App) -> None:
    app.server._sweeper._interval = 0.05


@asynccontextmanager
async def _world(papers: tuple[ssl.SSLContext, ssl.SSLContext]) -> AsyncIterator[World]:
    """A world whose attackers dial a TLS port; the witness is connected in memory."""
    settings = with_limits(head_timeout=0.3, body_timeout=0.3, stall_timeout=0.5)
    async with open_world(sockets=False, settings=settings, prepare=_look_often) as world:
        async with trio.open_nursery() as nursery:
            address = await nursery.start(partial(world.app.serve, port=0, tls=papers[0]))
            yield replace(world, port=address.port)
            await settled(world.app, ONLY_WITNESS)
            nursery.cancel_scope.cancel()


PLAIN = {
    "nothing": b"",
    "a plain request": LIST,
    "many plain requests": LIST * 200,
    "a plain upgrade": upgrade_request(),
    "HTTP/2": H2_PREFACE,
    "zeros": b"\0" * 20_000,
    "half a hello": CLIENT_HELLO[:40],
    "a hello that is too short": CLIENT_HELLO,
    "a hello twice": CLIENT_HELLO * 2,
    "a hello, then a request": CLIENT_HELLO + LIST,
    "an alert": b"\x15\x03\x03\x00\x02\x02\x28",
    "data before the handshake": b"\x17\x03\x03\x00\x05hello",
    "a record of the greatest length": b"\x16\x03\x03\xff\xff" + b"x" * 65_535,
}


@pytest.mark.parametrize("way", ["stay", "half-close", "reset"])
async def test_what_is_no_tls_ends_its_connection_and_nobody_else_notices(
    papers: tuple[ssl.SSLContext, ssl.SSLContext], way: str
) -> None:
    async with _world(papers) as world:
        for sent in PLAIN.values():
            raw = await world.dial()
            async with raw.stream:
                await raw.send(sent)
                await world.witness_is_served()
                if way == "reset":
                    await raw.reset()
                    continue
                if way == "half-close":
                    with suppress(trio.BrokenResourceError):  # it may be over already
                        await raw.stream.send_eof()
                with trio.fail_after(PATIENCE):
                    assert b"HTTP/1.1" not in await raw.rest(), "an alert, or nothing"


async def _dial(world: World, papers: tuple[ssl.SSLContext, ssl.SSLContext]) -> tuple[Raw, trio.SocketStream]:
    stream = await trio.open_tcp_stream("127.0.0.1", world.port or 0)
    secure = trio.SSLStream(stream, papers[1], server_hostname="localhost")
    return Raw(secure), stream  # type: ignore[arg-type]  # it cannot half-close, and need not


BAD = {
    "a bad head": (b"\0\1\2\r\n\r\n", 400),
    "a bad host": (post(b"{}", host="Host: evil.example"), 403),
    "a bad chunk": (chunked(b"zz\r\n"), 400),
    "a head that stops": (LIST[:40], 408),
    "a body that stops": (LIST[:-9], 408),
    "a body too big": (post(b"x", length="99999999"), 413),
    "a head too big": (head("GET /mcp HTTP/1.1", "X: " + "x" * 5000), 431),
    "no JSON": (post(b"{"), 400),
    "garbage behind a request": (LIST + b"?\r\n\r\n", 200),
}


async def test_bad_requests_inside_of_tls_get_their_statuses(
    papers: tuple[ssl.SSLContext, ssl.SSLContext],
) -> None:
    async with _world(papers) as world:
        for name, (sent, status) in BAD.items():
            raw, _ = await _dial(world, papers)
            async with raw.stream:
                await raw.send(sent)
                await world.witness_is_served()
                with trio.fail_after(PATIENCE):
                    assert (await raw.take_head())[0] == status, name


@pytest.mark.parametrize("garbage", [b"", b"\0" * 100, LIST], ids=["nothing", "zeros", "a plain request"])
async def test_a_call_inside_of_tls_ends_with_its_connection_whatever_the_last_bytes_are(
    papers: tuple[ssl.SSLContext, ssl.SSLContext], garbage: bytes
) -> None:
    async with _world(papers) as world:
        calls = [call("hold", tag="held"), ECHO + call("hold", tag="held")]
        for number, sent in enumerate(calls, 1):
            raw, stream = await _dial(world, papers)
            async with stream:
                await raw.send(sent)
                await until(lambda count=number: len(world.entered) == count)  # type: ignore[misc]
                if garbage:
                    await stream.send_all(garbage)
                    await until(lambda count=number: len(world.cancelled) == count)  # type: ignore[misc]
        raw, stream = await _dial(world, papers)
        async with stream:
            await raw.send(listen_post(HOT))
            await raw.take_head()
            await world.witness_is_served()
            await stream.send_all(garbage)
        await settled(world.app, ONLY_WITNESS)
        assert world.cancelled == ["held", "held"]
