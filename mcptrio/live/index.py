"""Who asked for a URI: the index of all selectors."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator
from typing import Generic, TypeVar

from mcptrio.live.reading import Reading
from mcptrio.live.selector import Selector

Item = TypeVar("Item", bound=Hashable)


class _Several(dict[Item, None]):
    """The items under one selector, in order, where there is more than one. One alone stands for itself, as most do."""

    __slots__ = ()


class _Node(Generic[Item]):
    """What patterns with an equal beginning share: the end of that beginning, and how they go on."""

    __slots__ = ("items", "literals", "parent", "part", "wildcards")

    def __init__(self, part: str, parent: _Node[Item] | None) -> None:
        self.part = part
        """A literal or a wildcard; nothing at the root."""
        self.parent = parent
        self.items: Item | _Several[Item] | None = None
        """Of the patterns that end here."""
        self.literals: dict[str, _Node[Item]] | None = None
        """By their first character, which no two have in common."""
        self.wildcards: dict[str, _Node[Item]] | None = None

    def with_wildcard(self, wildcard: str) -> _Node[Item]:
        """The node behind this one for a wildcard, made where it is missing."""
        if self.wildcards is None:
            self.wildcards = {}
        child = self.wildcards.get(wildcard)
        if child is None:
            child = self.wildcards[wildcard] = _Node(wildcard, self)
        return child

    def with_literal(self, text: str) -> _Node[Item]:
        """The node behind this one for a literal, made where it is missing."""
        node = self
        while text:
            if node.literals is None:
                node.literals = {}
            child = node.literals.get(text[0])
            if child is None:
                node.literals[text[0]] = child = _Node(text, node)
                return child
            if not text.startswith(child.part):
                child = child.split(_shared(child.part, text))
            node = child
            text = text[len(child.part) :]
        return node

    def split(self, length: int) -> _Node[Item]:
        """A new node for the beginning of this literal, put between this node and its parent."""
        parent = self.parent
        assert parent is not None and parent.literals is not None
        upper = parent.literals[self.part[0]] = _Node(self.part[:length], parent)
        self.part = self.part[length:]
        self.parent = upper
        upper.literals = {self.part[0]: self}
        return upper

    def join(self) -> None:
        """Undo a split that parts nothing any more."""
        parent = self.parent
        if (
            self.items is not None
            or self.wildcards is not None
            or self.literals is None
            or len(self.literals) > 1
        ):
            return
        if parent is None or self.part[0] == "{":
            return
        assert parent.literals is not None
        (child,) = self.literals.values()
        child.part = self.part + child.part
        child.parent = parent
        parent.literals[child.part[0]] = child


def _prune(idle: Iterable[_Node[Item]]) -> None:
    """Take away what serves nothing any more, from these nodes upwards.

    What is left is joined at last, once: each join makes a text, and most would be made for nothing while others go.
    """
    left: dict[_Node[Item], None] = {}
    for node in idle:
        while node.items is None and node.literals is None and node.wildcards is None:
            parent = node.parent
            if parent is None:
                break
            node.parent = None
            if node.part[0] == "{":
                assert parent.wildcards is not None
                del parent.wildcards[node.part]
                parent.wildcards = parent.wildcards or None
            else:
                assert parent.literals is not None
                del parent.literals[node.part[0]]
                parent.literals = parent.literals or None
            node = parent
        left[node] = None
    for node in left:
        node.join()


def _shared(one: str, other: str) -> int:
    """How many characters two texts begin with alike. By halving: slices are compared in C."""
    low, high = 0, min(len(one), len(other))
    while low < high:
        middle = (low + high + 1) // 2
        if other.startswith(one[:middle]):
            low = middle
        else:
            high = middle - 1
    return low


def _has(items: Item | _Several[Item] | None, item: Item) -> bool:
    return item in items if isinstance(items, _Several) else items == item


def _with(items: Item | _Several[Item] | None, item: Item) -> Item | _Several[Item]:
    if items is None:
        return item
    if not isinstance(items, _Several):
        items = _Several({items: None})
    items[item] = None
    return items


def _without(items: Item | _Several[Item] | None, item: Item) -> Item | _Several[Item] | None:
    if not isinstance(items, _Several):
        return None
    del items[item]
    return next(iter(items)) if len(items) == 1 else items


def _gather(items: Item | _Several[Item] | None, found: list[Item]) -> None:
    if isinstance(items, _Several):
        found.extend(items)
    elif items is not None:
        found.append(items)


def _fitting(literals: dict[str, _Node[Item]], reading: Reading, places: int) -> Iterable[_Node[Item]]:
    """Those of the literals that may begin at one of the places, as far as their first character tells."""
    if places & (places - 1):
        return [child for first, child in literals.items() if first in reading.uri]
    if places == reading.end:
        return ()
    child = literals.get(reading.uri[places.bit_length() - 1])
    return () if child is None else (child,)


class SelectorIndex(Generic[Item]):
    """Which items, added under selectors, a URI is for.

    Exact URIs are in a table; templates and globs in one tree of their literals and wildcards, where equal beginnings
    are one path. Looking up a URI walks only where it fits so far, and comes to each node once, with all the places
    at which that may be: so it costs what fits, not what is in the index, and no pattern makes it try anything twice.
    At worst, if all patterns fit but for their ends, it is linear in them. Selectors of equal `pattern` are one.

    Synchronous and complete; nothing of what was removed stays. An item is anything but None.
    """

    def __init__(self) -> None:
        self.steps = 0
        """How many nodes of the tree were looked at since the beginning."""
        self._exact: dict[str, Item | _Several[Item]] = {}
        self._root: _Node[Item] = _Node("", None)
        self._ends: dict[str, _Node[Item]] = {}
        """The node at which each pattern ends."""
        self._count = 0

    def __len__(self) -> int:
        """How many items under how many selectors: the number of pairs."""
        return self._count

    def add(self, selector: Selector, item: Item) -> bool:
        """Have an item found for all URIs that a selector matches. True if it was not before. Idempotent."""
        pattern = selector.pattern
        if selector.is_exact:
            known = self._exact.get(pattern)
            if _has(known, item):
                return False
            self._exact[pattern] = _with(known, item)
        else:
            node = self._ends.get(pattern)
            if node is None:
                node = self._ends[pattern] = self._grow(selector)
            elif _has(node.items, item):
                return False
            node.items = _with(node.items, item)
        self._count += 1
        return True

    def _grow(self, selector: Selector) -> _Node[Item]:
        node = self._root
        for part in selector.parts:
            node = node.with_wildcard(part) if part[0] == "{" else node.with_literal(part)
        return node

    def has(self, selector: Selector) -> bool:
        """Whether there is any item under a selector."""
        return selector.pattern in (self._exact if selector.is_exact else self._ends)

    def remove(self, selector: Selector, item: Item) -> bool:
        """Undo `add`. True if there was something to undo. Idempotent."""
        before = self._count
        self.remove_all(((selector, item),))
        return self._count < before

    def remove_all(self, pairs: Iterable[tuple[Selector, Item]]) -> list[Selector]:
        """Undo `add` for many, in one step, which costs less than one by one. Idempotent.

        Returns the selectors under which there is nothing any more.
        """
        gone: list[Selector] = []
        idle: list[_Node[Item]] = []
        exact, ends = self._exact, self._ends
        count = self._count
        for selector, item in pairs:
            pattern = selector.pattern
            node = None
            if selector.is_exact:
                items = exact.get(pattern)
            else:
                node = ends.get(pattern)
                items = None if node is None else node.items
            if items is item:  # alone, as most are
                rest = None
            elif _has(items, item):
                rest = _without(items, item)
            else:
                continue
            count -= 1
            if node is not None:
                node.items = rest
                if rest is None:
                    del ends[pattern]
                    idle.append(node)
                    gone.append(selector)
            elif rest is None:
                del exact[pattern]
                gone.append(selector)
            else:
                exact[pattern] = rest
        self._count = count
        _prune(idle)
        return gone

    def groups(self) -> Iterator[tuple[Item, int]]:
        """For each pattern one of its items, and how many it has. Not to be kept while items come and go."""
        for items in (*self._exact.values(), *(node.items for node in self._ends.values())):
            if isinstance(items, _Several):
                yield next(iter(items)), len(items)
            elif items is not None:
                yield items, 1

    def matching(self, uri: str) -> list[Item]:
        """The items whose selector matches a URI, once for each such selector; those of one selector as they were added."""
        found: list[Item] = []
        _gather(self._exact.get(uri), found)
        if self._ends:
            self._walk(Reading(uri), found)
        return found

    def _walk(self, reading: Reading, found: list[Item]) -> None:
        pending = [(self._root, 1)]
        while pending:
            node, places = pending.pop()
            self.steps += 1
            if node.items is not None and places & reading.end:
                _gather(node.items, found)
            if node.wildcards is not None:
                for wildcard, child in node.wildcards.items():
                    reached = reading.after_wildcard(places, wildcard)
                    if reached:
                        pending.append((child, reached))
            if node.literals is not None:
                for child in _fitting(node.literals, reading, places):
                    reached = reading.after_literal(places, child.part)
                    if reached:
                        pending.append((child, reached))
