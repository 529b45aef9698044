"""A host, a bridge and a real server: everything passes, and comes back after a loss."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock

from mcptrio.bridge import CONNECTION_LOST, Bridge
from mcptrio.client import ConnectionLost
from mcptrio.client.target import find_target
from mcptrio.wire import memory_transport_pair
from tests.bridge.rig import LEGACY, MODERN, SUBSCRIPTION_ID, Rig, notes

ONE, TWO = "note://one", "note://two"


async def test_requests_progress_and_errors_pass(rig: Rig, autojump_clock: MockClock) -> None:
    tools = await rig.host.ask("tools/list")
    assert [tool["name"] for tool in tools["result"]["tools"]] == ["count"]
    params = {"name": "count", "arguments": {"to": 2}, "_meta": {"progressToken": "p"}}
    answer = await rig.host.ask("tools/call", params)
    assert answer["result"]["content"][0]["text"] == "2"
    told = [await rig.host.notified("notifications/progress") for _ in range(2)]
    assert [each["params"]["progressToken"] for each in told] == ["p", "p"]
    missing = await rig.host.ask("resources/read", {"uri": "note://none"})
    assert missing["error"]["code"] == (-32002 if rig.host.revision == LEGACY else -32602)
    assert rig.host.heard == []


async def test_updates_pass_until_unsubscribed(rig: Rig, autojump_clock: MockClock) -> None:
    listen = await rig.host.subscribe(ONE)
    for _ in range(3):
        rig.app.updated_nowait(ONE)
        await rig.host.updated(ONE, listen)
    rig.app.updated_nowait(TWO)
    if listen is None:
        assert (await rig.host.ask("resources/unsubscribe", {"uri": ONE}))["result"] == {}
    else:
        await rig.host.say("notifications/cancelled", {"requestId": listen})
        assert "result" in await rig.host.ask("tools/list")
    rig.app.updated_nowait(ONE)
    await rig.host.nothing()


async def test_after_a_loss_it_subscribes_again_and_tells_of_each_uri_once(
    rig: Rig, autojump_clock: MockClock
) -> None:
    listen = await rig.host.subscribe(ONE, TWO)
    for _ in range(2):
        await rig.dial.lose()
        told = [await rig.host.notified("notifications/resources/updated") for _ in range(2)]
        assert {each["params"]["uri"] for each in told} == {ONE, TWO}
        assert {each["params"].get("_meta", {}).get(SUBSCRIPTION_ID) for each in told} == {listen}
        if rig.host.revision == LEGACY:
            kinds = {(await rig.host.hear())["method"] for _ in range(3)}
            assert kinds == {
                f"notifications/{kind}/list_changed" for kind in ("tools", "resources", "prompts")
            }
        rig.app.updated_nowait(TWO)
        await rig.host.updated(TWO, listen)
        assert rig.host.heard == []
    assert "result" in await rig.host.ask("tools/list")
    await rig.host.nothing()


async def test_a_request_in_flight_is_answered_when_the_connection_is_lost(
    rig: Rig, autojump_clock: MockClock
) -> None:
    @rig.app.tool
    async def hang() -> None:
        """Never answers."""
        started.set()
        await trio.sleep_forever()

    started = trio.Event()
    await rig.host.say("tools/call", {"name": "hang", "arguments": {}}, id="slow")
    await started.wait()
    await rig.dial.lose()
    answer = await rig.host.answer("slow")
    assert (answer["error"]["code"], answer["error"]["data"]) == (-32603, {"reason": CONNECTION_LOST})
    assert "result" in await rig.host.ask("tools/list")
    assert rig.losses


@pytest.mark.parametrize("scheme", ["http"])
@pytest.mark.parametrize("revision", [LEGACY])
async def test_streams_of_a_session_are_resumed_and_nothing_is_lost_or_told_twice(
    rig: Rig, autojump_clock: MockClock
) -> None:
    go = trio.Event()

    @rig.app.tool
    async def wait() -> str:
        """Answers when told to."""
        await go.wait()
        return "done"

    await rig.host.subscribe(ONE)
    await rig.host.say("tools/call", {"name": "wait", "arguments": {}}, id="slow")
    await trio.sleep(1)
    await rig.dial.cut()
    rig.app.updated_nowait(ONE)
    go.set()
    await rig.host.updated(ONE, None)
    answer = await rig.host.answer("slow")
    assert answer["result"]["content"][0]["text"] == "done"
    await rig.host.nothing()
    assert rig.losses == []


async def test_requests_wait_for_a_server_that_comes_back(rig: Rig, autojump_clock: MockClock) -> None:
    listen = await rig.host.subscribe(ONE)
    rig.dial.down = OSError("restarting")
    await rig.dial.cut()
    await trio.sleep(5)
    assert rig.losses
    for id in ("a", "b"):
        await rig.host.say("tools/list", id=id)
    await rig.host.say("notifications/cancelled", {"requestId": "b"})
    await trio.sleep(100)
    assert rig.dial.dials > 3
    rig.dial.down = None
    assert "result" in await rig.host.answer("a")
    await rig.host.updated(ONE, listen)
    assert [message for message in rig.host.heard if "method" not in message] == []


async def test_cancelling_reaches_the_handler(rig: Rig, autojump_clock: MockClock) -> None:
    started, cancelled = trio.Event(), trio.Event()

    @rig.app.tool
    async def hang() -> None:
        """Until cancelled."""
        started.set()
        try:
            await trio.sleep_forever()
        finally:
            cancelled.set()

    await rig.host.say("tools/call", {"name": "hang", "arguments": {}}, id="slow")
    await started.wait()
    await rig.host.say("notifications/cancelled", {"requestId": "slow"})
    await cancelled.wait()
    await rig.host.nothing()


async def test_many_requests_at_once_are_all_answered(rig: Rig, autojump_clock: MockClock) -> None:
    for number in range(50):
        params = {"name": "count", "arguments": {"to": number}}
        await rig.host.say("tools/call", params, id=f"n{number}")
    for number in range(50):
        answer = await rig.host.answer(f"n{number}")
        assert answer["result"]["content"][0]["text"] == str(number)


async def test_a_server_that_cannot_be_reached_at_first_is_told_and_nothing_is_read(
    nursery: trio.Nursery, scheme: str, autojump_clock: MockClock
) -> None:
    app, _ = notes()
    rig = Rig(app, f"{scheme}://localhost/mcp", MODERN)
    rig.dial.down = OSError("nobody there")
    await rig.run()
    assert rig.failure is not None
    assert str(rig.failure) == f"{scheme}://localhost/mcp: nobody there"
    assert rig.losses == []


async def test_a_server_that_says_nothing_at_first_is_given_up_on(
    nursery: trio.Nursery, scheme: str, autojump_clock: MockClock
) -> None:
    silent: list[trio.abc.Stream] = []

    async def dial() -> trio.abc.Stream:
        near, far = trio.testing.memory_stream_pair()
        silent.append(far)
        return near

    target = find_target(f"{scheme}://localhost/mcp", timeout=10, connect=dial)
    bridge = Bridge(target, memory_transport_pair()[0], timeout=10)
    with pytest.raises(ConnectionLost, match="no answer within 10 s"):
        await bridge.run()


async def test_what_the_host_asked_last_is_answered_before_the_bridge_ends(
    rig: Rig, autojump_clock: MockClock
) -> None:
    @rig.app.tool
    async def slow() -> str:
        """Takes a second."""
        await trio.sleep(1)
        return "done"

    await rig.host.subscribe(ONE)
    await rig.host.say("tools/call", {"name": "slow", "arguments": {}}, id="last")
    await rig.host.stream.send_eof()
    assert "result" in await rig.host.answer("last")
    await rig.ended.wait()


async def test_a_request_that_is_never_answered_does_not_keep_the_bridge(
    rig: Rig, autojump_clock: MockClock
) -> None:
    @rig.app.tool
    async def hang() -> None:
        """Never answers."""
        await trio.sleep_forever()

    await rig.host.say("tools/call", {"name": "hang", "arguments": {}}, id="last")
    began = trio.current_time()
    await rig.host.stream.send_eof()
    await rig.ended.wait()
    assert trio.current_time() - began < 5


async def test_the_bridge_ends_with_the_hosts_input_connected_or_not(
    rig: Rig, autojump_clock: MockClock
) -> None:
    await rig.host.subscribe(ONE)
    if rig.host.revision == MODERN:
        rig.dial.down = OSError("gone")
        await rig.dial.cut()
    began = trio.current_time()
    await rig.host.stream.send_eof()
    await rig.ended.wait()
    assert rig.failure is None
    assert trio.current_time() - began < 2


async def test_a_host_that_does_not_read_is_left_in_the_end(rig: Rig, autojump_clock: MockClock) -> None:
    for number in range(200):
        params = {"uri": f"note://{'x' * 900}{number}"}
        await rig.host.say("resources/read", params, id=f"n{number}")
    await rig.ended.wait()
    assert rig.failure is None
