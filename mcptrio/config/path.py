"""Where a value stands in a configuration: a path of keys and indexes."""

from __future__ import annotations

import json
import re

Path = tuple[str | int, ...]

_BARE = re.compile(r"[A-Za-z0-9_-]+")
_STEP = re.compile(r"\.([^.\[\]]+)|\[(\d+)\]|\[\.\.\.\]")


def dotted(path: Path) -> str:
    """The path as a person writes it: `server.port`, `source[0].headers."X Y"`; lists count from 0."""
    text = ""
    for step in path:
        if isinstance(step, int):
            text += f"[{step}]"
        else:
            text += ("." if text else "") + (step if _BARE.fullmatch(step) else json.dumps(step))
    return text


def from_msgspec(text: str) -> Path:
    """The path that msgspec appends to its messages, such as `$.a[0].b`; a key of a dict is not in it."""
    return tuple(
        int(index) if index else name
        for name, index in _STEP.findall(text.removeprefix("$"))
        if name or index
    )


def value_at(document: object, path: Path) -> tuple[bool, object]:
    """Whether there is something at a path, and what."""
    for step in path:
        if isinstance(document, list):
            document = dict(enumerate(document))
        if not isinstance(document, dict) or step not in document:
            return False, None
        document = document[step]
    return True, document
