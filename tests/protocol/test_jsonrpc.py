"""Any bytes decode to a message or raise the one error, and what is encoded comes back."""

import json

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mcptrio.protocol import (
    ErrorObject,
    ErrorResponse,
    Failure,
    Message,
    Notification,
    ProtocolError,
    Request,
    Response,
    decode,
    encode_error,
    encode_notification,
    encode_request,
    encode_result,
)

DEEP = 100_000

text = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
ids = st.one_of(text, st.integers(-(2**63), 2**64 - 1))
values = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-(2**53), 2**53),
        st.floats(allow_nan=False, allow_infinity=False),
        text,
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(text, inner, max_size=4)),
    max_leaves=10,
)
objects = st.dictionaries(text, values, max_size=4)
messages = st.fixed_dictionaries(
    {"jsonrpc": st.just("2.0")},
    optional={
        "id": ids,
        "method": text,
        "params": objects,
        "result": values,
        "error": st.fixed_dictionaries(
            {"code": st.integers(-(2**31), 2**31), "message": text}, optional={"data": values}
        ),
        "more": values,
    },
)


def judged(data: bytes) -> Message | None:
    """The message, or None for the one error; anything else is a failure of the test."""
    try:
        message = decode(data)
    except ProtocolError as error:
        assert error.failure in (Failure.PARSE, Failure.INVALID_REQUEST, Failure.INVALID_PARAMS)
        assert type(error.id) in (str, int, type(None))
        # What the peer is told must be sendable.
        json.loads(encode_error(error.id, error.failure.legacy, error.message))
        return None
    assert isinstance(message, Request | Notification | Response | ErrorResponse)
    return message


def call(id: bytes = b"1", params: bytes = b"{}") -> bytes:
    return b'{"jsonrpc":"2.0","id":' + id + b',"method":"ping","params":' + params + b"}"


@given(st.binary(max_size=200))
def test_any_bytes_decode_or_raise_the_one_error(data: bytes) -> None:
    judged(data)


@given(values)
def test_any_json_decodes_or_raises_the_one_error(value: object) -> None:
    judged(json.dumps(value).encode())


@given(messages, st.data())
def test_a_mutated_message_decodes_or_raises_the_one_error(
    message: dict[str, object], data: st.DataObject
) -> None:
    mutated = bytearray(json.dumps(message, ensure_ascii=data.draw(st.booleans())).encode())
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, max(len(mutated) - 1, 0)))
        piece = data.draw(
            st.one_of(
                st.binary(max_size=3),
                st.sampled_from(
                    [b'"', b"{", b"}", b"[", b"null", b"NaN", b"1e999", b"\\ud800", b"\x00", b"\xff", b","]
                ),
            )
        )
        mutated[place : place + data.draw(st.integers(0, 3))] = piece
    judged(bytes(mutated))


@given(messages)
def test_a_message_is_what_its_members_say(message: dict[str, object]) -> None:
    decoded = judged(json.dumps(message).encode())
    if "method" in message:
        kind: type = Request if "id" in message else Notification
    elif "error" in message and "result" not in message:
        kind = ErrorResponse
    elif "result" in message and "error" not in message and "id" in message:
        kind = Response
    else:
        kind = type(None)
    assert type(decoded) is kind


@given(ids, text, st.none() | objects)
def test_a_request_comes_back_as_it_was_sent(
    id: str | int, method: str, params: dict[str, object] | None
) -> None:
    message = decode(encode_request(id, method) if params is None else encode_request(id, method, params))
    assert isinstance(message, Request)
    assert (message.id, type(message.id), message.method) == (id, type(id), method)
    assert params == (None if message.params is None else msgspec.json.decode(message.params))


@given(text, st.none() | objects)
def test_a_notification_comes_back_as_it_was_sent(method: str, params: dict[str, object] | None) -> None:
    message = decode(encode_notification(method) if params is None else encode_notification(method, params))
    assert isinstance(message, Notification)
    assert message.method == method
    assert params == (None if message.params is None else msgspec.json.decode(message.params))


@given(ids, values)
def test_a_result_comes_back_as_it_was_sent(id: str | int, result: object) -> None:
    message = decode(encode_result(id, result))
    assert isinstance(message, Response)
    assert (message.id, type(message.id)) == (id, type(id))
    assert msgspec.json.decode(message.result) == result


def test_a_message_is_one_line_whatever_ready_made_json_is_in_it() -> None:
    given = msgspec.Raw(b'{\r\n "a": [1,\n2],\r"b": "\\n"\n}')
    for encoded in (encode_result(1, given), encode_notification("x", {"data": given})):
        assert b"\n" not in encoded
        assert b"\r" not in encoded
        decoded = json.loads(encoded)
        assert {"a": [1, 2], "b": "\n"} in (decoded.get("result"), decoded.get("params", {}).get("data"))


@given(st.none() | ids, st.integers(-(2**31), 2**31), text, values)
def test_an_error_comes_back_as_it_was_sent(
    id: str | int | None, code: int, message: str, data: object
) -> None:
    encoded = encode_error(id, code, message, data)
    assert ("id" in json.loads(encoded)) is (id is not None)  # it may not be null
    expected = ErrorObject(code, message) if data is None else ErrorObject(code, message, data)
    assert decode(encoded) == ErrorResponse(id, expected)


@given(st.integers(min_value=-(10**4200), max_value=10**4200))
@example(2**64)
@example(10**4200)
def test_an_id_that_is_accepted_can_be_answered(id: int) -> None:
    message = judged(call(msgspec.json.encode(id) if abs(id) < 2**63 else str(id).encode()))
    if message is not None:
        assert isinstance(message, Request)
        answer = decode(encode_result(message.id, {}))
        assert isinstance(answer, Response)
        assert answer.id == id


def test_one_and_its_string_are_different_ids() -> None:
    number, word = decode(call(b"1")), decode(call(b'"1"'))
    assert isinstance(number, Request)
    assert isinstance(word, Request)
    assert (number.id, word.id) == (1, "1")
    assert json.loads(encode_result(number.id, {}))["id"] == 1
    assert json.loads(encode_result(word.id, {}))["id"] == "1"


@pytest.mark.parametrize(
    ("data", "failure", "id"),
    [
        (b"", Failure.PARSE, None),
        (b"{", Failure.PARSE, None),
        (b"\xff", Failure.PARSE, None),
        (call(params=b'{"a":"\xff"}'), Failure.PARSE, None),
        (b"\xef\xbb\xbf" + call(), Failure.PARSE, None),
        (call().decode().encode("utf-16"), Failure.PARSE, None),
        (call() + call(), Failure.PARSE, None),
        (call(b"NaN"), Failure.PARSE, None),
        (call(params=b'{"a":NaN}'), Failure.PARSE, None),
        (call(b'"\\ud800"'), Failure.PARSE, None),
        (b"[" * DEEP, Failure.INVALID_REQUEST, None),
        (b"[" * DEEP + b"]" * DEEP, Failure.INVALID_REQUEST, None),
        (call(params=b'{"a":' * DEEP + b"1" + b"}" * DEEP), Failure.PARSE, None),
        (
            b'{"jsonrpc":"2.0","error":{"code":1,"message":"","data":' + b"[" * DEEP + b"]" * DEEP + b"}}",
            Failure.PARSE,
            None,
        ),
        (b"[]", Failure.INVALID_REQUEST, None),
        (b"[" + call() + b"]", Failure.INVALID_REQUEST, None),
        (b"null", Failure.INVALID_REQUEST, None),
        (b"1", Failure.INVALID_REQUEST, None),
        (b"{}", Failure.INVALID_REQUEST, None),
        (b'{"id":3,"method":"ping"}', Failure.INVALID_REQUEST, 3),
        (b'{"jsonrpc":"1.0","id":"a","method":"ping"}', Failure.INVALID_REQUEST, "a"),
        (b'{"jsonrpc":2.0,"id":"a","method":"ping"}', Failure.INVALID_REQUEST, "a"),
        (b'{"jsonrpc":"2.0","id":5,"method":7}', Failure.INVALID_REQUEST, 5),
        (b'{"jsonrpc":"2.0","id":5}', Failure.INVALID_REQUEST, 5),
        (
            b'{"jsonrpc":"2.0","id":5,"result":{},"error":{"code":1,"message":""}}',
            Failure.INVALID_REQUEST,
            None,
        ),
        (b'{"jsonrpc":"2.0","result":{}}', Failure.INVALID_REQUEST, None),
        (call(b"null"), Failure.INVALID_REQUEST, None),
        (call(b"true"), Failure.INVALID_REQUEST, None),
        (call(b"1.5"), Failure.INVALID_REQUEST, None),
        (call(b"[1]"), Failure.INVALID_REQUEST, None),
        (call(b"1" * 5000), Failure.INVALID_REQUEST, None),
        (call(b"8", b"[]"), Failure.INVALID_PARAMS, 8),
        (call(b"8", b'"{}"'), Failure.INVALID_PARAMS, 8),
    ],
)
def test_what_is_no_message_is_refused_with_the_id_where_it_can_be_read(
    data: bytes, failure: Failure, id: str | int | None
) -> None:
    with pytest.raises(ProtocolError) as caught:
        decode(data)
    assert (caught.value.failure, caught.value.id) == (failure, id)
    assert str(caught.value)


@pytest.mark.parametrize("space", [b" ", b"\t\r\n ", b"\n" * 1000])
def test_space_around_members_changes_nothing(space: bytes) -> None:
    message = decode(space + call(space + b"1" + space, space + b'{"a":1}' + space) + space)
    assert isinstance(message, Request)
    assert message.params is not None
    assert msgspec.json.decode(message.params) == {"a": 1}


def test_of_repeated_members_the_last_counts() -> None:
    message = decode(b'{"jsonrpc":"2.0","id":1,"id":"2","method":"a","method":"ping"}')
    assert message == Request("2", "ping")


def test_unknown_members_are_ignored() -> None:
    assert decode(b'{"jsonrpc":"2.0","id":1,"method":"ping","trace":{"a":[1e400]}}') == Request(1, "ping")


def test_an_error_whose_id_is_null_is_an_error_response() -> None:
    # How JSON-RPC 2.0 itself (section 5) answers what could not be read; other servers do.
    message = decode(b'{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"Parse error"}}')
    assert message == ErrorResponse(None, ErrorObject(-32700, "Parse error"))


def test_params_that_are_null_are_none() -> None:
    assert decode(b'{"jsonrpc":"2.0","id":8,"method":"ping","params":null}') == Request(8, "ping", None)
