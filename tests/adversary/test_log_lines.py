"""What a peer says can forge no line of the log, and fill none."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from typing import Literal

import pytest
import structlog
import trio
from trio.testing import MockClock

from mcptrio import App
from mcptrio.cli.log import set_up_logging
from tests.adversary.world import listen, modern, open_world, rpc, text
from tests.wire.rig import close_frame, upgrade_request

FORGED = "\n2026-01-01T00:00:00Z [error] FORGED\r\x1b[31mFORGED\u2028FORGED\x85FORGED"


@pytest.fixture
def restored_logging() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    libraries = {
        name: logging.getLogger(name).level for name in ("httpcore", "httpx", "trio-websocket", "websockets")
    }
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    for name, before in libraries.items():
        logging.getLogger(name).setLevel(before)
    structlog.reset_defaults()


def _break_easily(app: App) -> None:
    @app.tool
    async def crash(text: str) -> str:
        raise LookupError(text)

    @app.resource("brittle://{name}")
    async def brittle(name: str) -> str:
        raise LookupError(name)


async def _say_everything_that_is_logged() -> None:
    async with open_world(sockets=False, prepare=_break_easily) as world:
        raw = await world.dial()
        async with raw.stream:
            hello = rpc(
                "initialize",
                "init",
                protocolVersion=FORGED,
                capabilities={},
                clientInfo={"name": FORGED, "version": FORGED},
            )
            await raw.send(upgrade_request("X-Forged: FORGED", path="/mcp?FORGED") + text(hello))
            await raw.take_head()
            assert "result" in await raw.answer("init")
            for number, message in enumerate(
                [
                    rpc(FORGED, FORGED),
                    rpc("tools/call", FORGED, name=FORGED),
                    rpc("tools/call", FORGED, name="crash", arguments={"text": FORGED}),
                    modern("tools/call", FORGED, name="crash", arguments={"text": FORGED}),
                    rpc("tools/call", FORGED, name="echo", arguments={FORGED: FORGED}),
                    rpc("resources/read", FORGED, uri="brittle://" + FORGED),
                    rpc("resources/read", FORGED, uri="brittle://a%0A%0DFORGED"),
                    rpc("resources/subscribe", FORGED, uri="hot://" + FORGED),
                    listen(FORGED, "hot://" + FORGED),
                    rpc("notifications/cancelled", requestId={"FORGED": FORGED}),
                    rpc("notifications/cancelled", requestId=FORGED, reason=FORGED),
                    rpc("notifications/" + FORGED),
                ]
            ):
                await raw.send(text(message) + text(rpc("ping", number)))
                await raw.answer(number)
            await world.witness_is_served()
            await raw.send(close_frame(4000, FORGED.encode()[:100]))
            await raw.close_code()
        plain = await world.dial()
        async with plain.stream:
            await plain.send(upgrade_request(host="FORGED.example"))
            assert (await plain.response()).status == 403


@pytest.mark.parametrize("form", ["console", "json"])
async def test_no_text_of_a_peer_begins_a_line_or_steers_a_terminal(
    form: Literal["console", "json"],
    restored_logging: None,
    caplog: pytest.LogCaptureFixture,
    autojump_clock: MockClock,
) -> None:
    stream = io.StringIO()
    set_up_logging("debug", form, stream)
    await _say_everything_that_is_logged()
    caplog.clear()  # the handlers' crashes are errors, as they should be
    logged = stream.getvalue()
    assert "LookupError" in logged
    assert not set(logged) & set("\x1b\r\x85\u2028")
    lines = logged.split("\n")
    if form == "json":
        assert all(isinstance(json.loads(line), dict) for line in lines if line)
    else:
        # A traceback has lines of its own, all of the interpreter's making but for what an exception says.
        assert not [line for line in lines if line.startswith("2026-01-01")]


async def test_the_id_of_a_request_does_not_fill_the_log(
    restored_logging: None, caplog: pytest.LogCaptureFixture, autojump_clock: MockClock
) -> None:
    stream = io.StringIO()
    set_up_logging("debug", "json", stream)
    async with open_world(sockets=False, prepare=_break_easily) as world:
        raw = await world.open()
        async with raw.stream:
            for _ in range(10):
                await raw.send(
                    text(modern("tools/call", "i" * 60_000, name="crash", arguments={"text": "x"}))
                )
                await raw.message()
    caplog.clear()
    assert max(map(len, stream.getvalue().splitlines())) < 20_000


async def test_no_name_of_a_task_is_longer_than_a_name(autojump_clock: MockClock) -> None:
    async with open_world(sockets=False) as world:
        names: list[str] = []

        class Names(trio.abc.Instrument):
            def task_spawned(self, task: trio.lowlevel.Task) -> None:
                names.append(task.name)

        raw = await world.open()
        async with raw.stream:
            instrument = Names()
            trio.lowlevel.add_instrument(instrument)
            await raw.send(text(modern("tools/call", 1, name="x" * 60_000)))
            await raw.message()
            trio.lowlevel.remove_instrument(instrument)
    assert max(map(len, names)) < 500
