"""How a row of the attack tables is played."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import trio

from tests.adversary.world import PATIENCE, Raw, World
from tests.wire.rig import upgrade_request


@dataclass(frozen=True)
class Status:
    """An HTTP response, then the end of the connection."""

    code: int

    async def judge(self, raw: Raw) -> None:
        response = await raw.response()
        assert response.status == self.code, response
        assert response.headers["connection"] == "close"


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
    """The end of the connection, without a word."""

    handshake: bool = False

    async def judge(self, raw: Raw) -> None:
        if self.handshake:
            assert (await raw.take_head())[0] == 101
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


Outcome = Status | Closed | Gone | Refused | Served


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
