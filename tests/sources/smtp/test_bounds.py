"""What senders may cost: connections, recipients, time, memory; and what they are told beyond."""

from __future__ import annotations

import smtplib
import socket
import time

import pytest
import trio
from msgspec import UNSET

from mcptrio.live import Change, Feed
from mcptrio.sources.smtp import conversation, server
from tests.sources.smtp.post import Post, in_thread, mail, uri

BEGIN = b"HELO a\r\nMAIL FROM:<a@b>\r\nRCPT TO:<a@b>\r\nDATA\r\n"


def greeted(post: Post) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", post.port), timeout=20)
    connection.recv(1000)
    return connection


def said(connection: socket.socket) -> bytes:
    """Everything to the end of the connection."""
    found = b""
    try:
        while chunk := connection.recv(65_536):
            found += chunk
    except ConnectionResetError:
        pass
    connection.close()
    return found


async def test_a_connection_too_many_is_told_to_come_again() -> None:
    post = Post(max_sessions=3)
    async with post.running():
        open = [await in_thread(greeted, post) for _ in range(3)]
        with pytest.raises(smtplib.SMTPConnectError) as caught:
            await in_thread(post.smtp)
        assert caught.value.smtp_code == 421
        for connection in open:
            connection.close()
        await trio.sleep(0.2)
        await in_thread(post.send, mail())
        assert post.inlet.counts.refused_sessions == 1


async def test_recipients_are_bounded_and_may_be_chosen() -> None:
    post = Post(max_recipients=2, recipients=["@Example.org", "ada@example.net"])

    def send() -> list[int]:
        with post.smtp() as smtp:
            smtp.helo()
            smtp.mail("x@example.com")
            to = ["eve@example.net", "ADA@example.NET", "any@example.org", "more@example.org"]
            codes = [smtp.rcpt(each)[0] for each in to]
            codes.append(smtp.data(mail().as_string())[0])
            return codes

    async with post.running():
        assert await in_thread(send) == [550, 250, 250, 452, 250]
        read = await post.inlet.read_message("1")
        assert read.envelope.recipients == ("ADA@example.NET", "any@example.org")


async def test_who_says_nothing_or_one_byte_at_a_time_is_cut_off() -> None:
    post = Post(timeout="500ms")

    def silent() -> float:
        began = time.monotonic()
        said(greeted(post))
        return time.monotonic() - began

    def slow() -> float:
        began = time.monotonic()
        connection = greeted(post)
        connection.sendall(BEGIN)
        try:
            while time.monotonic() - began < 20:
                connection.sendall(b"x\r\n")
                time.sleep(0.05)
        except OSError:
            pass
        connection.close()
        return time.monotonic() - began

    async with post.running():
        assert await in_thread(silent) < 5
        assert await in_thread(slow) < 5
        await in_thread(post.send, mail())


async def test_a_connection_that_keeps_itself_busy_ends_too() -> None:
    post = Post(session_timeout="1s")

    def busy() -> bytes:
        connection = greeted(post)
        connection.settimeout(0.1)
        found = b""
        began = time.monotonic()
        while time.monotonic() - began < 20:
            try:
                connection.sendall(b"NOOP\r\n")
                found += (chunk := connection.recv(1000))
                if not chunk:
                    break
            except TimeoutError:
                pass
            except OSError:
                break
        connection.close()
        return found

    def deaf() -> float:
        """Asks and asks, and never reads an answer."""
        began = time.monotonic()
        with socket.create_connection(("127.0.0.1", post.port), timeout=20) as connection:
            try:
                while time.monotonic() - began < 20:
                    connection.sendall(b"HELP\r\n" * 10_000)
            except OSError:
                pass
        return time.monotonic() - began

    async with post.running():
        assert b"421 4.4.2" in await in_thread(busy)
        assert await in_thread(deaf) < 10
        await in_thread(post.send, mail())


async def test_a_sender_that_never_stops_is_cut_off() -> None:
    post = Post(max_size=100_000, keep_bytes=100_000)

    def endless(piece: bytes) -> float:
        began = time.monotonic()
        connection = greeted(post)
        connection.sendall(BEGIN)
        try:
            while time.monotonic() - began < 20:
                connection.sendall(piece)
        except OSError:
            pass
        connection.close()
        return time.monotonic() - began

    async with post.running():
        for piece in (b"x" * 65_536, b"line\r\n" * 10_000, b"\n" * 65_536, b"\0" * 65_536):
            assert await in_thread(endless, piece) < 10
        assert post.inlet.counts.refused_size == 4
        await in_thread(post.send, mail())
        assert (await post.inlet.read_message("1")).subject == "Hello"


async def test_mails_that_come_in_take_no_more_memory_than_they_may(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "LEAST_INCOMING", 1000)
    post = Post(max_size=10_000, keep_bytes=10_000)

    def half() -> socket.socket:
        connection = greeted(post)
        connection.sendall(BEGIN)
        while b"354" not in connection.recv(1000):
            pass
        connection.sendall(b"\r\n" * 700)  # as lines they take 71 kB of the 80 kB
        return connection

    async with post.running():
        first = await in_thread(half)
        await trio.sleep(0.2)
        second = await in_thread(half)
        assert b"452 4.3.1" in await in_thread(said, second)
        first.sendall(b".\r\nQUIT\r\n")
        assert b"250 2.6.0 OK, message 1" in await in_thread(said, first)
        assert conversation.NO_ROOM.startswith(b"452")


async def test_senders_wait_for_a_slow_hub_and_then_are_told_to_come_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    post = Post(queue=2, patience="500ms")

    def send(subject: str) -> int:
        with post.smtp() as smtp:
            try:
                smtp.send_message(mail(subject))
            except smtplib.SMTPDataError as error:
                return error.smtp_code
        return 250

    async with post.running(clients=1):
        gate = trio.Event()

        async def report(self: Feed, change: Change, *, checkpoint: object = UNSET) -> None:
            await gate.wait()
            await plain(self, change, checkpoint=checkpoint)

        plain = Feed.report
        with monkeypatch.context() as patched:
            patched.setattr(Feed, "report", report)
            codes: list[int] = []

            async def one(subject: str) -> None:
                codes.append(await in_thread(send, subject))

            async with trio.open_nursery() as nursery:
                for number in range(6):
                    nursery.start_soon(one, str(number))
            assert codes == [451] * 6
            gate.set()
            codes.clear()
            for number in range(6):
                await one(str(number))
            assert codes == [250] * 6
        created = [each for kind, each in post.record.told() if kind == "created"]
        assert created == [uri(number) for number in range(1, 7)], "the one that was taken was known again"
