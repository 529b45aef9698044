"""Sends that cannot hang, and cannot be spliced into one another."""

import trio

__all__ = ["SendGuard", "SendStalled"]


class SendStalled(trio.BrokenResourceError):
    """A send did not end within its deadline."""


class SendGuard:
    """Gives every send of a stream a deadline; after one that was cut every other fails.

    A cut send, by the deadline or by a cancellation, leaves an unknown part of a message on the wire, and the next
    message would be taken for the rest of it. `timeout` in seconds.
    """

    __slots__ = ("_inner", "_timeout", "cut")

    def __init__(self, inner: trio.abc.SendStream, timeout: float) -> None:
        self._inner = inner
        self._timeout = timeout
        #: Whether a send is under way, or was cut: nothing may be sent any more.
        self.cut = False

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Send all of `data` within the deadline.

        Raises `SendStalled` if that was not to be, `trio.BrokenResourceError` after a cut send, and what the stream
        raises.
        """
        if self.cut:
            await trio.lowlevel.checkpoint()
            raise trio.BrokenResourceError("an earlier send was cut")
        self.cut = True
        with trio.move_on_after(self._timeout):
            await self._inner.send_all(data)
            self.cut = False
        if self.cut:
            raise SendStalled(f"the peer took nothing for {self._timeout:g} s")
