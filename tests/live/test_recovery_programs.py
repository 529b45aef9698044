"""Any program of changes, receiving, breaking off and coming back: what a client was told in the end, against all that happened.

The model knows nothing of queues: it has the list of what was published, and looks at what the client has received.
"""

from __future__ import annotations

from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from mcptrio.live import Change, Entry
from mcptrio.live.allowance import Allowance
from mcptrio.live.cursor import Cursor
from mcptrio.live.deliveries import RESTARTED, Deliveries, Gap, Told
from mcptrio.live.history import History
from mcptrio.live.policy import CONFLATE, EVERY, Policy, batch
from mcptrio.live.weight import Weighed

URIS = [f"a:{number}" for number in range(4)]
POLICIES = [CONFLATE, EVERY, batch(2, 5)]
STEPS = st.lists(
    st.one_of(
        *[st.tuples(st.just("publish"), st.sampled_from(URIS))] * 4,
        *[st.tuples(st.just("receive"), st.integers(1, 4))] * 2,
        st.tuples(
            st.sampled_from(["break", "lose", "come", "replay", "replay", "pass", "pass"]), st.integers(1, 6)
        ),
        st.tuples(st.just("restart"), st.integers(0, 2)),
    ),
    max_size=80,
)


class World:
    """The server's side as it will be wired: numbers, history, and who is there."""

    def __init__(self, history: History) -> None:
        self.history = history
        self.now = 0.0
        self.lives = 0

    def publish(self, uri: str, clients: list[Client]) -> None:
        item = Weighed.of(Entry(self.history.offset + 1, Change(uri=uri)))
        self.history.append(item, self.now)
        for client in clients:
            client.published(item)

    def restart(self, clients: list[Client]) -> None:
        for client in clients:
            client.break_off()
        self.lives += 1
        self.history.restart(f"{self.lives:016x}")


class Client:
    """One subscription over all its connections, and everything that it has received in this life of the server."""

    def __init__(self, world: World, policy: Policy, wanted: frozenset[str], allowance: Allowance) -> None:
        self.world, self.policy, self.wanted, self.allowance = world, policy, wanted, allowance
        self.deliveries: Deliveries | None = None
        self.missing: list[Weighed] = []
        self.replaying = False
        self.begin(Cursor(world.history.epoch, world.history.offset))

    def begin(self, cursor: Cursor) -> None:
        """Nothing before this is anything to the client."""
        self.cursor = cursor
        self.due: list[Entry] = []
        """All that it should hear of."""
        self.told: list[Entry] = []
        self.gaps: list[Gap] = []
        self.patience: Counter[str] = Counter()
        """How often another URI was told while this one waited."""
        self.put_at: dict[int, float] = {}

    def come(self) -> None:
        if self.deliveries is not None:
            return
        missed = self.world.history.missed(self.cursor, self.world.now)
        if missed.reason == RESTARTED:
            # The acknowledgement says so.
            self.begin(Cursor(self.world.history.epoch, missed.offset))
        assert missed.offset == self.cursor.offset
        self.deliveries = Deliveries(self.policy, missed.offset, self.allowance)
        self.deliveries.hold()
        if missed.gap is not None:
            self.deliveries.give_up(missed.gap, missed.reason)
        self.missing = [item for item in missed.entries if item.entry.change.uri in self.wanted]
        self.replaying = True
        self.patience.clear()

    def replay(self, count: int) -> None:
        if self.deliveries is None or not self.replaying:
            return
        now, self.missing = self.missing[:count], self.missing[count:]
        for item in now:
            self.put_at[item.entry.offset] = self.world.now
            self.deliveries.replay(item, self.world.now)
        if not self.missing:
            self.replaying = False
            self.put_at = {offset: self.world.now for offset in self.put_at}
            self.deliveries.release(self.world.now)

    def published(self, item: Weighed) -> None:
        entry = item.entry
        if entry.change.uri in self.wanted:
            self.due.append(entry)
            self.put_at[entry.offset] = self.world.now
            if self.deliveries is not None:
                before = self.deliveries.due()
                earlier = self.deliveries.put(item, self.world.now)
                assert earlier is (self.deliveries.due() < before)

    def receive(self) -> bool:
        """Take one, and remember it as a client does; false for nothing."""
        if self.deliveries is None:
            return False
        is_due = self.deliveries.due() <= self.world.now
        taken = self.deliveries.take(self.world.now)
        assert (taken is not None) is is_due
        if taken is None:
            return False
        assert taken.prev == self.cursor.offset, "the chain has a hole"
        if isinstance(taken, Gap):
            assert taken.offset > taken.prev or taken.reason == RESTARTED
            self.gaps.append(taken)
            offset = taken.offset
            self.patience.clear()
        else:
            assert taken.entry.offset > taken.prev
            self.told.append(taken.entry)
            offset = taken.entry.offset
            self.expect_nobody_to_be_put_off(taken)
        self.cursor = Cursor(self.cursor.epoch, offset)
        return True

    def expect_nobody_to_be_put_off(self, told: Told) -> None:
        self.patience.update({entry.change.uri for entry in self.due if entry.offset > told.prev})
        del self.patience[told.entry.change.uri]
        if self.policy.merges:
            assert max(self.patience.values(), default=0) <= 3 * len(URIS)

    def break_off(self) -> None:
        if self.deliveries is not None:
            self.deliveries.close()
            self.deliveries = None

    def lose(self) -> None:
        """The connection breaks with something in it."""
        if self.deliveries is not None:
            self.deliveries.take(self.world.now)
            self.break_off()

    def expect_its_bounds(self) -> int:
        """How many wait."""
        if self.deliveries is None:
            return 0
        waiting = len(self.deliveries)
        if self.policy.merges and not self.replaying:
            assert waiting <= 2 * len(self.wanted)
            if waiting:
                newest = {entry.change.uri: entry.offset for entry in self.due}
                since = min(self.put_at[offset] for offset in newest.values() if offset > self.cursor.offset)
                assert self.deliveries.due() <= since + self.policy.max_wait
        return waiting

    def expect_all_was_told(self) -> None:
        """At the end: nothing is missing but what is known to be, and nothing is there twice."""
        offsets = [entry.offset for entry in self.told]
        assert offsets == sorted(set(offsets))
        known = {entry.offset: entry for entry in self.due}
        assert all(known[entry.offset] is entry for entry in self.told)
        gone = {
            entry.offset for entry in self.due for gap in self.gaps if gap.prev < entry.offset <= gap.offset
        }
        assert gone.isdisjoint(offsets)
        untold = [entry for entry in self.due if entry.offset not in gone and entry not in self.told]
        if self.policy.merges:
            newest = {entry.change.uri: entry for entry in self.due}
            assert not [entry for entry in untold if newest[entry.change.uri] is entry], (
                "a last state is lost"
            )
        else:
            assert not untold


@settings(max_examples=300, deadline=None)
@given(
    steps=STEPS,
    policies=st.lists(st.sampled_from(POLICIES), min_size=1, max_size=2),
    wanted=st.lists(st.frozensets(st.sampled_from(URIS), min_size=1), min_size=2, max_size=2),
    most=st.sampled_from([1, 3, 6, 1000]),
    kept=st.sampled_from([1, 4, 12, 1000]),
    max_age=st.sampled_from([5.0, 1e6]),
)
def test_whatever_happens_each_subscription_knows_all_or_knows_what_it_does_not(
    steps: list[tuple[str, int | str]],
    policies: list[Policy],
    wanted: list[frozenset[str]],
    most: int,
    kept: int,
    max_age: float,
) -> None:
    world = World(History(f"{0:016x}", 5, most=kept, max_age=max_age))
    allowance = Allowance(most)
    clients = [Client(world, policy, uris, allowance) for policy, uris in zip(policies, wanted, strict=False)]
    for client in clients:
        client.come()
    for step, argument in steps:
        which = clients[int(argument) % len(clients)] if isinstance(argument, int) else clients[0]
        count = argument if isinstance(argument, int) else 0
        match step:
            case "publish":
                world.publish(str(argument), clients)
            case "receive":
                for _ in range(count):
                    which.receive()
            case "break":
                which.break_off()
            case "lose":
                which.lose()
            case "come":
                which.come()
            case "replay":
                which.replay(count)
            case "pass":
                world.now += count / 2
            case "restart" if argument == 0:
                world.restart(clients)
        assert sum(client.expect_its_bounds() for client in clients) == allowance.count <= most
        assert len(world.history) <= kept
    for client in clients:
        client.come()
        client.replay(len(client.missing))
        assert client.deliveries is not None
    world.now += 100
    for client in clients:
        while client.receive():
            pass
        client.expect_all_was_told()
        if most == kept == 1000 and max_age > 1000:
            assert all(gap.reason == RESTARTED for gap in client.gaps), "there was room for everything"
        client.break_off()
    assert (allowance.count, allowance.bytes) == (0, 0)
