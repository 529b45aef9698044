"""A listen to more than anybody may have is refused before anything is looked up."""

from __future__ import annotations

import pytest

from mcptrio import App, ServerSettings
from mcptrio.catalog import Catalog
from tests.server.rig import request, running, updated
from tests.server.work import reason_of

LIMIT = 10


@pytest.fixture
def looked_up(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The URIs that the catalog was asked about."""
    uris: list[str] = []
    plain = Catalog.could_serve

    def could_serve(self: Catalog, uri: str) -> bool:
        uris.append(uri)
        return plain(self, uri)

    monkeypatch.setattr(Catalog, "could_serve", could_serve)
    return uris


def house() -> App:
    app = App("house", settings=ServerSettings(max_subscriptions=LIMIT))
    app.catalog.add_pattern("a:{id}")
    return app


@pytest.mark.parametrize("scheme", ["a", "unserved"])
async def test_a_listen_to_more_than_anybody_may_have_is_refused_at_once(
    scheme: str, looked_up: list[str]
) -> None:
    async with running(house()) as home:
        wire = await home.connect()
        uris = [f"{scheme}:{number}" for number in range(LIMIT + 1)]
        params: dict[str, object] = {"notifications": {"resourceSubscriptions": uris}}
        await wire.send(request("l", "subscriptions/listen", params, modern=True))
        refused = await wire.receive()
        assert (refused["id"], reason_of(refused)) == ("l", "subscription_limit")
        assert refused["error"]["data"]["limit"] == LIMIT  # type: ignore[index]
        assert looked_up == []
        assert wire.peer.listens == {}
        assert home.app.hub.subscriptions() == {}


async def test_what_is_repeated_or_never_served_takes_no_room(looked_up: list[str]) -> None:
    async with running(house()) as home:
        wire = await home.connect()
        uris = [f"a:{number}" for number in range(LIMIT - 1)]
        honoured = await wire.listen("l", *uris * 20, "unserved:1")
        assert honoured == {"resourceSubscriptions": uris}
        assert len(looked_up) == LIMIT
        await wire.listen("m", "a:last", *["unserved:2"] * 20)
        home.app.updated_nowait("a:last")
        assert await wire.receive() == updated("a:last", "m")
