"""A house with an SMTP inlet on a real port, clients over real sockets, and senders in threads of their own."""

from __future__ import annotations

import smtplib
import socket
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from email.message import EmailMessage
from functools import partial
from typing import TypeVar

import msgspec
import trio

from mcptrio import App, Client, open_client
from mcptrio.sources.smtp import Inlet, SmtpSettings
from tests.server.rig import expect_nothing_left
from tests.sources.killing import Record

FEED = "mail://live-feed"
T = TypeVar("T")

_threads = trio.CapacityLimiter(40)


async def in_thread(function: Callable[..., T], *args: object) -> T:
    """Blocking work of a sender."""
    return await trio.to_thread.run_sync(partial(function, *args), limiter=_threads)


def mail(subject: str = "Hello", body: str = "How are you?\n") -> EmailMessage:
    message = EmailMessage()
    message["From"] = "Ada <ada@example.org>"
    message["To"] = "Grace <grace@example.org>"
    message["Subject"] = subject
    message.set_content(body)
    return message


def uri(number: int) -> str:
    return f"mail://messages/{number}"


class Ears:
    """A client that hears of mails; how often of each."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.heard: Counter[str] = Counter()
        self._lot = trio.lowlevel.ParkingLot()

    async def listen(self, uris: list[str], *, task_status: trio.TaskStatus[None]) -> None:
        async with self.client.subscribe(*uris) as updates:
            task_status.started()
            async for update in updates:
                self.heard[update.uri] += 1
                self._lot.unpark_all()

    async def wait(self, *uris: str) -> None:
        with trio.fail_after(30):
            while not all(self.heard[uri] for uri in uris):
                await self._lot.park()


class Post:
    """A running house: its inlet, its clients, and ways to send."""

    def __init__(self, **settings: object) -> None:
        self.app = App("house")
        self.settings = msgspec.convert({"kind": "smtp", "port": 0, **settings}, SmtpSettings)
        self.inlet = Inlet(self.settings)
        self.inlet.install(self.app.registry)
        self.record = Record(self.app)
        self.clients: list[Client] = []
        self._nursery: trio.Nursery | None = None

    @property
    def feed_state(self) -> str:
        return self.app.sources.feeds["mail"].state.value

    async def live(self) -> None:
        """Wait until mail is taken."""
        with trio.fail_after(30):
            await self.app.sources.feeds["mail"].wait_while("idle", "starting", "failed")  # type: ignore[arg-type]

    @asynccontextmanager
    async def running(self, clients: int = 0) -> AsyncIterator[None]:
        async with trio.open_nursery() as nursery:
            address = await nursery.start(partial(self.app.serve, port=0))
            await self.live()
            async with AsyncExitStack() as stack:
                for _ in range(clients):
                    self.clients.append(await stack.enter_async_context(open_client(address.websocket)))
                async with trio.open_nursery() as self._nursery:
                    yield
                    self._nursery.cancel_scope.cancel(reason="the test is over")
            nursery.cancel_scope.cancel(reason="the test is over")
        expect_nothing_left(self.app)
        with socket.socket() as probe:  # nothing listens any more
            assert probe.connect_ex(("127.0.0.1", self.port)) != 0

    @property
    def port(self) -> int:
        assert self.inlet.port is not None
        return self.inlet.port

    async def ears(self, *uris: str) -> list[Ears]:
        """Every client, listening to these."""
        assert self._nursery is not None
        ears = [Ears(client) for client in self.clients]
        for each in ears:
            await self._nursery.start(each.listen, list(uris))
        return ears

    def smtp(self) -> smtplib.SMTP:
        """A sender's connection (blocking)."""
        return smtplib.SMTP("127.0.0.1", self.port, local_hostname="sender", timeout=30)

    def send(self, *messages: EmailMessage) -> None:
        """Send mails in one connection (blocking)."""
        with self.smtp() as smtp:
            for message in messages:
                smtp.send_message(message)

    async def read(self, uri: str) -> dict[str, object]:
        """A resource as the first client reads it."""
        [contents] = (await self.clients[0].read_resource(uri)).contents
        assert isinstance(contents.text, str)
        found = msgspec.json.decode(contents.text)
        assert isinstance(found, dict)
        return found
