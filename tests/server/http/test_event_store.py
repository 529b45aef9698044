"""What a session keeps for a client that comes back: bounded, and by stream."""

from hypothesis import given
from hypothesis import strategies as st

from mcptrio.server.http.event_store import STANDING, EventStore


def test_what_followed_is_told_of_its_own_stream_only() -> None:
    store = EventStore(10, 1000)
    stream = store.open_stream()
    first = store.append(STANDING, b"a")
    store.append(stream, b"b")
    store.append(STANDING, b"c")
    replay = store.after(first.id)
    assert replay is not None
    assert (replay.stream, [event.payload for event in replay.events], replay.whole) == (
        STANDING,
        [b"c"],
        True,
    )


def test_an_event_larger_than_the_bound_is_kept_until_the_next() -> None:
    store = EventStore(10, 100)
    stream = store.open_stream()
    mark = store.mark(stream)
    store.append(stream, bytes(1000))
    replay = store.after(mark)
    assert replay is not None
    assert len(replay.events) == 1
    store.append(STANDING, b"x")
    assert store.pending_bytes == 1


@given(
    st.lists(st.tuples(st.integers(0, 3), st.binary(max_size=20)), max_size=60),
    st.integers(1, 20),
    st.integers(1, 200),
    st.data(),
)
def test_nothing_is_lost_or_repeated_silently(
    sent: list[tuple[int, bytes]], most: int, most_bytes: int, data: st.DataObject
) -> None:
    store = EventStore(most, most_bytes)
    for _ in range(3):
        store.open_stream()
    events = [store.append(stream, payload) for stream, payload in sent]
    assert len(store) <= most
    assert store.pending_bytes <= most_bytes or len(store) == 1
    if not events:
        return
    seen = data.draw(st.sampled_from(events))
    replay = store.after(seen.id)
    assert replay is not None
    followed = [each for each in events if each.stream == seen.stream and each.number > seen.number]
    assert replay.events == followed[len(followed) - len(replay.events) :]
    if seen.stream == STANDING and replay.whole:
        assert replay.events == followed


@given(st.text(max_size=40))
def test_any_text_is_an_id_or_none(text: str) -> None:
    store = EventStore(10, 100)
    store.append(STANDING, b"x")
    replay = store.after(text)
    assert replay is None or text == "0-1"
