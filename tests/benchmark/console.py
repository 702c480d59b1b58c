"""The console's pages over a store that is full, one request at a time: what a page takes on the server.

`uv run python -m tests.benchmark --short --only console --stored 1500000` has a merchant with a million transactions,
and a year of daily totals, which the trigger makes of the events as they are seeded.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Final

import httpx

from entrypoints.http.console.session_cookie import Cookie, Who, cookie_header
from entrypoints.services import Services
from entrypoints.settings import read_settings
from entrypoints.wiring import wire
from payments_core import Caller
from payments_core.ids import MerchantId, SessionId
from payments_core.merchant import CONSOLE_SESSION_LIFETIME, Session
from payments_core.ports import TransactionFilter
from payments_core.totals import SPAN_DAYS_MAX
from payments_core.use_cases.read_lists import ListQuery
from tests.benchmark.case import Case, Tell
from tests.benchmark.figures import MILLISECONDS, Figure, Outcome, Target, share
from tests.benchmark.options import Options
from tests.benchmark.seeding import FULL, full_store
from tests.benchmark.world import World, settings

P95: Final = Target(most=50)
PART: Final = 0.95
WARM_UP: Final = 5
STAFF: Final = "bench@example.com"


async def measure_console(world: World, options: Options, tell: Tell) -> Outcome:
    """Load each page again and again, as the merchant with the most transactions, and as one of the staff."""
    merchant = world.merchants[0]
    async with full_store(world, options.form, tell) as store, store.fleet.api() as port:
        stored = await store.count("transactions", f"merchant_id = '{merchant.id}'")
        environ = settings(world.postgres, world.valkey, FULL)
        async with wire(read_settings(environ, env_file=None)) as services:
            caller = Caller(merchant=MerchantId(merchant.id))
            own, of_staff = await _pages(services, caller)
            cookies = {**await _signed_in(services, caller, own), **await _staff_signed_in(services, of_staff)}
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
            pages = {**own, **of_staff}
            figures = [await _figure(client, name, path, cookies[name], options, tell) for name, path in pages.items()]
    each = f"{options.form.pairs} of each, one at a time, HTTP and the client included"
    return Outcome(figures=figures, notes=(f"{each}; a merchant with {stored:,} transactions",))


async def _pages(services: Services, caller: Caller) -> tuple[Mapping[str, str], Mapping[str, str]]:
    """Return the merchant's pages and the staff's, by what is said of them."""
    today = datetime.now(UTC).date()
    year = f"?from={today - timedelta(days=SPAN_DAYS_MAX - 1)}&to={today}"
    latest = await services.payments.read.transactions(caller, ListQuery(limit=1), TransactionFilter())
    id = latest.items[0]["id"]
    month_ago = today - timedelta(days=30)
    own = {
        "overview, 30 days": "/console",
        "overview, a year": f"/console{year}",
        "transactions": "/console/transactions",
        "transactions that failed": "/console/transactions?status=failed",
        "transactions before a day": f"/console/transactions?to={month_ago}",
        "transactions with a text that none has": "/console/transactions?text=no+such+text+anywhere",
        "a transaction": f"/console/transactions/{id}",
        "webhooks": "/console/webhooks",
        "developers": "/console/developers",
    }
    of_staff = {
        "staff: merchants": "/console/staff",
        "staff: all transactions": "/console/staff/transactions",
        "staff: audit log": "/console/staff/audit",
    }
    return own, of_staff


async def _signed_in(services: Services, caller: Caller, pages: Mapping[str, str]) -> dict[str, str]:
    """Sign in as nobody could who does not know the password, and return the cookie for each page."""
    now = services.clock.now()
    id = SessionId(f"ses_{os.urandom(13).hex().upper()}")
    async with services.begin() as work:
        work.sessions.add(
            Session(
                id=id,
                merchant=caller.merchant,
                livemode=False,
                created_at=now,
                expires_at=now + CONSOLE_SESSION_LIFETIME,
            )
        )
    return dict.fromkeys(pages, _cookie(services, Who.MERCHANT, caller.merchant, id))


async def _staff_signed_in(services: Services, pages: Mapping[str, str]) -> dict[str, str]:
    staff, password = services.payments.staff, os.urandom(16).hex()
    await staff.create_member(STAFF, "Benchmark", password)
    session = await staff.sign_in(STAFF, password)
    return dict.fromkeys(pages, _cookie(services, Who.STAFF, session.member, session.id))


def _cookie(services: Services, who: Who, subject: str, session: str) -> str:
    cookie = Cookie(who=who, subject=subject, session=session, seen_at=services.clock.now())
    header = cookie_header(services, cookie, secure=False)[1].decode()
    return header.partition(";")[0]


async def _figure(client: httpx.AsyncClient, name: str, path: str, cookie: str, options: Options, tell: Tell) -> Figure:
    tell(name)
    taken: list[float] = []
    for number in range(WARM_UP + options.form.pairs):
        begun = time.perf_counter()
        answer = await client.get(path, headers={"cookie": cookie})
        if number >= WARM_UP:
            taken.append(time.perf_counter() - begun)
        assert answer.status_code == 200, f"{path} answers {answer.status_code}"
    return Figure(name=f"{name}, p95", value=share(sorted(taken), PART) * MILLISECONDS, unit="ms", target=P95, digits=1)


CONSOLE: Final = Case(name="console", what="the console's pages, over many transactions", measure=measure_console)
