"""The house rules that no linter knows, checked over every Python file of the project.

Run as `python scripts/house_rules.py [ROOT]`: one line per breach, exit status 1 if there is any. httpx outside its one
file is ruff's to find (TID251), an import that points up import-linter's.
"""

import ast
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

FOLDERS = ("mcptrio", "tests", "scripts")
LONGEST_FILE = 400  # lines
VAGUE_NAMES = frozenset({"util", "utils", "helper", "helpers", "common", "manager", "managers"})
TIMED_SCOPES = frozenset({"move_on_after", "move_on_at", "fail_after", "fail_at"})
DEADLINES = frozenset({"deadline", "relative_deadline"})


@dataclass(frozen=True, slots=True)
class Source:
    """One parsed file; `path` is relative to the root of the project."""

    path: Path
    lines: tuple[str, ...]
    tree: ast.Module

    @property
    def in_product(self) -> bool:
        return self.path.parts[0] == "mcptrio"

    def comment_at(self, node: ast.expr | ast.stmt | ast.arg) -> str:
        """The comments beside a node and on the lines directly above it ('' if there are none)."""
        first = node.lineno - 1
        above = first
        while above and self.lines[above - 1].lstrip().startswith("#"):
            above -= 1
        last = node.end_lineno or node.lineno
        return "\n".join(line.partition("#")[2] for line in self.lines[above:last])


@dataclass(frozen=True, slots=True)
class Breach:
    """A broken rule at a line (from 1)."""

    path: Path
    line: int
    message: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.message}"


Rule = Callable[[Source], Iterator[tuple[int, str]]]


def _called_name(call: ast.Call) -> str:
    """The last part of what is called: `open_memory_channel` for `trio.open_memory_channel[int](...)`."""
    function = call.func.value if isinstance(call.func, ast.Subscript) else call.func
    return ast.unparse(function).rpartition(".")[2]


def _is_true(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is True


def shield_has_deadline(source: Source) -> Iterator[tuple[int, str]]:
    """A shield ends by itself, or a comment says what its deadline is (or why there is none)."""
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Call):
            keywords = {keyword.arg: keyword.value for keyword in node.keywords}
            bare = (
                "shield" in keywords
                and _is_true(keywords["shield"])
                and _called_name(node) not in TIMED_SCOPES
                and DEADLINES.isdisjoint(keywords)
            )
        elif isinstance(node, ast.Assign):
            bare = _is_true(node.value) and any(
                isinstance(target, ast.Attribute) and target.attr == "shield" for target in node.targets
            )
        else:
            continue
        if bare and "deadline" not in source.comment_at(node):
            yield node.lineno, "a shield without a deadline: use trio.move_on_after(seconds, shield=True)"


def channel_has_bound(source: Source) -> Iterator[tuple[int, str]]:
    """A memory channel is bounded, or a comment says what bounds the number of its items."""
    for node in ast.walk(source.tree):
        if not (isinstance(node, ast.Call) and _called_name(node) == "open_memory_channel"):
            continue
        sizes = [*node.args, *(keyword.value for keyword in node.keywords)]
        unbounded = any(ast.unparse(size) in ("math.inf", "inf", "float('inf')") for size in sizes)
        if unbounded and not source.comment_at(node).strip():
            yield node.lineno, "an unbounded memory channel: bound it, or say in a comment what bounds it"


def nursery_stays_home(source: Source) -> Iterator[tuple[int, str]]:
    """Only supervision starts tasks in somebody else's nursery, or a comment says who ends that nursery."""
    if not source.in_product or source.path.parts[1] == "supervision":
        return
    for node in ast.walk(source.tree):
        if not isinstance(node, ast.arg):
            continue
        annotation = ast.unparse(node.annotation) if node.annotation else ""
        taken = node.arg.rpartition("_")[2] == "nursery" or annotation.rpartition(".")[2] == "Nursery"
        if taken and "nursery" not in source.comment_at(node):
            yield (
                node.lineno,
                f"a nursery as parameter ({node.arg}) outside supervision: take a function to call",
            )


def file_is_short(source: Source) -> Iterator[tuple[int, str]]:
    """One file is one noun."""
    if len(source.lines) > LONGEST_FILE:
        yield LONGEST_FILE, f"{len(source.lines)} lines, more than {LONGEST_FILE}: is it one noun?"


def name_says_what(source: Source) -> Iterator[tuple[int, str]]:
    """A file or folder is named for what is in it."""
    for part in source.path.with_suffix("").parts:
        vague = VAGUE_NAMES.intersection(part.split("_"))
        if vague:
            yield 1, f"{part}: a name that says nothing ({', '.join(sorted(vague))})"


RULES: tuple[Rule, ...] = (
    shield_has_deadline,
    channel_has_bound,
    nursery_stays_home,
    file_is_short,
    name_says_what,
)


def breaches(root: Path) -> Iterator[Breach]:
    """Every breach under `root`, file by file. Raises SyntaxError for a file that is not Python."""
    for folder in FOLDERS:
        for path in sorted((root / folder).rglob("*.py")):
            text = path.read_text(encoding="utf-8")
            source = Source(path.relative_to(root), tuple(text.splitlines()), ast.parse(text, str(path)))
            for rule in RULES:
                for line, message in rule(source):
                    yield Breach(source.path, line, message)


def main(arguments: list[str]) -> int:
    found = list(breaches(Path(arguments[0] if arguments else ".")))
    for breach in found:
        print(breach)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
