"""What a request that asks for input carries from try to try (2026-07-28): the answers so far, signed.

The server keeps nothing between two tries. What the client brings back is its own answers, so it may read them; it may
not change them, use them for another request, for another principal, or after their time. It may use them twice:
what must happen once is the handler's to ensure.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from collections.abc import Mapping, Sequence
from time import time as wall_clock

import msgspec
from msgspec import Raw, Struct

from mcptrio.protocol import Failure, Refusal, RpcError

MAX_STATE = 256 * 1024
"""Characters of a state."""

_PURPOSE = b"mcptrio requestState 1\0"
_UNBOUND = ("_meta", "inputResponses", "requestState")


class Answers(Struct, frozen=True, kw_only=True):
    """The content of a state."""

    expires: int
    """Seconds since the epoch: the state may come back to another process."""
    given: dict[str, Raw] = {}
    """Answers of earlier tries, as they came."""
    asked: list[str] = []
    """What the last try asked for."""


NO_ANSWERS = Answers(expires=0)


class RequestStates:
    """Signs and checks states. Keeps only the key."""

    def __init__(self, key: bytes | None, lifetime: float) -> None:
        """`lifetime` in seconds. Raises `ValueError` for a short key."""
        if key is not None and len(key) < 32:
            raise ValueError(
                f"the state key has {len(key)} bytes, and at least 32 are needed: secrets.token_bytes(32) makes one"
            )
        self._key = secrets.token_bytes(32) if key is None else key
        self._lifetime = lifetime

    def write(self, given: Mapping[str, Raw], asked: Sequence[str], binding: bytes) -> str:
        """A state for the request that `binding` stands for.

        Raises:
            RpcError: the answers are too big to be carried.
        """
        answers = Answers(expires=int(wall_clock() + self._lifetime), given=dict(given), asked=list(asked))
        text = base64.urlsafe_b64encode(msgspec.json.encode(answers)).decode()
        state = f"{text}.{self._sign(text, binding)}"
        if len(state) > MAX_STATE:
            raise RpcError.refused(
                Refusal.RESULT_TOO_LARGE, f"The answers so far are too big: at most {MAX_STATE} characters",
                limit=MAX_STATE,
            )  # fmt: skip
        return state

    def read(self, state: str, binding: bytes) -> Answers:
        """What a state holds.

        Raises:
            RpcError: -32602 when it was changed, is of another request or principal, or has expired.
        """
        text, _, signature = state.rpartition(".")
        expected = self._sign(text, binding)
        if len(state) > MAX_STATE or not hmac.compare_digest(
            signature.encode(errors="replace"), expected.encode()
        ):
            raise _refused("is not of this request")
        answers = msgspec.json.decode(base64.urlsafe_b64decode(text), type=Answers)
        if answers.expires <= wall_clock():
            raise _refused("has expired; send the request again without it")
        return answers

    def _sign(self, text: str, binding: bytes) -> str:
        # The binding has a fixed length, so that nothing can move between it and the text.
        signed = _PURPOSE + binding + text.encode(errors="replace")
        return hmac.new(self._key, signed, hashlib.sha256).hexdigest()


def binding(method: str, params: Raw | None, principal: str | None) -> bytes:
    """What a state belongs to: the method, all params but those that differ from try to try, the principal.

    Neither the order of members nor spaces matter.

    Raises:
        RpcError: -32602 when a part of the params is no JSON after all.
    """
    try:
        members = {} if params is None else msgspec.json.decode(params, type=dict[str, object])
        bound = {name: value for name, value in members.items() if name not in _UNBOUND}
        canonical = msgspec.json.encode([method, bound, principal], order="sorted")
    except (msgspec.MsgspecError, RecursionError, OverflowError) as error:
        # In a part that nothing else has looked at.
        raise RpcError.of(Failure.INVALID_PARAMS, f"Invalid params: {error}") from None
    return hashlib.sha256(canonical).digest()


def _refused(why: str) -> RpcError:
    return RpcError.of(Failure.INVALID_PARAMS, f"Invalid params: `requestState` {why}")
