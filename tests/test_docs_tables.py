"""The tables of docs/operating.md, docs/access.md and docs/errors.md have what the code has."""

from __future__ import annotations

import json
import re
from pathlib import Path

import msgspec
import pytest
from prometheus_client.parser import text_string_to_metric_families

from mcptrio import App
from mcptrio.config import load
from mcptrio.config.settings import LimitsTable, ServerTable
from mcptrio.live import allowance, history
from mcptrio.protocol import Failure, Refusal
from tests.server.rig import running

ROOT = Path(__file__).parents[1]
OPERATING = (ROOT / "docs" / "operating.md").read_text()
ERRORS = (ROOT / "docs" / "errors.md").read_text()


def rows(page: str, heading: str) -> list[list[str]]:
    """The cells of the tables below a heading, without their own headings."""
    section = re.split(r"^## ", page.partition(f"## {heading}\n")[2], maxsplit=1, flags=re.MULTILINE)[0]
    found = re.findall(r"^\| (`.*) \|$", section, re.MULTILINE)
    return [row.split(" | ") for row in found]


def words(cell: str) -> list[str]:
    return re.findall(r"`(\w+)`", cell)


@pytest.mark.parametrize(("heading", "table"), [("`[server]`", ServerTable), ("Limits", LimitsTable)])
def test_every_key_of_the_server_is_in_the_table(heading: str, table: type[msgspec.Struct]) -> None:
    documented = [key for row in rows(OPERATING, heading) for key in words(row[0])]
    assert sorted(documented) == sorted(each.name for each in msgspec.structs.fields(table))


def test_every_default_of_a_limit_is_as_the_table_says() -> None:
    documented = {
        key: json.loads(default)
        for row in rows(OPERATING, "Limits")
        for key, default in zip(words(row[0]), row[1].split(", "), strict=True)
    }
    assert documented == {each.name: each.default for each in msgspec.structs.fields(LimitsTable)}


async def test_every_metric_is_in_the_table() -> None:
    async with running(App("metrics")) as home:
        _, _, text = await home.get("/metrics")
    served = {family.name for family in text_string_to_metric_families(text)}
    cells = [row[0] for row in rows(OPERATING, "Seeing what it does")]
    documented = re.findall(r"`(mcptrio_\w+?)(?:_total)?(?:\{[\w,]+\})?`", " ".join(cells))
    assert sorted(documented) == sorted(served)


def test_every_reason_of_a_refused_connection_is_in_the_table() -> None:
    row = next(row for row in rows(OPERATING, "Seeing what it does") if "_refused_total{reason}" in row[0])
    code = "".join(path.read_text() for path in (ROOT / "mcptrio").rglob("*.py"))
    reasons = set(re.findall(r"Refused\(\s*[\w.]+, \"(\w+)\"|refuse\(\w+(?:\.\w+)*, \"(\w+)\"", code))
    assert {first or second for first, second in reasons} == set(words(row[1]))


def test_every_bound_of_the_extension_is_as_the_page_says() -> None:
    section = OPERATING.partition("## Live updates by the extension\n")[2].partition("\n## ")[0]
    bounds = re.findall(r"^\| ([\d,]+) changes, (\d+) MiB(?:, (\d+) hour)? \|", section, re.MULTILINE)
    assert bounds == [
        (f"{history.MOST:,}", f"{history.MOST_BYTES >> 20}", f"{history.MAX_AGE / 3600:g}"),
        (f"{allowance.MOST:,}", f"{allowance.MOST_BYTES >> 20}", ""),
    ]


def test_the_configuration_of_the_access_page_is_valid(tmp_path: Path) -> None:
    (block,) = re.findall(r"^```toml\n(.*?)^```", (ROOT / "docs" / "access.md").read_text(), re.M | re.S)
    (tmp_path / "config.toml").write_text(block)
    server = load(tmp_path / "config.toml").server
    assert (server.host, server.rate_limit, server.tls_key) == ("0.0.0.0", "100/s", "key.pem")


def test_every_refusal_has_its_row() -> None:
    section = ERRORS.partition("### Refusals")[2].partition("\n## ")[0]
    documented = re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE)
    assert sorted(documented) == sorted([*(refusal.value for refusal in Refusal), "connection_lost"])


def test_every_code_is_named() -> None:
    codes = {str(code) for failure in Failure for code in (failure.legacy, failure.modern)}
    assert codes <= set(re.findall(r"-32\d{3}", ERRORS))
