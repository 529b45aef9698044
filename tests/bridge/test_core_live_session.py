"""Labels of a 2025-11-25 session: made again where they left off, replaced, ended, refused."""

from __future__ import annotations

from typing import Any

import pytest

from tests.bridge.core_rig import Message, lost, methods, updated
from tests.bridge.live_rig import CHANGE, KEY, SELECTOR, LiveRig, changes, selection, since

INBOX, OTHER = selection("inbox"), selection("inbox", template="n:{id}")
SENT, SENT_TOO = selection("sent", uri="n:sent"), selection("sent too", uri="n:sent", fields="all")


def session(*asked: Message) -> LiveRig:
    """A session whose labels were all acknowledged at E.10."""
    rig = LiveRig()
    rig.begin_session()
    for each in asked:
        rig.label(each, "E.10")
    return rig


def labels(subscribes: list[Message]) -> list[str]:
    return [each["params"].get("_meta", {}).get(KEY, {}).get("label") for each in subscribes]


def test_labels_are_made_again_where_they_left_off_beside_plain_uris() -> None:
    rig = session(INBOX, SENT)
    rig.subscribe("n:sent")
    rig.deliver("inbox", 12, 10)
    rig.deliver("sent", 13, 10, kind="gap", reason="pending")
    inbox, sent, plain = rig.session_again()
    assert (since(inbox), since(sent)) == ("E.12", "E.13")
    assert sent["params"] == {"uri": "n:sent", "_meta": {KEY: {**SENT, "since": "E.13"}}}
    assert plain["params"] == {"uri": "n:sent"}
    rig.honour(inbox["id"], INBOX, "E.12", recovered=True)
    rig.honour(sent["id"], SENT, "E.13", recovered=True)
    assert rig.to_host() == []
    rig.server(id=plain["id"], result={})
    assert rig.to_host() == updated("n:sent")
    rig.deliver("inbox", 14, 12)
    assert changes(rig.to_host()) == [("inbox", "updated", 14, 12)]
    assert since(rig.session_again()[0]) == "E.14"


def test_what_a_server_does_not_have_any_more_is_told_by_its_own_gap() -> None:
    rig = session(INBOX)
    (again,) = rig.session_again()
    rig.honour(again["id"], INBOX, "N.2", recovered=False)
    assert rig.to_host() == []
    rig.deliver("inbox", 2, 2, kind="gap", reason="restarted")
    assert changes(rig.to_host()) == [("inbox", "gap", 2, 2)]
    assert since(rig.session_again()[0]) == "N.2"


def test_a_selector_that_is_refused_the_second_time_is_told_and_then_forgotten() -> None:
    rig = session(INBOX)
    (again,) = rig.session_again()
    rig.server(id=again["id"], error={"code": -32002, "message": "gone"})
    (told,) = rig.to_host()
    assert told["params"] == {
        "uri": "mcptrio://subscriptions/inbox",
        "_meta": {CHANGE: {"label": "inbox", "kind": "gap", "offset": 10, "prev": 10, "reason": "refused"}},
    }
    assert rig.session_again() == []


def test_a_server_that_does_not_know_the_extension_any_more_serves_the_uri_plainly() -> None:
    rig = session(INBOX, SENT)
    for each in rig.session_again():
        rig.server(id=each["id"], result={})
    assert changes(rig.to_host()) == [("inbox", "gap", 10, 10), ("sent", "gap", 10, 10)]
    (plain,) = rig.session_again()
    assert plain["params"] == {"uri": "n:sent"}


def test_a_server_that_never_knew_the_extension_is_subscribed_plainly_again() -> None:
    rig = LiveRig()
    rig.begin_session()
    rig.ask(1, SENT)
    rig.server(id=1, result={})
    rig.to_server()
    (plain,) = rig.session_again()
    assert plain["params"] == {"uri": "n:sent"}
    rig.to_host()
    rig.server(id=plain["id"], result={})
    assert rig.to_host() == updated("n:sent")


@pytest.mark.parametrize(
    ("uri", "left"),
    [
        (SELECTOR + "inbox", ["sent", "sent too", None]),
        (SELECTOR + "sent", ["inbox", "sent too", None]),
        ("n:sent", ["inbox"]),
        ("n:else", ["inbox", "sent", "sent too", None]),
    ],
)
def test_unsubscribing_ends_what_the_contract_says(uri: str, left: list[str | None]) -> None:
    rig = session(INBOX, SENT, SENT_TOO)
    rig.subscribe("n:sent")
    rig.host(id="u", method="resources/unsubscribe", params={"uri": uri})
    rig.server(id="u", result={})
    rig.to_server()
    assert labels(rig.session_again()) == left


@pytest.mark.parametrize("uri", [SELECTOR + "sent", "n:sent"])
def test_an_unsubscribe_counts_although_the_answer_to_the_subscribe_comes_after_it(uri: str) -> None:
    rig = session()
    rig.ask(1, SENT)
    rig.host(id=2, method="resources/unsubscribe", params={"uri": uri})
    rig.honour(1, SENT, "E.10")
    rig.server(id=2, result={})
    rig.to_server()
    assert rig.session_again() == []


def test_subscribing_again_under_a_label_takes_the_place_of_the_former() -> None:
    rig = session(INBOX)
    rig.ask(1, OTHER)
    rig.honour(1, OTHER, "E.15")
    rig.deliver("inbox", 14, 12)  # of the former, on its way until now
    rig.to_server()
    (again,) = rig.session_again()
    assert again["params"]["_meta"][KEY] == {**OTHER, "since": "E.15"}


def test_a_former_subscription_stays_where_its_successor_is_refused_or_cancelled() -> None:
    rig = session(INBOX)
    for id in (1, 2):
        rig.ask(id, OTHER)
        rig.deliver("inbox", 12 + id, 11 + id)
    rig.server(id=1, error={"code": -32602, "message": "no filter"})
    rig.host(method="notifications/cancelled", params={"requestId": 2})
    rig.to_host(), rig.to_server()
    (again,) = rig.session_again()
    assert again["params"]["_meta"][KEY] == {**INBOX, "since": "E.14"}


def test_a_successor_that_is_lost_on_its_way_may_have_told_something_so_the_host_reads() -> None:
    rig = session(INBOX)
    rig.ask(1, OTHER)
    rig.deliver("inbox", 12, 10)
    rig.to_host(), rig.to_server()
    rig.core.lost()
    refused, gap = rig.to_host()
    assert refused == lost(1)
    assert changes([gap]) == [("inbox", "gap", 12, 12)]
    assert gap["params"]["_meta"][CHANGE]["reason"] == "history"
    assert since(rig.session_again()[0]) == "E.12"
    assert rig.to_host() == []


def test_deliveries_that_come_before_the_answer_over_http_are_not_asked_for_again() -> None:
    rig = session()
    rig.ask(1, INBOX)
    rig.deliver("inbox", 12, 10)
    rig.honour(1, INBOX, "E.10")
    rig.to_server()
    (again,) = rig.session_again()
    assert since(again) == "E.12"
    rig.deliver("inbox", 13, 12)
    rig.honour(again["id"], INBOX, "E.12", recovered=True)
    (again,) = rig.session_again()
    assert since(again) == "E.13"
    rig.deliver("inbox", 14, 13)
    (again,) = rig.session_again()
    assert since(again) == "E.14"
    rig.deliver("inbox", 3, 3, kind="gap", reason="restarted")
    rig.honour(again["id"], INBOX, "N.3", recovered=False)
    assert since(rig.session_again()[0]) == "N.3"


def test_what_the_host_subscribes_while_labels_are_made_again_waits_for_them() -> None:
    rig = session(INBOX, SENT)
    first, second = rig.session_again()
    rig.ask(1, OTHER)
    rig.host(id=2, method="resources/unsubscribe", params={"uri": SELECTOR + "inbox"})
    rig.host(id=3, method="resources/subscribe", params={"uri": "n:else"})
    rig.host(method="notifications/cancelled", params={"requestId": 3})
    rig.host(id=4, method="tools/list")
    assert methods(rig.to_server()) == ["tools/list"]
    rig.honour(first["id"], INBOX, "E.10", recovered=True)
    assert rig.to_server() == []
    rig.server(id=second["id"], error={"code": -32002, "message": "gone"})
    assert [each["id"] for each in rig.to_server()] == [1, 2]
    rig.honour(1, OTHER, "E.11")
    rig.server(id=2, result={})
    assert rig.session_again() == []


def test_what_waits_for_labels_waits_for_the_next_connection_too() -> None:
    rig = session(INBOX)
    rig.session_again()
    rig.ask(1, OTHER)
    (again,) = rig.session_again()
    assert rig.to_host() == []
    rig.honour(again["id"], INBOX, "E.10", recovered=True)
    assert [each["id"] for each in rig.to_server()] == [1]


def test_a_session_that_the_host_begins_anew_has_no_labels_and_holds_nothing() -> None:
    rig = session(INBOX)
    (again,) = rig.session_again()
    rig.host(id=1, method="initialize", params={})
    rig.greet(1)
    rig.ask(2, SENT)
    rig.to_host(), rig.to_server()
    rig.server(id=again["id"], error={"code": -32002, "message": "gone"})
    assert rig.to_host() == []
    assert [each["id"] for each in rig.to_server()] == [2]


def test_what_was_missed_on_a_living_connection_is_a_gap() -> None:
    rig = session(INBOX)
    rig.deliver("inbox", 12, 10)
    rig.to_host()
    rig.core.missed()
    gap, tools = rig.to_host()
    assert changes([gap]) == [("inbox", "gap", 12, 12)]
    assert gap["params"]["_meta"][CHANGE]["reason"] == "history"
    assert methods([tools]) == ["notifications/tools/list_changed"]


@pytest.mark.parametrize(
    "answer", [{"_meta": {KEY: 1}}, {"_meta": {KEY: {"label": "sent"}}}, {"_meta": {KEY: {"cursor": "E.1"}}}]
)
def test_an_answer_in_another_shape_honours_no_label(answer: dict[str, Any]) -> None:
    rig = LiveRig()
    rig.begin_session()
    rig.ask(1, SENT)
    rig.server(id=1, result=answer)
    rig.to_server()
    (plain,) = rig.session_again()
    assert plain["params"] == {"uri": "n:sent"}
