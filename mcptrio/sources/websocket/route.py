"""A user's `[[source.route]]`: which events go to which resource."""

from __future__ import annotations

from keyword import iskeyword
from typing import Literal

from msgspec import Struct, field

from mcptrio.catalog import UriTemplate
from mcptrio.live import check_uri
from mcptrio.sources.pointer import Pointer

OTHERS = "*"
"""The type of a route for all events that have no route of their own."""


class Route(Struct, forbid_unknown_fields=True, kw_only=True):
    """Events of one type, and the resource that each is about.

    `values` has a JSON pointer into the message for each variable of `uri`: `uri = "chat://{channel}/posts"` needs
    `values = { channel = "/data/channel_id" }`. An event may have several routes, to several resources.

    Raises:
        ValueError: a setting that cannot work; the text names it.
    """

    uri: str
    type: str = OTHERS
    """The event type; `*` (the default) is for all events that have no route of their own."""
    values: dict[str, str] = field(default_factory=dict)
    change: Literal["auto", "created", "updated", "deleted"] = "auto"
    """What such an event means. `auto`: created for a resource of which nothing is held, updated for the others."""
    data: str | None = None
    """Where in the message the resource's new content is; as in the source's `data` if not given."""

    def __post_init__(self) -> None:
        if not self.type:
            raise ValueError("`type` is empty: name an event type, or leave it out for all others")
        try:
            template = UriTemplate(self.uri)
            check_uri(template.expand(dict.fromkeys(template.variables, "1")))
        except ValueError as error:
            raise ValueError(f"`uri`: {error}") from None
        for name in template.variables:
            if name not in self.values:
                raise ValueError(
                    f"`values` has no {name}, which is in `uri`: "
                    f'say where it is in a message, such as {name} = "/data/{name}"'
                )
            if iskeyword(name):
                raise ValueError(f"`uri`: a variable cannot be called {name}: call it {name}_")
        for name, pointer in self.values.items():
            if name not in template.variables:
                raise ValueError(f"`values` has {name[:100]!r}, which is no variable of `uri`")
            _check_pointer(f"`values`: {name}", pointer)
        if self.data is not None:
            _check_pointer("`data`", self.data)


def _check_pointer(name: str, text: str) -> None:
    try:
        Pointer(text)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None
