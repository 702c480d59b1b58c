"""Query parameters, declared once for reading and for the OpenAPI document, and read strictly."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Final, Generic, TypeAlias, TypeVar, cast
from urllib.parse import parse_qsl, urlencode

from litestar import Request

from payments_core.checks import Faults
from payments_core.errors import Fault, Invalid
from payments_core.money import UnknownCurrency, currency
from payments_core.page import CURSOR_LENGTH_MAX, LIMIT_DEFAULT, LIMIT_MAX
from payments_core.use_cases.read_lists import ListQuery
from payments_core.values import Json

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)
E = TypeVar("E", bound=StrEnum)

AMOUNT_PATTERN: Final = r"^(0|[1-9][0-9]{0,13})(\.[0-9]{1,4})?$"
"""What the document can say of an amount; the currency says how many decimals there may be."""
PARAMETERS_MAX: Final = 50
TEXT_LENGTH_MAX: Final = 255
TIMES: Final = (datetime(1970, 1, 1, tzinfo=UTC), datetime(4000, 1, 1, tzinfo=UTC))
NAME_LENGTH_MAX: Final = 64
_TIME: Final = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?([Zz]|[+-][0-9]{2}:[0-9]{2})"
)
_ZONE_LOST: Final = re.compile(r".*[0-9] [0-9]{2}:[0-9]{2}")
TIME_LENGTH_MAX: Final = 40

Parse: TypeAlias = Callable[[str, str], T | Fault]
"""Read a text for the field of this name, or say what is wrong with it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter(Generic[T_co]):
    """One query parameter that a call takes."""

    name: str
    description: str
    schema: Mapping[str, Json]
    parse: Parse[T_co]


def parse_time(field: str, text: str) -> datetime | Fault:
    """Return the time in UTC, or what is wrong with it."""
    if len(text) <= TIME_LENGTH_MAX and _TIME.fullmatch(text) is not None:
        try:
            return datetime.fromisoformat(text.upper()).astimezone(UTC)
        except (ValueError, OverflowError):
            return Fault(field=field, code="malformed", message="There is no such time.")
    message = 'Must be a time with its zone as in RFC 3339, such as "2026-03-01T09:30:00Z".'
    if len(text) <= TIME_LENGTH_MAX and _ZONE_LOST.fullmatch(text) is not None:
        message += " In a query, `+` means a blank: write `%2B`, or use `Z`."
    return Fault(field=field, code="malformed", message=message)


def _text(field: str, text: str) -> str | Fault:
    faults = Faults()
    faults.text(field, text, longest=TEXT_LENGTH_MAX)
    try:
        faults.raise_if_any()
    except Invalid as invalid:
        return invalid.faults[0]
    return text


def text(name: str, description: str, *, longest: int = TEXT_LENGTH_MAX) -> Parameter[str]:
    """Return a parameter that is any text, or an opaque id."""
    schema: dict[str, Json] = {"type": "string", "minLength": 1, "maxLength": longest}
    return Parameter(name=name, description=description, schema=schema, parse=_text)


def amount(name: str, description: str) -> Parameter[str]:
    """Return a parameter that is an amount; only its currency tells whether it is well-formed."""
    schema: dict[str, Json] = {"type": "string", "pattern": AMOUNT_PATTERN}
    return Parameter(name=name, description=description, schema=schema, parse=_text)


def one_of(name: str, description: str, values: type[E]) -> Parameter[E]:
    """Return a parameter that is a member of an enumeration."""

    def parse(field: str, text: str) -> E | Fault:
        try:
            return values(text)
        except ValueError:
            return Fault(field=field, code="unknown_value", message=f"Must be one of {', '.join(values)}.")

    return Parameter(name=name, description=description, schema={"type": "string", "enum": [*values]}, parse=parse)


def time(name: str, description: str) -> Parameter[datetime]:
    """Return a parameter that is a time with its zone.

    Times outside TIMES are taken for their nearest end: nothing was made there, and stores can reckon with it.
    """
    schema: dict[str, Json] = {"type": "string", "format": "date-time"}
    return Parameter(name=name, description=description, schema=schema, parse=_time)


def _time(field: str, text: str) -> datetime | Fault:
    found = parse_time(field, text)
    return found if isinstance(found, Fault) else min(max(found, TIMES[0]), TIMES[1])


def _limit(field: str, text: str) -> int | Fault:
    if text.isascii() and text.isdigit() and len(text) <= 3 and text[0] != "0" and int(text) <= LIMIT_MAX:
        return int(text)
    return Fault(field=field, code="out_of_range", message=f"Must be a whole number from 1 to {LIMIT_MAX}.")


def _cursor(field: str, text: str) -> str | Fault:
    if 1 <= len(text) <= CURSOR_LENGTH_MAX and text.isascii():
        return text
    return Fault(field=field, code="invalid_cursor", message="Is not a cursor of this list; start without one.")


def _currency(field: str, text: str) -> str | Fault:
    try:
        return currency(text).code
    except UnknownCurrency as error:
        return Fault(field=field, code=error.code, message=error.message)


LIMIT: Final[Parameter[int]] = Parameter(
    name="limit",
    description="How many items at most.",
    schema={"type": "integer", "minimum": 1, "maximum": LIMIT_MAX, "default": LIMIT_DEFAULT},
    parse=_limit,
)
CURSOR: Final[Parameter[str]] = Parameter(
    name="cursor",
    description="Where to read on: taken from `next` or `previous`, good for the same list with the same filters.",
    schema={"type": "string", "minLength": 1, "maxLength": CURSOR_LENGTH_MAX},
    parse=_cursor,
)
CURRENCY: Final[Parameter[str]] = Parameter(
    name="currency",
    description="Only in this currency (ISO 4217, case ignored; withdrawn ones too).",
    schema={"type": "string", "minLength": 3, "maxLength": 3},
    parse=_currency,
)
CREATED_AFTER: Final = time("created_after", "Only what was made after this time (RFC 3339).")
CREATED_BEFORE: Final = time("created_before", "Only what was made before this time (RFC 3339).")
PAGED: Final = (LIMIT, CURSOR)


@dataclass(frozen=True, slots=True)
class Query:
    """The query of a request, read: the values, and the texts in the order in which they came."""

    given: Sequence[tuple[str, str]] = ()
    values: Mapping[str, object] = field(default_factory=dict[str, object])

    def get(self, parameter: Parameter[T]) -> T | None:
        """Return a parameter's value, or None where it was not given."""
        return cast(T | None, self.values.get(parameter.name))

    @property
    def page(self) -> ListQuery:
        """Which page is asked for."""
        return ListQuery(limit=self.get(LIMIT) or LIMIT_DEFAULT, cursor=self.get(CURSOR))

    def target(self, path: str) -> str:
        """Return path and query such that the same question gives the same text."""
        return f"{path}?{urlencode(sorted(self.given))}" if self.given else path

    def link(self, path: str, cursor: str | None) -> str | None:
        """Return the path-relative link to a neighbour of this page, all filters kept; None where there is none."""
        if cursor is None:
            return None
        kept = [(name, value) for name, value in self.given if name != CURSOR.name]
        return f"{path}?{urlencode([*kept, (CURSOR.name, cursor)])}"


NO_QUERY: Final = Query()
_NO_PARAMETERS: Final[Mapping[str, Parameter[object]]] = {}


def read_query(raw: bytes, parameters: Mapping[str, Parameter[object]]) -> Query:
    """Return the query; raise Invalid with all that is unknown, repeated or malformed in it."""
    if not raw:
        return NO_QUERY
    try:
        given = parse_qsl(raw.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=PARAMETERS_MAX)
    except ValueError:
        message = f"Must be at most {PARAMETERS_MAX} parameters in percent-encoded UTF-8."
        raise Invalid([Fault(field="", code="malformed", message=message)]) from None
    faults, values = Faults(), dict[str, object]()
    seen = set[str]()
    for name, text in given:
        parameter = parameters.get(name)
        if parameter is None:
            known = ", ".join(f"`{known}`" for known in parameters) or "none"
            faults.add(name[:NAME_LENGTH_MAX], "unknown_parameter", f"This call's query parameters are: {known}.")
        elif name in seen:
            faults.add(name, "duplicate_parameter", "Is given more than once.")
        elif isinstance(value := parameter.parse(name, text), Fault):
            faults.add(value.field, value.code, value.message)
        else:
            values[name] = value
        seen.add(name)
    faults.raise_if_any()
    return Query(given, values)


async def take_no_query(request: Request[Any, Any, Any]) -> None:
    """Refuse a query where none is taken, before the handler runs. Raises Invalid."""
    read_query(request.scope["query_string"], _NO_PARAMETERS)
