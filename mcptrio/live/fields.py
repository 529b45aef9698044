"""Fields: how much of a change a subscription is told."""

from __future__ import annotations

from collections.abc import Hashable

import msgspec

from mcptrio.live.change import Change
from mcptrio.live.json_value import described
from mcptrio.live.pointer import MISSING, Pointer

MOST_POINTERS = 64
MOST_CHARACTERS = 1024
MOST_BYTES = 1_000_000
"""Of data and metadata as JSON, together; more is not told. With all around it that is below the 1 MiB that some clients take at most."""


class InvalidFields(ValueError):
    """What was given names no fields; the message begins with the place."""


class Fields:
    """What of a change is told beside its number and kind. Immutable; those of equal `key` tell the same."""

    __slots__ = ("key", "pointers", "uses_data", "uses_metadata")

    def __init__(self, word: str, pointers: tuple[Pointer, ...] = ()) -> None:
        self.pointers = pointers
        self.uses_data = word == "all" or bool(pointers)
        self.uses_metadata = word != "none"
        self.key: Hashable = tuple(pointer.text for pointer in pointers) if pointers else word

    def of(self, change: Change) -> dict[str, object]:
        """The members `data` and `metadata` as far as there are any, or `omitted` where they are too large. Never raises.

        What has no JSON form is not there.
        """
        members: dict[str, object] = {}
        if self.uses_data and change.data is not None:
            data = _as_json(change.data)
            if data is not None and self.pointers:
                data = self._pointed(data)
            if data is not None:
                members["data"] = data
        if self.uses_metadata and change.metadata is not None:
            metadata = _as_json(change.metadata)
            if metadata is not None:
                members["metadata"] = metadata
        if sum(map(len, map(bytes, members.values()))) > MOST_BYTES:  # type: ignore[arg-type]
            return {"omitted": True}
        return members

    def _pointed(self, data: msgspec.Raw) -> msgspec.Raw | None:
        try:
            document = msgspec.json.decode(data)
        except Exception:
            # Not all JSON is for Python, such as a number of ten thousand digits.
            return None
        found = {pointer.text: pointer.find(document) for pointer in self.pointers}
        return _as_json({text: value for text, value in found.items() if value is not MISSING})


_WORDS = {word: Fields(word) for word in ("none", "metadata", "all")}
"""One of each: there may be a hundred thousand subscriptions."""


def _as_json(value: object) -> msgspec.Raw | None:
    try:
        # A source's own `Raw` may be anything, and have line breaks, which end a message on some wires.
        text = msgspec.json.format(msgspec.json.encode(value), indent=-1)
        text.decode()
        return msgspec.Raw(text)
    except Exception:
        # Whatever a source gives is told to everybody, by one task.
        return None


def parse_fields(value: object, where: str = "fields") -> Fields:
    """Understand the `fields` of a subscription, decoded from JSON.

    Raises:
        InvalidFields: they are none.
    """
    if isinstance(value, str) and value in _WORDS:
        return _WORDS[value]
    if not isinstance(value, list) or not 0 < len(value) <= MOST_POINTERS:
        raise InvalidFields(
            f'{where}: "none", "metadata", "all", or a list of 1 to {MOST_POINTERS} JSON pointers, not {described(value)}'
        )
    pointers: dict[str, Pointer] = {}
    for number, text in enumerate(value):
        if not isinstance(text, str) or len(text) > MOST_CHARACTERS:
            raise InvalidFields(
                f"{where}[{number}]: a JSON pointer of at most {MOST_CHARACTERS} characters, not {described(text)}"
            )
        try:
            pointers[text] = Pointer(text)
        except ValueError as error:
            raise InvalidFields(f"{where}[{number}]: {error}") from None
    return Fields("pointers", tuple(pointers.values()))
