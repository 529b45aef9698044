"""What every test shares."""

import os
from collections.abc import Iterator

import pytest
from hypothesis import settings

from mcptrio.server.dispatch import Dispatch
from mcptrio.server.peer import Peer
from mcptrio.wire import text_frame
from tests.tap import Conversation, payloads

# No deadline per example: how long one takes depends on the machine, and a hang is the timeout's to find.
# In CI the examples are the same in every run (hypothesis' own profile), so that a failure belongs to its change.
_base = settings.get_profile("ci" if os.environ.get("CI") == "true" else "default")
settings.register_profile("mcptrio", _base, deadline=None)
settings.load_profile("mcptrio")


@pytest.fixture(autouse=True)
def tap(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Every frame that a server of this process sends in any test is judged by the official schema."""
    conversations: dict[Peer, Conversation] = {}
    failures: list[Exception] = []
    plain_received, plain_push, plain_push_frames = Dispatch.received, Peer.push, Peer.push_frames

    def judge(peer: Peer, frames: bytes) -> None:
        try:
            for payload in payloads(frames):
                conversations.setdefault(peer, Conversation()).sent(payload)
        except Exception as error:  # the tap's own failures too: none may pass for one of the server
            failures.append(error)

    def received(self: Dispatch, peer: Peer, data: bytes) -> None:
        conversations.setdefault(peer, Conversation()).received(data)
        plain_received(self, peer, data)

    def push(self: Peer, payload: bytes) -> None:
        judge(self, text_frame(payload))
        plain_push(self, payload)

    def push_frames(self: Peer, frames: bytes) -> None:
        judge(self, frames)
        plain_push_frames(self, frames)

    monkeypatch.setattr(Dispatch, "received", received)
    monkeypatch.setattr(Peer, "push", push)
    monkeypatch.setattr(Peer, "push_frames", push_frames)
    yield
    if failures:
        raise failures[0]
