"""A hundred thousand subscriptions of the extension: what one more, one less, a change and a leaving client cost.

    python scripts/bench.py [--subscriptions 100000] [--lenient 1.0]

Selectors of every kind, policies, fields and filters are mixed, and they belong to clients of a hundred to ten thousand
subscriptions each. Everything goes through the hub of an App with sources that are wanted by demand, as a server's does,
in this process; no wire. Figures are CPU time, with the garbage collector on. Prints one line per figure: the median,
the 99th percentile and the worst; where there is a goal, the 99th percentile is held to it (of what is done less than a
hundred times, the median), and a goal that is missed makes the exit status 1. `--lenient 3` allows a slow machine three times as much.
"""

from __future__ import annotations

import argparse
import gc
import random
import statistics
import sys
import tracemalloc
from collections.abc import Callable
from functools import partial
from time import thread_time_ns

import trio

from mcptrio import App, Feed
from mcptrio.live import Allowance, Change, Hub, Outbox, Replay, Subscription, Terms
from mcptrio.live.terms import parse_terms
from mcptrio.protocol import ModernCodec
from mcptrio.protocol.types import Implementation
from mcptrio.server.flusher import Flusher
from mcptrio.server.subscriber import Listen, Subscriber

FILTERS: list[object] = [
    {"kind": "created"},
    {"kind": ["created", "deleted"]},
    {"exists": "/assignee"},
    {"not": {"eq": {"/status": "closed"}}},
    *({"eq": {"/from": f"user{number}@example.org"}} for number in range(20)),
    *({"and": [{"kind": "updated"}, {"gt": {"/size": 100 * number}}]} for number in range(10)),
    *({"or": [{"prefix": {"/subject": "Re:"}}, {"in": {"/tag": [number, "all"]}}]} for number in range(6)),
]
POLICIES: list[object] = ["conflate"] * 6 + ["every"] * 2 + [{"batch": {"windowMs": 200, "maxWaitMs": 1000}}]
FIELDS: list[object] = ["none"] * 6 + ["metadata", "all", ["/subject", "/from"]]
DATA = {"from": "user3@example.org", "subject": "Re: hello", "size": 512, "status": "open", "tag": 3}


def selector(number: int, chance: random.Random) -> dict[str, object]:
    """Half of them exact, some of which several have; then templates and globs, each nearly like others."""
    kind = chance.random()
    if kind < 0.4:
        return {"uri": f"mail://inbox/{number}"}
    if kind < 0.5:
        return {"uri": f"stock://{chance.randrange(1000)}"}
    return chance.choice(
        [
            {"template": f"jira://{{project}}/ISSUE-{number}/{{field}}"},
            {"template": f"git://{{+repository}}/commit/{number:x}"},
            {"template": f"mail://box{number}/{{id}}"},
            {"template": f"stock://{chance.randrange(1000)}/{{field}}"},
            {"glob": f"mail://box{number}/*"},
            {"glob": f"mail://*/user{number}/**"},
            {"glob": f"file:///home/u{number}/**.py"},
            {"glob": f"log://app/2026-??-??/*-{number}-*"},
            {"glob": f"**/thing{number}"},
            {"glob": f"stock://{chance.randrange(1000)}*"},
        ]
    )


def uris(number: int) -> list[str]:
    """What changes: each is selected by what is subscribed under that number, and perhaps by others."""
    return [
        f"mail://inbox/{number}",
        f"stock://{number % 1000}",
        f"stock://{number % 1000}/price",
        f"jira://P/ISSUE-{number}/status",
        f"git://example.org/a/b/commit/{number:x}",
        f"mail://box{number}/1",
        f"mail://any/user{number}/a/b",
        f"file:///home/u{number}/src/deep/er/main.py",
        f"log://app/2026-11-20/a-{number}-b",
        f"a://b/c/thing{number}",
        f"nobody://asked/{number}",
    ]


class Member:
    """A client: an outbox, what may wait for it, and what it asks for."""

    def __init__(self, asked: list[dict[str, object]]) -> None:
        self.asked = asked
        self.enter()

    def enter(self) -> None:
        """Begin, again if need be."""
        self.outbox = Outbox()
        self.allowance = Allowance()

    def terms(self) -> list[Terms]:
        """Parsed as they are when they are asked for, each time anew."""
        return [parse_terms(each, "subscription") for each in self.asked]


def drain(hub: Hub, outbox: Outbox) -> int:
    """Take all that waits for one, as a flusher does."""
    taken = 0
    while len(outbox):
        key = outbox.receive_nowait().key
        if isinstance(key, Subscription):
            while key.deliveries.take(trio.current_time()) is not None:
                taken += 1
            hub.selections.settle(key)
        elif isinstance(key, Replay):
            hub.selections.advance(key)
    return taken


def population(total: int, chance: random.Random) -> list[Member]:
    """Clients with a tenth, a hundredth and a thousandth of all each, which have 40, 40 and 20 percent."""
    sizes = [max(1, total // 10)] * 4 + [max(1, total // 100)] * 40 + [max(1, total // 1000)] * 200
    members: list[Member] = []
    number = 0
    for size in sizes:
        asked = []
        for _ in range(size):
            number += 1
            one: dict[str, object] = {"label": f"s{number}", **selector(number, chance)}
            one["policy"] = chance.choice(POLICIES)
            one["fields"] = chance.choice(FIELDS)
            if chance.random() < 0.3:
                one["filter"] = chance.choice(FILTERS)
            asked.append(one)
        chance.shuffle(asked)
        members.append(Member(asked))
    return members


class Report:
    """Prints the table, and remembers whether a goal was missed."""

    def __init__(self, lenient: float) -> None:
        self._lenient = lenient
        self.missed = 0
        self._line("", "median", "p99", "worst", "goal", "")

    def _line(self, name: str, *cells: str) -> None:
        print(f"{name:<46}" + "".join(f"{cell:>11}" for cell in cells), flush=True)

    def times(self, name: str, nanoseconds: list[float], goal_us: float | None = None) -> None:
        """Some durations, and what their 99th percentile may be, in microseconds."""
        ordered = sorted(nanoseconds)
        median, p99 = statistics.median(ordered), ordered[int(len(ordered) * 0.99)]
        cells = [f"{value / 1000:.1f} us" for value in (median, p99, ordered[-1])]
        if goal_us is None:
            self._line(name, *cells)
            return
        goal_us *= self._lenient
        is_met = (p99 if len(ordered) >= 100 else median) / 1000 <= goal_us
        self.missed += not is_met
        self._line(name, *cells, f"{goal_us:.0f} us", "ok" if is_met else "MISSED")

    def figure(self, name: str, shown: str) -> None:
        """Something else, to be read."""
        self._line(name, shown)


def timed(action: Callable[[], object]) -> float:
    """CPU time of one call, in nanoseconds."""
    began = thread_time_ns()
    action()
    return thread_time_ns() - began


def measure_subscribing(report: Report, hub: Hub, members: list[Member], chance: random.Random) -> None:
    """All come, one by one; then some subscriptions go and come back."""
    everything = [(member, asked) for member in members for asked in member.asked]
    chance.shuffle(everything)

    def select(member: Member, asked: object) -> Callable[[], object]:
        terms = parse_terms(asked, "subscription")
        return lambda: hub.select(member.outbox, [terms], member.allowance)

    # The garbage collector is not to look through what is only ours.
    gc.collect()
    gc.freeze()
    report.times("subscribe, while there are ever more", [timed(select(*each)) for each in everything], 100)
    selections = hub.selections
    went, came, parsed = [], [], []
    for member, asked in chance.sample(everything, min(len(everything), 20_000)):
        label = str(asked["label"])
        went.append(timed(lambda: selections.unsubscribe(member.outbox, label)))  # noqa: B023
        came.append(timed(select(member, asked)))
    report.times("unsubscribe, among all", went, 100)
    report.times("subscribe, among all", came, 100)
    for one in (asked for member in members[-100:] for asked in member.asked):
        parsed.append(timed(lambda: parse_terms(one, "subscription")))  # noqa: B023
    report.times("(reading the terms of one from JSON's types)", parsed)


def measure_publishing(
    report: Report, hub: Hub, members: list[Member], rounds: int, chance: random.Random
) -> None:
    """Changes of which few are selected by any; then of such as a thousand select, for what one of those costs."""
    crowd = crowded(hub, "crowd://**", None)
    alike = crowded(hub, "alike://**", {"and": [{"kind": "updated"}, {"eq": {"/status": "open"}}]})
    for name, uri, outboxes in ((", equal filters", "alike://1", alike), ("", "crowd://1", crowd)):
        costs: list[float] = []
        for _ in range(100):
            costs.append(timed(lambda: hub.publish(Change(uri=uri, data=DATA))) / len(outboxes))  # noqa: B023
            for outbox in outboxes:
                drain(hub, outbox)
        report.times(f"publish, for each of 1,000 matches{name}", costs)
    for outbox in crowd + alike:
        hub.leave(outbox)
    ready: list[Outbox] = []
    for member in members:
        member.outbox.on_ready = partial(ready.append, member.outbox)
    total = sum(len(member.asked) for member in members)
    whole: list[float] = []
    counts: list[float] = []
    none: list[float] = []
    for uri in (uri for _ in range(rounds) for uri in uris(chance.randrange(total) + 1)):
        change = Change(uri=uri, kind=chance.choice(["created", "updated"]), data=DATA)
        before = hub.matched
        spent = timed(lambda: hub.publish(change))  # noqa: B023
        found = hub.matched - before
        (whole if found else none).append(spent)
        if found:
            counts.append(found)
        while ready:
            drain(hub, ready.pop())
    report.times("publish, nobody selects it", none, 200)
    each = statistics.linear_regression(counts, whole).slope if len(set(counts)) > 1 else 0.0
    rest = [spent - count * each for spent, count in zip(whole, counts, strict=True)]
    report.times(f"publish, without {each / 1000:.1f} us for each of its matches", rest, 200)
    report.times(f"publish, with its matches ({statistics.mean(counts):.1f} on average)", whole)


def crowded(hub: Hub, glob: str, filter: object) -> list[Outbox]:
    """A thousand clients who select the same."""
    outboxes = [Outbox() for _ in range(1000)]
    asked: dict[str, object] = {"label": "all", "glob": glob, "filter": filter}
    for outbox in outboxes:
        hub.select(outbox, [parse_terms(asked, "subscription")], Allowance())
    return outboxes


def measure_leaving(report: Report, hub: Hub, members: list[Member], times: int) -> None:
    """The largest clients leave and come back, in turn."""
    for waiting in (False, True):
        costs: list[float] = []
        for number in range(times):
            member = members[number % 4]
            if waiting:
                fill(hub, member)
            costs.append(timed(lambda: hub.leave(member.outbox)))  # noqa: B023
            assert hub.selections.count(member.outbox) == 0
            member.enter()
            hub.select(member.outbox, member.terms(), member.allowance)
        what = f"leave with {len(members[0].asked):,}"
        goal = None if waiting else 50_000.0
        report.times(f"{what}, each owed something" if waiting else what, costs, goal)


def fill(hub: Hub, member: Member) -> None:
    """Have something wait for each of one's subscriptions."""
    for subscription in hub.selections.of(member.outbox):
        subscription.deliveries.give_up(hub.offset, "pending")
        member.outbox.send_nowait(subscription)


def measure_memory(report: Report, members: list[Member]) -> None:
    """What the subscriptions of one large client keep, by tracemalloc; without what was only asked."""
    hub = App("memory").hub
    member = members[0]
    member.enter()
    gc.collect()
    tracemalloc.start()
    hub.select(member.outbox, member.terms(), member.allowance)
    gc.collect()
    kept = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    report.figure("memory for each subscription", f"{kept / len(member.asked):.0f} B")


class Recipient:
    """Takes everything at once, and counts."""

    def __init__(self) -> None:
        self.frames = 0

    def is_behind(self) -> bool:
        return False

    def park(self, resume: Callable[[], None]) -> None:
        raise AssertionError("never behind")

    @staticmethod
    def frame(payload: bytes) -> bytes:
        return payload

    def push_frames(self, frames: object) -> None:
        self.frames += len(frames)  # type: ignore[arg-type]

    def fail(self) -> None:
        raise AssertionError("something could not be sent")


def listens(flusher: Flusher, count: int, id: Callable[[int], str]) -> list[Listen]:
    """Listens in memory."""
    codec = ModernCodec(Implementation(name="bench", version="1"))
    return [Listen(Recipient(), flusher.ready, codec, id(number)) for number in range(count)]


async def measure_telling(report: Report, rounds: int) -> None:
    """The flusher tells a thousand subscribers of the same changes, with data."""
    for name, id in (("one id", lambda number: "l"), ("an id each", str)):
        hub = App("telling").hub
        flusher = Flusher(hub)
        told = listens(flusher, 1000, id)
        asked: dict[str, object] = {"label": "all", "uri": "crowd://1", "policy": "every", "fields": "all"}
        for listen in told:
            hub.select(listen.outbox, [parse_terms(asked, "subscription")], Allowance())
        async with trio.open_nursery() as nursery:
            nursery.start_soon(flusher.run)
            began = thread_time_ns()
            for number in range(1, rounds + 1):
                hub.publish(Change(uri="crowd://1", data=DATA))
                while flusher.delivered < number * 1000:  # noqa: ASYNC110 - no waiting is to be measured
                    await trio.lowlevel.checkpoint()
            spent = thread_time_ns() - began
            nursery.cancel_scope.cancel(reason="all were told")
        rate = flusher.delivered / spent * 1e9
        report.figure(f"deliveries to 1,000 listens, {name}", f"{rate:,.0f} /s")


async def measure_storm(report: Report, clients: int, missed: int) -> None:
    """Everybody comes back at once, and is told what it has missed."""
    hub = App("storm").hub
    flusher = Flusher(hub)
    asked: dict[str, object] = {"label": "all", "glob": "mail://inbox/*", "policy": "every", "fields": "all"}
    first = Outbox()
    hub.select(first, [parse_terms(asked, "subscription")], Allowance())
    cursor = f"{hub.epoch}.{hub.offset}"
    for number in range(missed):
        hub.publish(Change(uri=f"mail://inbox/{number % 50}", data=DATA))
    hub.leave(first)
    returned: list[Subscriber] = list(listens(flusher, clients, str))
    asked["since"] = cursor
    async with trio.open_nursery() as nursery:
        nursery.start_soon(flusher.run)
        began = thread_time_ns()
        for listen in returned:
            hub.select(listen.outbox, [parse_terms(asked, "subscription")], Allowance())
        while flusher.delivered < clients * missed:  # noqa: ASYNC110 - as above
            await trio.lowlevel.checkpoint()
        spent = thread_time_ns() - began
        nursery.cancel_scope.cancel(reason="all were told")
    assert {listen.recipient.frames for listen in returned} == {missed}  # type: ignore[attr-defined]
    report.figure(f"storm: {clients:,} x {missed} missed, each client", f"{spent / clients / 1e6:.2f} ms")


def members_of(app: App, total: int, chance: random.Random) -> list[Member]:
    """The population, and sources that are wanted by what it asks for."""

    @app.source("mail://{+rest}")
    async def mail(feed: Feed) -> None:
        await trio.sleep_forever()

    @app.source("jira://{+rest}")
    async def jira(feed: Feed) -> None:
        await trio.sleep_forever()

    return population(total, chance)


async def main(given: argparse.Namespace) -> int:
    """Measure everything once."""
    chance = random.Random(1)
    app = App("bench")
    members = members_of(app, given.subscriptions, chance)
    report = Report(given.lenient)
    measure_subscribing(report, app.hub, members, chance)
    measure_publishing(report, app.hub, members, given.rounds, chance)
    measure_leaving(report, app.hub, members, given.leaves)
    measure_memory(report, members)
    await measure_telling(report, max(1, given.rounds // 20))
    await measure_storm(report, given.clients, 100)
    return 1 if report.missed else 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--subscriptions", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=1000, help="changes of each kind of URI")
    parser.add_argument("--leaves", type=int, default=20, help="how often a large client leaves")
    parser.add_argument("--clients", type=int, default=1000, help="how many come back at once")
    parser.add_argument("--lenient", type=float, default=1.0, help="how many times the goals are allowed")
    sys.exit(trio.run(main, parser.parse_args()))
