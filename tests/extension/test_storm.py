"""A thousand clients come back at once, each with a hundred changes missed: told from memory, no source is touched."""

from __future__ import annotations

import json
import re

import pytest
import trio
import trio.testing
from trio.testing import MockClock

from mcptrio import App, Feed
from mcptrio.wire import TransportStream
from tests.extension.rig import client, expect_no_selections, glob, listening, publish
from tests.server.rig import House, client_frame, running
from tests.tap import payloads
from tests.wire.rig import upgrade_request

pytestmark = pytest.mark.unmeasured

CLIENTS = 1000
MISSED = 100


class Watched:
    """An app with a source, and how often it was started and read."""

    def __init__(self) -> None:
        self.app = App("house")
        self.starts = self.reads = 0

        @self.app.source("mail://{box}/{id}")
        async def source(feed: Feed) -> None:
            self.starts += 1
            await trio.sleep_forever()

        @self.app.resource("mail://{box}/{id}")
        async def mail(box: str, id: str) -> str:
            self.reads += 1
            return ""


async def come_back(home: House, since: str) -> TransportStream:
    """A connection that listens from a cursor on; frames by hand, since there are many."""
    stream = await home.stream()
    await stream.send_all(upgrade_request())
    head = b""
    while b"\r\n\r\n" not in head:
        head += await stream.receive_some(4096)
    await stream.send_all(client_frame(listening("l", glob(policy="every", since=since, fields="all"))))
    return stream


async def test_a_storm_of_clients_that_come_back_is_served_from_memory(autojump_clock: MockClock) -> None:
    watched = Watched()
    app = watched.app
    async with running(app) as home:
        witness = await client(home, True)
        (honoured,) = await witness.ask(glob(fields="none"))
        await trio.testing.wait_all_tasks_blocked()
        assert (watched.starts, watched.reads) == (1, 0)
        missed = [publish(app, f"mail://a/{number % 7}", data={"n": number}) for number in range(MISSED)]
        streams = [await come_back(home, str(honoured["cursor"])) for _ in range(CLIENTS)]
        later = publish(app, "mail://a/1", data={"n": MISSED})
        await trio.testing.wait_all_tasks_blocked()
        for stream in streams:
            # All of it has come, since the connection takes more than that.
            acknowledgement, *messages = payloads(await stream.receive_some(1 << 20))
            assert b'"recovered":true' in acknowledgement
            found = [int(re.findall(rb'"offset":(\d+)', message)[0]) for message in messages]
            assert found == [*missed, later]
        # They were all told the same, so one of them tells it for all.
        values = [json.loads(message)["params"]["_meta"]["io.mcptrio/change"]["data"] for message in messages]
        assert values == [{"n": number} for number in range(MISSED + 1)]
        assert (watched.starts, watched.reads) == (1, 0)
        assert app.hub.selections.recovered == CLIENTS
        assert app.hub.selections.tally.waiting == 0
        for stream in streams:
            stream.transport.abort()
        witness.wire.vanish()
        await trio.testing.wait_all_tasks_blocked(0.01)
        expect_no_selections(app)
