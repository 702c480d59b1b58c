"""The type of columns that hold text, and what such a column cannot hold."""

from __future__ import annotations

import re
from operator import eq
from typing import Any, Final

import sqlalchemy
from sqlalchemy import ColumnElement, false
from sqlalchemy.sql.operators import OperatorType

_NEVER_STORED: Final = re.compile("[\0\ud800-\udfff]")
"""NUL, and halves of surrogate pairs, which UTF-8 has no bytes for: Postgres refuses both in any text."""


def is_storable(text: str) -> bool:
    """Say whether a row can hold the text, or any that has it in it."""
    return _NEVER_STORED.search(text) is None


class Text(sqlalchemy.Text):
    """Text. None that Postgres would refuse is in any row: to compare a column with one is false, and no error.

    So every read answers it as it answers whatever else is not there. Written, it is refused.
    """

    class Comparator(sqlalchemy.Text.Comparator[str]):
        """What a column of text does with an operator."""

        def operate(self, op: OperatorType, *other: Any, **kwargs: Any) -> ColumnElement[Any]:
            if op is eq and isinstance(other[0], str) and not is_storable(other[0]):
                return false()
            return super().operate(op, *other, **kwargs)

    comparator_factory = Comparator
