"""The poller over a real httpx client, in virtual time."""

import json
from itertools import pairwise

import httpx
import pytest
import trio
import trio.testing

from mcptrio.catalog import Catalog, ResourceNotFound
from mcptrio.live import SourceState
from mcptrio.sources import Registry
from mcptrio.sources.poller import PollerSettings, install
from mcptrio.sources.secret import Secret, SecretMissing
from tests.sources.poller.origin import URL, Bench, Origin, releases, respond

POLLING = (SourceState.POLLING, "")


async def test_the_first_document_is_a_baseline_and_announces_nothing(
    autojump_clock: trio.testing.MockClock,
) -> None:
    bench = Bench(Origin(releases({"id": 1}, {"id": 2})))
    await bench.run(25)
    assert bench.reported() == []
    assert bench.states == [POLLING]
    assert [resource.uri for resource in await bench.poller.list_items()] == ["releases://1", "releases://2"]
    assert json.loads(await bench.poller.read_item("2")) == {"id": 2}


async def test_what_is_created_updated_and_deleted_is_reported_and_reads_so(
    autojump_clock: trio.testing.MockClock,
) -> None:
    origin = Origin(releases({"id": 1}, {"id": 2}))
    bench = Bench(origin)
    await bench.run(5)
    origin.body = releases({"id": 2, "v": 2}, {"id": 3})
    await bench.run(5)
    assert bench.reported() == [
        ("updated", "releases://2"),
        ("created", "releases://3"),
        ("deleted", "releases://1"),
    ]
    assert await bench.poller.read_item("2") == '{"id":2,"v":2}'
    with pytest.raises(ResourceNotFound) as caught:
        await bench.poller.read_item("1")
    assert caught.value.uri == "releases://1"


async def test_listed_items_say_when_they_were_seen_to_change(autojump_clock: trio.testing.MockClock) -> None:
    origin = Origin(releases({"id": 1}, {"id": "a b"}))
    bench = Bench(origin)
    await bench.run(5)
    origin.body = releases({"id": 1, "v": 2}, {"id": "a b"})
    await bench.run(5)
    change = bench.receive.receive_nowait()
    [changed, rested] = await bench.poller.list_items()
    assert changed.annotations and changed.annotations.last_modified == change.at.isoformat()
    assert (changed.size, changed.mime_type) == (len('{"id":1,"v":2}'), "application/json")
    assert not rested.annotations
    assert (rested.name, rested.uri) == ("a b", "releases://a%20b")


async def test_without_items_the_whole_document_is_one_resource(
    autojump_clock: trio.testing.MockClock,
) -> None:
    origin = Origin(b'{"celsius": 3}')
    bench = Bench(origin, items=None, id=None, uri="weather://oslo")
    await bench.run(5)
    assert await bench.poller.read_document() == '{"celsius":3}'
    origin.body = b'{"celsius": 4}'
    await bench.run(5)
    assert bench.reported() == [("updated", "weather://oslo")]
    assert await bench.poller.read_document() == '{"celsius":4}'


async def test_the_pause_is_jittered_around_the_interval(autojump_clock: trio.testing.MockClock) -> None:
    bench = Bench(Origin(releases()), jitter=0.2)
    await bench.run(200)
    times = bench.origin.times
    pauses = [later - earlier for earlier, later in pairwise(times)]
    assert all(8 <= pause <= 12 for pause in pauses)
    assert max(pauses) - min(pauses) > 1


async def test_an_unchanged_document_is_asked_for_by_its_tag(autojump_clock: trio.testing.MockClock) -> None:
    bench = Bench(Origin(releases({"id": 1})))
    await bench.run(15)
    first, second = bench.origin.requests
    assert "if-none-match" not in first.headers
    assert second.headers["if-none-match"].startswith('"')
    assert bench.states == [POLLING]


async def test_a_server_that_knows_no_conditions_is_compared_by_what_it_sends(
    autojump_clock: trio.testing.MockClock,
) -> None:
    origin = Origin(releases({"id": 1}))
    origin.always(lambda: respond(200, origin.body))
    bench = Bench(origin)
    await bench.run(25)
    assert bench.reported() == []
    origin.body = releases({"id": 1, "v": 2})
    await bench.run(5)
    assert bench.reported() == [("updated", "releases://1")]
    assert all("if-none-match" not in request.headers for request in origin.requests)


async def test_a_rewrite_within_the_second_of_its_modification_time_is_not_lost(
    autojump_clock: trio.testing.MockClock,
) -> None:
    noon, later = "Thu, 01 Jan 2026 12:00:00 GMT", "Thu, 01 Jan 2026 12:00:20 GMT"
    origin = Origin(releases({"id": 1}))
    date = noon

    async def answer(request: httpx.Request) -> httpx.Response:
        # As python -m http.server does: by modification time, in whole seconds.
        if request.headers.get("if-modified-since") == noon:
            return respond(304, date=date)
        return respond(200, origin.body, last_modified=noon, date=date)

    origin.answer = answer
    bench = Bench(origin)
    await bench.run(5)
    origin.body = releases({"id": 1, "v": 2})
    date = later
    await bench.run(5)
    assert bench.reported() == [("updated", "releases://1")]
    await bench.run(5)
    assert origin.requests[-1].headers["if-modified-since"] == noon


async def test_a_bad_document_is_a_state_in_words_and_the_last_good_one_stays(
    autojump_clock: trio.testing.MockClock,
) -> None:
    good = releases({"id": 1})
    origin = Origin(good)
    bench = Bench(origin)
    await bench.run(5)
    origin.body = b"<html>sorry</html>"
    await bench.run(5)
    state, why = bench.state
    assert state is SourceState.FAILED
    assert why.startswith(f"{URL}: the document is no JSON: ")
    assert await bench.poller.read_item("1") == '{"id":1}'
    origin.body = releases({"id": 1}, {"id": 2})
    await bench.run(20)
    assert bench.state == POLLING
    assert bench.reported() == [("created", "releases://2")]


async def test_a_bad_document_is_never_taken_for_the_known_one(
    autojump_clock: trio.testing.MockClock,
) -> None:
    origin = Origin(releases({"id": 1}))
    bench = Bench(origin)
    await bench.run(5)
    origin.body = b"{}"
    await bench.run(20)
    assert bench.state[0] is SourceState.FAILED
    assert len(bench.states) == 2  # polling, then one and the same failure at every poll
    origin.body = releases({"id": 1})
    await bench.run(20)
    assert bench.state == POLLING
    assert bench.reported() == []


async def test_a_bad_item_degrades_the_source_and_the_others_are_handled(
    autojump_clock: trio.testing.MockClock,
) -> None:
    origin = Origin(releases({"id": 1}, {"id": 2}))
    bench = Bench(origin)
    await bench.run(5)
    origin.body = releases({"id": 1, "v": 2}, {"name": "x"}, {"id": 2})
    await bench.run(15)
    assert bench.reported() == [("updated", "releases://1")]
    state, why = bench.state
    assert state is SourceState.DEGRADED
    assert why.startswith("1 of 3 items left out: item 1 has no id")
    # Unchanged (304) is no recovery.
    await bench.run(15)
    assert bench.state == (state, why)
    origin.body = releases({"id": 1, "v": 2}, {"id": 2})
    await bench.run(5)
    assert bench.state == POLLING


async def test_failures_are_tried_again_after_growing_pauses_and_then_at_the_interval(
    autojump_clock: trio.testing.MockClock,
) -> None:
    origin = Origin(releases())
    origin.always(lambda: respond(500))
    bench = Bench(origin)
    await bench.run(1000)
    assert bench.states == [(SourceState.DEGRADED, f"{URL} answered 500 Internal Server Error")]
    pauses = [later - earlier for earlier, later in pairwise(origin.times)]
    assert pauses[0] <= 1
    assert 10 < max(pauses) <= 100
    origin.answer = None
    await bench.run(150)
    assert bench.state == POLLING
    times = origin.times[-3:]
    assert times[2] - times[1] == pytest.approx(10)


@pytest.mark.parametrize(
    ("headers", "least", "most"),
    [
        ({"retry_after": "77"}, 77, 78),
        ({"retry_after": "Thu, 01 Jan 2026 12:01:17 GMT", "date": "Thu, 01 Jan 2026 12:00:00 GMT"}, 77, 78),
        ({"retry_after": "999999999"}, 3600, 3601),
        ({"retry_after": "soon"}, 0, 1),
    ],
)
async def test_a_server_that_asks_to_be_left_alone_is_within_bounds(
    autojump_clock: trio.testing.MockClock, headers: dict[str, str], least: float, most: float
) -> None:
    origin = Origin()
    origin.always(lambda: respond(429, b"slow down", sent=headers))
    bench = Bench(origin)
    await bench.run(most)
    assert least <= origin.times[1] - origin.times[0] <= most
    assert bench.state == (SourceState.DEGRADED, f"{URL} answered 429 Too Many Requests")


async def test_the_source_survives_a_network_that_fails(autojump_clock: trio.testing.MockClock) -> None:
    origin = Origin(releases({"id": 1}))

    async def answer(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("connection refused", request=request)

    origin.answer = answer
    bench = Bench(origin)
    await bench.run(5)
    assert bench.state == (SourceState.DEGRADED, f"{URL} cannot be fetched: ConnectError: connection refused")
    origin.answer = None
    await bench.run(5)
    assert bench.state == POLLING


@pytest.mark.parametrize("gap", [6.0, 0.9])
async def test_a_poll_as_a_whole_has_a_deadline_also_for_a_server_that_trickles(
    autojump_clock: trio.testing.MockClock, gap: float
) -> None:
    origin = Origin()
    origin.always(lambda: respond(200, *[b" "] * 50, gap=gap))
    bench = Bench(origin)
    await bench.run(5.5)
    assert bench.states == [(SourceState.DEGRADED, f"{URL} gave no complete answer within 5 s")]


async def test_a_restarted_task_announces_nothing_twice_and_loses_nothing(
    autojump_clock: trio.testing.MockClock,
) -> None:
    origin = Origin(releases({"id": 1}))
    bench = Bench(origin, capacity=2)
    await bench.run(5)
    origin.body = releases(*({"id": n} for n in range(2, 8)))
    arrived = []
    for _ in range(10):
        await bench.run(0.5)  # cut while it waits for the full channel
        arrived += bench.reported()
    assert arrived == [("created", f"releases://{n}") for n in range(2, 8)] + [("deleted", "releases://1")]


async def test_who_is_told_of_a_change_reads_it(autojump_clock: trio.testing.MockClock) -> None:
    origin = Origin(releases({"id": 1, "v": 0}))
    bench = Bench(origin, capacity=0)
    await bench.run(5)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(bench.poller.run, bench.feed)
        for version in range(1, 20):
            origin.body = releases({"id": 1, "v": version})
            await bench.receive.receive()
            assert json.loads(await bench.poller.read_item("1"))["v"] == version
        nursery.cancel_scope.cancel(reason="enough")


async def test_reading_and_listing_before_the_first_poll_finds_nothing_at_once_and_its_end_is_announced(
    autojump_clock: trio.testing.MockClock,
) -> None:
    origin = Origin()
    origin.always(lambda: respond(200, releases({"id": 1}), gap=3))
    bench = Bench(origin)
    started = trio.current_time()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(bench.poller.run, bench.feed)
        with pytest.raises(ResourceNotFound):
            await bench.poller.read_item("1")
        assert await bench.poller.list_items() == []
        assert trio.current_time() == started, "to wait is the server's matter"
        await bench.feed.wait_started()
        assert trio.current_time() - started == pytest.approx(3)
        assert await bench.poller.read_item("1") == '{"id":1}'
        nursery.cancel_scope.cancel(reason="enough")
    assert bench.reported() == [("created", "releases://1")]


async def test_reading_and_listing_are_checkpoints(autojump_clock: trio.testing.MockClock) -> None:
    bench = Bench(Origin(releases({"id": 1})))
    await bench.run(5)
    with trio.testing.assert_checkpoints():
        await bench.poller.read_item("1")
    with trio.testing.assert_checkpoints():
        await bench.poller.list_items()


SETTINGS = PollerSettings(name="releases", url=URL, uri="releases://{id}", items="/releases", id="/id")


def test_installing_offers_a_template_and_a_task() -> None:
    registry = Registry(Catalog())
    install(registry, SETTINGS)
    [template] = registry.catalog.templates()
    assert (template.uri_template, template.name, template.mime_type) == (
        "releases://{id}",
        "releases",
        "application/json",
    )
    assert registry.catalog.could_serve("releases://42")
    [spec] = registry.sources()
    assert (spec.name, spec.patterns, spec.always, spec.linger) == (
        "releases",
        ("releases://{id}",),
        False,
        30,
    )


def test_installing_without_items_offers_a_resource() -> None:
    registry = Registry(Catalog())
    settings = PollerSettings(
        name="weather",
        url=URL,
        uri="weather://oslo",
        mime_type="application/geo+json",
        linger="5m",
        always=True,
    )
    install(registry, settings)
    assert registry.catalog.could_serve("weather://oslo")
    assert not registry.catalog.could_serve("weather://rome")
    [spec] = registry.sources()
    assert (spec.name, spec.patterns, spec.always, spec.linger) == ("weather", ("weather://oslo",), True, 300)


def test_installing_without_a_secret_that_is_needed_fails_by_its_name(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("RELEASES_TOKEN", raising=False)
    registry = Registry(Catalog())
    settings = PollerSettings(
        name="weather", url=URL, uri="weather://oslo", headers={"Authorization": Secret(env="RELEASES_TOKEN")}
    )
    with pytest.raises(SecretMissing, match="RELEASES_TOKEN"):
        install(registry, settings)
    assert registry.sources() == ()


async def test_a_first_document_after_a_failed_poll_is_announced_to_those_who_found_nothing(
    autojump_clock: trio.testing.MockClock,
) -> None:
    origin = Origin(b"not json")
    bench = Bench(origin)
    await bench.run(5)
    with pytest.raises(ResourceNotFound):
        await bench.poller.read_item("1")
    origin.body = releases({"id": 1})
    await bench.run(30)
    assert bench.reported() == [("created", "releases://1")]
    assert await bench.poller.read_item("1") == '{"id":1}'
