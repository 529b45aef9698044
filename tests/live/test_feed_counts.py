"""What a source counts is shown to whoever looks, and nothing of it can hurt them."""

import trio

from mcptrio.live import Change, Feed


def feed() -> Feed:
    send, _ = trio.open_memory_channel[Change](1)
    return Feed("counting", send)


def test_what_a_source_counts_is_read_when_somebody_looks() -> None:
    counting, counts = feed(), {"messages": 1}
    assert counting.counts == {}
    counting.count_by(lambda: counts)
    counts["messages"] += 1
    assert counting.counts == {"messages": 2}


def test_a_source_that_cannot_say_what_it_counts_says_nothing() -> None:
    counting = feed()
    counting.count_by(lambda: {"": 1 // 0})
    assert counting.counts == {}


def test_only_so_many_names_are_told() -> None:
    counting = feed()
    counting.count_by(lambda: {str(number): number for number in range(10_000)})
    assert len(counting.counts) == 64
