"""Cursors: bound to one list, refused anywhere else."""

import base64
import json
import re

import pytest

from payments_core.errors import Invalid
from payments_core.page import IDS, POSITIONS, Position, read_cursor, write_cursor
from payments_core.values import Json

ID = "txn_0SGF9SGFB4D81Q99N8GAD3VEGM"
BOUND: Json = ["mer_1", False, "transactions", {"status": None}]


@pytest.mark.parametrize("position", [Position(key=ID), Position(key=ID, backwards=True)])
def test_a_cursor_is_read_as_it_was_written(position: Position) -> None:
    assert read_cursor(write_cursor(position, BOUND), BOUND, keys=IDS) == position


@pytest.mark.parametrize(
    "other",
    [
        ["mer_2", False, "transactions", {"status": None}],
        ["mer_1", True, "transactions", {"status": None}],
        ["mer_1", False, "refunds", {"status": None}],
        ["mer_1", False, "transactions", {"status": "failed"}],
    ],
)
def test_a_cursor_of_another_list_is_refused(other: Json) -> None:
    cursor = write_cursor(Position(key=ID), BOUND)
    with pytest.raises(Invalid):
        read_cursor(cursor, other, keys=IDS)


def written(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


@pytest.mark.parametrize(
    "cursor",
    [
        "",
        "x",
        "é",
        "!!!!",
        "a" * 10_000,
        written({}),
        written([]),
        written(["a", 2, "b"]),
        written([1, 0, "b"]),
        written("[" * 100),
    ],
)
def test_a_malformed_cursor_is_refused(cursor: str) -> None:
    with pytest.raises(Invalid):
        read_cursor(cursor, BOUND, keys=IDS)


@pytest.mark.parametrize(
    ("key", "keys"),
    [
        *((key, IDS) for key in ("", "x", "txn_1", "7", ID.lower(), ID + "\0")),
        *((key, POSITIONS) for key in ("", "nothing", ID, "-1", "٣", "1" * 19, "1\0")),
    ],
)
def test_a_cursor_whose_key_is_none_of_the_list_is_refused(key: str, keys: re.Pattern[str]) -> None:
    with pytest.raises(Invalid):
        read_cursor(write_cursor(Position(key=key), BOUND), BOUND, keys=keys)
