"""What `docs/security.md` names is there: tests, settings, modules, and each requirement of levels 1 and 2 once."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Final

import pytest

from entrypoints.settings import SETTINGS

ROOT: Final = Path(__file__).parents[2]
PAGE: Final = (ROOT / "docs" / "security.md").read_text()
SIZES: Final = """
    1.1:2 1.2:9 1.3:11 1.4:3 1.5:2 2.1:3 2.2:3 2.3:4 2.4:1
    3.2:2 3.3:4 3.4:6 3.5:5 3.7:2 4.1:3 4.2:1 4.3:2 4.4:4
    5.1:1 5.2:3 5.3:2 5.4:3 6.1:3 6.2:12 6.3:4 6.4:4 6.5:5 6.6:3 6.8:4
    7.1:3 7.2:4 7.3:2 7.4:5 7.5:2 7.6:2 8.1:2 8.2:3 8.3:1 8.4:1
    9.1:3 9.2:4 10.1:2 10.2:2 10.3:4 10.4:11 10.5:5 10.6:2 10.7:3
    11.1:2 11.2:3 11.3:3 11.4:4 11.5:1 11.6:1 12.1:3 12.2:2 12.3:4
    13.1:1 13.2:5 13.3:2 13.4:5 14.1:2 14.2:4 14.3:3 15.1:3 15.2:3 15.3:7
    16.1:1 16.2:5 16.3:4 16.4:3 16.5:3 17.1:1 17.2:4 17.3:2
"""
"""How many requirements of levels 1 and 2 each section of ASVS 5.0.0 has, all numbered from 1 without a gap."""
_ID: Final = r"`v5\.0\.0-(\d+\.\d+)\.(\d+)`"
_IDS: Final = re.compile(rf"{_ID}(?: to {_ID})?")
_TEST: Final = re.compile(r"`(tests/[\w/]+\.py)((?:::\w+)*)`")
TESTS: Final = sorted({(found[1], found[2]) for found in _TEST.finditer(PAGE)})


def _requirements() -> Iterator[str]:
    """Give the ids of the page's tables, each as often as it stands there; `a to b` are all between as well."""
    for found in _IDS.finditer(PAGE):
        section, first, end, last = found.groups()
        assert end in (None, section), f"{found[0]} spans two sections"
        for number in range(int(first), int(last or first) + 1):
            yield f"{section}.{number}"


@cache
def _names(file: str) -> frozenset[str]:
    """Return the functions and classes of a file, those of classes as `Class::function`."""
    names = set[str]()
    for node in ast.parse((ROOT / file).read_text()).body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.add(node.name)
        if isinstance(node, ast.ClassDef):
            names |= {
                f"{node.name}::{inner.name}"
                for inner in node.body
                if isinstance(inner, ast.FunctionDef | ast.AsyncFunctionDef)
            }
    return frozenset(names)


@pytest.mark.parametrize(("file", "name"), TESTS)
def test_each_test_that_is_named_is_there(file: str, name: str) -> None:
    assert (ROOT / file).is_file()
    assert name.removeprefix("::") in {"", *_names(file)}


def test_a_row_of_what_is_met_says_what_shows_it() -> None:
    met = PAGE.partition("### What is met")[2].partition("\n### ")[0]
    rows = [line.strip("|").split(" | ") for line in met.splitlines() if line.startswith("| `v5")]
    assert len(TESTS) > 100
    for row in rows:
        assert len(row) == 4, row
        assert all(cell.strip() for cell in row), row


def test_no_requirement_stands_twice_and_none_is_left_out() -> None:
    named = list(_requirements())
    assert sorted({each for each in named if named.count(each) > 1}) == []
    sizes = (each.split(":") for each in SIZES.split())
    wanted = {f"{section}.{number}" for section, size in sizes for number in range(1, int(size) + 1)}
    assert len(wanted) == 253
    assert set(named) == wanted


def test_each_setting_that_is_named_is_one() -> None:
    named = set(re.findall(r"PAYMENTS_[A-Z_]+", PAGE))
    assert named
    assert named <= {setting.name for setting in SETTINGS}


def test_each_module_that_is_named_is_there() -> None:
    named = set(re.findall(r"`((?:\w+/)*\w+\.(?:py|txt|html))`", PAGE))
    assert named
    files = [file.as_posix() for folder in ("src", "tests") for file in (ROOT / folder).rglob("*.*")]
    assert sorted(name for name in named if not any(file.endswith(f"/{name}") for file in files)) == []
