"""How a row of the attack tables is played."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

import trio

from tests.adversary.world import PATIENCE, Raw, World
from tests.wire.rig import upgrade_request


@dataclass(frozen=True)
class Status:
    """HTTP responses; then the end of the connection, unless it is kept for another request (None: who knows)."""

    code: int
    kept: bool | None = False
    times: int = 1

    async def judge(self, raw: Raw) -> None:
        for _ in range(self.times):
            response = await raw.response()
            assert response.status == self.code, response
        if self.kept is not None:
            assert (response.headers.get("connection") == "close") is not self.kept
        if self.kept:
            assert (await raw.get("/healthz")).status == 200


class Statuses:
    """HTTP responses with these statuses; behind the last one the connection ends."""

    def __init__(self, *codes: int) -> None:
        self.codes = codes

    async def judge(self, raw: Raw) -> None:
        for code in self.codes[:-1]:
            status = (await raw.take_head())[0] if code == 100 else (await raw.response()).status
            assert status == code
        await Status(self.codes[-1]).judge(raw)


@dataclass(frozen=True)
class Fault:
    """An HTTP response that is a JSON-RPC error; the connection is kept."""

    status: int
    code: int
    id: object = 1

    async def judge(self, raw: Raw) -> None:
        response = await raw.response()
        assert response.status == self.status, response
        told = json.loads(response.body)
        assert (told.get("id"), told["error"]["code"]) == (self.id, self.code), told
        assert (await raw.get("/healthz")).status == 200


@dataclass(frozen=True)
class Closed:
    """A close frame with this code, then the end of the connection."""

    code: int
    handshake: bool = False

    async def judge(self, raw: Raw) -> None:
        if self.handshake:
            assert (await raw.take_head())[0] == 101
        assert await raw.close_code() == self.code


@dataclass(frozen=True)
class Gone:
    """The end of the connection, without a word; behind a 101 (`handshake`) or a 100 (`greeted`)."""

    handshake: bool = False
    greeted: bool = False

    async def judge(self, raw: Raw) -> None:
        if self.handshake or self.greeted:
            assert (await raw.take_head())[0] == (101 if self.handshake else 100)
        assert await raw.rest() == b""


@dataclass(frozen=True)
class Refused:
    """Errors with these ids and codes, in this order; the connection is served on."""

    errors: Sequence[tuple[object, int]]

    async def judge(self, raw: Raw) -> None:
        for id, code in self.errors:
            message = await raw.message()
            assert "error" in message, message
            assert (message.get("id"), message["error"]["code"]) == (id, code), message  # type: ignore[index]
        await raw.is_served()


@dataclass(frozen=True)
class Served:
    """Nothing in particular: the connection is served on."""

    handshake: bool = False

    async def judge(self, raw: Raw) -> None:
        if self.handshake:
            assert (await raw.take_head())[0] == 101
        await raw.is_served()


Outcome = Status | Statuses | Fault | Closed | Gone | Refused | Served


@dataclass(frozen=True)
class Row:
    """What an attacker sends behind an opening, and what it gets."""

    sent: bytes
    gets: Outcome
    opening: str = ""
    eof: bool = False

    async def play(self, world: World) -> None:
        """Attack; the witness is served while the attack is under way, and after it."""
        raw = await world.dial()
        async with raw.stream:
            if self.opening:
                await raw.send(upgrade_request())
                assert (await raw.take_head())[0] == 101
            if self.opening == "session":
                await raw.initialize()
            await raw.send(self.sent)
            if self.eof:
                await raw.stream.send_eof()
            await world.witness_is_served()
            with trio.fail_after(PATIENCE):
                await self.gets.judge(raw)
