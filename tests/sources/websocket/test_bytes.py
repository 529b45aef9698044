"""Whatever bytes a server sends, before or after the handshake, the task stays and says how it is doing."""

from __future__ import annotations

import pytest
import trio
import trio.testing
from hypothesis import given, settings
from hypothesis import strategies as st

from mcptrio.live import SourceState
from tests.sources.websocket.service import (
    Bench,
    Serve,
    WebSocket,
    accepting,
    answering,
    event,
    frame,
    talking,
)

pytestmark = pytest.mark.unmeasured

frames = st.builds(frame, st.binary(max_size=200), opcode=st.integers(0, 15), fin=st.booleans()) | st.just(
    frame(event(1).encode())
)
answers = st.sampled_from(
    [b"HTTP/1.1 101 x\r\n", b"HTTP/1.1 ", b"HTTP/1.1 302 x\r\nLocation:", b"\r\n\r\n"]
) | st.binary(max_size=30)


@given(
    st.lists(frames | st.binary(max_size=20), max_size=8).map(lambda pieces: accepting(*pieces, then=1))
    | st.lists(answers, max_size=6).map(lambda pieces: answering(*pieces, then=1))
)
@settings(max_examples=150)
def test_no_bytes_end_the_task_and_it_is_live_again_afterwards(serve: Serve) -> None:
    async def main() -> None:
        bench = Bench(serve)
        await bench.run(3)
        assert all(
            state in (SourceState.LIVE, SourceState.DEGRADED, SourceState.FAILED) for state, _ in bench.states
        )
        assert all(why.isprintable() for _, why in bench.states)
        bench.service.serve = talking(_quiet)
        await bench.run(200)
        assert bench.states[-1][0] is SourceState.LIVE
        assert set(bench.reported()) <= {("created", "chat://town/last")}

    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))


async def _quiet(ws: WebSocket) -> None:
    await trio.sleep_forever()
