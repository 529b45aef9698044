"""The hub against a naive model, and what its tables hold."""

from __future__ import annotations

from collections.abc import Hashable

import pytest
import trio
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from mcptrio.live import MEMBERSHIP, Change, Entry, Hub, HubStatistics, InvalidUri, Outbox
from mcptrio.live.hub import DEDUPLICATION_WINDOW

URIS = st.sampled_from([f"a:{number}" for number in range(4)])
KINDS = st.sampled_from(["created", "updated", "deleted", "reaction_added"])


def drained(outbox: Outbox) -> list[tuple[Hashable, Entry | None]]:
    """All that is pending, in order."""
    deliveries = []
    while len(outbox):
        delivery = outbox.receive_nowait()
        deliveries.append((delivery.key, delivery.entry))
    return deliveries


def expect_empty(hub: Hub) -> None:
    """Nothing of any subscriber is left, looked at from inside."""
    assert hub._outboxes == {}
    assert hub._uris == {}
    assert hub._membership == {}
    assert hub.subscriptions() == {}
    assert (hub.statistics().uris, hub.statistics().subscriptions) == (0, 0)


class Model:
    """One subscriber, naively: a list of everything that it is owed, newest last."""

    def __init__(self) -> None:
        self.outbox = Outbox(self.on_ready)
        self.uris: set[str] = set()
        self.membership = False
        self.owed: list[tuple[Hashable, Entry]] = []
        self.left = False
        self.ready = 0

    def on_ready(self) -> None:
        self.ready += 1

    def send(self, key: Hashable, entry: Entry) -> None:
        for index, (known, _) in enumerate(self.owed):
            if known == key:
                self.owed[index] = (key, entry)  # the newest takes the place of the older
                return
        self.owed.append((key, entry))


class HubMachine(RuleBasedStateMachine):
    """Subscribers come, ask, drain and leave while changes are published."""

    def __init__(self) -> None:
        super().__init__()
        self.hub = Hub()
        self.models: list[Model] = []
        self.offset = 0
        self.seen: set[tuple[str, str, str]] = set()
        self.duplicates = 0

    outboxes = Bundle("outboxes")
    gone = Bundle("gone")

    @rule(target=outboxes)
    def come(self) -> Model:
        model = Model()
        self.models.append(model)
        return model

    @rule(model=outboxes, uri=URIS)
    def subscribe(self, model: Model, uri: str) -> None:
        assert self.hub.subscribe(uri, model.outbox) is (uri not in model.uris)
        model.uris.add(uri)
        assert self.hub.is_subscribed(uri, model.outbox)

    @rule(model=outboxes, uri=URIS)
    def unsubscribe(self, model: Model, uri: str) -> None:
        assert self.hub.unsubscribe(uri, model.outbox) is (uri in model.uris)
        model.uris.discard(uri)
        model.owed = [(key, entry) for key, entry in model.owed if key != uri]
        assert not self.hub.is_subscribed(uri, model.outbox)

    @rule(model=outboxes)
    def watch_membership(self, model: Model) -> None:
        self.hub.watch_membership(model.outbox)
        model.membership = True

    @rule(
        uri=URIS,
        kind=KINDS,
        event_id=st.none() | st.sampled_from(["1", "2"]),
        source=st.sampled_from(["", "mail"]),
    )
    def publish(self, uri: str, kind: str, event_id: str | None, source: str) -> None:
        change = Change(uri=uri, kind=kind, event_id=event_id, source=source)
        entry = self.hub.publish(change)
        if event_id is not None:
            if (source, uri, event_id) in self.seen:
                self.duplicates += 1
                assert entry is None
                return
            self.seen.add((source, uri, event_id))
        self.offset += 1
        assert entry == Entry(self.offset, change)
        for model in self.models:
            if uri in model.uris:
                model.send(uri, entry)
            if model.membership and kind in ("created", "deleted"):
                model.send(MEMBERSHIP, entry)

    @rule(model=outboxes)
    def drain(self, model: Model) -> None:
        assert drained(model.outbox) == model.owed
        model.owed = []

    @rule(model=outboxes)
    def take_one(self, model: Model) -> None:
        if model.owed:
            delivery = model.outbox.receive_nowait()
            assert (delivery.key, delivery.entry) == model.owed.pop(0)
        else:
            with pytest.raises(trio.WouldBlock):
                model.outbox.receive_nowait()

    @rule(target=gone, model=consumes(outboxes))
    def leave(self, model: Model) -> Model:
        self.hub.leave(model.outbox)
        self.models.remove(model)
        return model

    @rule(model=gone, uri=URIS)
    def leave_again(self, model: Model, uri: str) -> None:
        self.hub.leave(model.outbox)
        assert self.hub.unsubscribe(uri, model.outbox) is False
        assert self.hub.count(model.outbox) == 0
        with pytest.raises(trio.EndOfChannel):
            model.outbox.receive_nowait()

    @invariant()
    def the_index_is_what_was_asked(self) -> None:
        for number in range(4):
            uri = f"a:{number}"
            assert set(self.hub.subscribers(uri)) == {each.outbox for each in self.models if uri in each.uris}
        assert set(self.hub.subscriptions()) == {uri for model in self.models for uri in model.uris}
        for model in self.models:
            assert self.hub.count(model.outbox) == len(model.uris)
            assert len(model.outbox) == len(model.owed)

    @invariant()
    def it_counts_right(self) -> None:
        statistics = self.hub.statistics()
        assert statistics.offset == self.hub.offset == self.offset
        assert statistics.duplicates == self.duplicates
        assert statistics.subscriptions == sum(len(model.uris) for model in self.models)
        assert statistics.uris == len(self.hub.subscriptions())

    def teardown(self) -> None:
        for model in self.models:
            self.hub.leave(model.outbox)
        expect_empty(self.hub)


TestHub = pytest.mark.unmeasured(HubMachine.TestCase)
TestHub.settings = settings(stateful_step_count=60, deadline=None)


def test_ten_thousand_subscribe_and_unsubscribe_cycles_leave_nothing() -> None:
    hub = Hub()
    outboxes = [Outbox() for _ in range(10)]
    for cycle in range(10_000):
        uri, outbox = f"a:{cycle % 1000}", outboxes[cycle % 10]
        assert hub.subscribe(uri, outbox)
        if cycle % 3 == 0:
            hub.publish(Change(uri=uri))
        assert hub.unsubscribe(uri, outbox)
        assert len(outbox) == 0
    expect_empty(hub)


def test_a_thousand_outboxes_that_leave_at_once_leave_nothing() -> None:
    hub = Hub()
    outboxes = [Outbox() for _ in range(1000)]
    for number, outbox in enumerate(outboxes):
        hub.watch_membership(outbox)
        for step in range(10):
            hub.subscribe(f"a:{(number + step) % 50}", outbox)
    assert hub.statistics().subscriptions == 10_000
    for outbox in outboxes:
        hub.leave(outbox)
    expect_empty(hub)


def test_a_change_that_nobody_watches_is_numbered_and_harmless() -> None:
    hub = Hub()
    first = hub.publish(Change(uri="a:b"))
    second = hub.publish(Change(uri="a:b", kind="deleted"))
    assert first is not None
    assert second is not None
    assert (first.offset, second.offset) == (1, 2)
    assert hub.subscribers("a:b") == ()
    expect_empty(hub)


@pytest.mark.parametrize("uri", ["", "no scheme", "relative"])
def test_what_names_no_resource_is_neither_numbered_nor_subscribed(uri: str) -> None:
    hub = Hub()
    with pytest.raises(InvalidUri):
        hub.publish(Change(uri=uri, event_id="1"))
    with pytest.raises(InvalidUri):
        hub.subscribe(uri, Outbox())
    assert hub.offset == 0
    assert hub._seen == {}
    expect_empty(hub)


def test_the_window_of_event_ids_is_bounded_and_forgets_the_one_unseen_for_longest() -> None:
    hub = Hub()
    for number in range(DEDUPLICATION_WINDOW):
        hub.publish(Change(uri="a:b", event_id=str(number)))
    assert hub.publish(Change(uri="a:b", event_id="0")) is None  # and is the freshest now
    assert hub.publish(Change(uri="a:b", event_id="new")) is not None
    assert len(hub._seen) == DEDUPLICATION_WINDOW
    assert hub.publish(Change(uri="a:b", event_id="0")) is None
    assert hub.publish(Change(uri="a:b", event_id="1")) is not None


def test_two_hubs_have_two_epochs() -> None:
    assert Hub().epoch != Hub().epoch


def test_it_counts_matches_and_merges() -> None:
    hub = Hub()
    one, two = Outbox(), Outbox()
    for outbox in (one, two):
        hub.subscribe("a:b", outbox)
    hub.publish(Change(uri="a:b", event_id="1"))
    one.receive_nowait()
    hub.publish(Change(uri="a:b", event_id="1"))
    hub.publish(Change(uri="a:b"))
    assert hub.statistics() == HubStatistics(
        offset=2, duplicates=1, matched=4, conflated=1, uris=1, subscriptions=2
    )


def test_an_outbox_that_leaves_while_it_is_told_hurts_nobody() -> None:
    hub = Hub()
    other = Outbox()
    leaver = Outbox(lambda: hub.leave(leaver))
    for outbox in (leaver, other):
        hub.subscribe("a:b", outbox)
        hub.watch_membership(outbox)
    hub.publish(Change(uri="a:b", kind="created"))
    assert [key for key, _ in drained(other)] == ["a:b", MEMBERSHIP]
    hub.leave(other)
    expect_empty(hub)


def test_who_watches_interest_and_fails_keeps_nobody_from_subscribing_or_leaving() -> None:
    hub = Hub()
    told: list[tuple[str, bool]] = []

    def fails(uri: str, wanted: bool) -> None:
        raise LookupError(uri)

    hub.watch_interest(fails)
    hub.watch_interest(lambda uri, wanted: told.append((uri, wanted)))
    outbox = Outbox()
    for uri in ("a:1", "a:2", "a:3"):
        assert hub.subscribe(uri, outbox)
    hub.leave(outbox)
    assert hub.subscriptions() == {}
    assert hub.statistics().subscriptions == 0
    assert sorted(told) == [(f"a:{number}", wanted) for number in (1, 2, 3) for wanted in (False, True)]


def test_who_watches_changes_hears_of_each_before_any_outbox_and_whoever_asked() -> None:
    hub = Hub()
    told: list[tuple[int, str, int]] = []
    outbox = Outbox()
    hub.watch_changes(lambda entry: told.append((entry.offset, entry.change.uri, len(outbox))))
    hub.subscribe("a:1", outbox)
    hub.publish(Change(uri="a:1", event_id="1"))
    hub.publish(Change(uri="a:1", event_id="1"))  # repeated: no change
    hub.publish(Change(uri="a:2"))
    assert told == [(1, "a:1", 0), (2, "a:2", 1)]
    assert [delivery[0] for delivery in drained(outbox)] == ["a:1"]


def test_a_watcher_of_changes_that_fails_keeps_nobody_from_being_told(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def fail(entry: Entry) -> None:
        raise OSError("a watcher's own fault")

    hub = Hub()
    outbox = Outbox()
    hub.watch_changes(fail)
    hub.subscribe("a:1", outbox)
    assert hub.publish(Change(uri="a:1")) is not None
    assert len(outbox) == 1
    assert "a watcher's own fault" in caplog.text
