"""From a JSON document to resources, and from two sets of them to changes. Sans-IO, and pure."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import msgspec
from msgspec import Struct

from mcptrio.catalog import UriTemplate
from mcptrio.live import Change, InvalidUri, check_uri
from mcptrio.live.change import CREATED, DELETED, UPDATED
from mcptrio.sources.json_data import json_data
from mcptrio.sources.pointer import Pointer, PointerError, described

VARIABLE = "id"
"""The variable of a poller's URI template."""

_PROBLEMS_SHOWN = 3
_SHOWN = 60


class BadDocument(Exception):
    """A document of which nothing can be used; the text says why."""


class Item(Struct, frozen=True):
    """One resource: its JSON as the document had it (members in their order), and what tells it from others."""

    id: str
    content: bytes
    fingerprint: bytes

    @classmethod
    def of(cls, id: str, value: object) -> Item:
        """The item of a JSON value. Two are alike if their values are: order of members and space do not count."""
        canonical = msgspec.json.encode(value, order="deterministic")
        return cls(id, msgspec.json.encode(value), hashlib.blake2b(canonical, digest_size=16).digest())


class Snapshot(Struct, frozen=True):
    """All resources of one document by URI, in its order, and what had to be left out, in words."""

    items: Mapping[str, Item]
    problem: str = ""


class Shape:
    """What a document is expected to look like: where its items are, where their ids, which URI each has.

    Without `items` the whole document is one resource and `uri` is its URI. With it, `uri` is a template with
    the variable `id`.
    """

    def __init__(self, uri: str, items: Pointer | None, id: Pointer | None) -> None:
        self._uri = uri
        self._items = items
        self._id = id
        self._template = UriTemplate(uri)

    def uri_of(self, id: str) -> str:
        """The URI of the item with that id: the template, expanded."""
        return self._template.expand({VARIABLE: id})

    def snapshot(self, body: bytes) -> Snapshot:
        """The resources in a document.

        An item without a usable id is left out, and of items with one URI the first is taken; the snapshot's
        `problem` says so and all others are there.

        Raises:
            BadDocument: it is no JSON in UTF-8, or there is no list of items in it.
        """
        document = _parse(body)
        if self._items is None:
            return Snapshot({self._uri: Item.of("", document)})
        try:
            values = self._items.resolve(document)
        except PointerError as error:
            raise BadDocument(f"the document has no items: {error}") from None
        if not isinstance(values, list):
            where = f"at {self._items.text} " if self._items.text else ""
            raise BadDocument(f"the document has no list of items: {where}there is {described(values)}")
        items: dict[str, Item] = {}
        problems: list[str] = []
        for index, value in enumerate(values):
            try:
                id = self._id_of(value)
                uri = self._checked_uri(id)
                if uri in items:
                    raise BadDocument(f"has the URI of an earlier one, {_shown(uri)}")
            except BadDocument as problem:
                problems.append(f"item {index} {problem}")
            else:
                items[uri] = Item.of(id, value)
        return Snapshot(items, _summary(problems, len(values)))

    def _id_of(self, value: object) -> str:
        assert self._id is not None
        try:
            id = self._id.resolve(value)
        except PointerError as error:
            raise BadDocument(f"has no id: {error}") from None
        if isinstance(id, bool) or not isinstance(id, str | int):
            raise BadDocument(f"has no id: at {self._id.text} there is {described(id)}")
        if id == "":
            raise BadDocument(f"has no id: the string at {self._id.text} is empty")
        return str(id)

    def _checked_uri(self, id: str) -> str:
        uri = self.uri_of(id)
        try:
            check_uri(uri)
        except InvalidUri as error:
            raise BadDocument(f"has an id that makes no URI, {_shown(id)}: {error}") from None
        if self._template.match(uri) != {VARIABLE: id}:
            raise BadDocument(f"has an id that cannot be read back from its URI, {_shown(uri)}")
        return uri


def differences(
    before: Mapping[str, Item], after: Mapping[str, Item], *, source: str = ""
) -> tuple[Change, ...]:
    """What happened between two snapshots.

    First what was created and updated, in the order of the later document; then what was deleted, in the
    order of the earlier one. An item that only moved did not change. Each change has the item's JSON as data, unless that is
    too long, and its version and size as metadata; a deletion has those that the item had last.
    """
    changes: list[Change] = []
    for uri, item in after.items():
        known = before.get(uri)
        if known is None:
            changes.append(_change(uri, CREATED, source, item))
        elif known.fingerprint != item.fingerprint:
            changes.append(_change(uri, UPDATED, source, item))
    changes.extend(_change(uri, DELETED, source, item) for uri, item in before.items() if uri not in after)
    return tuple(changes)


def _change(uri: str, kind: str, source: str, item: Item) -> Change:
    # Not the entity tag: that is the whole document's, and another one for an equal document.
    metadata: dict[str, object] = {"version": item.fingerprint.hex(), "size": len(item.content)}
    return Change(uri=uri, kind=kind, data=json_data(item.content), metadata=metadata, source=source)


def _parse(body: bytes) -> object:
    try:
        # Some servers put a byte order mark before their JSON; RFC 8259 (8.1) lets a parser ignore it.
        return msgspec.json.decode(body.removeprefix(b"\xef\xbb\xbf").decode())
    except UnicodeDecodeError as error:
        raise BadDocument(f"the document is no UTF-8 at byte {error.start}") from None
    except msgspec.DecodeError as error:
        raise BadDocument(f"the document is no JSON: {error}") from None
    except RecursionError:
        raise BadDocument("the document is nested too deeply") from None


def _summary(problems: list[str], total: int) -> str:
    if not problems:
        return ""
    shown = "; ".join(problems[:_PROBLEMS_SHOWN])
    more = "; ..." if len(problems) > _PROBLEMS_SHOWN else ""
    return f"{len(problems)} of {total} items left out: {shown}{more}"


def _shown(text: str) -> str:
    return repr(text if len(text) <= _SHOWN else text[:_SHOWN] + "...")
