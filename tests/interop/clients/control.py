"""How a test drives a client in another process: a command a line on its standard input, what happens on its output.

A command is `{"do": NAME, ...arguments}` and is answered by `{"did": NAME, "result": ...}` or `{"did": NAME, "error": ...}`.
An update that the server announced is `{"updated": URI}`, written when it arrives; `{"noticed": URI}` is the same as a
message, where the SDK tells of both. The end of the input ends the client.
"""

import json
import sys
from collections.abc import Awaitable, Callable, Mapping

import anyio


def say(**line: object) -> None:
    """Write a line, whole and at once."""
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


async def obey(commands: Mapping[str, Callable[..., Awaitable[object]]]) -> None:
    """Carry out commands in order until the input ends."""
    async for line in anyio.wrap_file(sys.stdin):
        arguments = json.loads(line)
        name = arguments.pop("do")
        try:
            result = await commands[name](**arguments)
        except Exception as error:
            details = getattr(error, "error", None)
            say(did=name, error={"code": getattr(details, "code", None), "message": str(error)})
        else:
            say(did=name, result=result)
