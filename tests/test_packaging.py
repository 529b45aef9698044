"""What is pinned: everything, with hashes, the same for running and for testing, and from nowhere in particular."""

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PINS = sorted([*ROOT.glob("constraints*.txt"), *(ROOT / "tests" / "interop").glob("constraints-*.txt")])

PINNED = re.compile(
    r"(?P<name>[a-z0-9-]+)==(?P<version>[^ ]+)( ; [^#]+?)?(?P<hashes>( --hash=sha256:[0-9a-f]{64})+)"
)


def pins(path: Path) -> dict[str, str]:
    """Each requirement of a constraints file: name to version and hashes. Fails on anything that is not pinned.

    The marker is left out: a set that needs a package on more platforms is still the same set.
    """
    joined = path.read_text(encoding="utf-8").replace("\\\n", " ")
    found = {}
    for line in joined.splitlines():
        line = " ".join(line.split())
        if line and not line.startswith("#"):
            pinned = PINNED.fullmatch(line)
            assert pinned, f"{path.name}: {line!r} is not a name, a version and hashes"
            found[pinned["name"]] = f"{pinned['version']}{pinned['hashes']}"
    return found


def needed(requirements: list[str]) -> set[str]:
    """The names of requirements, as the constraints files spell them."""
    return {re.split(r"[\[<>=~! ]", requirement)[0].lower().replace("_", "-") for requirement in requirements}


def test_four_sets_are_pinned() -> None:
    assert [path.name for path in PINS] == [
        "constraints-test.txt",
        "constraints.txt",
        "constraints-mcp-1.txt",
        "constraints-mcp-2.txt",
    ]


@pytest.mark.parametrize("path", PINS, ids=lambda path: path.name)
def test_every_pin_has_a_version_and_hashes_and_no_address(path: Path) -> None:
    assert len(pins(path)) > 5
    assert "://" not in path.read_text(encoding="utf-8")


def test_the_test_set_holds_the_runtime_set_at_the_same_versions() -> None:
    runtime = pins(ROOT / "constraints.txt")
    test = pins(ROOT / "constraints-test.txt")
    assert {name: test.get(name) for name in runtime} == runtime


def test_what_the_project_declares_is_pinned() -> None:
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    runtime = needed(declared["project"]["dependencies"] + declared["build-system"]["requires"])
    test = needed(declared["project"]["optional-dependencies"]["test"])
    assert runtime <= pins(ROOT / "constraints.txt").keys()
    assert test <= pins(ROOT / "constraints-test.txt").keys()
