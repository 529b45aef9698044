"""What the extension may tell whom, judged as it is sent: the part of the tap that docs/extension.md is about.

It knows nothing of the code that it judges: patterns are translated to regular expressions here, and the chain of
offsets is followed for every subscription of every client in every test.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

SUBSCRIPTIONS = "io.mcptrio/subscriptions"
CHANGE = "io.mcptrio/change"
EXTENSION = "io.mcptrio/live"
CALLED = "mcptrio://subscriptions/"

REASONS = {"pending", "history", "restarted"}
_CURSOR = re.compile(r"[0-9a-f]{16}\.([0-9]+)")
_AT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
_GLOB = {"**": ".*", "*": "[^/]*", "?": "[^/]"}
_MOST_WILDCARDS = 4
"""Patterns with more are not judged: a regular expression may take for ever over them."""

Object = dict[str, object]


def fits(honoured: Object, uri: str) -> bool:
    """Whether what was acknowledged selects a URI."""
    if "uri" in honoured:
        return honoured["uri"] == uri
    if "glob" in honoured:
        parts = re.split(r"(\*+|\?)", str(honoured["glob"]))
        patterns = [_GLOB.get(part[:2] if part[:1] == "*" else part) or re.escape(part) for part in parts]
    else:
        parts = re.split(r"(\{[^}]*\})", str(honoured["template"]))
        patterns = [
            (".+" if part[1] == "+" else "[^/?#]+") if part[:1] == "{" else re.escape(part) for part in parts
        ]
    if len(parts) // 2 > _MOST_WILDCARDS:
        return True
    return re.fullmatch("".join(patterns), uri) is not None


def declares(capabilities: object) -> bool:
    """Whether a client has opted in."""
    if not isinstance(capabilities, dict):
        return False
    named = [capabilities.get("extensions"), capabilities.get("experimental")]
    return any(isinstance(each, dict) and EXTENSION in each for each in named)


@dataclass
class Chain:
    """One subscription, and the offset that it was told last."""

    honoured: Object
    last: int

    @property
    def uri(self) -> object:
        return self.honoured.get("uri", f"{CALLED}{self.honoured['label']}")

    def told(self, uri: object, change: Object) -> None:
        """Judge what is told by it."""
        assert change["prev"] == self.last, f"a hole behind {self.last}: {change}"
        offset, prev = change["offset"], change["prev"]
        assert isinstance(offset, int) and isinstance(prev, int)
        self.last = offset
        if "reason" in change:
            assert set(change) == {"label", "kind", "offset", "prev", "reason"}, change
            assert change["kind"] == "gap" and change["reason"] in REASONS, change
            assert (offset >= prev or change["reason"] == "restarted") and uri == self.uri, (uri, change)
            return
        assert offset > prev, f"offsets rise: {change}"
        assert isinstance(uri, str) and fits(self.honoured, uri), f"{uri} was not asked for: {self.honoured}"
        rest = set(change) - {"label", "kind", "offset", "prev", "at", "eventId"}
        fields = self.honoured["fields"]
        allowed = set() if fields == "none" else {"metadata", "omitted"}
        allowed |= {"data"} if fields not in ("none", "metadata") else set()
        assert rest <= allowed and not ("omitted" in rest and len(rest) > 1), (fields, change)
        assert isinstance(change["at"], str) and _AT.fullmatch(change["at"]), change
        if isinstance(fields, list) and "data" in change:
            data = change["data"]
            assert isinstance(data, dict) and set(data) <= set(fields), change


@dataclass
class Chains:
    """The extension's subscriptions of one client: of its session, and of each of its listens."""

    _chains: dict[object, dict[object, Chain]] = field(default_factory=dict)

    def begin(self, owner: object, honoured: object, asked: object, capabilities: object) -> None:
        """Something is acknowledged: it was asked for, by somebody who has opted in."""
        assert declares(capabilities), f"acknowledged to somebody who has not opted in: {honoured}"
        assert isinstance(honoured, dict) and isinstance(asked, dict)
        cursor = _CURSOR.fullmatch(str(honoured.get("cursor")))
        assert cursor is not None, f"no cursor: {honoured}"
        defaults: Object = {"policy": "conflate", "fields": "none"}
        known = ("label", "uri", "template", "glob", "filter", "policy", "fields")
        given = {name: asked[name] for name in known if asked.get(name) is not None}
        recovered = {"recovered"} if asked.get("since") is not None else set()
        rest = {name: value for name, value in honoured.items() if name not in {"cursor", *recovered}}
        assert rest == defaults | given, f"not what was asked for: {honoured}"
        assert isinstance(honoured.get("recovered", False), bool) and recovered <= set(honoured), honoured
        self._chains.setdefault(owner, {})[honoured["label"]] = Chain(honoured, int(cursor[1]))

    def begin_all(self, owner: object, honoured: object, asked: object, capabilities: object) -> None:
        """The list of an acknowledgement: some of what was asked for, in its order."""
        assert isinstance(honoured, list) and isinstance(asked, list)
        rest = iter(asked)
        for each in honoured:
            wanted = next((one for one in rest if one["label"] == each["label"]), None)
            assert wanted is not None, f"not what was asked for, or not in its order: {honoured}"
            self.begin(owner, each, wanted, capabilities)

    def told(self, owner: object, uri: object, change: object) -> None:
        """Judge an update with what the extension adds."""
        assert isinstance(change, dict)
        chain = self._chains.get(owner, {}).get(change.get("label"))
        assert chain is not None, f"of no subscription, or behind its end: {uri} {change}"
        chain.told(uri, change)

    def end(self, owner: object) -> None:
        """All of one owner have ended."""
        self._chains.pop(owner, None)

    def unsubscribe(self, owner: object, uri: object) -> None:
        """All that go by a URI have ended, and the one of its label."""
        chains = self._chains.get(owner, {})
        for label in [label for label, chain in chains.items() if uri in (chain.uri, f"{CALLED}{label}")]:
            del chains[label]
