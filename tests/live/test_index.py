"""The index of selectors against a list of all of them; and what a lookup costs, counted in nodes."""

from __future__ import annotations

from collections import Counter
from itertools import combinations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from mcptrio.live.index import SelectorIndex, _Node
from mcptrio.live.selector import Selector, parse_selector

GLOBS = [
    "a:aa*",
    "a:ab*",
    "a:aab*",
    "a:a*b",
    "a:a*",
    "a:*",
    "a:**",
    "**a",
    "**b",
    "**aa/*",
    "**a**",
    "**ab**",
    "a:?",
    "a:??/*",
    "a:b?*",
]
TEMPLATES = ["a:{x}", "a:{x}/{+y}", "a:{+x}/a", "a:a{x}", "a:{x}b"]
URIS = ["a:a", "a:b", "a:ab", "a:a/b"]
SELECTORS = [
    parse_selector({kind: text})
    for kind, texts in (("glob", GLOBS), ("template", TEMPLATES), ("uri", URIS))
    for text in texts
]
ITEMS = st.integers(0, 2)

Tree = dict[str, tuple[list[int], "Tree"]]


def glob(text: str) -> Selector:
    return parse_selector({"glob": text})


def tree(node: _Node[int]) -> Tree:
    """All that is in the tree under a node; by the way, whether it hangs together."""
    found: Tree = {}
    for children in (node.literals, node.wildcards):
        for key, child in (children or {}).items():
            assert child.parent is node
            assert key == (child.part if children is node.wildcards else child.part[0])
            items = () if child.items is None else child.items
            found[child.part] = (sorted(items) if isinstance(items, dict | tuple) else [items], tree(child))
    return found


def nodes(found: Tree) -> int:
    return 1 + sum(nodes(below) for _, below in found.values())


def expect_empty(index: SelectorIndex[int]) -> None:
    """Nothing is left, looked at from inside."""
    assert len(index) == 0
    assert (index._exact, index._ends, tree(index._root)) == ({}, {}, {})


def steps(index: SelectorIndex[int], uri: str) -> int:
    before = index.steps
    index.matching(uri)
    return index.steps - before


class IndexMachine(RuleBasedStateMachine):
    """Items come and go under selectors, and URIs are looked up."""

    def __init__(self) -> None:
        super().__init__()
        self.index: SelectorIndex[int] = SelectorIndex()
        self.pairs: dict[tuple[str, int], Selector] = {}

    @rule(selector=st.sampled_from(SELECTORS), item=ITEMS)
    def add(self, selector: Selector, item: int) -> None:
        key = (selector.pattern, item)
        assert self.index.add(selector, item) == (key not in self.pairs)
        self.pairs.setdefault(key, selector)

    @rule(selector=st.sampled_from(SELECTORS), item=ITEMS)
    def remove(self, selector: Selector, item: int) -> None:
        key = (selector.pattern, item)
        assert self.index.remove(selector, item) == (key in self.pairs)
        self.pairs.pop(key, None)

    @rule(item=ITEMS)
    def leave(self, item: int) -> None:
        theirs = [(selector, item) for (_, holder), selector in self.pairs.items() if holder == item]
        gone = self.index.remove_all([*theirs, *theirs])
        for selector, _ in theirs:
            del self.pairs[selector.pattern, item]
        left = {pattern for pattern, _ in self.pairs}
        assert [each.pattern for each in gone] == [
            each.pattern for each, _ in theirs if each.pattern not in left
        ]

    @rule(selector=st.sampled_from(SELECTORS))
    def count(self, selector: Selector) -> None:
        items = [item for pattern, item in self.pairs if pattern == selector.pattern]
        assert self.index.has(selector) == bool(items)
        found = sum(count for item, count in self.index.groups() if item in items)
        assert found >= len(items)
        assert sum(count for _, count in self.index.groups()) == len(self.pairs)

    @rule(rest=st.text("ab/", max_size=8))
    def look_up(self, rest: str) -> None:
        uri = "a:" + rest
        expected = Counter(item for (_, item), selector in self.pairs.items() if selector.matches(uri))
        assert Counter(self.index.matching(uri)) == expected

    @invariant()
    def nothing_tells_of_what_was_removed(self) -> None:
        fresh: SelectorIndex[int] = SelectorIndex()
        for (_, item), selector in self.pairs.items():
            fresh.add(selector, item)
        assert len(self.index) == len(self.pairs)
        assert tree(self.index._root) == tree(fresh._root)
        assert self.index._exact == fresh._exact
        assert self.index._ends.keys() == fresh._ends.keys()

    def teardown(self) -> None:
        for (_, item), selector in self.pairs.items():
            self.index.remove(selector, item)
        expect_empty(self.index)


IndexMachine.TestCase.settings = settings(max_examples=150, stateful_step_count=30)
TestIndex = IndexMachine.TestCase


def test_of_any_three_selectors_each_can_go_without_a_trace() -> None:
    for three in combinations(SELECTORS, 3):
        for gone in three:
            index: SelectorIndex[int] = SelectorIndex()
            fresh: SelectorIndex[int] = SelectorIndex()
            for selector in three:
                index.add(selector, 0)
                if selector is not gone:
                    fresh.add(selector, 0)
            index.remove(gone, 0)
            assert tree(index._root) == tree(fresh._root)


def test_items_of_one_selector_come_as_they_were_added_and_one_of_several_selectors_as_often() -> None:
    index: SelectorIndex[int] = SelectorIndex()
    for item in (3, 1, 2):
        index.add(glob("a:*"), item)
    assert index.matching("a:b") == [3, 1, 2]
    index.add(parse_selector({"uri": "a:b"}), 1)
    assert sorted(index.matching("a:b")) == [1, 1, 2, 3]


def test_what_was_found_may_be_removed_while_it_is_gone_through() -> None:
    index: SelectorIndex[int] = SelectorIndex()
    for item in range(3):
        index.add(glob("a:*"), item)
    for item in index.matching("a:b"):
        index.remove(glob("a:*"), item)
    expect_empty(index)


def mixed(number: int) -> list[object]:
    """Selectors of every kind, as they are subscribed; each is nearly like those of other numbers."""
    return [
        {"uri": f"mail://inbox/{number}"},
        {"glob": f"mail://box{number}/*"},
        {"glob": f"mail://*/user{number}/**"},
        {"glob": f"file:///home/u{number}/**.py"},
        {"template": f"jira://{{project}}/ISSUE-{number}/{{field}}"},
        {"template": f"git://{{+repository}}/commit/{number:x}"},
        {"glob": f"**/thing{number}"},
        {"glob": f"**-tag{number}-**"},
        {"glob": f"log://app/2026-??-??/*-{number}-*"},
    ]


@pytest.mark.parametrize(
    "uri",
    [
        "mail://inbox/15",
        "mail://box15/1",
        "mail://any/user15/a/b",
        "file:///home/u15/src/deep/er/and/deeper/main.py",
        "jira://P/ISSUE-15/status",
        "git://example.org/a/b/commit/f",
        "a://b/c/thing15",
        "a:xx-tag15-yy",
        "log://app/2026-11-20/a-15-b",
    ],
)
def test_a_lookup_costs_what_fits_and_not_what_is_subscribed(uri: str) -> None:
    index: SelectorIndex[int] = SelectorIndex()
    for number in range(1000):
        for selector in mixed(number):
            index.add(parse_selector(selector), number)
    assert len(index) == 9000
    assert index.matching(uri) == [15]
    assert steps(index, uri) <= 20


def test_overlapping_patterns_of_many_wildcards_cost_each_node_once_at_most() -> None:
    index: SelectorIndex[int] = SelectorIndex()
    for number in range(300):
        pieces = ("**", "*a*", "?", "**aa", "a**a", "**?")
        index.add(glob("a:**" + "a".join(pieces[number // 6**n % 6] for n in range(4)) + "b"), number)
    assert steps(index, "a:" + "a" * 2000) <= nodes(tree(index._root))
    assert index.matching("a:" + "a" * 2000) == []
    assert sorted(index.matching("a:" + "a" * 1000 + "b")) == list(range(300))


def test_one_who_leaves_with_all_that_it_asked_for_leaves_what_others_asked_for() -> None:
    index: SelectorIndex[int] = SelectorIndex()
    before: SelectorIndex[int] = SelectorIndex()
    for number in range(0, 400, 2):
        for selector in map(parse_selector, mixed(number)):
            before.add(selector, 0)
            index.add(selector, 0)
    theirs = [parse_selector(selector) for number in range(400) for selector in mixed(number)]
    assert all(index.add(selector, 1) for selector in theirs)
    mine = {
        selector.pattern for number in range(0, 400, 2) for selector in map(parse_selector, mixed(number))
    }
    gone = index.remove_all((selector, 1) for selector in theirs)
    assert [each.pattern for each in gone] == [each.pattern for each in theirs if each.pattern not in mine]
    assert tree(index._root) == tree(before._root)
    assert index._exact == before._exact
