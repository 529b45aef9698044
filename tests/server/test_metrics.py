"""The figures of the extension: what waits, what was merged, given up and recovered, and what is kept."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from mcptrio import App, Change
from mcptrio.live import Allowance, Outbox, Subscription
from mcptrio.live.terms import parse_terms
from tests.server.rig import House, running

LIVE = "mcptrio_live_"


class Client:
    """Who subscribes by the extension, and takes nothing but when told to."""

    def __init__(self, app: App, most: int = 100) -> None:
        self.app = app
        self.outbox = Outbox()
        self.allowance = Allowance(most, tally=app.hub.selections.tally)

    def select(self, **terms: object) -> str:
        """Subscribe; returns the cursor."""
        asked = parse_terms({"label": "l", "glob": "a://*", **terms}, "s")
        (honoured,) = self.app.hub.select(self.outbox, [asked], self.allowance)
        return str(honoured["cursor"])

    def take(self) -> None:
        key = self.outbox.receive_nowait().key
        assert isinstance(key, Subscription)
        assert key.deliveries.take(0.0) is not None
        self.app.hub.selections.settle(key)

    def leave(self) -> None:
        self.app.hub.leave(self.outbox)


@pytest.fixture
def client() -> Iterator[Client]:
    client = Client(App("house"))
    yield client
    client.leave()


async def figures(home: House) -> dict[str, float]:
    """Those of the extension that are not 0."""
    return {
        name.removeprefix(LIVE): value
        for name, value in (await home.metrics()).items()
        if name.startswith(LIVE) and value
    }


async def test_without_the_extension_all_its_figures_are_there_and_are_nothing(client: Client) -> None:
    async with running(client.app) as home:
        client.app.hub.publish(Change(uri="a://1", data="x"))
        served = {name: value for name, value in (await home.metrics()).items() if name.startswith(LIVE)}
        assert served == {
            f"{LIVE}{name}": 0
            for name in (
                *("subscriptions", "waiting", "merged_total", "given_up_total"),
                *(f'gaps_total{{reason="{reason}"}}' for reason in ("pending", "history", "restarted")),
                *(f'recoveries_total{{outcome="{each}"}}' for each in ("recovered", "unrecovered")),
                *("history_entries", "history_bytes"),
            )
        }


async def test_what_waits_and_what_was_merged_is_told(client: Client) -> None:
    async with running(client.app) as home:
        client.select()
        for uri in ("a://1", "a://2", "a://1", "b://1"):
            client.app.hub.publish(Change(uri=uri))
        history = client.app.hub.selections.history
        expected = {
            **{"subscriptions": 1, "waiting": 2, "merged_total": 1},
            **{"history_entries": 4, "history_bytes": history.bytes},
        }
        assert await figures(home) == expected
        client.take()
        assert await figures(home) == {**expected, "waiting": 1}
        client.leave()
        assert await figures(home) == {
            name: value for name, value in expected.items() if name not in ("subscriptions", "waiting")
        }


async def test_what_is_beyond_a_bound_is_told_by_reason() -> None:
    client = Client(App("house"), most=3)
    async with running(client.app) as home:
        client.select(policy="every")
        for number in range(5):
            client.app.hub.publish(Change(uri=f"a://{number}"))
        found = await figures(home)
        assert (found["given_up_total"], found['gaps_total{reason="pending"}']) == (4, 1)
        assert found["waiting"] == 1, "what came after the gap"
        client.leave()


async def test_who_came_back_is_told_by_outcome(client: Client) -> None:
    hub = client.app.hub
    async with running(client.app) as home:
        cursor = client.select()
        hub.publish(Change(uri="a://1"))
        client.select(since=cursor)
        found = await figures(home)
        assert {name for name in found if "recover" in name} == {'recoveries_total{outcome="recovered"}'}
        client.select(since=f"{'0' * 16}.1")
        found = await figures(home)
        assert found['recoveries_total{outcome="unrecovered"}'] == 1
        assert found['gaps_total{reason="restarted"}'] == 1
        client.leave()
