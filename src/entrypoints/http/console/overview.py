"""The first page: how the business goes, and whether anything needs a hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, timedelta
from typing import Any, Final

from entrypoints.http.console.charts import Bucket, Chart, buckets, side_by_side, stacked
from entrypoints.http.console.days import FROM, TO, read_day
from entrypoints.http.console.page import page
from entrypoints.http.console.visits import Visit
from entrypoints.http.responses import Reply
from payments_core.checks import Faults
from payments_core.describe import JsonObject
from payments_core.errors import Invalid
from payments_core.money import currency, format_minor
from payments_core.ports import TransactionFilter
from payments_core.totals import SPAN_DAYS_MAX
from payments_core.use_cases.read_lists import ListQuery

SECTION: Final = "overview"
LATEST: Final = 10
SPANS: Final = (7, 30, 90, 365)
SPAN_DEFAULT: Final = 30
CURRENCIES_MAX: Final = 12
"""With charts of their own; in which more was taken comes first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Business:
    """A span in one currency: sums as they are written, and both charts. `rate` is None where no payment was decided.

    `rows` are what the charts show, for who would rather read.
    """

    currency: str
    volume: str
    refunded: str
    accepted: int
    refunds: int
    rate: str | None
    money: Chart
    payments: Chart
    rows: Sequence[Sequence[str]]


@page("", section=SECTION)
async def overview(visit: Visit) -> Reply:
    """Show a span's figures by day and currency, the latest payments, endpoints in trouble and what waits."""
    today = visit.services.clock.now().astimezone(UTC).date()
    fault: Invalid | None = None
    try:
        first, last = _span(visit, today)
        totals = await visit.payments.read.totals(visit.caller, first, last)
    except Invalid as invalid:
        fault, first, last = invalid, _back(today, SPAN_DEFAULT), today
        totals = await visit.payments.read.totals(visit.caller, first, last)
    read = visit.payments.read
    latest = await read.transactions(visit.caller, ListQuery(limit=LATEST), TransactionFilter())
    health = await read.endpoints_health(visit.caller)
    waiting = await read.waiting(visit.caller)
    return visit.show(
        "overview.html",
        faults=fault,
        first=first,
        last=last,
        spans=[(days, _back(today, days)) for days in SPANS],
        today=today,
        businesses=_businesses(totals.value, buckets(first, last))[:CURRENCIES_MAX],
        latest=latest.items,
        trouble=[one for one in health.value if one["in_trouble"]],
        waiting=waiting.value,
    )


PAGES: Final = (overview,)


def _back(today: date, days: int) -> date:
    return today - timedelta(days=days - 1)


def _span(visit: Visit, today: date) -> tuple[date, date]:
    """Return the days that the address asks for. Raises Invalid."""
    faults = Faults()
    first, last = read_day(visit.query, FROM, faults), read_day(visit.query, TO, faults)
    faults.raise_if_any()
    last = last or today
    first = first or _back(last, SPAN_DEFAULT)
    if first > last:
        raise Invalid.field(TO, "out_of_order", "Is before the first day.")
    if (last - first).days >= SPAN_DAYS_MAX:
        raise Invalid.field(FROM, "out_of_range", f"A span has {SPAN_DAYS_MAX} days at most.")
    return first, last


_Day = Mapping[str, Any]
"""One of the totals, as `describe.day_totals` gives it."""


def _businesses(totals: Sequence[JsonObject], parts: Sequence[Bucket]) -> list[Business]:
    """Return each currency's figures, the one with most payments first."""
    by_currency: dict[str, list[_Day]] = {}
    for one in totals:
        by_currency.setdefault(str(one["currency"]), []).append(one)
    found = [_business(code, days, parts) for code, days in by_currency.items()]
    return sorted(found, key=lambda one: (-one.accepted, one.currency))


def _business(code: str, days: Sequence[_Day], parts: Sequence[Bucket]) -> Business:
    def write(minor: int) -> str:
        return ("-" if minor < 0 else "") + format_minor(abs(minor), currency(code))

    within: list[list[_Day]] = [[] for _ in parts]
    for day in days:
        within[(date.fromisoformat(day["day"]) - parts[0].first).days // parts[0].days].append(day)
    sums = [_summed(some) for some in within]
    whole = _summed(days)
    return Business(
        currency=code,
        volume=write(whole["amount"]),
        refunded=write(whole["amount_refunded"]),
        accepted=whole["accepted"],
        refunds=whole["refunds"],
        rate=success_rate(whole["succeeded"], whole["failed"]),
        money=side_by_side(parts, [[one[name] for name in _MONEY] for one in sums], ("taken", "refunded"), write),
        payments=stacked(parts, [[one[name] for name in _COUNTED] for one in sums], _COUNTED, str),
        rows=[
            (part.words, write(one["amount"]), write(one["amount_refunded"]), *(f"{one[name]:,}" for name in _COUNTED))
            for part, one in zip(parts, sums, strict=True)
            if any(one.values())
        ],
    )


def success_rate(succeeded: int, failed: int) -> str | None:
    """Return which part of the payments that were decided in a span succeeded; None where none was.

    A correction of an earlier day's payment can bring a number below zero: it counts as none.
    """
    good, bad = max(0, succeeded), max(0, failed)
    return f"{good / (good + bad):.1%}" if good + bad else None


_MONEY: Final = ("amount", "amount_refunded")
_COUNTED: Final = ("succeeded", "failed", "canceled")
_NAMES: Final = (*_MONEY, "accepted", "refunds", *_COUNTED)


def _summed(days: Sequence[_Day]) -> dict[str, int]:
    """Add up the totals of some days; amounts in minor units, which they are without the point."""
    return {name: sum(int(str(day[name]).replace(".", "")) for day in days) for name in _NAMES}
