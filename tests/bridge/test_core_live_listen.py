"""Labels of listens: they go on from what the host was told last, whatever happens to connections and servers."""

from __future__ import annotations

import json

import pytest

from mcptrio.bridge import Core
from tests.bridge.core_rig import SUBSCRIPTION_ID, Rig, methods, updated
from tests.bridge.live_rig import CHANGE, ENVELOPE, KEY, LiveRig, changes, honoured, selection, sinces, update

INBOX, SENT = selection("inbox"), selection("sent", uri="n:sent")


def listening(*asked: dict[str, object], id: object = "l", **plain: object) -> LiveRig:
    """A listen whose labels were all acknowledged at E.10."""
    rig = LiveRig()
    rig.core.connected()
    rig.listen_live(id, *asked, **plain)
    rig.acknowledge(id, {**plain, KEY: [honoured(each, "E.10") for each in asked]})
    rig.to_host(), rig.to_server()
    return rig


def test_everything_of_the_extension_passes_byte_by_byte() -> None:
    host: list[bytes] = []
    server: list[bytes] = []
    core = Core(host.append, server.append)
    core.connected()
    asked = {"label": "x", "glob": "é*", "filter": {"gt": {"/n": 1.50}}, "since": "E.1", "later": [1e3]}
    told = update("x", 12, 10, id="l", data={"/a": 2.0}, metadata={"size": 1})
    lines: list[dict[str, object]] = [
        {"params": {"notifications": {KEY: [asked]}, "_meta": ENVELOPE}, "method": "subscriptions/listen"},
        {"method": "resources/subscribe", "params": {"_meta": {"a": 1, KEY: asked}, "uri": "x:"}},
    ]
    said: list[dict[str, object]] = [
        {
            "method": "notifications/subscriptions/acknowledged",
            "params": {
                "notifications": {KEY: [{"label": "x", "cursor": "E.1"}]},
                "_meta": {SUBSCRIPTION_ID: 0},
            },
        },
        {"result": {"_meta": {KEY: {"cursor": "E.1", "label": "x"}}}, "id": 1},
        {"method": "notifications/resources/updated", "params": told},
    ]
    to_server = [
        json.dumps({"id": id, **line, "jsonrpc": "2.0"}, indent=1).replace("\n", "").encode()
        for id, line in enumerate(lines)
    ]
    to_host = [json.dumps({**line, "jsonrpc": "2.0"}, ensure_ascii=False).encode() for line in said]
    for line in to_server:
        core.host_said(line)
    for line in to_host:
        core.server_said(line)
    assert server == to_server
    assert host == to_host


@pytest.mark.parametrize("id", [3, "3"], ids=["number", "text"])
def test_a_label_goes_on_from_its_last_delivery_and_no_update_is_invented(id: object) -> None:
    rig = listening(INBOX, SENT, id=id)
    rig.deliver("inbox", 12, 10, id=id)
    rig.deliver("inbox", 15, 12, id=id, kind="gap", reason="pending")
    rig.deliver("inbox", 99, 12, id="other")
    rig.to_host()
    rig.again()
    (listen,) = rig.to_server()
    assert sinces(listen) == {"inbox": "E.15", "sent": "E.10"}
    rig.acknowledge(
        id, {KEY: [honoured(INBOX, "E.15", recovered=True), honoured(SENT, "E.10", recovered=True)]}
    )
    assert rig.to_host() == []
    rig.deliver("sent", 14, 10, id=id)
    rig.deliver("inbox", 17, 15, id=id)
    assert changes(rig.to_host()) == [("sent", "updated", 14, 10), ("inbox", "updated", 17, 15)]
    rig.again()
    assert sinces(rig.to_server()[0]) == {"inbox": "E.17", "sent": "E.14"}


def test_a_listen_is_sent_again_as_it_was_but_for_since() -> None:
    rig = LiveRig()
    rig.core.connected()
    asked = {"label": "x", "since": "E.3", "new": {"deep": [1, 2.50]}, "glob": "n:*"}
    line = {"method": "subscriptions/listen", "id": 1, "jsonrpc": "2.0", "extra": [1.0]}
    wanted = {"resourceSubscriptions": ["a:"], KEY: [asked], "later": 1}
    params = {"notifications": wanted, "_meta": ENVELOPE, "more": {"a": 1}}
    rig.host(**{**line, "params": params})
    assert rig.to_server()[0]["params"] == params
    rig.acknowledge(1, {"resourceSubscriptions": ["a:"], KEY: [honoured(asked, "E.3", recovered=True)]})
    rig.deliver("x", 7, 3, id=1)
    rig.to_host()
    rig.again()
    again = {**wanted, KEY: [{**asked, "since": "E.7"}]}
    assert rig.to_server() == [{**line, "params": {**params, "notifications": again}}]
    rig.acknowledge(1, {"resourceSubscriptions": ["a:"], KEY: [honoured(asked, "E.7", recovered=True)]})
    assert rig.to_host() == updated("a:", id=1)


def test_a_gap_of_the_new_server_passes_and_its_offset_counts_in_the_new_life() -> None:
    rig = listening(INBOX)
    rig.again()
    rig.to_server()
    rig.acknowledge("l", {KEY: [honoured(INBOX, "N.2", recovered=False)]})
    assert rig.to_host() == []
    rig.deliver("inbox", 2, 2, id="l", kind="gap", reason="restarted")
    assert changes(rig.to_host()) == [("inbox", "gap", 2, 2)]
    rig.again()
    assert sinces(rig.to_server()[0]) == {"inbox": "N.2"}


def test_a_gap_that_was_lost_on_the_way_is_asked_for_again() -> None:
    rig = listening(INBOX)
    rig.deliver("inbox", 12, 10, id="l")
    for _ in range(2):
        rig.again()
        assert sinces(rig.to_server()[0]) == {"inbox": "E.12"}
        rig.acknowledge("l", {KEY: [honoured(INBOX, "N.3", recovered=False)]})


def test_a_since_of_the_hosts_own_that_is_not_recovered_counts_until_its_gap_has_come() -> None:
    rig = LiveRig()
    rig.core.connected()
    asked = selection("inbox", since="D.4")
    rig.listen_live("l", asked)
    rig.acknowledge("l", {KEY: [honoured(asked, "E.4", recovered=False)]})
    rig.to_server()
    rig.again()
    assert sinces(rig.to_server()[0]) == {"inbox": "D.4"}


def test_a_label_that_is_not_honoured_any_more_is_told_and_goes_on_where_it_is_again() -> None:
    rig = listening(INBOX, SENT, resourceSubscriptions=["a:"])
    rig.deliver("inbox", 12, 10, id="l")
    rig.to_host()
    for _ in range(2):
        rig.again()
        assert sinces(rig.to_server()[0]) == {"inbox": "E.12", "sent": "E.10"}
        rig.acknowledge("l", {"resourceSubscriptions": ["a:"]})
        plain, inbox, sent = rig.to_host()
        assert [plain] == updated("a:", id="l")
        assert inbox["params"]["uri"] == "mcptrio://subscriptions/inbox"
        assert sent["params"]["uri"] == "n:sent"
        assert inbox["params"]["_meta"] == {
            SUBSCRIPTION_ID: "l",
            CHANGE: {"label": "inbox", "kind": "gap", "offset": 12, "prev": 12, "reason": "refused"},
        }
    rig.again()
    rig.to_server()
    rig.acknowledge("l", {KEY: [honoured(INBOX, "E.12", recovered=True)]})
    assert changes(rig.to_host()[1:]) == [("sent", "gap", 10, 10)]
    rig.deliver("inbox", 13, 12, id="l")
    assert changes(rig.to_host()) == [("inbox", "updated", 13, 12)]


@pytest.mark.parametrize("told", [{}, {KEY: []}, {KEY: [{"label": "sent", "cursor": "E.10"}]}])
def test_a_label_that_was_not_honoured_at_first_is_not_asked_for_behind_the_hosts_back(
    told: dict[str, list[dict[str, str]]],
) -> None:
    rig = LiveRig()
    rig.core.connected()
    rig.listen_live(1, INBOX, SENT, toolsListChanged=True)
    rig.acknowledge(1, {"toolsListChanged": True, **told})
    rig.to_host(), rig.to_server()
    rig.again()
    (listen,) = rig.to_server()
    assert sinces(listen) == {each["label"]: each["cursor"] for each in told.get(KEY, [])}
    assert listen["params"]["notifications"]["toolsListChanged"] is True
    rig.acknowledge(1, {"toolsListChanged": True, **told})
    assert methods(rig.to_host()) == ["notifications/tools/list_changed"]


def test_labels_of_two_listens_and_a_session_are_three_subscriptions() -> None:
    rig = LiveRig()
    rig.begin_session()
    rig.label(INBOX, "E.1")
    for id, cursor in ((1, "E.2"), ("1", "E.3")):
        rig.listen_live(id, INBOX)
        rig.acknowledge(id, {KEY: [honoured(INBOX, cursor)]})
    rig.deliver("inbox", 20, 2, id=1)
    rig.deliver("inbox", 30, 3, id="1")
    rig.to_host(), rig.to_server()
    (subscribe,) = rig.session_again()
    assert subscribe["params"]["_meta"][KEY] == {**INBOX, "since": "E.1"}
    assert subscribe["params"]["uri"] == "mcptrio://subscriptions/inbox"


def test_a_listen_without_an_acknowledgement_is_sent_again_as_it_was() -> None:
    rig = LiveRig()
    rig.core.connected()
    rig.listen_live(1, INBOX)
    first = rig.to_server()
    rig.again()
    assert rig.to_server() == first
    rig.acknowledge(1, {KEY: [honoured(INBOX, "E.10")]})
    assert methods(rig.to_host()) == ["notifications/subscriptions/acknowledged"]


def test_a_listen_that_has_ended_leaves_no_label() -> None:
    rig = listening(INBOX)
    rig.host(method="notifications/cancelled", params={"requestId": "l"})
    rig.deliver("inbox", 12, 10, id="l")
    rig.to_host(), rig.to_server()
    rig.again()
    assert rig.to_host() == rig.to_server() == []


@pytest.mark.parametrize(
    "meta",
    [
        1,
        {CHANGE: []},
        {CHANGE: {"label": "inbox"}},
        {CHANGE: {"label": 1, "offset": 20}},
        {CHANGE: {"label": "inbox", "offset": -1}},
        {CHANGE: {"label": "inbox", "offset": "20"}},
        {CHANGE: {"label": "other", "offset": 20}},
        {CHANGE: {"label": "inbox", "offset": 20}, SUBSCRIPTION_ID: True},
    ],
)
def test_a_change_in_another_shape_passes_and_counts_for_nothing(meta: object) -> None:
    rig = listening(INBOX)
    tag = {SUBSCRIPTION_ID: "l"} if isinstance(meta, dict) else {}
    params = {"uri": "n:1", "_meta": {**tag, **meta} if isinstance(meta, dict) else meta}
    rig.server(method="notifications/resources/updated", params=params)
    assert rig.to_host()[0]["params"] == params
    rig.again()
    assert sinces(rig.to_server()[0]) == {"inbox": "E.10"}


@pytest.mark.parametrize("asked", [1, [1], [{}], [{"label": 1}], {"label": "inbox"}])
def test_what_is_no_list_of_subscriptions_is_for_the_server_to_refuse(asked: object) -> None:
    rig = Rig()
    rig.core.connected()
    params = {"notifications": {KEY: asked}, "_meta": ENVELOPE}
    rig.host(id=1, method="subscriptions/listen", params=params)
    assert rig.to_server()[0]["params"] == params
    rig.acknowledge(1, {KEY: asked})
    assert methods(rig.to_host()) == ["notifications/subscriptions/acknowledged"]
    rig.again()
    assert sinces(rig.to_server()[0]) == {}
