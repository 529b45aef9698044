"""The changing JSON feed, and a real poller on it over a real port."""

import json

import msgspec
import pytest
import trio
import trio.testing

from mcptrio.live import Change, Feed
from mcptrio.simulators import JsonFeed, serve_json_feed
from mcptrio.simulators.json_feed import PATH
from mcptrio.sources.poller import Poller, PollerSettings
from mcptrio.wire.http import open_http_client


def documents(seed: int, steps: int) -> list[bytes]:
    feed = JsonFeed(seed=seed)
    found = [feed.body]
    for _ in range(steps):
        feed.step()
        found.append(feed.body)
    return found


def test_the_same_seed_gives_the_same_steps_and_another_one_others() -> None:
    assert documents(1, 50) == documents(1, 50)
    assert documents(1, 50) != documents(2, 50)


def test_every_step_is_one_change_to_the_document_and_says_which() -> None:
    feed = JsonFeed(seed=3, most=5)
    seen: set[str] = set()
    words: set[str] = set()
    before = {release.id: msgspec.json.encode(release) for release in feed.releases}
    for _ in range(300):
        etag = feed.etag
        id, word = feed.step().split()
        after = {release.id: msgspec.json.encode(release) for release in feed.releases}
        assert {key for key in before.keys() | after.keys() if before.get(key) != after.get(key)} == {id}
        assert (id in before, id in after) == {
            "appeared": (False, True),
            "changed": (True, True),
            "disappeared": (True, False),
        }[word]
        assert feed.etag != etag
        assert [item["id"] for item in json.loads(feed.body)["releases"]] == list(after)
        assert 2 <= len(after) <= 5
        assert word != "appeared" or id not in seen
        seen |= after.keys()
        words.add(word)
        before = after
    assert words == {"appeared", "changed", "disappeared"}


async def test_the_document_is_served_and_not_again_by_its_tag() -> None:
    feed = JsonFeed()
    with trio.fail_after(20):
        async with trio.open_nursery() as nursery, open_http_client() as client:
            url = await nursery.start(
                lambda task_status: serve_json_feed(feed, every=3600, task_status=task_status)
            )
            assert url.startswith("http://127.0.0.1:") and url.endswith(PATH)
            response = await client.get(url)
            assert (response.status_code, response.content) == (200, feed.body)
            assert response.headers["content-type"] == "application/json"
            conditions = {"if-none-match": f'"other", {response.headers["etag"]}'}
            assert (await client.get(url, headers=conditions)).status_code == 304
            feed.step()
            assert (await client.get(url, headers=conditions)).status_code == 200
            assert (await client.head(url)).content == b""
            assert (await client.post(url)).status_code == 405
            assert (await client.get(url + "x")).status_code == 404
            nursery.cancel_scope.cancel(reason="enough")


async def test_it_can_be_served_on_an_ipv6_address() -> None:
    with trio.fail_after(20):
        async with trio.open_nursery() as nursery:
            try:
                url = await nursery.start(
                    lambda task_status: serve_json_feed(JsonFeed(), host="::1", task_status=task_status)
                )
            except* OSError:
                pytest.skip("this machine has no IPv6")
            assert url.startswith("http://[::1]:")
            nursery.cancel_scope.cancel(reason="enough")


async def test_what_happens_in_the_feed_reaches_a_real_poller() -> None:
    feed = JsonFeed(seed=5)
    send, receive = trio.open_memory_channel[Change](100)
    with trio.fail_after(20):
        async with trio.open_nursery() as nursery:
            url = await nursery.start(
                lambda task_status: serve_json_feed(feed, every=3600, task_status=task_status)
            )
            settings = PollerSettings(
                name="releases", url=url, every="100ms", items="/releases", id="/id", uri="releases://{id}"
            )
            poller = Poller(settings)
            polled = Feed("releases", send)
            nursery.start_soon(poller.run, polled)
            await polled.wait_started()
            assert len(await poller.list_items()) == len(feed.releases)
            for _ in range(3):
                id, word = feed.step().split()
                change = await receive.receive()
                assert change.uri == f"releases://{id}"
                assert (
                    change.kind
                    == {"appeared": "created", "changed": "updated", "disappeared": "deleted"}[word]
                )
            nursery.cancel_scope.cancel(reason="enough")


async def test_the_feed_takes_a_step_every_so_often(mock_clock: trio.testing.MockClock) -> None:
    feed = JsonFeed()
    async with trio.open_nursery() as nursery:
        await nursery.start(lambda task_status: serve_json_feed(feed, every=2, task_status=task_status))
        before = feed.body
        await trio.testing.wait_all_tasks_blocked()
        mock_clock.jump(1.9)
        await trio.testing.wait_all_tasks_blocked()
        assert feed.body == before
        mock_clock.jump(0.1)
        await trio.testing.wait_all_tasks_blocked()
        assert feed.body != before
        nursery.cancel_scope.cancel(reason="enough")
