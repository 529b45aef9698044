"""What a user writes about a directory, and the checks that need no look at it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import ClassVar
from urllib.parse import quote

from msgspec import Struct, field

from mcptrio.catalog import UriTemplate
from mcptrio.live import check_uri
from mcptrio.sources.duration import Duration, seconds_between
from mcptrio.sources.files.selection import Selection

VARIABLE = "path"
"""The variable of the URI template."""

_END = "{+path}"
_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*://[^/{}]*/(?:[^{}]*/)?\{\+path\}")

HIDDEN = (".*", "*~", "#*#", "*.swp", "*.tmp", "*.part", "4913")
"""What is left out unless the settings say otherwise: hidden files and folders, and what editors and downloads leave
beside a file for a moment."""


class FilesSettings(Struct, tag_field="kind", tag="files", forbid_unknown_fields=True, kw_only=True):
    """A `[[source]]` of `kind = "files"`: the files below a directory, each a resource.

    Patterns without a `/` are for names, at any depth; those with one are for the whole path below the directory, where
    `**` is any number of folders. Durations are strings such as `"100ms"`, `"1m"`, or seconds.

    Raises:
        ValueError: a setting that cannot work; the text names it.
    """

    LEAST_SETTLE: ClassVar[float] = 0.01
    MOST_SETTLE: ClassVar[float] = 10.0
    LEAST_EVERY: ClassVar[float] = 1.0
    MOST_EVERY: ClassVar[float] = 86_400.0
    MOST_FILES: ClassVar[int] = 1_000_000
    MOST_SIZE: ClassVar[int] = 64 * 1024 * 1024
    MOST_LINGER: ClassVar[float] = 30 * 86_400.0

    name: str
    path: str
    """The directory; from where the server was started, if it is relative. `~` is the home directory."""
    uri: str = ""
    """URI template that ends with `/{+path}`; without one it is `files://NAME/{+path}`."""
    recursive: bool = True
    """Whether files in folders below count, too."""
    include: list[str] = field(default_factory=lambda: ["*"])
    """Which files count."""
    exclude: list[str] = field(default_factory=lambda: [*HIDDEN])
    """Which of them do not; a folder that matches is not looked into."""
    max_files: int = 10_000
    """How many files there may be; what comes after them, folder by folder and by name, is left out."""
    max_size: int = 1024 * 1024
    """Largest file, in bytes; larger ones are left out."""
    settle: Duration = "100ms"
    """How long nothing must have happened before the directory is looked at; ten times that while it never rests."""
    every: Duration = "1m"
    """How often it is looked at even if nothing is heard of a change: network file systems tell of none."""
    linger: Duration = "30s"
    """How long it is watched on after the last client that wanted it has gone."""
    always: bool = False
    """Watch from the start of the server to its end, whether anybody wants it or not."""

    def __post_init__(self) -> None:
        if not self.name:
            raise ValueError("`name` is empty")
        if not self.path or "\0" in self.path:
            raise ValueError("`path` must be a directory, such as /srv/notes")
        self._check_uri()
        self._check_globs("include", self.include)
        self._check_globs("exclude", self.exclude)
        if not self.include:
            raise ValueError('`include` is empty, so no file counts; `["*"]` is all of them')
        for name, value, most in (
            ("max_files", self.max_files, self.MOST_FILES),
            ("max_size", self.max_size, self.MOST_SIZE),
        ):
            if not 1 <= value <= most:
                raise ValueError(f"`{name}` is {value}, but must be between 1 and {most}")
        seconds_between("settle", self.settle, self.LEAST_SETTLE, self.MOST_SETTLE)
        seconds_between("every", self.every, self.LEAST_EVERY, self.MOST_EVERY)
        seconds_between("linger", self.linger, 0.0, self.MOST_LINGER)

    def _check_uri(self) -> None:
        template = self.template()
        if _URI.fullmatch(template) is None:
            raise ValueError(
                f"`uri` is {template[:80]!r}, but must be a template such as notes://all/{_END} or file:///srv/{_END}"
            )
        UriTemplate(template)
        check_uri(self.uri_of("a"))

    def _check_globs(self, name: str, globs: Sequence[str]) -> None:
        try:
            Selection(globs, (), recursive=True)
        except ValueError as error:
            raise ValueError(f"`{name}`: {error}") from None

    def template(self) -> str:
        """The URI template of the files."""
        return self.uri or f"files://{quote(self.name, safe='')}/{_END}"

    def uri_of(self, path: str) -> str:
        """The URI of a file. Everything that is not a letter, a digit or one of `-._~/` is percent-encoded.

        Raises:
            UnicodeEncodeError: the path is no UTF-8.
        """
        # Not the template's expansion: that leaves what is reserved in URIs as it is, and so changes its meaning.
        return self.template().removesuffix(_END) + quote(path, safe="/", errors="strict")

    def selection(self) -> Selection:
        """Which files count."""
        return Selection(self.include, self.exclude, recursive=self.recursive)
