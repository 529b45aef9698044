"""Nothing that was acknowledged is lost, and nothing is announced twice, when the source is killed mid-burst."""

from __future__ import annotations

import smtplib
import socket
import threading
import time
from collections import Counter
from email.message import EmailMessage

import pytest
import trio

from mcptrio.live import pump
from mcptrio.sources.smtp import Inlet
from mcptrio.sources.smtp.delivery import Delivery
from mcptrio.sources.smtp.server import SmtpServer
from tests.sources.killing import Killed, crash_at_every_report, killed_at_step
from tests.sources.smtp.post import FEED, Post, in_thread, mail, uri

pytestmark = pytest.mark.unmeasured


class Burst:
    """Senders that try again until their mail was acknowledged; what was, by subject."""

    def __init__(self, post: Post) -> None:
        self.post = post
        self.acknowledged: Counter[str] = Counter()
        self.tries = 0
        self._lock = threading.Lock()

    def send(self, messages: list[EmailMessage]) -> None:
        ahead = list(messages)
        for _ in range(500):
            try:
                with self.post.smtp() as smtp:
                    while ahead:
                        with self._lock:
                            self.tries += 1
                        smtp.send_message(ahead[0])
                        with self._lock:
                            self.acknowledged[str(ahead[0]["Subject"])] += 1
                        ahead.pop(0)
                    return
            except (OSError, smtplib.SMTPException):
                threading.Event().wait(0.02)
        raise AssertionError("never acknowledged")


@pytest.mark.parametrize("capacity", [0, 256])
async def test_a_burst_with_kills_in_it_is_announced_whole_and_once(
    capacity: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pump, "CAPACITY", capacity)
    senders, each = 10, 15
    post = Post()
    burst = Burst(post)
    subjects = [f"{sender}/{number}" for sender in range(senders) for number in range(each)]
    uris = [uri(number) for number in range(1, len(subjects) + 1)]
    async with post.running(clients=2):
        port = post.port
        ears = await post.ears(*uris)
        done = trio.Event()

        async def kill() -> None:
            for number in range(5):
                await trio.sleep(0.15)
                await post.live()
                if done.is_set():
                    return
                post.app.sources.supervisor.exit_child("mail", Killed(str(number)))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(kill)
            async with trio.open_nursery() as senders_nursery:
                for sender in range(senders):
                    own = [mail(subject) for subject in subjects if subject.startswith(f"{sender}/")]
                    senders_nursery.start_soon(in_thread, burst.send, own)
            done.set()
        assert post.port == port, "the same port after every restart"
        for client in ears:
            await client.wait(*uris)
            assert client.heard == dict.fromkeys(uris, 1)
        kept = [(await post.inlet.read_message(str(number))).subject for number in range(1, len(uris) + 1)]
    assert burst.acknowledged == dict.fromkeys(subjects, 1)
    assert sorted(kept) == sorted(subjects), "every mail once, however often it was sent"
    created = [uri for kind, uri in post.record.told() if kind == "created"]
    assert created == uris
    print(f"{burst.tries} tries for {len(subjects)} mails")


@pytest.mark.parametrize("when", ["before", "behind"])
async def test_a_source_that_crashes_at_every_report_announces_each_mail_once(
    when: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    crashed = crash_at_every_report(monkeypatch, when)
    post = Post()
    burst = Burst(post)
    async with post.running():
        await in_thread(burst.send, [mail("one"), mail("two")])
        assert burst.acknowledged == {"one": 1, "two": 1}
    assert post.record.told() == [
        ("created", uri(1)),
        ("updated", FEED),
        ("created", uri(2)),
        ("updated", FEED),
    ]
    assert len(crashed) == 4


async def test_a_port_in_use_is_said_and_taken_as_soon_as_it_is_free() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        post = Post(port=port)
        feed = post.app.sources.feeds["mail"]
        async with post.app._root.hold():
            with trio.fail_after(10):
                await feed.wait_while("idle", "starting")  # type: ignore[arg-type]
            assert (feed.state, feed.reason) == (
                "failed",
                f"port {port} of 127.0.0.1 is in use by another program: end that one, or set another `port`",
            )
            other.close()
            await post.live()
            await in_thread(post.send, mail())
            assert post.inlet.port == port


async def test_stopping_tells_senders_to_come_again_and_leaves_nothing() -> None:
    post = Post()
    async with post.running():
        smtp = await in_thread(post.smtp)
        await in_thread(smtp.ehlo)
        before = threading.active_count()
        post.app.sources.supervisor.exit_child("mail", Killed("while somebody is connected"))
        code, text = await in_thread(smtp.getreply)
        assert (code, text.split()[0]) == (421, b"4.3.2")
        smtp.close()
        await trio.sleep(0.3)
        await post.live()
        await in_thread(post.send, mail())
        assert threading.active_count() <= before + 2


@pytest.mark.parametrize("step", [1, 2, 3, 5, 8])
async def test_killed_after_any_step_it_announces_each_mail_once(step: int) -> None:
    post = Post()
    burst = Burst(post)
    with killed_at_step(post.app.sources.supervisor, "mail", step, kills=3) as killer:
        async with post.running():
            await in_thread(burst.send, [mail(str(number)) for number in range(4)])
            assert burst.acknowledged == {str(number): 1 for number in range(4)}
    created = [each for kind, each in post.record.told() if kind == "created"]
    assert created == [uri(number) for number in range(1, 5)]
    assert killer.killed > 0


async def test_connections_that_come_as_it_stops_do_not_hang() -> None:
    post = Post()

    def connect(gate: threading.Barrier) -> float:
        gate.wait()
        began = time.monotonic()
        try:
            with socket.create_connection(("127.0.0.1", post.port), timeout=20) as connection:
                while connection.recv(1000):
                    pass
        except ConnectionError:
            pass
        return time.monotonic() - began

    async with post.running():
        for _ in range(5):
            gate = threading.Barrier(21)
            took: list[float] = []

            async def one(gate: threading.Barrier = gate, took: list[float] = took) -> None:
                took.append(await in_thread(connect, gate))

            async with trio.open_nursery() as nursery:
                for _ in range(20):
                    nursery.start_soon(one)
                await in_thread(gate.wait)
                post.app.sources.supervisor.exit_child("mail", Killed("now"))
            assert max(took) < 5
            await post.live()


@pytest.mark.parametrize("ends", [False, True])
async def test_a_server_that_fails_is_said_and_started_again(
    ends: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = SmtpServer._main
    failed, third = 0, threading.Event()

    async def fail(self: SmtpServer) -> None:
        nonlocal failed
        failed += 1
        if failed > 2:
            third.set()
            await plain(self)
        elif not ends:
            raise LookupError("no such thing")

    monkeypatch.setattr(SmtpServer, "_main", fail)
    post = Post()
    reasons: list[str] = []
    post.app.sources.on_state(lambda name, state, reason: reasons.append(reason))
    async with post.running():
        assert await in_thread(third.wait, 20)
        await post.live()
        await in_thread(post.send, mail())
    said = "RuntimeError: the SMTP server ended by itself" if ends else "LookupError: no such thing"
    assert reasons.count(said) == 2


async def test_a_mail_that_cannot_be_kept_stops_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = Inlet._take
    failures = [LookupError("a bug")]

    def take(self: Inlet, delivery: Delivery, source: str) -> int:
        if failures:
            raise failures.pop()
        return plain(self, delivery, source)

    monkeypatch.setattr(Inlet, "_take", take)
    post = Post()
    burst = Burst(post)
    async with post.running():
        await in_thread(burst.send, [mail("one"), mail("two")])
        assert burst.acknowledged == {"one": 1, "two": 1}
        assert [each.subject for each in post.inlet._mailbox.newest()] == ["two", "one"]
