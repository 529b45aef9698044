"""A feed by the `websockets` library, run as a script: `feed_server.py EVENTS`. Says its port, and what becomes of
its connections; sends events from the first line of its input on.

Every connection first has to say the password, then gets all events from the first, in fragments and with binary
frames and nonsense in between. Connection after connection it breaks off later, by turns with and without a close
frame; the one that gets to the end stays open.
"""

import asyncio
import contextlib
import itertools
import json
import sys

from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

EVENTS = int(sys.argv[1])
STEP = 12
numbers = itertools.count(1)
started = asyncio.Event()


def event(number: int) -> str:
    kind = "closed" if number % 10 == 0 else "posted"
    return json.dumps({"event": kind, "seq": number, "data": {"channel": f"c{number}", "text": "ü" * 200}})


async def talk(connection: ServerConnection) -> None:
    with contextlib.suppress(ConnectionClosed):
        await feed(connection)


async def feed(connection: ServerConnection) -> None:
    assert connection.request is not None
    assert connection.request.headers["Authorization"] == "Bearer hush"
    assert json.loads(await connection.recv()) == {"action": "auth", "token": "hush"}
    await started.wait()
    attempt = next(numbers)
    print("sending to", connection.subprotocol, flush=True)
    for number in range(1, EVENTS + 1):
        if number > attempt * STEP:
            if attempt % 2:
                connection.transport.abort()
            return
        text = event(number)
        await connection.send([text[:50], text[50:200], text[200:]])
        if number % 7 == 0:
            await connection.send(b"\x00binary")
            await connection.send('{"status": "OK", "seq_reply": 1}')
        await asyncio.sleep(0.002)
    await connection.wait_closed()
    print("closed", connection.close_code, flush=True)


async def main() -> None:
    async with serve(talk, "127.0.0.1", 0, subprotocols=["feed.v1"], ping_interval=0.2) as server:  # type: ignore[list-item]
        print(next(iter(server.sockets)).getsockname()[1], flush=True)
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)
        started.set()
        await server.serve_forever()


asyncio.run(main())
