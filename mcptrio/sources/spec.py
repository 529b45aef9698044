"""What a source is: its body, the URIs that it may report, and when it is to run."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from functools import partial

from mcptrio.catalog import DeclarationError, InvalidArgument, UriTemplate
from mcptrio.catalog.arguments import StringArguments
from mcptrio.catalog.signature import MISSING, Signature, describe, read_signature
from mcptrio.catalog.template import leads_astray

LINGER = 30.0
"""Seconds that a source runs on after the last one who wanted it has gone, unless its declaration says otherwise."""

MOST = 1000
"""Tasks of one source with a task for each wanted URI that run at once, unless its declaration says otherwise."""

SourceBody = Callable[..., Awaitable[None]]
"""`async def body(feed: Feed) -> None`; for a source with a task for each URI, beside the feed the pattern's variables."""


class SourcePattern(UriTemplate):
    """A source's URI template. With `arguments` it matches only what converts to what the body's parameters take."""

    def __init__(self, text: str, arguments: StringArguments | None) -> None:
        super().__init__(text)
        self._arguments = arguments

    def match(self, uri: str) -> dict[str, str] | None:
        """As a template; None also where a variable does not convert."""
        strings = super().match(uri)
        return None if strings is None or self._read(strings) is None else strings

    def values(self, uri: str) -> dict[str, object] | None:
        """The body's arguments beside its feed, converted; None where the URI does not match."""
        strings = super().match(uri)
        return None if strings is None else self._read(strings)

    def _read(self, strings: dict[str, str]) -> dict[str, object] | None:
        if self._arguments is None:
            return {}
        if self.text.startswith("file:") and any(map(leads_astray, strings.values())):
            return None
        try:
            return self._arguments.read(strings)
        except InvalidArgument:
            return None


@dataclass(frozen=True, slots=True)
class SourceSpec:
    """A source: a name unique in the program, and the body that a supervisor runs and restarts.

    `patterns` are the URI templates of what it may report. It runs always, or by demand: while somebody wants
    what fits a pattern, and for `linger` seconds longer. With `each` every wanted URI has a task of its own, with the
    pattern's variables as arguments, converted by the body's type hints; at most `most` of them at once, None for `MOST`.

    Raises:
        DeclarationError: (a ValueError) naming the function and what to change.
    """

    name: str
    run: SourceBody
    patterns: tuple[str, ...] = ()
    always: bool = True
    each: bool = False
    linger: float = LINGER
    most: int | None = None
    templates: tuple[SourcePattern, ...] = field(init=False, repr=False, compare=False)
    _prefixes: tuple[str, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        where = describe(self.run)
        if not isinstance(self.linger, int | float) or not 0 <= self.linger < math.inf:
            raise DeclarationError(
                f"{where}: linger is {self.linger!r}, but must be a number of seconds, from 0"
            )
        if self.most is not None and not self.each:
            raise DeclarationError(f"{where}: most is the number of tasks of each=True; leave it out")
        if self.most is not None and (not isinstance(self.most, int) or self.most < 1):
            raise DeclarationError(f"{where}: most is {self.most!r}, but must be a number of tasks, from 1")
        if not self.always and not self.patterns:
            raise DeclarationError(
                f"{where}: without a pattern nothing would ever start it; give the pattern of its URIs, or "
                "leave out always=False"
            )
        arguments = self._arguments(where) if self.each else None
        templates = tuple(SourcePattern(pattern, arguments) for pattern in self.patterns)
        object.__setattr__(self, "templates", templates)
        object.__setattr__(self, "_prefixes", tuple(pattern.partition("{")[0] for pattern in self.patterns))

    def _arguments(self, where: str) -> StringArguments:
        if self.always:
            raise DeclarationError(
                f"{where}: each=True runs a task for each URI while it is wanted; "
                + ("leave out always=True" if self.patterns else "give the pattern of those URIs")
            )
        # The feed is the first parameter, whatever its name and annotation.
        signature = read_signature(partial(self.run, None))
        taken = {argument.name: argument for argument in signature.arguments}
        variables: set[str] = set()
        for pattern in self.patterns:
            found = UriTemplate(pattern).variables
            if not found:
                raise DeclarationError(
                    f"{where}: {pattern!r} has no variables, so there is no more than one URI of it; leave out each=True"
                )
            for name in found:
                if name not in taken:
                    raise DeclarationError(
                        f"{where}: the variable `{name}` of {pattern!r} has no parameter; add `{name}: str`"
                    )
            for argument in signature.arguments:
                if argument.name not in found and argument.default is MISSING:
                    raise DeclarationError(
                        f"{where}: parameter `{argument.name}` is no variable of {pattern!r}; "
                        "remove it or give it a default"
                    )
            variables.update(found)
        return StringArguments(_only(signature, variables))

    @property
    def most_tasks(self) -> int:
        """How many tasks it may have at once."""
        return MOST if self.most is None else self.most

    def could_begin(self, beginning: str) -> bool:
        """Whether a URI that begins so could fit, as far as what stands before the first variables can tell."""
        return any(template.could_begin(beginning) for template in self.templates)

    def values(self, uri: str) -> dict[str, object] | None:
        """The body's arguments beside its feed for a URI; None for one that fits no pattern."""
        if not uri.startswith(self._prefixes):  # most are of another source, and all are asked about
            return None
        for template in self.templates:
            values = template.values(uri)
            if values is not None:
                return values
        return None


def _only(signature: Signature, names: set[str]) -> Signature:
    """The signature without the parameters that no variable fills: their defaults are Python's matter."""
    return replace(
        signature, arguments=tuple(argument for argument in signature.arguments if argument.name in names)
    )
