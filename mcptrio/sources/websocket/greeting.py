"""The messages that are sent first: text as it is, tables as JSON, with their secrets."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from mcptrio.sources.secret import Secret, SecretMissing

_MAX_DEPTH = 32


def secret_of(value: object) -> Secret | None:
    """The secret that a table means: one with nothing but `env` or `file` in it.

    Raises:
        ValueError: it has nothing in there.
    """
    if isinstance(value, Mapping) and len(value) == 1:
        [(key, place)] = value.items()
        if isinstance(place, str) and key in ("env", "file"):
            return Secret(env=place) if key == "env" else Secret(file=place)
    return None


def check_message(value: object, depth: int = 0) -> None:
    """Accept one of the settings' messages.

    Raises:
        ValueError: nested too deeply, or with a secret that is none.
    """
    if depth > _MAX_DEPTH:
        raise ValueError(f"a message is nested more than {_MAX_DEPTH} levels deep")
    if isinstance(value, Mapping):
        if secret_of(value) is None:
            for each in value.values():
                check_message(each, depth + 1)
    elif isinstance(value, list):
        for each in value:
            check_message(each, depth + 1)


def revealed_message(message: str | Mapping[str, object]) -> str:
    """What is sent for one of the settings' messages: a text itself, a table as JSON, a secret alone as its text.

    Raises:
        SecretMissing: a secret is not where the settings say.
    """
    if isinstance(message, str):
        return message
    found = _revealed(message)
    return found if isinstance(found, str) else msgspec.json.encode(found).decode()


def _revealed(value: object) -> object:
    secret = secret_of(value)
    if secret is not None:
        return secret.reveal()
    if isinstance(value, Mapping):
        return {key: _revealed(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_revealed(each) for each in value]
    return value


def revealed_messages(messages: list[str | dict[str, object]], source: str) -> tuple[str, ...]:
    """All of them, in order. May read small files, so call it before things run.

    Raises:
        SecretMissing: a secret is not where the settings say; the text names the source and the message.
    """
    found: list[str] = []
    for index, message in enumerate(messages):
        try:
            found.append(revealed_message(message))
        except SecretMissing as error:
            raise SecretMissing(f"`first`: source {source!r}, first[{index}]: {error}") from None
    return tuple(found)
