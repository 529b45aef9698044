"""Descriptors of every kind as a transport: pipes, sockets, files, a terminal, nothing at all."""

from __future__ import annotations

import os
import socket
import stat
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import trio

from mcptrio.wire import Limits, Link, TransportStream
from mcptrio.wire.pipe import PipeTransport

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="descriptors are polled on POSIX only")


@pytest.fixture
def kept() -> Iterator[ExitStack]:
    """Descriptors are closed in the end, whatever happens."""
    with ExitStack() as stack:
        yield stack


def pipe(kept: ExitStack) -> tuple[int, int]:
    reader, writer = os.pipe()
    for fd in (reader, writer):
        kept.callback(_close, fd)
    return reader, writer


def _close(fd: int) -> None:
    try:
        os.close(fd)
    except OSError:
        pass  # by the test


def piped(kept: ExitStack) -> tuple[int, int, int, int]:
    """What the program reads from and writes to, and the other ends."""
    stdin, feed = pipe(kept)
    told, stdout = pipe(kept)
    return stdin, stdout, feed, told


def paired(kept: ExitStack) -> tuple[int, int, int, int]:
    """One socket as standard input and output, as some programs start their children."""
    ours, theirs = socket.socketpair()
    kept.callback(ours.close)
    kept.callback(theirs.close)
    stdin, stdout = os.dup(ours.fileno()), os.dup(ours.fileno())
    kept.callback(_close, stdin)
    kept.callback(_close, stdout)
    ours.close()
    return stdin, stdout, theirs.fileno(), theirs.fileno()


def teletyped(kept: ExitStack) -> tuple[int, int, int, int]:
    ours, theirs = os.openpty()
    kept.callback(_close, ours)
    kept.callback(_close, theirs)
    import tty

    tty.setraw(ours)
    return ours, ours, theirs, theirs


KINDS = pytest.mark.parametrize("made", [piped, paired, teletyped])
Made = Callable[[ExitStack], tuple[int, int, int, int]]


@KINDS
async def test_bytes_go_both_ways_and_the_descriptors_are_left_as_they_were(
    kept: ExitStack, made: Made
) -> None:
    stdin, stdout, feed, told = made(kept)
    before = [os.get_blocking(fd) for fd in (stdin, stdout)]
    transport = PipeTransport(stdin, stdout)
    assert transport.peername == "stdio"
    stream = TransportStream(transport)
    for size in (1, 1000):
        os.write(feed, b"x" * size)
        received = b""
        while len(received) < size:
            received += await stream.receive_some()
        assert received == b"x" * size
        await stream.send_all(b"y" * size)
        assert os.read(told, 2000) == b"y" * size
    await stream.aclose()
    transport.abort()
    assert [os.get_blocking(fd) for fd in (stdin, stdout)] == before == [True, True]
    for fd in (stdin, stdout):
        assert stat.S_IFMT(os.fstat(fd).st_mode), "still open: whoever gave it closes it"


@KINDS
async def test_an_abort_wakes_whoever_waits_and_later_use_is_refused(kept: ExitStack, made: Made) -> None:
    transport = PipeTransport(*made(kept)[:2])
    async with trio.open_nursery() as nursery:

        async def wait() -> None:
            with pytest.raises(trio.ClosedResourceError):
                await transport.wait_readable()

        nursery.start_soon(wait)
        await trio.testing.wait_all_tasks_blocked()
        transport.abort()
    for wait_for in (transport.wait_readable, transport.wait_writable):
        with pytest.raises(trio.ClosedResourceError):
            await wait_for()
    with pytest.raises(OSError, match="aborted"):
        transport.recv_into(bytearray(1))
    with pytest.raises(OSError, match="aborted"):
        transport.send(b"x")


@KINDS
async def test_a_wait_that_is_cancelled_loses_nothing(kept: ExitStack, made: Made) -> None:
    stdin, stdout, feed, _ = made(kept)
    stream = TransportStream(PipeTransport(stdin, stdout))
    for _ in range(3):
        with trio.CancelScope() as scope:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(stream.receive_some)
                await trio.testing.wait_all_tasks_blocked()
                scope.cancel()
    os.write(feed, b"hello")
    received = b""
    while len(received) < 5:
        received += await stream.receive_some(2)
    assert received == b"hello"
    await stream.aclose()


async def test_the_end_of_input_is_told_again_and_again(kept: ExitStack, tmp_path: Path) -> None:
    file = tmp_path / "input"
    file.write_bytes(b"some\n" * 40_000)
    stdin = os.open(file, os.O_RDONLY)
    kept.callback(os.close, stdin)
    _, stdout = pipe(kept)
    stream = TransportStream(PipeTransport(stdin, stdout))
    received = b""
    while chunk := await stream.receive_some():
        received += chunk
    assert received == b"some\n" * 40_000
    assert await stream.receive_some() == b""
    await stream.aclose()


async def test_a_file_takes_all_that_is_sent_in_order(kept: ExitStack, tmp_path: Path) -> None:
    file = tmp_path / "output"
    stdout = os.open(file, os.O_WRONLY | os.O_CREAT)
    kept.callback(os.close, stdout)
    stdin, _ = pipe(kept)
    transport = PipeTransport(stdin, stdout)
    limits = Limits()
    sent = [b"%d\n" % number * 100 for number in range(1000)]
    async with trio.open_nursery() as nursery:
        link = Link(transport, nursery.start_soon, limits)
        flushed = trio.Event()
        link.buffer.on_flushed = flushed.set
        for data in sent:
            assert link.push(data)
        link.finish()
        await flushed.wait()
        assert file.read_bytes() == b"".join(sent), "what was flushed is in the file"
        link.abort()


async def test_nothing_can_be_read_and_everything_written_where_nothing_is(kept: ExitStack) -> None:
    nothing = os.open(os.devnull, os.O_RDWR)
    kept.callback(os.close, nothing)
    stream = TransportStream(PipeTransport(nothing, nothing))
    assert await stream.receive_some() == b""
    await stream.send_all(b"x" * 1_000_000)
    await stream.aclose()


async def test_a_reader_that_has_gone_breaks_the_sending_side(kept: ExitStack) -> None:
    stdin, stdout, _, told = piped(kept)
    os.close(told)
    stream = TransportStream(PipeTransport(stdin, stdout))
    with pytest.raises(trio.BrokenResourceError):
        await stream.send_all(b"x")
    await stream.aclose()


async def test_a_full_disk_breaks_the_sending_side(kept: ExitStack) -> None:
    full = os.open("/dev/full", os.O_WRONLY)
    kept.callback(os.close, full)
    stdin, _ = pipe(kept)
    stream = TransportStream(PipeTransport(stdin, full))
    with pytest.raises(trio.BrokenResourceError, match="No space left"):
        await stream.send_all(b"x")
    await stream.aclose()


async def test_only_one_task_may_wait_in_each_direction(kept: ExitStack) -> None:
    stdin, stdout, _, _ = teletyped(kept)
    transport = PipeTransport(stdin, stdout)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(transport.wait_readable)
        await trio.testing.wait_all_tasks_blocked()
        with pytest.raises(trio.BusyResourceError):
            await transport.wait_readable()
        nursery.cancel_scope.cancel()
    transport.abort()


def test_a_closed_descriptor_is_refused(kept: ExitStack) -> None:
    stdin, stdout = pipe(kept)
    os.close(stdin)
    with pytest.raises(OSError, match="Bad file descriptor"):
        PipeTransport(stdin, stdout)
