"""What a subscription selects: one exact URI, or all that fit a template or a glob."""

from __future__ import annotations

import re

from msgspec import Struct

from mcptrio.live.reading import ACROSS, RESERVED, VARIABLE, WITHIN, Reading
from mcptrio.live.uri import MAX_URI_LENGTH, InvalidUri, check_uri

KINDS = ("uri", "template", "glob")
MAX_WILDCARDS = 16
"""How many wildcards or variables one selector may have (a run of `?` is one): each is a node of the index."""

_NOT_IN_URI = re.compile(r"[^A-Za-z0-9\-._~:/?#\[\]@!$&'()*+,;=%]")
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*(:)?")
_EXPRESSION = re.compile(r"(\{[^{}]*\})")
_VARIABLE = re.compile(r"\{(\+?)([A-Za-z0-9_]+(?:\.[A-Za-z0-9_]+)*)\}")
_WILDCARDS = re.compile(r"(\*+|\?+)")
_NOT_IN_GLOB = re.compile(r"[{}\[\]]")


class InvalidSelector(ValueError):
    """What can select nothing; the message names the part and what would do."""


class Selector(Struct, frozen=True, gc=False):
    """Which URIs a subscription is about. Immutable; made by `parse_selector`.

    - `uri`: that one, character by character.
    - `template`: `{name}` stands for at least one character, none of `/ ? #`; `{+name}` for at least one of any.
      Every URI that a resource template of the same text serves is selected.
    - `glob`: `*` stands for any characters but `/`, none too; `**` for any characters; `?` for one that is no `/`.
    """

    kind: str
    """`uri`, `template` or `glob`."""
    text: str
    """As it was given."""
    pattern: str
    """The canonical text, in one spelling for all kinds: selectors of equal pattern select the same."""
    parts: tuple[str, ...]
    """The pattern taken apart: literals, and wildcards, which begin with `{`."""

    is_exact: bool
    """Whether it selects one URI, of whatever kind it is: it has no wildcard."""

    @property
    def beginning(self) -> str:
        """What all that is selected begins with, as far as there is no wildcard."""
        return "" if self.parts[0][0] == "{" else self.parts[0]

    def matches(self, uri: str) -> bool:
        """Whether a URI is selected. Never raises; its time is bounded by the length of the selector."""
        if self.is_exact:
            return uri == self.pattern
        reading = Reading(uri)
        places = 1
        for part in self.parts:
            places = (reading.after_wildcard if part[0] == "{" else reading.after_literal)(places, part)
            if not places:
                return False
        return places & reading.end != 0


def parse_selector(value: object, where: str = "subscription") -> Selector:
    """The selector of a subscription: the one member of `uri`, `template` and `glob` that it has.

    `where` is what messages call the subscription. Its other members are not looked at.

    Raises:
        InvalidSelector: none or several of them, or one that can select nothing.
    """
    if not isinstance(value, dict):
        raise InvalidSelector(f"{where}: must be an object")
    kinds = [kind for kind in KINDS if kind in value]
    if len(kinds) != 1:
        found = " and ".join(kinds) or "none of them"
        raise InvalidSelector(f"{where}: give exactly one of uri, template and glob; there is {found}")
    kind = kinds[0]
    text = value[kind]
    where = f"{where}.{kind}"
    if not isinstance(text, str):
        raise InvalidSelector(f"{where}: must be a string")
    if len(text) > MAX_URI_LENGTH:
        raise InvalidSelector(f"{where}: has {len(text)} characters, at most {MAX_URI_LENGTH} are allowed")
    parts: tuple[str, ...]
    if kind == "uri":
        parts = (text,)
        wildcards = 0
    else:
        parts = _glob_parts(text, where) if kind == "glob" else _template_parts(text, where)
        wildcards = sum(part[0] == "{" for part in parts)
    if wildcards:
        _check_pattern(parts, wildcards, where)
    else:
        try:
            check_uri(text)
        except InvalidUri as error:
            raise InvalidSelector(f"{where}: {error}") from None
    return Selector(kind, text, "".join(parts), parts, is_exact=not wildcards)


def _glob_parts(text: str, where: str) -> tuple[str, ...]:
    refused = _NOT_IN_GLOB.search(text)
    if refused is not None:
        why = "classes: `?` stands for any one character" if refused[0] in "[]" else "braces: give a template"
        raise InvalidSelector(f"{where}: {refused[0]!a} at position {refused.start()}: a glob has no {why}")
    _check_characters(text, where, 0)
    parts: list[str] = []
    for part in _WILDCARDS.split(text):
        if not part:
            continue
        if part[0] == "*":
            parts.append(WITHIN if part == "*" else ACROSS)
        elif part[0] == "?":
            parts.append(f"{{{part}}}")
        else:
            parts.append(part)
    return tuple(parts)


def _template_parts(text: str, where: str) -> tuple[str, ...]:
    parts: list[str] = []
    names: set[str] = set()
    place = 0
    for part in _EXPRESSION.split(text):
        if part[:1] == "{" and part[-1] == "}":
            variable = _VARIABLE.fullmatch(part)
            if variable is None:
                raise InvalidSelector(
                    f"{where}: {part[:100]!a} at position {place} is neither {{name}} nor {{+name}}"
                )
            if variable[2] in names:
                raise InvalidSelector(
                    f"{where}: {part[:100]!a} at position {place}: each variable may stand there once"
                )
            names.add(variable[2])
            parts.append(RESERVED if variable[1] else VARIABLE)
        elif part:
            _check_characters(part, where, place)
            parts.append(part)
        place += len(part)
    return tuple(parts)


def _check_characters(literal: str, where: str, place: int) -> None:
    refused = _NOT_IN_URI.search(literal)
    if refused is None:
        return
    place += refused.start()
    if refused[0] in "{}":
        raise InvalidSelector(f"{where}: the brace at position {place} has no partner")
    raise InvalidSelector(
        f"{where}: {refused[0]!a} at position {place} may not stand in a URI: percent-encode it"
    )


def _check_pattern(parts: tuple[str, ...], wildcards: int, where: str) -> None:
    """Refuse what no URI can be like, and what is too much."""
    if wildcards > MAX_WILDCARDS:
        raise InvalidSelector(f"{where}: has {wildcards} wildcards, at most {MAX_WILDCARDS} are allowed")
    if parts[0][0] == "{":
        return
    scheme = _SCHEME.match(parts[0])
    if scheme is None or (scheme[1] is None and scheme.end() < len(parts[0])):
        raise InvalidSelector(
            f"{where}: is not absolute: begin with a scheme, such as email://, or a wildcard"
        )
