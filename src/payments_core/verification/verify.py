"""Walk through the store and the gateways' ledgers and judge everything by the rules, while others work on.

Store and ledger are two systems, read one after the other in the order in which nothing seems wrong that isn't: what
is closed in the store was in the ledger before, and what is in the ledger has an attempt that was stored before. Work
that looks overdue may be begun that moment. So whatever looks wrong is looked at again, some time later and more than
once, before it counts.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Final, Generic, TypeVar

from payments_core.attempt import AttemptState
from payments_core.books import Dossier
from payments_core.ids import EndpointId, MerchantId
from payments_core.ports import Books, Clock, GatewayLedger
from payments_core.verification import dossiers as of_dossier
from payments_core.verification import history, logs, rules
from payments_core.verification.report import Report, Tally
from payments_core.verification.rules import Breach, Found, Rule, Terms
from payments_core.webhook import DeliveryStatus

C = TypeVar("C")

MERCHANTS_PAGE: Final = 1_000
TRANSACTIONS_PAGE: Final = 200
"""With all that belongs to them: some megabytes, and a snapshot of some hundredths of a second."""
ROWS_PAGE: Final = 1_000
LOOKS_MAX: Final = 3
"""How often something looks wrong before it counts."""
PAUSE_SECONDS: Final = 0.5
NO_LEDGER: Final = "no gateway here has books that can be read"
NOT_ALL: Final = "a gateway's ledger tells nothing of merchants: verify all of them"


async def _pause() -> None:
    """Give what is between two commits time to be past them."""
    await asyncio.sleep(PAUSE_SECONDS)


def _nobody_told(_transactions: int) -> None:
    """Let progress pass."""


@dataclass(slots=True)
class Look(Generic[C]):
    """One look at a page: what was judged and found, and where the next one begins (None: nowhere).

    `dead_jobs` and `attempts` count what waits for a person.
    """

    merchant: MerchantId | None
    next: C | None
    transactions: int = 0
    dead_jobs: int = 0
    attempts: int = 0
    looked: Counter[Rule] = field(default_factory=Counter[Rule])
    breaches: list[Breach] = field(default_factory=list[Breach])

    def judge(self, rule: Rule, looked: int, found: Iterable[Found]) -> None:
        """Note what was found among so many."""
        self.looked[rule] += looked
        self.breaches += [
            Breach(rule=rule, merchant=self.merchant, subject=subject, message=message) for subject, message in found
        ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """A walk over everything, or over one merchant; it only reads, and may be broken off at any time.

    `pause` is waited for before a look is repeated. `told` hears how many transactions have been judged so far.
    """

    books: Books
    ledgers: Sequence[GatewayLedger]
    clock: Clock
    terms: Terms = field(default_factory=Terms)
    looks_max: int = LOOKS_MAX
    pause: Callable[[], Awaitable[object]] = _pause
    told: Callable[[int], None] = _nobody_told

    async def run(self, merchant: MerchantId | None = None) -> Report:
        """Return what was found. Raises Unavailable where the store or a ledger is away, NotFound for nobody."""
        tally = Tally()
        if merchant is not None:
            await self._merchant(merchant, tally)
        else:
            await self._everyone(tally)
        if not self.ledgers:
            tally.unlooked.update(dict.fromkeys((rules.GATEWAY_AGREES, rules.GATEWAY_ADDS_NOTHING), NO_LEDGER))
        elif merchant is not None:
            tally.unlooked[rules.GATEWAY_ADDS_NOTHING] = NOT_ALL
        return tally.report()

    async def _everyone(self, tally: Tally) -> None:
        after: str | None = ""
        while after is not None:
            merchants = await self.books.merchants(after=after, limit=MERCHANTS_PAGE)
            for merchant in merchants:
                await self._merchant(merchant, tally)
            after = _next(merchants, MERCHANTS_PAGE)
        for ledger in self.ledgers:
            await self._walk(partial(self._entries, ledger), "", tally)

    async def _merchant(self, merchant: MerchantId, tally: Tally) -> None:
        await self._walk(partial(self._log, merchant), 0, tally)
        for livemode in (False, True):
            await self._walk(partial(self._dossiers, merchant, livemode), "", tally)
            await self._walk(partial(self._key_uses, merchant, livemode), "", tally)
            after: str | None = ""
            while after is not None:
                endpoints = await self.books.endpoints(merchant, livemode, after=after, limit=ROWS_PAGE)
                for endpoint in endpoints:
                    await self._walk(partial(self._deliveries, merchant, livemode, endpoint), "", tally)
                after = _next(endpoints, ROWS_PAGE)
        tally.merchants += 1

    async def _walk(self, look: Callable[[C], Awaitable[Look[C]]], start: C, tally: Tally) -> None:
        """Look at page after page; count what is wrong at every one of several looks."""
        after: C | None = start
        while after is not None:
            seen = await look(after)
            suspected = seen.breaches
            for _ in range(self.looks_max - 1):
                if not suspected:
                    break
                await self.pause()
                again = {_key(breach): breach for breach in (await look(after)).breaches}
                suspected = [again[_key(breach)] for breach in suspected if _key(breach) in again]
            tally.transactions += seen.transactions
            tally.dead_jobs += seen.dead_jobs
            tally.attempts += seen.attempts
            tally.looked.update(seen.looked)
            tally.add(suspected)
            self.told(tally.transactions)
            after = seen.next

    # ── pages ─────────────────────────────────────────────────────────────────────────────────────────────────────

    async def _dossiers(self, merchant: MerchantId, livemode: bool, after: str) -> Look[str]:
        at = self.clock.now()
        page = await self.books.dossiers(merchant, livemode, after=after, limit=TRANSACTIONS_PAGE)
        look = Look[str](merchant, _next([dossier.transaction.id for dossier in page], TRANSACTIONS_PAGE))
        look.transactions = len(page)
        late = partial(of_dossier.late_jobs, at=at, after=self.terms.overdue_after)
        for dossier in page:
            look.dead_jobs += sum(job.dead_at is not None for job in dossier.jobs)
            look.attempts += sum(attempt.state is AttemptState.NEEDS_REVIEW for attempt in dossier.attempts)
            look.judge(rules.PAYMENTS_END, 1 + len(dossier.refunds), of_dossier.unended(dossier))
            look.judge(rules.WORK_IN_TIME, len(dossier.jobs), late(dossier))
            look.judge(rules.ATTEMPTED_ONCE, len(dossier.attempts), of_dossier.attempted_twice(dossier))
            look.judge(rules.STATUS_AGREES, 1 + len(dossier.refunds), of_dossier.status_disagrees(dossier))
            look.judge(rules.REFUNDS_ADD_UP, 1, of_dossier.refunds_off(dossier))
            look.judge(rules.FACTS_ARE_COUNTED, 1, history.miscounted(dossier))
            look.judge(rules.CLOSED_STAYS_CLOSED, 1, history.misled(dossier))
        for ledger in self.ledgers:
            await self._compare(look, page, ledger)
        return look

    async def _compare(self, look: Look[str], page: Sequence[Dossier], ledger: GatewayLedger) -> None:
        """Compare attempts that were read before with the gateway's entries, read now."""
        attempts = [attempt for dossier in page for attempt in of_dossier.settled(dossier, ledger.gateway)]
        entries = await ledger.entries_of([attempt.id for attempt in attempts]) if attempts else {}
        found = (of_dossier.disagreement(attempt, entries) for attempt in attempts)
        look.judge(rules.GATEWAY_AGREES, len(attempts), [each for each in found if each is not None])

    async def _entries(self, ledger: GatewayLedger, after: str) -> Look[str]:
        """Look for the attempts of entries that were read before."""
        entries = await ledger.entries(after=after, limit=ROWS_PAGE)
        ids = [entry.attempt for entry in entries]
        known = await self.books.known_attempts(ids) if ids else frozenset()
        look = Look[str](None, _next(ids, ROWS_PAGE))
        strange = [
            (id, f"is in the ledger of {ledger.gateway}, and no attempt of ours") for id in ids if id not in known
        ]
        look.judge(rules.GATEWAY_ADDS_NOTHING, len(ids), strange)
        return look

    async def _log(self, merchant: MerchantId, after: int) -> Look[int]:
        page = await self.books.log(merchant, after=after, limit=ROWS_PAGE)
        next = _next([event.position for event in page.events], ROWS_PAGE)
        look, count = Look[int](merchant, next), len(page.events)
        misplaced = logs.misplaced(merchant, page, after=after, is_last=next is None)
        look.judge(rules.POSITIONS_HAVE_NO_GAP, count, misplaced)
        look.judge(rules.NOTHING_IS_LOST, count, logs.lost(page))
        look.judge(rules.EVENTS_ARE_SENT, count, logs.unsent(page, self.terms))
        return look

    async def _deliveries(self, merchant: MerchantId, livemode: bool, endpoint: EndpointId, after: str) -> Look[str]:
        at = self.clock.now()
        page = await self.books.deliveries(merchant, livemode, endpoint, after=after, limit=ROWS_PAGE)
        count = len(page.deliveries)
        look = Look[str](merchant, _next([delivery.id for delivery in page.deliveries], ROWS_PAGE))
        look.judge(rules.DELIVERIES_END, count, logs.unended_deliveries(page, self.terms))
        pending = sum(delivery.status is DeliveryStatus.PENDING for delivery in page.deliveries)
        late = logs.late_deliveries(page, at=at, after=self.terms.overdue_after)
        look.judge(rules.WORK_IN_TIME, pending, late)
        return look

    async def _key_uses(self, merchant: MerchantId, livemode: bool, after: str) -> Look[str]:
        uses = await self.books.key_uses(merchant, livemode, after=after, limit=ROWS_PAGE)
        look = Look[str](merchant, _next([use.key for use in uses], ROWS_PAGE))
        found = (logs.without_effect(use) for use in uses)
        look.judge(rules.ONE_EFFECT_EACH, len(uses), [each for each in found if each is not None])
        return look


def _next(ids: Sequence[C], limit: int) -> C | None:
    """Return where the next page begins; a page with fewer than `limit` items is the last."""
    return None if len(ids) < limit else ids[-1]


def _key(breach: Breach) -> tuple[Rule, str]:
    """Return what makes two breaches the same: a message may tell of a time."""
    return breach.rule, breach.subject
