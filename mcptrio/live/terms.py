"""Terms: what a client asks for with one subscription of the extension, as docs/extension.md has it."""

from __future__ import annotations

import re

from msgspec import Struct

from mcptrio.live.cursor import Cursor, InvalidCursor
from mcptrio.live.fields import Fields, InvalidFields, parse_fields
from mcptrio.live.filter import Filter, InvalidFilter, parse_filter
from mcptrio.live.json_value import described
from mcptrio.live.policy import InvalidPolicy, Policy, parse_policy
from mcptrio.live.selector import InvalidSelector, Selector, parse_selector

_LABEL = re.compile(r"(?!\.\.?\Z)[A-Za-z0-9._-]{1,64}", re.ASCII)
"""Not a dot or two: `mcptrio://subscriptions/..` is another URI to whoever normalises it."""


class InvalidTerms(ValueError):
    """What was given is no subscription; the message begins with the place in it and says what would be one."""


class Terms(Struct, frozen=True):
    """One subscription as it is asked for. Immutable."""

    label: str
    selector: Selector
    filter: Filter | None
    policy: Policy
    fields: Fields
    since: Cursor | None
    spelled: dict[str, object]
    """What was given of selector, filter, policy and fields, defaults written out."""
    where: str
    """What messages call the subscription."""

    @property
    def nodes(self) -> int:
        """How many filters its filter is made of."""
        return 0 if self.filter is None else self.filter.nodes

    def honoured(self, cursor: Cursor, recovered: bool | None = None) -> dict[str, object]:
        """What the acknowledgement says: it begins at `cursor`; with `since`, whether nothing is missing before that."""
        told = {**self.spelled, "cursor": str(cursor)}
        return told if recovered is None else {**told, "recovered": recovered}


def parse_terms(value: object, where: str) -> Terms:
    """Understand one subscription, decoded from JSON. Members that are not known are ignored; `null` is nothing given.

    Raises:
        InvalidTerms: it is none.
    """
    if not isinstance(value, dict):
        raise InvalidTerms(f"{where}: an object, not {described(value)}")
    given = {name: member for name, member in value.items() if member is not None}
    label = given.get("label")
    if not isinstance(label, str) or not _LABEL.fullmatch(label):
        raise InvalidTerms(
            f"{where}.label: 1 to 64 characters of A-Z a-z 0-9 . _ -, but neither . nor .., not {described(label)}"
        )
    try:
        selector = parse_selector(given, where)
        filter = parse_filter(given["filter"], f"{where}.filter") if "filter" in given else None
        policy = parse_policy(given.setdefault("policy", "conflate"), f"{where}.policy")
        fields = parse_fields(given.setdefault("fields", "none"), f"{where}.fields")
    except (InvalidSelector, InvalidFilter, InvalidPolicy, InvalidFields) as error:
        raise InvalidTerms(str(error)) from None
    since = None
    if "since" in given:
        text = given["since"]
        if not isinstance(text, str):
            raise InvalidTerms(f"{where}.since: a cursor is a string, not {described(text)}")
        try:
            since = Cursor.parse(text, f"{where}.since")
        except InvalidCursor as error:
            raise InvalidTerms(str(error)) from None
    members = ("label", selector.kind, "filter", "policy", "fields")
    spelled = {name: given[name] for name in members if name in given}
    return Terms(label, selector, filter, policy, fields, since, spelled, where)
