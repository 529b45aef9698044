"""The mailbox: seeded, bounded, in order."""

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from mcptrio.simulators.mailbox import URGENCIES, Mailbox

AT = datetime(2026, 1, 1, tzinfo=UTC)
EVEN = dict.fromkeys(URGENCIES, 1.0)


def mailbox(*, seed: int = 1, keep: int = 10, **weights: float) -> Mailbox:
    return Mailbox(seed=seed, senders=["a@x", "b@x"], recipient="me@x", weights=weights or EVEN, keep=keep)


def test_the_same_seed_gives_the_same_messages_and_another_one_others() -> None:
    def sequence(seed: int) -> list[object]:
        box = mailbox(seed=seed)
        return [box.receive(AT)[0] for _ in range(20)]

    assert sequence(1) == sequence(1)
    assert sequence(1) != sequence(2)


@given(seed=st.integers(), keep=st.integers(1, 5), count=st.integers(0, 20))
def test_the_newest_are_kept_and_the_oldest_goes_for_the_one_too_many(
    seed: int, keep: int, count: int
) -> None:
    box = mailbox(seed=seed, keep=keep)
    evicted = [old.id for _, old in (box.receive(AT) for _ in range(count)) if old is not None]
    kept = [message.id for message in box.newest()]
    assert evicted == list(range(1, count - keep + 1))
    assert kept == list(range(count, max(count - keep, 0), -1))
    statistics = box.statistics()
    assert (statistics.received, statistics.kept, statistics.evicted) == (count, len(kept), len(evicted))
    assert sum(statistics.by_urgency.values()) == count
    assert all(box.get(id) is None for id in [0, *evicted, count + 1])
    assert [message.id for message in box.newest(2)] == kept[:2]


def test_weights_decide_the_urgency() -> None:
    box = mailbox(high=1.0)
    assert {box.receive(AT)[0].urgency for _ in range(20)} == {"high"}


@given(seed=st.integers())
def test_messages_are_complete(seed: int) -> None:
    message, _ = mailbox(seed=seed).receive(AT)
    assert message.sender in ("a@x", "b@x")
    assert (message.recipient, message.received_at) == ("me@x", AT)
    assert message.subject and message.body
    assert "{" not in message.subject + message.body
