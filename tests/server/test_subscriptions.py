"""Subscribing in both revisions: what is acknowledged, what is delivered, what is left behind."""

from __future__ import annotations

import pytest
import trio
import trio.testing

from mcptrio import App, ServerSettings
from tests.server.rig import (
    ACKNOWLEDGED,
    TAG,
    cancelled,
    list_changed,
    notification,
    request,
    running,
    updated,
)


def house(settings: ServerSettings | None = None) -> App:
    app = App("house", settings=settings)

    @app.resource("a:{name}")
    async def resource(name: str) -> str:
        return name

    @app.resource("fixed://one")
    async def fixed() -> str:
        return "one"

    app.catalog.add_pattern("source://{id}")
    return app


class TestSubscribe:
    """`resources/subscribe` and `unsubscribe` (2025-11-25)."""

    @pytest.mark.parametrize("uri", ["a:1", "fixed://one", "source://not-there-yet"])
    async def test_what_could_be_served_can_be_subscribed_before_it_exists(self, uri: str) -> None:
        async with running(house()) as home:
            wire = await home.connect(initialized=True)
            await wire.subscribe(uri)
            home.app.created_nowait(uri)
            assert updated(uri) in await wire.rest()

    async def test_what_nothing_could_serve_is_not_found(self) -> None:
        async with running(house()) as home:
            wire = await home.connect(initialized=True)
            code, _, data = await wire.error("resources/subscribe", {"uri": "other:1"})
            assert (code, data) == (-32002, {"uri": "other:1"})
            assert home.app.hub.statistics().subscriptions == 0

    @pytest.mark.parametrize("method", ["resources/subscribe", "resources/unsubscribe"])
    @pytest.mark.parametrize("uri", ["", "one", "a:\n", "a: b", "a:" + "b" * 3000, None, 7])
    async def test_a_malformed_uri_is_invalid_params(self, method: str, uri: object) -> None:
        async with running(house()) as home:
            wire = await home.connect(initialized=True)
            assert (await wire.error(method, {"uri": uri}))[0] == -32602
            assert (await wire.error(method))[0] == -32602
            assert home.app.hub.statistics().subscriptions == 0

    async def test_it_is_idempotent_both_ways(self) -> None:
        async with running(house()) as home:
            wire = await home.connect(initialized=True)
            await wire.subscribe("a:1", "a:1", "a:1")
            assert home.app.hub.statistics().subscriptions == 1
            home.app.updated_nowait("a:1")
            assert await wire.rest() == [updated("a:1")]
            for _ in range(2):
                assert await wire.result("resources/unsubscribe", {"uri": "a:1"}) == {}
            assert await wire.result("resources/unsubscribe", {"uri": "other:never"}) == {}
            home.app.updated_nowait("a:1")
            assert await wire.rest() == []

    async def test_the_answer_comes_before_what_it_subscribes(self) -> None:
        async with running(house()) as home:
            wire = await home.connect(initialized=True)
            for _ in range(20):
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self._publish, home.app, "a:1")
                    assert await wire.result("resources/subscribe", {"uri": "a:1"}) == {}
                await wire.rest()
                assert await wire.result("resources/unsubscribe", {"uri": "a:1"}) == {}

    @staticmethod
    async def _publish(app: App, uri: str) -> None:
        for _ in range(30):
            app.updated_nowait(uri)
            await trio.lowlevel.checkpoint()

    async def test_nothing_follows_the_answer_to_an_unsubscribe(self) -> None:
        async with running(house()) as home:
            wire = await home.connect(initialized=True)
            for steps in range(15):
                await wire.subscribe("a:1", "a:2")
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self._publish, home.app, "a:1")
                    for _ in range(steps):
                        await trio.lowlevel.checkpoint()
                    await wire.send(request(steps, "resources/unsubscribe", {"uri": "a:1"}))
                    while (await wire.receive()).get("id") != steps:
                        pass
                home.app.updated_nowait("a:2")
                assert await wire.rest() == [updated("a:2")]

    async def test_an_unsubscribe_in_the_same_read_forgets_what_is_pending(self) -> None:
        async with running(house()) as home:
            wire = await home.connect(initialized=True)
            await wire.subscribe("a:1")
            home.app.updated_nowait("a:1")  # pending: the flusher has not run
            await wire.send_at_once(request(1, "resources/unsubscribe", {"uri": "a:1"}))
            messages = await wire.rest()
            assert messages[-1].get("id") == 1

    async def test_only_who_subscribed_is_told(self) -> None:
        async with running(house()) as home:
            wires = [await home.connect(initialized=True) for _ in range(3)]
            await wires[0].subscribe("a:1")
            await wires[1].subscribe("a:2")
            for uri in ("a:1", "a:2", "a:3"):
                home.app.updated_nowait(uri)
            assert [await wire.rest() for wire in wires] == [[updated("a:1")], [updated("a:2")], []]

    async def test_a_deletion_is_an_update_and_the_subscription_stays(self) -> None:
        async with running(house()) as home:
            wire = await home.connect(initialized=True)
            await wire.subscribe("a:1")
            home.app.deleted_nowait("a:1")
            assert await wire.rest(2.0) == [updated("a:1"), list_changed("resources")]
            home.app.created_nowait("a:1")
            assert await wire.rest(2.0) == [updated("a:1"), list_changed("resources")]

    async def test_a_repeated_event_id_is_told_once(self) -> None:
        async with running(house()) as home:
            wire = await home.connect(initialized=True)
            await wire.subscribe("a:1")
            home.app.updated_nowait("a:1", event_id="x")
            assert await wire.rest() == [updated("a:1")]
            home.app.updated_nowait("a:1", event_id="x")
            assert await wire.rest() == []

    async def test_one_subscription_too_many_is_refused_with_the_reason(self) -> None:
        async with running(house(ServerSettings(max_subscriptions=2))) as home:
            wire, other = await home.connect(initialized=True), await home.connect(initialized=True)
            await wire.subscribe("a:1", "a:2", "a:1")
            code, _, data = await wire.error("resources/subscribe", {"uri": "a:3"})
            assert (code, data) == (-32603, {"reason": "subscription_limit", "limit": 2})
            await wire.subscribe("a:2")  # what is held is no more
            await other.subscribe("a:3")
            await wire.result("resources/unsubscribe", {"uri": "a:1"})
            await wire.subscribe("a:3")

    async def test_a_session_takes_its_subscriptions_with_it(self) -> None:
        async with running(house()) as home:
            wire = await home.connect(initialized=True)
            await wire.subscribe("a:1", "a:2")
            home.app.updated_nowait("a:1")
            wire.vanish()
            await trio.testing.wait_all_tasks_blocked()
            assert home.app.hub.subscriptions() == {}
            home.app.updated_nowait("a:1")

    async def test_ten_thousand_cycles_over_the_wire_leave_nothing(self) -> None:
        async with running(house()) as home:
            wire = await home.connect(initialized=True)
            for start in range(0, 1000, 50):
                messages = []
                for number in range(start, start + 50):
                    uri = {"uri": f"a:{number % 7}"}
                    messages.append(request(number * 2, "resources/subscribe", uri))
                    messages.append(request(number * 2 + 1, "resources/unsubscribe", uri))
                await wire.send_at_once(*messages)
                for message in messages:
                    assert (await wire.receive())["id"] == message["id"]
            assert home.app.hub.subscriptions() == {}


class TestListen:
    """`subscriptions/listen` (2026-07-28)."""

    async def test_the_acknowledgement_keeps_the_order_and_drops_what_is_repeated_or_never_served(
        self,
    ) -> None:
        async with running(house()) as home:
            wire = await home.connect()
            honoured = await wire.listen("l", "a:2", "other:1", "a:1", "a:2", "source://x", "fixed://one")
            assert honoured == {"resourceSubscriptions": ["a:2", "a:1", "source://x", "fixed://one"]}
            assert home.app.hub.statistics().subscriptions == 4

    @pytest.mark.parametrize(
        ("wanted", "honoured"),
        [
            ({}, {}),
            ({"toolsListChanged": False, "resourceSubscriptions": []}, {"resourceSubscriptions": []}),
            ({"toolsListChanged": True, "promptsListChanged": False}, {"toolsListChanged": True}),
            (
                {"promptsListChanged": True, "resourcesListChanged": True, "taskIds": ["t"], "x": 1},
                {"promptsListChanged": True, "resourcesListChanged": True},
            ),
            ({"resourceSubscriptions": ["other:1"]}, {"resourceSubscriptions": []}),
        ],
    )
    async def test_what_is_asked_for_is_what_is_honoured(
        self, wanted: dict[str, object], honoured: dict[str, object]
    ) -> None:
        async with running(house()) as home:
            wire = await home.connect()
            await wire.send(request(1, "subscriptions/listen", {"notifications": wanted}, modern=True))
            params = {"notifications": honoured, "_meta": {TAG: 1}}
            assert await wire.receive() == notification(ACKNOWLEDGED, params)
            assert len(wire.peer.listens) == 1  # even one that asks for nothing stays open

    @pytest.mark.parametrize(
        "params",
        [
            {},
            {"notifications": None},
            {"notifications": []},
            {"notifications": {"toolsListChanged": "yes"}},
            {"notifications": {"resourceSubscriptions": "a:1"}},
            {"notifications": {"resourceSubscriptions": ["a:1", 7]}},
            {"notifications": {"resourceSubscriptions": ["a:1", ""]}},
            {"notifications": {"resourceSubscriptions": ["a:1", "relative"]}},
            {"notifications": {"resourceSubscriptions": ["a:1", "a:\u0007"]}},
        ],
    )
    async def test_a_malformed_filter_refuses_the_whole(self, params: dict[str, object]) -> None:
        async with running(house()) as home:
            wire = await home.connect()
            assert (await wire.error("subscriptions/listen", params, modern=True))[0] == -32602
            assert wire.peer.listens == {}
            assert home.app.hub.statistics().subscriptions == 0
            assert home.app.server.list_changes.watchers() == 0

    @pytest.mark.parametrize("id", ["l", "1", 1, 0, 2**64])
    async def test_every_notification_carries_the_listens_id_with_its_type(self, id: object) -> None:
        async with running(house()) as home:
            wire = await home.connect()
            await wire.listen(id, "a:1", resourcesListChanged=True)
            home.app.created_nowait("a:1")
            messages = await wire.rest(2.0)
            assert messages == [updated("a:1", id), list_changed("resources", id)]
            assert all(type(message["params"]["_meta"][TAG]) is type(id) for message in messages)  # type: ignore[index]

    async def test_several_listens_get_each_their_copy(self) -> None:
        async with running(house()) as home:
            wire, other = await home.connect(), await home.connect()
            await wire.listen(1, "a:1", "a:2")
            await wire.listen("1", "a:1")
            await other.listen(1, "a:1")
            home.app.updated_nowait("a:1")
            home.app.updated_nowait("a:2")
            messages = await wire.rest()
            assert len(messages) == 3
            for expected in (updated("a:1", 1), updated("a:2", 1), updated("a:1", "1")):
                assert expected in messages
            assert await other.rest() == [updated("a:1", 1)]

    async def test_nothing_follows_the_cancellation_of_a_listen_and_the_others_stay(self) -> None:
        async with running(house()) as home:
            wire = await home.connect()
            await wire.listen(1, "a:1", resourcesListChanged=True)
            await wire.listen("1", "a:1")
            home.app.updated_nowait("a:1")
            await wire.send_at_once(cancelled(1))
            await wire.rest()
            assert list(wire.peer.listens) == [(str, "1")]
            home.app.created_nowait("a:1")
            assert await wire.rest() == [updated("a:1", "1")]
            await wire.send(cancelled("1"))
            home.app.created_nowait("a:1")
            await wire.rest()
            home.app.created_nowait("a:1")
            assert await wire.rest() == []
            assert home.app.hub.subscriptions() == {}

    async def test_a_listen_cancelled_in_the_same_read_is_acknowledged_and_gone(self) -> None:
        async with running(house()) as home:
            wire = await home.connect()
            params = {"notifications": {"resourceSubscriptions": ["a:1"]}}
            await wire.send_at_once(request(1, "subscriptions/listen", params, modern=True), cancelled(1))
            home.app.updated_nowait("a:1")
            assert [message.get("method") for message in await wire.rest()] == [ACKNOWLEDGED]
            assert home.app.hub.subscriptions() == {}

    async def test_the_id_of_an_open_listen_is_taken(self) -> None:
        async with running(house()) as home:
            wire = await home.connect()
            await wire.listen(1, "a:1")
            for method in ("subscriptions/listen", "tools/list", "resources/list"):
                answer = await wire.call(method, {"notifications": {}}, modern=True, id=1)
                assert answer["error"]["code"] == -32600  # type: ignore[index]
            home.app.updated_nowait("a:1")
            assert await wire.rest() == [updated("a:1", 1)]
            await wire.send(cancelled(1))
            await wire.listen(1, "a:2")

    async def test_listens_and_subscriptions_have_their_own_bounds(self) -> None:
        settings = ServerSettings(max_listens=2, max_subscriptions=3, max_requests=1)
        async with running(house(settings)) as home:
            wire = await home.connect(initialized=True)
            await wire.subscribe("a:9")
            code, _, data = await wire.error(
                "subscriptions/listen",
                {"notifications": {"resourceSubscriptions": ["a:1", "a:2", "a:3"]}},
                modern=True,
            )
            assert (code, data) == (-32603, {"reason": "subscription_limit", "limit": 3})
            assert await wire.listen("one", "a:1", "a:2", "a:1", "other:1") == {
                "resourceSubscriptions": ["a:1", "a:2"]
            }
            code, _, data = await wire.error("resources/subscribe", {"uri": "a:8"})
            assert (code, data) == (-32603, {"reason": "subscription_limit", "limit": 3})
            await wire.listen("two", toolsListChanged=True)
            code, _, data = await wire.error("subscriptions/listen", {"notifications": {}}, modern=True)
            assert (code, data) == (-32603, {"reason": "too_many_requests", "limit": 2})
            await wire.send(cancelled("one"))
            await wire.listen("three", "a:1")
            assert home.app.server._subscriptions.count(wire.peer) == 2

    async def test_nothing_comes_unasked(self) -> None:
        async with running(house()) as home:
            wire = await home.connect()
            await wire.listen(1, "a:1")
            await wire.listen(2, toolsListChanged=True)
            home.app.created_nowait("a:2")
            home.app.catalog.add_prompt(_prompt)
            assert await wire.rest(3.0) == []

    @pytest.mark.parametrize("pause", [7, 20, 1000], ids=["often", "sometimes", "never"])
    async def test_the_order_of_changes_is_kept_however_many_come_at_once(self, pause: int) -> None:
        async with running(house()) as home:
            wire = await home.connect()
            await wire.listen(1, *(f"a:{number}" for number in range(200)))
            for number in range(200):
                home.app.updated_nowait(f"a:{number}")
                if number % pause == pause - 1:
                    await trio.lowlevel.checkpoint()
            assert await wire.rest() == [updated(f"a:{number}", 1) for number in range(200)]

    async def test_a_drain_gives_what_is_owed_then_the_final_result_then_1001(self) -> None:
        async with running(house()) as home:
            wire, other = await home.connect(), await home.connect(initialized=True)
            await wire.listen(1, "a:1")
            await wire.listen("2", "a:2")
            await other.subscribe("a:1")
            home.app.updated_nowait("a:1")
            async with trio.open_nursery() as nursery:
                nursery.start_soon(home.app.server.endpoints[0].drain)
                messages = [await wire.receive() for _ in range(3)]
                assert (await wire.closed())[0] == 1001
                assert (await other.closed())[0] == 1001
            assert messages[0] == updated("a:1", 1)
            for message, id in zip(messages[1:], (1, "2"), strict=True):
                assert message["id"] == id
                result = message["result"]
                assert isinstance(result, dict)
                assert (result["resultType"], result["_meta"][TAG]) == ("complete", id)
            assert home.app.hub.subscriptions() == {}

    async def test_a_peer_that_vanishes_takes_its_listens_with_it(self) -> None:
        async with running(house()) as home:
            wires = [await home.connect() for _ in range(10)]
            for wire in wires:
                await wire.listen(1, *(f"a:{number}" for number in range(10)), toolsListChanged=True)
                await wire.listen(2, "a:1", resourcesListChanged=True)
            assert home.app.hub.statistics().subscriptions == 110
            for number in range(10):
                home.app.created_nowait(f"a:{number}")
            for wire in wires:
                wire.vanish()
            await trio.testing.wait_all_tasks_blocked()
            assert home.app.hub.subscriptions() == {}
            assert home.app.server.list_changes.watchers() == 0


async def _prompt() -> str:
    return "x"
