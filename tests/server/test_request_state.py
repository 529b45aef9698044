"""What a request carries from try to try: nobody can change it, and nobody can use it for anything else."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st
from msgspec import Raw

from mcptrio.protocol import RpcError
from mcptrio.server.request_state import RequestStates, binding

KEY = bytes(range(32))
STATES = RequestStates(KEY, 600)
HERE = binding("tools/call", Raw(b'{"name":"a","arguments":{"b":1}}'), None)

json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
answers = st.dictionaries(st.text(), json.map(lambda value: Raw(msgspec.json.encode(value))), max_size=3)


def refused(states: RequestStates, state: str, bound: bytes = HERE) -> bool:
    try:
        states.read(state, bound)
    except RpcError as error:
        assert error.code == -32602
        return True
    return False


@given(answers, st.lists(st.text(), max_size=3))
def test_what_is_written_is_read(given: dict[str, Raw], asked: list[str]) -> None:
    found = STATES.read(STATES.write(given, asked, HERE), HERE)
    assert {key: bytes(value) for key, value in found.given.items()} == {
        key: bytes(value) for key, value in given.items()
    }
    assert found.asked == asked


@given(answers, st.data())
def test_any_change_of_a_state_is_refused(given: dict[str, Raw], data: st.DataObject) -> None:
    state = STATES.write(given, ["a"], HERE)
    place = data.draw(st.integers(0, len(state)))
    removed = data.draw(st.integers(0, 5))
    inserted = data.draw(st.text(max_size=5) | st.sampled_from(["-TAMPERED", ".", "=", "==", "\n"]))
    changed = state[:place] + inserted + state[place + removed :]
    assume(changed != state)
    assert refused(STATES, changed)


@given(st.text())
@example(".")
@example("é" * 64)
def test_what_no_server_has_written_is_refused(state: str) -> None:
    assert refused(STATES, state)


@given(answers, st.binary(min_size=32, max_size=32))
def test_a_state_of_another_key_is_refused(given: dict[str, Raw], key: bytes) -> None:
    assume(key != KEY)
    assert refused(STATES, RequestStates(key, 600).write(given, [], HERE))


def test_keys_are_random_unless_given() -> None:
    assert refused(RequestStates(None, 600), RequestStates(None, 600).write({}, [], HERE))


@given(st.dictionaries(st.text(), json, max_size=4), st.dictionaries(st.text(), json, max_size=4))
def test_a_binding_is_of_all_params_but_their_order_and_what_differs_from_try_to_try(
    one: dict[str, Any], other: dict[str, Any]
) -> None:
    def bound(params: dict[str, Any]) -> bytes:
        return binding("tools/call", Raw(msgspec.json.encode(params)), "ann")

    def content(params: dict[str, Any]) -> dict[str, Any]:
        free = {"_meta", "inputResponses", "requestState"}
        # As it comes back from JSON, with -0.0 and 0.0 the same.
        return {key: value for key, value in params.items() if key not in free}

    retried = {**dict(reversed(one.items())), "_meta": other, "inputResponses": other, "requestState": "x"}
    plain = content(one)
    assert bound(retried) == bound(plain)
    if msgspec.json.encode(plain, order="sorted") != msgspec.json.encode(content(other), order="sorted"):
        assert bound(plain) != bound(content(other))


@pytest.mark.parametrize(
    ("method", "params", "principal"),
    [
        ("prompts/get", b'{"name":"a","arguments":{"b":1}}', None),
        ("tools/call", b'{"name":"a","arguments":{"b":2}}', None),
        ("tools/call", b'{"name":"a","arguments":{"b":"1"}}', None),
        ("tools/call", b'{"name":"b","arguments":{"b":1}}', None),
        ("tools/call", b'{"name":"a","arguments":{}}', None),
        ("tools/call", b'{"name":"a","arguments":{"b":1}}', "ann"),
        ("tools/call", b'{"name":"a","arguments":{"b":1}}', ""),
        ("tools/call", None, None),
    ],
)
def test_a_state_of_another_request_is_refused(
    method: str, params: bytes | None, principal: str | None
) -> None:
    other = binding(method, None if params is None else Raw(params), principal)
    assert refused(STATES, STATES.write({}, [], HERE), other)


@pytest.mark.parametrize("params", [b'{"a":"\\x"}', b'{"a":' + b"[" * 5000 + b"]" * 5000 + b"}", b'{"a":01}'])
def test_params_that_are_no_json_where_nobody_looked_are_refused(params: bytes) -> None:
    with pytest.raises(RpcError) as caught:
        binding("tools/call", Raw(params), None)
    assert caught.value.code == -32602


def test_numbers_of_any_size_are_bound() -> None:
    big = b'{"a":' + b"9" * 400 + b"}"
    assert binding("tools/call", Raw(big), None) != binding("tools/call", Raw(big[:-1] + b"9}"), None)
