"""What a bridge says again on a new connection, in each revision, and what it tells the host then."""

from __future__ import annotations

import pytest

from mcptrio.bridge.core import CannotResume
from mcptrio.bridge.renewal import WINDOW
from tests.bridge.core_rig import ENVELOPE, SUBSCRIPTION_ID, Rig, methods, updated


def test_a_session_is_made_again_with_what_was_subscribed_and_each_uri_is_told_once() -> None:
    rig = Rig()
    rig.begin_session()
    rig.subscribe("a:", "b:", "c:")
    rig.host(id="u", method="resources/unsubscribe", params={"uri": "b:"})
    rig.server(id="u", result={})
    rig.host(id="l", method="logging/setLevel", params={"level": "info"})
    rig.server(id="l", result={})
    rig.to_host(), rig.to_server()
    rig.again()
    assert not rig.core.is_up
    (greeting,) = rig.to_server()
    assert greeting["method"] == "initialize"
    assert greeting["params"] == {"capabilities": {}, "x": 1}
    rig.host(id="waiting", method="tools/list")
    assert rig.to_server() == []
    rig.server(id=greeting["id"], result={"protocolVersion": "2025-11-25", "capabilities": {}})
    said = rig.to_server()
    assert methods(said) == [
        "notifications/initialized",
        "logging/setLevel",
        "resources/subscribe",
        "resources/subscribe",
        "tools/list",
    ]
    assert [each["params"]["uri"] for each in said[2:4]] == ["a:", "c:"]
    assert methods(rig.to_host()) == ["notifications/tools/list_changed"]
    for each in said[1:4]:
        rig.server(id=each["id"], result={})
    assert rig.to_host() == updated("a:", "c:")


def test_subscriptions_are_made_again_a_few_at_a_time() -> None:
    rig = Rig()
    rig.begin_session()
    uris = [f"n:{number}" for number in range(3 * WINDOW)]
    rig.subscribe(*uris)
    rig.again()
    rig.server(id=rig.to_server()[0]["id"], result={"capabilities": {}})
    flying = rig.to_server()[1:]
    rig.to_host()
    told: list[str] = []
    while flying:
        assert len(flying) <= WINDOW
        rig.server(id=flying.pop(0)["id"], result={})
        told += [each["params"]["uri"] for each in rig.to_host()]
        flying += rig.to_server()
    assert told == uris


def test_a_uri_that_is_refused_the_second_time_is_told_and_then_forgotten() -> None:
    rig = Rig()
    rig.begin_session()
    rig.subscribe("a:")
    rig.again()
    rig.server(id=rig.to_server()[0]["id"], result={})
    _, again = rig.to_server()
    rig.to_host()
    rig.server(id=again["id"], error={"code": -32002, "message": "gone"})
    assert rig.to_host() == updated("a:")
    rig.again()
    rig.server(id=rig.to_server()[0]["id"], result={})
    assert methods(rig.to_server()) == ["notifications/initialized"]


def test_a_uri_that_is_left_while_it_is_subscribed_again_is_not_told() -> None:
    rig = Rig()
    rig.begin_session()
    rig.subscribe("a:")
    rig.again()
    rig.server(id=rig.to_server()[0]["id"], result={})
    _, again = rig.to_server()
    rig.host(id=9, method="resources/unsubscribe", params={"uri": "a:"})
    rig.to_host()
    rig.server(id=again["id"], result={})
    assert rig.to_host() == []


def test_an_unsubscribe_counts_although_the_answer_to_the_subscribe_comes_after_it() -> None:
    rig = Rig()
    rig.begin_session()
    rig.host(id=1, method="resources/subscribe", params={"uri": "a:"})
    rig.host(id=2, method="resources/unsubscribe", params={"uri": "a:"})
    rig.server(id=1, result={})
    rig.server(id=2, result={})
    rig.to_server()
    rig.again()
    rig.server(id=rig.to_server()[0]["id"], result={})
    assert methods(rig.to_server()) == ["notifications/initialized"]


def test_a_subscription_that_was_refused_or_lost_is_not_made_again() -> None:
    rig = Rig()
    rig.begin_session()
    rig.host(id=1, method="resources/subscribe", params={"uri": "a:"})
    rig.server(id=1, error={"code": -32002, "message": "no"})
    rig.host(id=2, method="resources/subscribe", params={"uri": "b:"})
    rig.to_server()
    rig.again()
    rig.server(id=rig.to_server()[0]["id"], result={})
    assert methods(rig.to_server()) == ["notifications/initialized"]


def test_a_session_that_the_server_does_not_take_up_again_is_no_connection() -> None:
    rig = Rig()
    rig.begin_session()
    rig.again()
    with pytest.raises(CannotResume, match="other version"):
        rig.server(id=rig.to_server()[0]["id"], error={"code": -32602, "message": "other version"})
    assert not rig.core.is_up


def test_what_was_missed_on_a_living_connection_is_told() -> None:
    rig = Rig()
    rig.core.missed()
    rig.begin_session()
    rig.subscribe("a:")
    rig.core.missed()
    first, second = rig.to_host()
    assert [first] == updated("a:")
    assert second["method"] == "notifications/tools/list_changed"


def test_a_probe_comes_before_everything_and_any_answer_will_do() -> None:
    rig = Rig()
    rig.host(id=1, method="tools/list")
    rig.core.connected(probe=True)
    (probe,) = rig.to_server()
    assert probe["method"] == "server/discover"
    rig.server(id=probe["id"], error={"code": -32601, "message": "what?"})
    assert methods(rig.to_server()) == ["tools/list"]
    assert rig.to_host() == []


@pytest.mark.parametrize("id", [3, "3"], ids=["number", "text"])
def test_a_listen_is_sent_again_under_its_id_and_its_second_acknowledgement_swallowed(id: object) -> None:
    rig = Rig()
    rig.core.connected()
    rig.listen(id, "a:", "b:")
    assert methods(rig.to_host()) == ["notifications/subscriptions/acknowledged"]
    first = rig.to_server()
    rig.again()
    assert rig.to_host() == []
    assert rig.to_server() == first
    rig.acknowledge(id, {"resourceSubscriptions": ["a:"]})
    told = rig.to_host()
    assert told[:2] == updated("a:", "b:", id=id)
    assert methods(told[2:]) == ["notifications/tools/list_changed"]
    assert told[2]["params"] == {"_meta": {SUBSCRIPTION_ID: id}}
    rig.server(id=id, result={"resultType": "complete"})
    assert [each["id"] for each in rig.to_host()] == [id]
    rig.again()
    assert rig.to_server() == []


def test_a_listen_that_was_not_acknowledged_yet_gets_its_first_one_later() -> None:
    rig = Rig()
    rig.core.connected()
    rig.host(id=1, method="subscriptions/listen", params={"notifications": {}, "_meta": ENVELOPE})
    rig.again()
    assert rig.to_host() == []
    rig.acknowledge(1, {})
    assert methods(rig.to_host()) == ["notifications/subscriptions/acknowledged"]


def test_a_listen_that_is_cancelled_is_not_sent_again_also_while_there_is_no_connection() -> None:
    rig = Rig()
    rig.core.connected()
    rig.listen(1, "a:")
    rig.listen(2, "b:")
    rig.host(method="notifications/cancelled", params={"requestId": 1})
    assert methods(rig.to_server())[-1] == "notifications/cancelled"
    rig.core.lost()
    rig.host(method="notifications/cancelled", params={"requestId": 2})
    rig.core.connected()
    assert rig.to_server() == []


def test_a_listen_that_the_server_ends_by_cancelling_is_over() -> None:
    rig = Rig()
    rig.core.connected()
    rig.listen(1, "a:")
    rig.to_host()
    rig.server(method="notifications/cancelled", params={"requestId": 1})
    assert methods(rig.to_host()) == ["notifications/cancelled"]
    rig.server(method="notifications/cancelled", params={"requestId": 1})
    assert rig.to_host() == []
    rig.to_server()
    rig.again()
    assert rig.to_server() == []


def test_a_listen_that_is_refused_the_second_time_is_answered_with_the_refusal() -> None:
    rig = Rig()
    rig.core.connected()
    rig.listen(1, "a:")
    rig.to_host()
    rig.again()
    rig.server(id=1, error={"code": -32603, "message": "too many"})
    assert [each["error"]["message"] for each in rig.to_host()] == ["too many"]
    assert rig.core.is_up
