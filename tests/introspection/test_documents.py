"""What the documents say, of plain inputs: bounded and redacted, however many clients there are."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import msgspec
import pytest
import trio
import trio.testing

from mcptrio.introspection.alerts import HISTORY, Alerts, Severity
from mcptrio.introspection.alerts_document import alerts_document
from mcptrio.introspection.document import MOST
from mcptrio.introspection.sessions_document import sessions_document
from mcptrio.introspection.source_document import source_document
from mcptrio.introspection.subscriptions_document import subscriptions_document
from mcptrio.introspection.supervision_document import MOST_TROUBLED, Supervised, supervision_document
from mcptrio.live import Allowance, Change, Entry, SourceState
from mcptrio.live.selector import parse_selector
from mcptrio.live.weight import Weighed
from mcptrio.protocol import Revision
from mcptrio.protocol.types import ClientInfo
from mcptrio.server.peer import Peer
from mcptrio.sources import PartDescription, SourceDescription
from mcptrio.supervision import Backoff, ChildSpec, Restart, Strategy, Supervisor

MANY = 2000
SECRET = "hunter2-hunter2"
NOW = datetime(2026, 1, 1, tzinfo=UTC)


def encoded(document: object) -> str:
    return msgspec.json.encode(document).decode()


class TestSubscriptions:
    def test_the_most_subscribed_come_first_and_beyond_a_thousand_the_rest_is_counted(self) -> None:
        document = subscriptions_document(12_345, ((f"a://{n:04}", n % 7) for n in range(MANY)), [])
        assert (document.total, document.total_uris, document.truncated) == (12_345, MANY, True)
        assert len(document.uris) == MOST
        assert [(each.uri, each.subscribers) for each in document.uris[:2]] == [
            ("a://0006", 6),
            ("a://0013", 6),
        ]
        assert [each.subscribers for each in document.uris] == sorted(
            (each.subscribers for each in document.uris), reverse=True
        )

    def test_secrets_in_uris_are_masked(self) -> None:
        document = subscriptions_document(2, [(f"db://me:{SECRET}@h/x", 1), (f"a://b?token={SECRET}", 1)], [])
        assert [each.uri for each in document.uris] == ["a://b?token=***", "db://***@h/x"]

    def test_selectors_are_shown_as_they_were_written_most_subscribed_first_masked_and_cut(self) -> None:
        wanted = [
            (parse_selector({"uri": "mail://1"}), 1),
            (parse_selector({"template": f"a://{{id}}?token={SECRET}"}), 1),
            (parse_selector({"glob": "mail://*"}), 7),
            (parse_selector({"glob": "z://" + "x" * 1000}), 1),
        ]
        document = subscriptions_document(10, [], wanted)
        assert [(each.selector, each.kind, each.subscriptions) for each in document.selectors] == [
            ("mail://*", "glob", 7),
            ("a://{id}?token=***", "template", 1),
            ("mail://1", "uri", 1),
            (f"z://{'x' * 493}...", "glob", 1),
        ]
        assert (document.total, document.total_uris, document.total_selectors) == (10, 0, 4)
        assert not document.truncated

    def test_beyond_a_thousand_selectors_the_rest_is_counted(self) -> None:
        wanted = ((parse_selector({"glob": f"a://{n:04}*"}), n % 7) for n in range(MANY))
        document = subscriptions_document(MANY, [("a://b", 1)], wanted)
        assert (len(document.uris), document.total_selectors, document.truncated) == (1, MANY, True)
        assert len(document.selectors) == MOST
        assert [each.selector for each in document.selectors[:2]] == ["a://0006*", "a://0013*"]

    def test_of_nobody_there_is_nothing(self) -> None:
        assert encoded(subscriptions_document(0, [], [])) == (
            '{"total":0,"totalUris":0,"uris":[],"totalSelectors":0,"selectors":[],"truncated":false}'
        )


class StillWire:
    """A wire on which nothing happens."""

    def __init__(self, pending: int = 0) -> None:
        self.pending_bytes = pending

    async def receive(self) -> list[bytes]:
        raise AssertionError("nobody reads")

    def push_text(self, payload: bytes) -> bool:
        return True

    def push_frame(self, frame: bytes) -> bool:
        return True

    def close(self, code: int, reason: str) -> None: ...

    async def wait_below_high_water(self) -> None: ...

    async def wait_closed(self) -> None: ...

    def abort(self) -> None: ...


def a_peer(number: int, pending: int = 0) -> Peer:
    return Peer(StillWire(pending), f"203.0.113.7:{40_000 + number} #{number}", 1000)


class TestSessions:
    async def test_a_peer_has_a_number_and_no_address(self) -> None:
        document = sessions_document([a_peer(12)], lambda peer: 3, lambda peer: 1)
        [entry] = document.sessions
        assert (entry.id, entry.revision, entry.client, entry.subscriptions) == ("#12", None, None, 3)
        assert (entry.selections, entry.waiting, entry.waiting_bytes) == (1, 0, 0)
        assert "203.0.113" not in encoded(document)

    async def test_what_waits_for_a_peer_is_told(self) -> None:
        peer = a_peer(1)
        peer.allowance = Allowance()
        for offset in (1, 2):
            peer.allowance.take(Weighed.of(Entry(offset, Change(uri="a://b"))))
        [entry] = sessions_document([peer], lambda peer: 1, lambda peer: 1).sessions
        assert (entry.waiting, entry.waiting_bytes) == (2, peer.allowance.bytes)
        assert entry.waiting_bytes > 0

    async def test_what_a_client_calls_itself_is_printable_bounded_and_masked(self) -> None:
        peer = a_peer(1)
        peer.introduce(
            Revision.MODERN,
            ClientInfo(name="\x1b[31mevil\r\n\u202ename" + "x" * 10_000, version=f"token={SECRET}"),
        )
        [entry] = sessions_document([peer], lambda peer: 0, lambda peer: 0).sessions
        assert entry.client is not None
        assert entry.client.name.startswith("\\x1b[31mevil \\u202enamexxx")
        assert len(entry.client.name) == 100
        assert entry.client.version == "token=***"
        assert peer.client is not None
        assert len(peer.client.name) < 1000, "a client does not decide what is kept of it"

    async def test_of_two_thousand_those_that_are_behind_come_first_and_a_thousand_are_shown(self) -> None:
        peers = [a_peer(number, pending=number % 3) for number in range(MANY)]
        document = sessions_document(peers, lambda peer: 0, lambda peer: 0)
        assert (document.total, len(document.sessions), document.truncated) == (MANY, MOST, True)
        assert [entry.id for entry in document.sessions[:2]] == ["#2", "#5"]
        assert {entry.pending_bytes for entry in document.sessions[:666]} == {2}
        assert len(encoded(document)) < 350_000


class TestSources:
    def test_reasons_errors_and_uris_are_masked_and_parts_bounded(self) -> None:
        part = PartDescription(f"a://b?token={SECRET}", SourceState.FAILED, f"Bearer {SECRET}", NOW)
        source = SourceDescription(
            name="mail",
            state=SourceState.DEGRADED,
            reason=f"GET https://me:{SECRET}@example.org/\nfailed",
            since=NOW,
            demand=True,
            wanted=MANY,
            restarts=7,
            last_error=f"ValueError: password={SECRET}",
            parts=(part,) * MANY,
        )
        document = source_document(source)
        assert SECRET not in encoded(document)
        assert document.reason == "GET https://***@example.org/ failed"
        assert document.last_error == "ValueError: password=***"
        assert (len(document.parts), document.truncated) == (MOST, True)
        assert encoded(document.parts[0]) == (
            '{"uri":"a://b?token=***","state":"failed","reason":"Bearer ***","since":"2026-01-01T00:00:00Z"}'
        )

    def test_a_source_without_errors_has_none(self) -> None:
        source = SourceDescription("mail", SourceState.LIVE, "", NOW, False, 0, 0, "")
        assert encoded(source_document(source)) == (
            '{"name":"mail","state":"live","since":"2026-01-01T00:00:00Z","reason":"","demand":false,"wanted":0,'
            '"restarts":0,"lastError":null,"counts":{},"parts":[],"truncated":false}'
        )


class TestAlerts:
    def test_all_alerts_at_once_stay_bounded(self) -> None:
        alerts = Alerts(lambda at: NOW)
        for number in range(MANY):
            alerts.trigger(
                f"part {number % HISTORY}?token={SECRET}", "r", Severity.ERROR, "m", 0.0, until=number
            )
        alerts.trigger("now", "r", Severity.CRITICAL, "m", MANY)
        document = alerts_document(alerts)
        assert (len(document.open), len(document.history), document.dropped) == (1, HISTORY, 0)
        assert SECRET not in encoded(document)
        assert encoded(document.open[0]) == (
            '{"part":"now","reason":"r","severity":"critical","message":"m","since":"2026-01-01T00:00:00Z",'
            '"count":1,"resolvedAt":null}'
        )


async def _crash() -> None:
    raise ValueError(f"password={SECRET}")


def lines(node: Supervised, depth: int = 0) -> Iterator[tuple[int, str, str, str | None]]:
    """Depth, name, state and last error, of a node and all below it."""
    yield depth, node.name, node.state, node.last_error
    for child in node.children or ():
        yield from lines(child, depth + 1)


class TestSupervision:
    async def test_the_tree_is_shown_with_states_and_masked_errors(self, nursery: trio.Nursery) -> None:
        slow = Backoff(initial=9.0, maximum=9.0, jitter=False)
        inner = Supervisor("inner", [ChildSpec("crashing", _crash, backoff=slow)])
        root = Supervisor(
            "root",
            [ChildSpec("steady", trio.sleep_forever), inner.child_spec()],
            strategy=Strategy.REST_FOR_ONE,
        )
        assert list(lines(supervision_document(root, None))) == [(0, "root", "stopped", None)]
        await nursery.start(root.run)
        began = trio.current_time()
        await trio.testing.wait_all_tasks_blocked()
        document = supervision_document(root, began)
        assert list(lines(document)) == [
            (0, "root", "running", None),
            (1, "steady", "running", None),
            (1, "inner", "running", None),
            (2, "crashing", "restarting", "ValueError: password=***"),
        ]
        assert (document.strategy, document.counts, document.truncated) == (
            "rest_for_one",
            msgspec.UNSET,
            False,
        )
        assert document.children is not msgspec.UNSET
        assert "children" not in encoded(document.children[0])
        assert document.since is not None
        nursery.cancel_scope.cancel()

    async def test_of_children_by_the_thousand_those_in_trouble_are_shown_and_all_are_counted(
        self, nursery: trio.Nursery
    ) -> None:
        peers = Supervisor("peers", strategy=Strategy.SIMPLE_ONE_FOR_ONE, max_restarts=MANY)
        await nursery.start(peers.run)
        for number in range(MANY):
            body = trio.sleep_forever if number % 8 else _crash
            restart = Restart.TEMPORARY if number % 8 else Restart.TRANSIENT
            backoff = Backoff(initial=9.0, maximum=9.0, jitter=False)
            peers.start_child_nowait(
                ChildSpec(f"connection 203.0.113.7:{number} #{number}", body, restart, backoff=backoff)
            )
        before = supervision_document(peers, 0.0)
        assert before.children == []
        await trio.testing.wait_all_tasks_blocked()
        document = supervision_document(peers, 0.0)
        assert document.counts is not msgspec.UNSET
        assert {state: count for state, count in document.counts.items() if count} == {
            "running": MANY * 7 // 8,
            "restarting": MANY // 8,
        }
        assert document.children is not msgspec.UNSET
        assert (len(document.children), document.truncated) == (MOST_TROUBLED, True)
        assert document.children[1].name == "connection #8"
        assert "203.0.113" not in encoded(document)
        nursery.cancel_scope.cancel()

    async def test_a_static_supervisor_shows_a_thousand_children(self, nursery: trio.Nursery) -> None:
        wide = Supervisor("wide", [ChildSpec(f"child {n}", trio.sleep_forever) for n in range(MOST + 1)])
        await nursery.start(wide.run)
        document = supervision_document(wide, 0.0)
        assert document.children is not msgspec.UNSET
        assert (len(document.children), document.truncated) == (MOST, True)
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("severity", list(Severity))
def test_a_severity_is_shown_as_its_word(severity: Severity) -> None:
    assert severity.word in ("info", "warning", "error", "critical")
