"""A handler that asks is cancelled anywhere: nothing is left, and the next request works."""

from __future__ import annotations

from itertools import count
from typing import Annotated

import trio
from trio.testing import MockClock

from mcptrio import App, Ask, Context
from mcptrio.server.peer import Peer
from tests.server.asked import Name, Talk, accept, said, subject, talk
from tests.server.rig import Json, request, running
from tests.server.work import BOTH

ANSWERS: dict[str, object] = {
    "Who?": accept(name="Ann"),
    "one?": accept(name="1"),
    "two?": accept(name="2"),
    "Speak": said("Hi"),
}


def house() -> tuple[App, list[str]]:
    app = App("asking")
    inside: list[str] = []

    @app.tool(concurrency=1)
    async def ask(user: Annotated[Name, Ask("Who?")], context: Context) -> str:
        async def one(who: str) -> None:
            await context.elicit(f"{who}?", Name, key=who)

        inside.append(user.name)
        try:
            await context.log("info", "asking")
            async with trio.open_nursery() as nursery:
                nursery.start_soon(one, "one")
                nursery.start_soon(one, "two")
            return (await context.sample("Speak")).text
        finally:
            inside.pop()

    return app, inside


class CancelRequests(trio.abc.Instrument):
    """Cancels what runs for a peer after the so-many-th step of any task, as the client would."""

    def __init__(self, peer: Peer, step: int) -> None:
        self._peer = peer
        self._left = step

    def after_task_step(self, task: trio.lowlevel.Task) -> None:
        self._left -= 1
        if self._left == 0:
            for scope in self._peer.requests.values():
                scope.cancel(reason="cancelled at a step")

    @property
    def reached(self) -> bool:
        return self._left <= 0


async def converse(client: Talk, ids: count[int]) -> bool:
    """Call the tool and answer what it asks; whether there was an answer in the end."""
    more: Json = {}
    with trio.move_on_after(5):
        while True:
            await client.wire.send(
                request(next(ids), "tools/call", {"name": "ask", **more, "_meta": client.meta()}, modern=True)
                if client.modern
                else request(next(ids), "tools/call", {"name": "ask"})
            )
            while True:
                message = await client.wire.receive()
                if "method" in message and "id" in message:
                    await client.answer(message["id"], ANSWERS[subject(message)])
                elif "method" not in message:
                    break
            result = message["result"]
            assert isinstance(result, dict)
            if result.get("resultType") != "input_required":
                assert result["content"] == [{"type": "text", "text": "Hi"}]
                return True
            questions = result["inputRequests"]
            more = {
                "requestState": result["requestState"],
                "inputResponses": {key: ANSWERS[subject(each)] for key, each in questions.items()},
            }
    return False


@BOTH
async def test_a_request_that_asks_cancelled_at_any_step_leaves_nothing(
    autojump_clock: MockClock, modern: bool
) -> None:
    app, inside = house()
    ids = count(1)
    cancelled = 0
    async with running(app) as home:
        client = await talk(home, modern)
        peer = client.wire.peer
        for step in count(1):
            instrument = CancelRequests(peer, step)
            trio.lowlevel.add_instrument(instrument)
            answered = await converse(client, ids)
            trio.lowlevel.remove_instrument(instrument)
            await trio.testing.wait_all_tasks_blocked()
            cancelled += not answered
            assert len(peer.outstanding) == 0
            assert peer.requests == {}
            assert inside == []
            if answered and not instrument.reached:
                break
        assert cancelled > 20
        assert await converse(client, ids)
