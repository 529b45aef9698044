"""What a client would see of a change: its data as JSON."""

from __future__ import annotations

import msgspec

from mcptrio.live.change import Change
from mcptrio.live.pointer import MISSING

_UNREAD: object = object()


class View:
    """One change, and its data in the form that JSON gives it; made once per change and shared by all who judge it.

    The data is converted when it is first asked for, so a change that only its kind decides about costs nothing.
    """

    __slots__ = ("_data", "change")

    def __init__(self, change: Change) -> None:
        self.change = change
        self._data = _UNREAD

    @property
    def data(self) -> object:
        """The change's data as a client would decode it: structs and dataclasses are objects, a NaN is `null`, bytes are base64.

        `MISSING` for a change without data, and for data that has no JSON form (cyclic, or of a type that JSON cannot
        say): it could not be delivered either. Never raises. It is a copy, and not to be changed.
        """
        if self._data is _UNREAD:
            self._data = _as_json(self.change.data)
        return self._data


def _as_json(data: object) -> object:
    try:
        # There and back: msgspec.to_builtins would be a third of it, but keeps NaN, tuples and unpaired surrogates,
        # of which each filter would have to know.
        value: object = msgspec.json.decode(msgspec.json.encode(data))
    except Exception:
        # Whatever a source gives is judged by everybody's filters, inside the step that publishes.
        return MISSING
    # A change without data has None.
    return MISSING if value is None else value
