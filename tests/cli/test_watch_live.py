"""`mcptrio watch` by the extension: its flags, what lines and commands are told, and what is refused."""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from shlex import quote

import pytest
import trio
from trio.testing import MockClock

from mcptrio import App, Change
from mcptrio.cli.commandline import parse
from mcptrio.cli.exits import Exit, UserError
from mcptrio.cli.remote import Remote
from mcptrio.cli.watch import watch
from mcptrio.cli.watch_exec import Commands, watch_exec
from mcptrio.cli.watch_flags import WatchFlags
from mcptrio.cli.watch_lines import json_line, text_line, variables
from mcptrio.client import WatchEvent

from .conftest import Kept, in_memory, old_server

AT = datetime(2026, 11, 20, 9, 8, 7, tzinfo=UTC)
CLOCK = f"{AT.astimezone():%H:%M:%S}"


@asynccontextmanager
async def watching(
    remote: Remote, kept: Kept, flags: WatchFlags, *uris: str, as_json: bool = False
) -> AsyncIterator[None]:
    """A watch by the extension that runs inside the block."""
    async with trio.open_nursery() as nursery:
        wanted = flags.wanted(uris)
        run = partial(watch, remote, uris, kept, wanted=wanted, as_json=as_json, now=lambda: AT)
        nursery.start_soon(run)
        await trio.testing.wait_all_tasks_blocked()
        yield
        nursery.cancel_scope.cancel(reason="the test is over")


@pytest.mark.parametrize("revision", ["2025-11-25", "2026-07-28"])
async def test_each_change_that_fits_is_a_line(
    app: App, kept: Kept, revision: str, autojump_clock: MockClock, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = WatchFlags(glob=("news://*",), policy="every")
    async with in_memory(app, revision=revision) as remote, watching(remote, kept, flags, "bytes://all"):
        app.created_nowait("news://three")
        app.updated_nowait("other://one")
        app.deleted_nowait("news://one")
        await kept.wait_lines(2)
        app.updated_nowait("bytes://all")
        lines = await kept.wait_lines(3)
        assert len(app.hub.selections) == 2
    assert lines == [
        f"{CLOCK}  created  news://three",
        f"{CLOCK}  deleted  news://one",
        f"{CLOCK}  updated  bytes://all",
    ]
    assert capsys.readouterr().err == "watching bytes://all, news://*\n"


async def test_with_json_a_line_has_all_that_is_known_and_where_to_go_on(
    app: App, kept: Kept, autojump_clock: MockClock
) -> None:
    flags = WatchFlags(
        template=("news://{id}",), filter='{"kind": "read"}', policy="every", fields="/by,/gone"
    )
    async with in_memory(app) as remote:
        async with watching(remote, kept, flags, as_json=True):
            change = Change(
                uri="news://one", kind="read", data={"by": "ada"}, metadata={"size": 3}, event_id="e1"
            )
            app.publish_nowait(change)
            app.updated_nowait("news://one")
            app.publish_nowait(Change(uri="news://two", kind="read"))
            first, second = [json.loads(line) for line in await kept.wait_lines(2)]
        cursor = first["cursor"]
        assert datetime.fromisoformat(first.pop("at")).tzinfo is not None
        assert first == {
            "time": AT.isoformat(),
            "uri": "news://one",
            "kind": "read",
            "gap": False,
            "offset": 1,
            "eventId": "e1",
            "data": {"/by": "ada"},
            "metadata": {"size": 3},
            "cursor": cursor,
            "pattern": "news://{id}",
        }
        assert (second["uri"], second["offset"]) == ("news://two", 3)
        again = Kept()
        flags = WatchFlags(glob=("news://*",), policy="every", since=cursor)
        async with watching(remote, again, flags, as_json=True):
            lines = [json.loads(line) for line in await again.wait_lines(2)]
            assert [(line["uri"], line["offset"]) for line in lines] == [("news://one", 2), ("news://two", 3)]


async def test_a_lost_connection_is_said_and_nothing_is_lost(
    app: App, kept: Kept, autojump_clock: MockClock, capsys: pytest.CaptureFixture[str]
) -> None:
    streams: list[trio.abc.Stream] = []
    async with app.connect():

        async def stream() -> trio.abc.Stream:
            await trio.lowlevel.checkpoint()
            streams.append(app.server.connect())
            return streams[-1]

        remote = Remote(url="ws://localhost/mcp", connect=stream)
        async with watching(remote, kept, WatchFlags(glob=("news://*",))):
            await trio.aclose_forcefully(streams[0])
            app.updated_nowait("news://one")
            [line] = await kept.wait_lines(1)
            assert line.endswith("  updated  news://one")
    told = capsys.readouterr().err.splitlines()
    assert told[1].startswith("connection lost (")
    assert told[2] == "connected again; what cannot be told of meanwhile is a gap"


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (
            WatchFlags(glob=("nothing://*",)),
            r"refused: .*not found.*: `mcptrio inspect ws://\S+` shows what there is$",
        ),
        (
            WatchFlags(glob=("news://*",), filter='{"not": {"x": 1}}'),
            r"refused: Invalid params: --filter\.not: 'x'",
        ),
        (WatchFlags(glob=("news://[a]",)), r"refused: Invalid params: --glob: "),
        (WatchFlags(template=("news://{a",)), r"refused: Invalid params: --template: "),
        (WatchFlags(glob=("news://*",), fields="/~2"), r"refused: Invalid params: --fields\[0\]: "),
        (WatchFlags(glob=("news://*",), since="yesterday"), r"refused: Invalid params: --since: .*cursor"),
    ],
)
@pytest.mark.parametrize("revision", ["2025-11-25", "2026-07-28"])
async def test_a_refusal_ends_it_with_its_own_exit_code_and_names_the_flag(
    app: App, kept: Kept, flags: WatchFlags, message: str, revision: str, autojump_clock: MockClock
) -> None:
    async with in_memory(app, revision=revision) as remote:
        with pytest.raises(UserError, match=message) as caught:
            await watch(remote, (), kept, wanted=flags.wanted(["news://one"]))
        assert caught.value.code == Exit.REFUSED
        assert not kept.lines
        assert len(app.hub.selections) == 0


async def test_a_uri_that_is_none_is_called_so(app: App, kept: Kept, autojump_clock: MockClock) -> None:
    async with in_memory(app) as remote:
        with pytest.raises(UserError, match=r"refused: Invalid params: URI: "):
            await watch(remote, (), kept, wanted=WatchFlags(policy="every").wanted(["news"]))


async def test_a_server_without_the_extension_is_said_to_be_one(
    kept: Kept, autojump_clock: MockClock
) -> None:
    async with old_server({}) as remote:
        with pytest.raises(UserError, match=r"does not have the extension io\.mcptrio/live") as caught:
            await watch(remote, (), kept, wanted=WatchFlags(glob=("news://*",)).wanted(()))
    assert caught.value.code == Exit.REFUSED


def test_a_gap_names_what_was_watched_and_why() -> None:
    gap = WatchEvent(uri="mcptrio://subscriptions/watch-1", kind="gap", reason="history", cursor="e.1")
    assert text_line(gap, AT, "news://*") == f"{CLOCK}  gap      news://*  (history)"
    assert json.loads(json_line(gap, AT, "news://*")) == {
        "time": AT.isoformat(),
        "uri": gap.uri,
        "kind": "gap",
        "gap": True,
        "reason": "history",
        "cursor": "e.1",
        "pattern": "news://*",
    }
    assert text_line(WatchEvent(uri="a://b", kind="\x1b[2J"), AT) == f"{CLOCK}  \\x1b[2J  a://b"


def test_what_a_server_says_cannot_break_an_environment() -> None:
    event = WatchEvent(uri="a://b", kind="x\0y", event_id="z" * 100_000, cursor="e.1")
    assert variables(event) == {"MCPTRIO_URI": "a://b", "MCPTRIO_KIND": "xy", "MCPTRIO_CURSOR": "e.1"}


def change(uri: str, offset: int, kind: str = "updated") -> WatchEvent:
    return WatchEvent(
        uri=uri,
        kind=kind,
        offset=offset,
        event_id=f"id{offset}",
        reason="history" if kind == "gap" else None,
        cursor=f"e.{offset}",
    )


@pytest.mark.parametrize("every", [False, True])
async def test_a_command_is_run_for_every_change_where_that_was_asked_for(
    every: bool, capfd: pytest.CaptureFixture[str]
) -> None:
    commands = Commands("echo $MCPTRIO_KIND $MCPTRIO_EVENT_ID $MCPTRIO_CURSOR", lambda: AT, every=every)
    for event in (change("a:1", 1), change("a:2", 2), change("a:1", 3, "gap"), change("a:1", 4)):
        await commands.put(event, "a:*")
    commands.end()
    with trio.fail_after(20):
        await commands.work()
    first = ["updated id1 e.1"] if every else []
    expected = [*first, "updated id2 e.2", "gap id3 e.3", "updated id4 e.4"]
    assert capfd.readouterr().out.splitlines() == expected


async def test_a_command_gets_the_line_of_a_change(app: App, tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    async with in_memory(app) as remote, trio.open_nursery() as nursery:
        wanted = WatchFlags(glob=("news://*",), fields="all").wanted(())
        nursery.start_soon(partial(watch_exec, remote, (), f"cat > {quote(str(fifo))}", wanted=wanted))
        with trio.fail_after(20):
            while not len(app.hub.selections):
                await trio.testing.wait_all_tasks_blocked()
            app.updated_nowait("news://one", data={"a": 1})
            line = json.loads(await trio.Path(fifo).read_text())
        nursery.cancel_scope.cancel(reason="the test is over")
    assert (line["uri"], line["data"], line["pattern"]) == ("news://one", {"a": 1}, "news://*")


def test_each_flag_asks_for_something_and_all_of_them_together() -> None:
    assert not WatchFlags().given
    flags = WatchFlags(
        glob=("a://*", "a://*"),
        template=("b://{x}",),
        filter='{"exists": "/a"}',
        policy="batch:200,1000",
        fields="/a,/b~1c",
        since="e.1",
    )
    shared = {
        "filter": {"exists": "/a"},
        "policy": {"batch": {"windowMs": 200, "maxWaitMs": 1000}},
        "fields": ["/a", "/b~1c"],
        "since": "e.1",
    }
    assert flags.wanted(["c://d"]) == [
        ("c://d", {"uri": "c://d", **shared}),
        ("b://{x}", {"template": "b://{x}", **shared}),
        ("a://*", {"glob": "a://*", **shared}),
    ]
    for word in ("conflate", "every"):
        assert WatchFlags(policy=word).given
        assert WatchFlags(policy=word).wanted(["a:1"])[0].arguments["policy"] == word
    for word in ("none", "metadata", "all"):
        assert WatchFlags(fields=word).wanted(["a:1"])[0].arguments["fields"] == word


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--policy", "every"], "name at least one resource"),
        (["a://b", "--filter", "{"], "--filter must be a JSON object, such as .*, in quotes: "),
        (["a://b", "--filter", "[]"], "--filter must be a JSON object"),
        (["a://b", "--policy", "all"], "--policy must be conflate, every, or batch:"),
        (["a://b", "--policy", "batch:5"], "--policy must be"),
        (["a://b", "--policy", "batch:x,5"], "--policy must be"),
        (["a://b", "--policy", "batch:0,5"], "--policy batch:WINDOW,WAIT: WINDOW must be from 1 to 60000"),
        (["a://b", "--policy", "batch:9,5"], "--policy batch:WINDOW,WAIT: .* WAIT from WINDOW to 600000"),
        (["--glob", "a://*", "--fields", "subject"], "--fields must be none, metadata, all, or"),
        (["--glob", "a://*", "--fields", ""], "--fields must be"),
        (["a://b", "--exec-concurrency", "2"], "--exec-concurrency is for --exec"),
    ],
)
def test_a_flag_that_makes_no_sense_is_refused_with_what_would(words: list[str], message: str) -> None:
    with pytest.raises(UserError, match=message):
        parse(["watch", "localhost:1", *words])()


@pytest.mark.parametrize(("uri", "flag"), [("a://*", "--glob"), ("a://{b}", "--template")])
def test_a_pattern_where_a_uri_belongs_is_watched_as_one_with_a_hint(
    uri: str, flag: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(UserError, match="--exec needs a command"):
        parse(["watch", "localhost:1", uri, "a://c", "--exec", " "])()
    told = capsys.readouterr()
    assert (told.out, told.err.count("\n")) == ("", 1)
    assert f"{flag} '{uri}'" in told.err
