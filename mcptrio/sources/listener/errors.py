"""What a stream or a poll raises to say more than that it went wrong."""

from __future__ import annotations


class Unavailable(Exception):
    """The stream or the poll does not work; the text says why and is shown to people.

    `lasting`: somebody has to do something about it (a refused token), so the feed is `failed`. It is tried again
    all the same. `retry_after`: the seconds the service asked to be left alone; more than an hour counts as an hour.
    """

    def __init__(self, why: str, *, lasting: bool = False, retry_after: float = 0.0) -> None:
        super().__init__(why)
        self.lasting = lasting
        self.retry_after = retry_after


class CursorLost(Exception):
    """The service does not know the cursor any more: what happened since cannot be asked for.

    The next poll is asked without one. Of its answer everything is announced that has not been, as far as is
    remembered; the feed is degraded once, until that poll is answered, and the loss is counted.
    """
