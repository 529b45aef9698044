"""URI templates (RFC 6570, levels 1 to 3) in the direction that the RFC leaves out: from a URI to its
variables.

`{var}`, `{a,b}`, `{+var}`, `{#var}`, `{.var}`, `{/var}`, `{?a,b}` and `{&a,b}`; no prefixes, no explosion.
The rules:

- `{var}` is at least one character, none of `/ ? #` (nor `&` behind a `?`); `{+var}` may hold those as well,
  but before a query or a fragment not the `?` or `#` with which that begins.
- `{.var}`, `{/var}` and `{#var}` may be absent. `{?a,b}` and `{&a,b}` stand at the end; their variables may
  be absent and in any order, and a name that the template does not have is no match.
- Between two variables, the first occurrence of the literal that parts them counts: `{a}-{b}` reads `x-y-z`
  as `x` and `y-z`.
- Values are percent-decoded as UTF-8. `%2F` becomes `/`: who opens files must check the path.

A match takes time linear in the URI's length, or quadratic where one `{+var}` or one `{a}{.b}` stands before
the end; templates that would need more are refused. URIs beyond 2048 characters match nothing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import unquote

import uritemplate

from mcptrio.catalog.errors import DeclarationError
from mcptrio.live.uri import MAX_URI_LENGTH

_EXPRESSION = re.compile(r"\{([^{}]*)\}")
_SPEC = re.compile(r"([+#./;?&=,!@|]?)(.*)\Z", re.DOTALL)
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*:")
# What `live.check_uri` refuses in a URI as well.
_NO_CONTROL = r"\x00-\x20\x7f-\x9f\u2028\u2029\ud800-\udfff"


@dataclass(frozen=True, slots=True)
class _Part:
    """A literal (`names` empty) or an expression."""

    literal: str
    operator: str
    names: tuple[str, ...]


def check_spelling(where: str, uri: str) -> None:
    """Refuse URIs that many clients would spell otherwise, so that they could never ask for them.

    Raises:
        DeclarationError: a scheme in capitals, or an http URI without a path.
    """
    scheme, _, rest = uri.partition(":")
    if scheme != scheme.lower():
        raise DeclarationError(f"{where}: write the scheme of {uri[:200]!r} in small letters: clients do")
    if scheme in ("http", "https") and "/" not in rest[2:]:
        raise DeclarationError(f"{where}: give {uri[:200]!r} a path, at least `/`: clients do")


class UriTemplate:
    """A URI template that can be matched and expanded. Immutable."""

    def __init__(self, text: str) -> None:
        """Raises `DeclarationError` naming the expression that cannot be used."""
        self.text = text
        parts = _parse(text)
        self.variables = tuple(name for part in parts for name in part.names)
        """In the order of the template."""
        if len(set(self.variables)) != len(self.variables):
            raise DeclarationError(f"URI template {text!r}: each variable may stand there once")
        self._query = parts[-1].names if parts[-1].operator in ("?", "&") else ()
        self._pattern = re.compile(_Compiler(text, parts).pattern(), re.DOTALL)

    def __repr__(self) -> str:
        return f"UriTemplate({self.text!r})"

    def could_begin(self, beginning: str) -> bool:
        """Whether a URI that begins so could match, as far as what stands before the first variable can tell."""
        literal = self.text.partition("{")[0]
        return literal.startswith(beginning) or (bool(self.variables) and beginning.startswith(literal))

    def match(self, uri: str) -> dict[str, str] | None:
        """The variables for which the template expands to this URI, the absent ones left out; None if
        none.
        """
        if len(uri) > MAX_URI_LENGTH:
            return None
        match = self._pattern.match(uri)
        if match is None:
            return None
        values: dict[str, str] = {}
        try:
            for name, value in zip(self.variables, match.groups(), strict=False):
                if name in self._query:
                    break
                if value is not None:
                    values[name] = unquote(value, errors="strict")
            if self._query:
                return self._match_query(match[match.re.groups], values)
        except UnicodeDecodeError:
            return None
        return values

    def _match_query(self, query: str | None, values: dict[str, str]) -> dict[str, str] | None:
        for pair in query.split("&") if query else ():
            name, _, value = pair.partition("=")
            if name not in self._query or name in values:
                return None
            values[name] = unquote(value, errors="strict")
        return values

    def expand(self, values: Mapping[str, str]) -> str:
        """The URI for these values."""
        return uritemplate.expand(self.text, dict(values))


def has_variables(text: str) -> bool:
    """Whether this is a template rather than a URI. Braces may not stand in a URI, so that any brace
    counts.
    """
    return "{" in text or "}" in text


def _parse(text: str) -> list[_Part]:
    if _SCHEME.match(text) is None:
        raise DeclarationError(f"URI template {text!r}: must begin with a scheme, such as `weather://`")
    if re.search(rf"[{_NO_CONTROL}]", text) is not None:
        raise DeclarationError(f"URI template {text!r}: must not contain spaces or control characters")
    parts: list[_Part] = []
    end = 0
    for found in _EXPRESSION.finditer(text):
        if found.start() > end:
            parts.append(_Part(text[end : found.start()], "", ()))
        parts.append(_expression(text, found[1]))
        end = found.end()
    if end < len(text):
        parts.append(_Part(text[end:], "", ()))
    if any("{" in part.literal or "}" in part.literal for part in parts):
        raise DeclarationError(f"URI template {text!r}: a brace has no partner")
    return parts


def _expression(text: str, inside: str) -> _Part:
    spec = _SPEC.match(inside)
    assert spec is not None
    operator, variables = spec.groups()
    if operator and operator not in "+#./?&":
        raise DeclarationError(f"URI template {text!r}: the operator of {{{inside}}} is not supported")
    names = tuple(variables.split(","))
    for name in names:
        if _NAME.match(name) is None:
            raise DeclarationError(
                f"URI template {text!r}: {name!r} in {{{inside}}} is no variable name "
                "(letters, digits and _; no prefix `:n`, no `*`)"
            )
    return _Part("", operator, names)


class _Compiler:
    """From parts to a regular expression with one group per variable, and one for a whole query."""

    def __init__(self, text: str, parts: list[_Part]) -> None:
        self._text = text
        self._parts = parts
        self._in_query = False
        self._ambiguous = 0

    def pattern(self) -> str:
        pieces: list[str] = []
        skip = False
        for index, part in enumerate(self._parts):
            if skip:
                skip = False
            elif not part.names:
                pieces.append(re.escape(part.literal))
            else:
                piece, skip = self._compile(index, part)
                pieces.append(piece)
            self._in_query = self._in_query or "?" in part.literal
        if self._ambiguous > 1:
            raise self._refusal("only one variable may be followed by what it may itself contain")
        return "".join(pieces) + r"\Z"

    def _compile(self, index: int, part: _Part) -> tuple[str, bool]:
        """The piece of an expression, and whether the literal behind it is part of the piece."""
        following = self._parts[index + 1] if index + 1 < len(self._parts) else None
        if part.operator in ("?", "&", "#"):
            return self._at_end(part, following), False
        characters = self._characters(index, part)
        more = any(later.names for later in self._parts[index + 1 :])
        if following is None or not more:
            return self._variables(part, characters, lazy=False), False
        if following.names:
            return self._before_expression(part, characters, following), False
        if part.operator == "+":
            self._ambiguous += 1
            return self._variables(part, characters, lazy=False), False
        # Up to the first occurrence of the literal, with no way back: this keeps matching linear.
        return f"(?>{self._variables(part, characters, lazy=True)}{re.escape(following.literal)})", True

    def _at_end(self, part: _Part, following: _Part | None) -> str:
        if following is not None:
            raise self._refusal(f"{{{part.operator}...}} must stand at the end")
        if part.operator == "#":
            return self._variables(part, self._reserved("," if len(part.names) > 1 else ""), lazy=False)
        if (part.operator == "&") is not self._in_query:
            raise self._refusal("{?...} begins a query, {&...} continues one")
        # One capture for the query; the groups of its variables would have to be in order.
        return rf"(?:\{part.operator}([^#{_NO_CONTROL}]*))?"

    def _before_expression(self, part: _Part, characters: str, following: _Part) -> str:
        if following.operator in ("?", "#") or (following.operator == "&" and self._in_query):
            return self._variables(part, characters, lazy=False)
        if part.operator != "+" and following.operator == "/":
            return self._variables(part, characters, lazy=False)
        if part.operator != "+" and following.operator == ".":
            self._ambiguous += 1
            return self._variables(part, characters, lazy=True)
        raise self._refusal("two variables need a literal between them")

    def _variables(self, part: _Part, characters: str, *, lazy: bool) -> str:
        lead = part.operator if part.operator in ("/", ".", "#") else ""
        separator = re.escape(lead if lead in ("/", ".") else ",")
        at_least = "*" if lead else "+"
        group = f"({characters}{at_least}{'?' if lazy else ''})"
        pattern = ""
        for _ in part.names[1:]:
            pattern = f"(?:{separator}{group}{pattern})?"
        pattern = group + pattern
        return f"(?:{re.escape(lead)}{pattern})?" if lead else pattern

    def _characters(self, index: int, part: _Part) -> str:
        several = len(part.names) > 1
        if part.operator == "+":
            later = self._parts[index + 1 :]
            excluded = "," if several else ""
            if any(other.operator in ("?", "&") or "?" in other.literal for other in later):
                excluded += "?#"
            elif any(other.operator == "#" or "#" in other.literal for other in later):
                excluded += "#"
            return self._reserved(excluded)
        excluded = "/?#&" if self._in_query else "/?#"
        if several and part.operator != "/":
            excluded += part.operator or ","
        return self._reserved(excluded)

    def _reserved(self, excluded: str) -> str:
        # A percent sign only as the beginning of a triplet, which is never cut.
        return rf"(?:[^{re.escape(excluded)}%{_NO_CONTROL}]|%[0-9A-Fa-f]{{2}})"

    def _refusal(self, reason: str) -> DeclarationError:
        return DeclarationError(f"URI template {self._text!r}: {reason}")
