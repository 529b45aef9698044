"""What a bridge decides, without Trio: whose message goes where, and who is answered when the connection is lost."""

from __future__ import annotations

import pytest

from mcptrio.bridge import Core
from mcptrio.protocol import ProtocolError
from tests.bridge.core_rig import Rig, lost, methods


def test_messages_pass_unchanged_byte_by_byte() -> None:
    host: list[bytes] = []
    server: list[bytes] = []
    core = Core(host.append, server.append)
    core.connected()
    request = b'{ "jsonrpc":"2.0", "id" : "\\u00e9", "method":"x/y", "params": {"a": 1e2, "new": [1 ]} }'
    answer = b'{"id" : "\xc3\xa9", "jsonrpc": "2.0", "result": {"a":  1.50}}'
    notification = b'{"jsonrpc": "2.0", "method": "notifications/x", "extra": 1}'
    core.host_said(request)
    core.host_said(notification)
    core.server_said(answer)
    core.server_said(notification)
    assert server == [request, notification]
    assert host == [answer, notification]


def test_ids_of_both_types_are_different_ids() -> None:
    rig = Rig()
    rig.core.connected()
    rig.host(id=1, method="a")
    rig.host(id="1", method="b")
    rig.server(id="1", result={})
    rig.core.lost()
    assert rig.to_host() == [{"jsonrpc": "2.0", "id": "1", "result": {}}, lost(1)]


@pytest.mark.parametrize(
    ("line", "code"),
    [
        (b"{", -32700),
        (b"\xff", -32700),
        (b"[]", -32600),
        (b'{"jsonrpc": "2.0", "id": 4, "method": 5}', -32600),
        (b'{"jsonrpc": "2.0", "id": 4, "method": "x", "params": []}', -32602),
    ],
)
def test_a_line_that_is_no_message_is_answered_by_the_bridge(line: bytes, code: int) -> None:
    rig = Rig()
    rig.core.connected()
    rig.core.host_said(line)
    (answer,) = rig.to_host()
    assert answer["error"]["code"] == code
    assert answer.get("id") == (4 if b'"id"' in line else None)
    assert rig.to_server() == []


def test_what_the_server_says_must_be_a_message() -> None:
    rig = Rig()
    rig.core.connected()
    with pytest.raises(ProtocolError):
        rig.core.server_said(b"[]")


def test_an_id_in_use_is_refused_and_the_first_request_goes_on() -> None:
    rig = Rig()
    rig.core.connected()
    rig.host(id=1, method="a")
    rig.host(id=1, method="b")
    rig.server(id=1, result={})
    assert methods(rig.to_server()) == ["a"]
    refused, answered = rig.to_host()
    assert refused["error"]["code"] == -32600
    assert answered["result"] == {}


def test_answers_to_nothing_are_dropped() -> None:
    rig = Rig()
    rig.core.connected()
    rig.server(id=1, result={})
    rig.server(error={"code": -32600, "message": "what?"})
    rig.host(id="mcptrio-bridge:1", result={})
    rig.host(id=7, result={})
    assert rig.to_host() == rig.to_server() == []


def test_requests_in_flight_are_answered_when_the_connection_is_lost() -> None:
    rig = Rig()
    rig.core.connected()
    rig.host(id=1, method="tools/call")
    rig.host(id="b", method="initialize")
    rig.to_server()
    rig.core.lost()
    rig.core.lost()
    assert rig.to_host() == [lost(1), lost("b")]
    rig.core.connected()
    assert rig.to_server() == []


def test_requests_wait_for_a_connection_and_those_beyond_the_bound_are_refused() -> None:
    rig = Rig(max_waiting=2)
    for id in (1, 2, 3):
        rig.host(id=id, method=f"m{id}")
    assert rig.to_host() == [lost(3)]
    assert rig.to_server() == []
    rig.core.connected()
    assert methods(rig.to_server()) == ["m1", "m2"]
    assert rig.core.is_up


def test_a_request_that_is_cancelled_while_it_waits_is_never_sent_nor_answered() -> None:
    rig = Rig()
    rig.host(id=1, method="tools/call")
    rig.host(method="notifications/cancelled", params={"requestId": 1})
    rig.core.connected()
    assert rig.to_host() == rig.to_server() == []


def test_a_cancelled_request_is_not_answered_by_a_loss_nor_by_a_late_answer() -> None:
    rig = Rig()
    rig.core.connected()
    for id in (1, 2):
        rig.host(id=id, method="tools/call")
        rig.host(method="notifications/cancelled", params={"requestId": id})
    rig.server(id=1, result={})
    rig.core.lost()
    assert rig.to_host() == []
    assert methods(rig.to_server()) == ["tools/call", "notifications/cancelled"] * 2


def test_a_handshake_cannot_be_cancelled() -> None:
    rig = Rig()
    rig.core.connected()
    rig.host(id=1, method="initialize")
    rig.host(method="notifications/cancelled", params={"requestId": 1})
    rig.server(id=1, result={})
    assert methods(rig.to_server()) == ["initialize"]
    assert [each["id"] for each in rig.to_host()] == [1]


def test_the_servers_requests_reach_the_host_under_ids_of_the_bridge() -> None:
    rig = Rig()
    rig.begin_session()
    rig.server(id=5, method="roots/list")
    rig.server(id="5", method="ping", params={"a": 1})
    first, second = rig.to_host()
    assert (first["method"], second["method"], second["params"]) == ("roots/list", "ping", {"a": 1})
    rig.host(id=second["id"], result={"x": 1})
    rig.host(id=first["id"], error={"code": -1, "message": "no", "data": [1]})
    assert rig.to_server() == [
        {"jsonrpc": "2.0", "id": "5", "result": {"x": 1}},
        {"jsonrpc": "2.0", "error": {"code": -1, "message": "no", "data": [1]}, "id": 5},
    ]


def test_the_servers_requests_end_with_its_connection() -> None:
    rig = Rig()
    rig.begin_session()
    rig.server(id=5, method="roots/list")
    (asked,) = rig.to_host()
    rig.core.lost()
    (cancelled,) = rig.to_host()
    assert cancelled["method"] == "notifications/cancelled"
    assert cancelled["params"]["requestId"] == asked["id"]
    rig.core.connected()
    rig.to_server()
    rig.host(id=asked["id"], result={})
    assert rig.to_server() == []


def test_a_server_cancels_its_request_under_the_hosts_id() -> None:
    rig = Rig()
    rig.begin_session()
    rig.server(id=5, method="roots/list")
    (asked,) = rig.to_host()
    rig.server(method="notifications/cancelled", params={"requestId": "5"})
    assert rig.to_host() == []
    rig.server(method="notifications/cancelled", params={"requestId": 5, "reason": "late"})
    (cancelled,) = rig.to_host()
    assert cancelled["params"] == {"requestId": asked["id"], "reason": "late"}


def test_a_server_that_asks_without_end_is_refused() -> None:
    rig = Rig()
    rig.begin_session()
    for id in range(300):
        rig.server(id=id, method="ping")
    assert len(rig.to_host()) == 256
    assert [each["id"] for each in rig.to_server()] == list(range(256, 300))
