"""What every test shares."""

import json
import os
from collections.abc import Generator, Iterable, Iterator, Sequence
from weakref import WeakKeyDictionary

import pytest
from coverage import Coverage
from hypothesis import settings

from mcptrio.protocol import Message, RequestId, Revision, RpcError
from mcptrio.server.dispatch import Dispatch
from mcptrio.server.http.exchange_peer import ExchangePeer
from mcptrio.server.http.post_reply import PostReply
from mcptrio.server.http.session_peer import SessionPeer
from mcptrio.server.peer import Peer
from mcptrio.server.reply import Reply
from tests.tap import Conversation, expect_valid, framed

# No deadline per example: how long one takes depends on the machine, and a hang is the timeout's to find.
# In CI the examples are the same in every run (hypothesis' own profile), so that a failure belongs to its change.
# HYPOTHESIS_PROFILE=long is for by hand: twenty times as many, wherever a test does not say how many itself.
_base = settings.get_profile("ci" if os.environ.get("CI") == "true" else "default")
settings.register_profile("mcptrio", _base, deadline=None)
settings.register_profile("long", deadline=None, max_examples=2_000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE") or "mcptrio")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, bool, bool]:
    """Coverage looks away from tests that are marked as unmeasured."""
    measuring = Coverage.current()
    if measuring is None or item.get_closest_marker("unmeasured") is None:
        return (yield)
    measuring.stop()
    try:
        return (yield)
    finally:
        measuring.start()


@pytest.fixture(autouse=True)
def tap(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Every message that a server of this process sends in any test is judged by the official schema."""
    # Weak, so that tests can count what a server has let go.
    conversations: WeakKeyDictionary[Peer, Conversation] = WeakKeyDictionary()
    asked: WeakKeyDictionary[PostReply, Peer] = WeakKeyDictionary()
    failures: list[Exception] = []

    def judge(peer: Peer, messages: Iterable[bytes]) -> None:
        try:
            for payload in messages:
                conversations.setdefault(peer, Conversation()).sent(payload)
        except Exception as error:  # the tap's own failures too: none may pass for one of the server
            failures.append(error)

    plain_received, plain_take, plain_refuse = Dispatch.received, Dispatch.take, Dispatch.refuse
    plain_push, plain_push_frames, plain_answer = Peer.push, Peer.push_frames, ExchangePeer.answer
    plain_session_frames, plain_reply_push, plain_reply_answer = (
        SessionPeer.push_frames,
        PostReply.push,
        PostReply.answer,
    )

    def received(self: Dispatch, peer: Peer, data: bytes) -> None:
        conversations.setdefault(peer, Conversation()).received(data)
        plain_received(self, peer, data)

    def take(self: Dispatch, peer: Peer, message: Message, reply: Reply) -> None:
        conversations.setdefault(peer, Conversation()).took(message)
        if isinstance(reply, PostReply):
            asked[reply] = peer
        plain_take(self, peer, message, reply)

    def refuse(self: Dispatch, id: RequestId | None, error: RpcError, revision: Revision) -> bytes:
        payload = plain_refuse(self, id, error, revision)
        try:
            expect_valid(json.loads(payload), revision, "JSONRPCErrorResponse")
        except Exception as error:
            failures.append(error)
        return payload

    def push(self: Peer, payload: bytes) -> None:
        judge(self, [payload])
        plain_push(self, payload)

    def answer(self: ExchangePeer, payload: bytes, error: RpcError | None = None) -> None:
        judge(self, [payload])
        plain_answer(self, payload, error)

    def reply_push(self: PostReply, payload: bytes) -> None:
        judge(asked[self], [payload])
        plain_reply_push(self, payload)

    def reply_answer(self: PostReply, payload: bytes, error: RpcError | None = None) -> None:
        judge(asked[self], [payload])
        plain_reply_answer(self, payload, error)

    def push_frames(self: Peer, frames: Sequence[bytes]) -> None:
        judge(self, framed(frames, self.frame))
        plain_push_frames(self, frames)

    def session_frames(self: SessionPeer, frames: Sequence[bytes]) -> None:
        judge(self, frames)
        plain_session_frames(self, frames)

    monkeypatch.setattr(Dispatch, "received", received)
    monkeypatch.setattr(Dispatch, "take", take)
    monkeypatch.setattr(Dispatch, "refuse", refuse)
    monkeypatch.setattr(Peer, "push", push)
    monkeypatch.setattr(Peer, "push_frames", push_frames)
    monkeypatch.setattr(ExchangePeer, "answer", answer)
    monkeypatch.setattr(SessionPeer, "push_frames", session_frames)
    monkeypatch.setattr(PostReply, "push", reply_push)
    monkeypatch.setattr(PostReply, "answer", reply_answer)
    yield
    if failures:
        raise failures[0]
