"""Compares a document with the type it should have, and says everything that is wrong with it.

msgspec stops at the first fault and leaves the keys of a dict out of its paths; people want all faults, each
with its exact place and a proposal.
"""

from __future__ import annotations

import difflib
import re
import types
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Literal, Union, get_args, get_origin

import msgspec
from msgspec import Struct

from mcptrio.config.path import Path, from_msgspec
from mcptrio.sources.secret import Secret

_WORDS = {
    "int": "a whole number",
    "float": "a number",
    "str": "text",
    "bool": "true or false",
    "array": "a list",
    "object": "a table",
    "null": "nothing",
}
_AT = re.compile(r" - at `(?:key in )?(\$[^`]*)`$")
_OWN = re.compile(r"`(\w+)`(?:: | (?=is |must |has |needs ))")
_LIST_ALL = 12


@dataclass(frozen=True, slots=True)
class Fault:
    """Something wrong at a path."""

    path: Path
    message: str


def faults(value: object, wanted: object, path: Path = ()) -> Iterator[Fault]:
    """Everything that keeps `value` from being converted to the type `wanted`; nothing if it can be."""
    found = False
    for fault in _inner_faults(value, wanted, path):
        found = True
        yield fault
    if not found:
        try:
            msgspec.convert(value, wanted)
        except msgspec.ValidationError as error:
            yield _fault_of(error, wanted, path)


def _inner_faults(value: object, wanted: object, path: Path) -> Iterator[Fault]:
    wanted = _member(value, wanted)
    origin, arguments = get_origin(wanted), get_args(wanted)
    if isinstance(value, dict):
        if isinstance(wanted, type) and issubclass(wanted, Struct):
            yield from _struct_faults(value, wanted, path)
        elif origin in (dict, Mapping) and arguments:
            for key, each in value.items():
                yield from faults(each, arguments[1], (*path, key))
    elif isinstance(value, list) and origin in (list, tuple) and arguments:
        for index, each in enumerate(value):
            yield from faults(each, arguments[0], (*path, index))
    elif isinstance(value, str) and path and _is_secret(wanted):
        yield Fault(
            path,
            f'write {path[-1]} = {{ env = "NAME" }} or {{ file = "PATH" }}: a secret does not belong into the file',
        )
    elif origin is Literal and isinstance(value, str) and value not in arguments:
        yield Fault(
            path, f"`{value}` is none of its values{proposal(value, [str(each) for each in arguments])}"
        )


def _struct_faults(value: Mapping[str, object], wanted: type[Struct], path: Path) -> Iterator[Fault]:
    fields = {each.encode_name: each for each in msgspec.structs.fields(wanted)}
    tag = wanted.__struct_config__.tag_field
    for key, each in value.items():
        if key in fields:
            yield from faults(each, fields[key].type, (*path, key))
        elif key != tag:
            yield Fault((*path, key), _unknown(key, wanted))
    for name, field in fields.items():
        if field.required and name not in value:
            yield Fault((*path, name), "is missing and has no default")


def _member(value: object, wanted: object) -> object:
    """The type itself, without annotations; of a union the member that a table is meant to be."""
    while get_origin(wanted) is Annotated:
        wanted = get_args(wanted)[0]
    if get_origin(wanted) in (Union, types.UnionType):
        kinds: tuple[object, ...] = (dict, Mapping) if isinstance(value, dict) else (list, tuple)
        for each in get_args(wanted):
            member = _member(value, each)
            if get_origin(member) in kinds or (
                isinstance(value, dict) and isinstance(member, type) and issubclass(member, Struct)
            ):
                return member
    return wanted


def _is_secret(wanted: object) -> bool:
    """Whether it is a secret, and may not be text."""
    members = get_args(wanted) or (wanted,)
    return Secret in members and str not in members


def _unknown(key: str, wanted: type[Struct]) -> str:
    known = [each.encode_name for each in msgspec.structs.fields(wanted)]
    nested = [
        f"{each.encode_name}.{inner.encode_name}"
        for each in msgspec.structs.fields(wanted)
        if isinstance(each.type, type) and issubclass(each.type, Struct)
        for inner in msgspec.structs.fields(each.type)
        if inner.encode_name == key
    ]
    return f"unknown key{proposal(key, known, nested)}"


def proposal(word: str, known: list[str], exact: list[str] | None = None) -> str:
    """The end of a message about an unknown word: the one that was probably meant, or all there are."""
    close = exact or difflib.get_close_matches(word, known, 1)
    if close:
        return f"; did you mean `{close[0]}`?"
    if len(known) <= _LIST_ALL:
        return f"; known are {', '.join(f'`{each}`' for each in sorted(known))}"
    return ""


def _fault_of(error: msgspec.ValidationError, wanted: object, path: Path) -> Fault:
    message = str(error)
    if found := _AT.search(message):
        path += from_msgspec(found[1])
        message = message[: found.start()]
    fault = own_fault(message, wanted, path)
    return Fault(fault.path, _plain(fault.message))


def own_fault(message: str, wanted: object, path: Path) -> Fault:
    """What the code of a type found out itself: its message begins with the field that is wrong, if it is about one."""
    own = _OWN.match(message)
    if own and isinstance(wanted, type) and own[1] in getattr(wanted, "__struct_fields__", ()):
        return Fault((*path, own[1]), message[own.end() :])
    return Fault(path, message)


def _plain(message: str) -> str:
    """msgspec's message in words of TOML instead of words of Python and JSON."""
    message = re.sub(
        r"`(\w+(?: \| \w+)*)`",
        lambda found: (
            " or ".join(
                dict.fromkeys(
                    _WORDS.get(word, f"`{word}`") for word in found[1].split(" | ") if word != "null"
                )
            )
            or _WORDS["null"]
        ),
        message,
    )
    return message if message[1:2].isupper() else message[:1].lower() + message[1:]
