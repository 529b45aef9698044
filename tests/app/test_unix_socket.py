"""A Unix socket: its user's alone, a stale file replaced, a live one left, and nothing left at the end."""

from __future__ import annotations

import errno
import os
import socket
import stat
from functools import partial
from pathlib import Path

import pytest
import trio

from mcptrio import App, open_client
from mcptrio.app import Address
from mcptrio.app.address import CannotListen
from mcptrio.app.unix_socket import LONGEST, open_unix_socket
from tests.server.rig import expect_nothing_left


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.chdir(tmp_path)  # a path of the tests may be longer than a socket's
    return "mcp.sock"


def stale(path: str) -> None:
    """Leave a socket's file as a killed server does."""
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(path)
        sock.listen()


def exists(path: str) -> bool:
    return os.path.lexists(path)


async def test_an_app_serves_at_a_path_that_is_gone_afterwards(path: str, tmp_path: Path) -> None:
    app = App("house")

    async def connect() -> trio.abc.Stream:
        return await trio.open_unix_socket(path)

    async with trio.open_nursery() as nursery:
        address: Address = await nursery.start(partial(app.serve, unix_socket=Path(path)))
        assert address.endpoint == address.websocket == f"unix:{tmp_path / path}"
        assert stat.S_IMODE(os.lstat(path).st_mode) == 0o600
        async with open_client("ws://localhost/mcp", connect=connect) as client:
            await client.ping()
        nursery.cancel_scope.cancel()
    assert not exists(path)
    expect_nothing_left(app)


async def test_the_file_of_a_server_that_was_killed_is_replaced(path: str) -> None:
    stale(path)
    with open_unix_socket(path) as sock:
        async with await trio.open_unix_socket(path):
            accepted, _ = await sock.accept()
            accepted.close()


def refusal(path: str) -> CannotListen:
    with pytest.raises(CannotListen) as caught, open_unix_socket(path):
        pass
    return caught.value


def test_a_socket_that_is_listened_on_is_left(path: str) -> None:
    with open_unix_socket(path), socket.socket(socket.AF_UNIX) as client:
        error = refusal(path)
        assert (error.errno, error.strerror) == (
            errno.EADDRINUSE,
            "it is in use: another program listens there",
        )
        client.connect(path)


def test_a_socket_whose_server_is_too_busy_to_accept_is_left(path: str) -> None:
    with socket.socket(socket.AF_UNIX) as busy, socket.socket(socket.AF_UNIX) as client:
        busy.bind(path)
        busy.listen(0)
        client.connect(path)
        assert refusal(path).errno == errno.EADDRINUSE


def test_a_file_that_is_no_socket_is_left(path: str) -> None:
    Path(path).write_text("mine")
    error = refusal(path)
    assert (error.errno, error.strerror) == (
        errno.EEXIST,
        "there is a file that is no socket: choose another path",
    )
    assert Path(path).read_text() == "mine"


def test_a_path_that_cannot_be_a_socket_s_is_told(path: str) -> None:
    assert refusal("no/where").errno == errno.ENOENT
    assert refusal("").strerror == refusal("\0name").strerror == "a Unix socket needs the path of a file"
    long = refusal("é" * LONGEST)
    assert long.errno == errno.ENAMETOOLONG
    assert (
        long.strerror
        == f"the path has {2 * LONGEST} bytes, and a socket's at most {LONGEST}: choose a shorter one"
    )
    with open_unix_socket("x" * LONGEST):
        pass


def test_the_file_that_took_its_place_is_left(path: str) -> None:
    with open_unix_socket(path):
        os.rename(path, "old.sock")
        stale(path)
    assert stat.S_ISSOCK(os.lstat(path).st_mode)


def test_the_file_is_removed_from_where_it_is_whatever_becomes_of_the_working_directory(path: str) -> None:
    here = os.getcwd()
    with open_unix_socket(path):
        os.chdir("/")
    assert not exists(f"{here}/{path}")
