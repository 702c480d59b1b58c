"""Clients: they pay, refund, cancel and look, and ask again until they are told."""

from __future__ import annotations

import asyncio
import itertools
import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

import httpx

from tests.chaos.decks import Deck, Tally
from tests.chaos.evidence import Action, Answer, Ask
from tests.chaos.kinds import kind_of
from tests.chaos.plan import PLAIN_METHOD
from tests.chaos.shops import RANKS, REFUND_SCRIPTS, Shop, dollars

ANSWER_SECONDS: Final = 6.0
"""How long a client waits for an answer before it asks again."""
PAUSE_SECONDS: Final = 0.3
FIRST_AMOUNT_MINOR: Final = 10_000
LIST_LIMIT: Final = 100
UNTOLD: Final = frozenset({"unavailable", "outcome_unknown", "idempotency_key_in_use"})
"""Codes of answers that don't say whether it was done, or ask to come again."""
REFUSALS: Final[Mapping[Action, frozenset[str]]] = {
    Action.PAY: frozenset(),
    Action.REFUND: frozenset({"refund_exceeds_amount", "already_refunded", "transaction_not_refundable"}),
    Action.CANCEL: frozenset({"transaction_not_cancelable"}),
}
ACTIONS: Final = {"pay": 74, "refund": 14, "look": 12}
TWINS: Final = 0.06
"""The share of payments that are asked for twice at the same moment, over both APIs."""
REPEATED: Final = 0.06
CANCELED: Final = 0.06
RACED: Final = 0.4


class Clients:
    """All clients of a campaign, what they asked for and what they were told."""

    def __init__(
        self, apis: Sequence[httpx.AsyncClient], shops: Mapping[str, Shop], methods: Deck[str], tally: Tally, seed: int
    ) -> None:
        self.asks: list[Ask] = []
        self.stale_reads: list[str] = []
        self.reads = 0
        self._apis = apis
        self._shops = list(shops.values())
        self._methods = methods
        self._tally = tally
        self._seed = seed
        self._amounts: Iterator[int] = itertools.count(FIRST_AMOUNT_MINOR)  # no two payments are alike

    @property
    def accepted(self) -> int:
        """Payments that clients were told to be accepted."""
        return sum(ask.action is Action.PAY and ask.made is not None for ask in self.asks)

    async def act(self, number: int, pause_seconds: float, ended: Callable[[], bool]) -> None:
        """Be one client until it ended; what was begun is brought to its end."""
        chance = random.Random(f"{self._seed}:{number}")
        shop = self._shops[number % len(self._shops)]
        while not ended():
            await asyncio.sleep(chance.expovariate(1 / pause_seconds))
            match chance.choices(list(ACTIONS), list(ACTIONS.values()))[0]:
                case "refund" if shop.refundable:
                    await self._refund(chance, shop)
                case "look" if shop.newest is not None:
                    await self._look(chance, shop)
                case _:
                    await self._pay(chance, shop)

    async def _pay(self, chance: random.Random, shop: Shop) -> None:
        method = self._methods.deal() or PLAIN_METHOD
        ask = self._new(chance, shop, Action.PAY, next(self._amounts), method=method)
        times = 2 if chance.random() < TWINS else 1
        await asyncio.gather(*(self._until_told(ask, shop, first) for first in self._some_apis(chance, times)))
        if method != PLAIN_METHOD and method not in REFUND_SCRIPTS:
            self._tally.count(kind_of(method))
        if ask.made is not None and method == PLAIN_METHOD and chance.random() < CANCELED:
            cancel = self._new(chance, shop, Action.CANCEL, ask.amount_minor, transaction=ask.made)
            await self._until_told(cancel, shop, chance.choice((0, 1)))
        if chance.random() < REPEATED:
            await asyncio.sleep(chance.uniform(0, 2))
            await self._until_told(ask, shop, chance.choice((0, 1)))

    async def _refund(self, chance: random.Random, shop: Shop) -> None:
        """Refund a part; or race for more than there is, by parts of which no two are alike."""
        paid = shop.refundable.popleft()
        parts = [round(paid.amount_minor * chance.uniform(0.1, 0.9))]
        if chance.random() < RACED:
            parts = [paid.amount_minor * 3 // 5 + number for number in range(chance.choice((2, 3)))]
        asks = [self._new(chance, shop, Action.REFUND, part, transaction=paid.id) for part in parts]
        firsts = self._some_apis(chance, len(asks))
        await asyncio.gather(*(self._until_told(ask, shop, first) for ask, first in zip(asks, firsts, strict=True)))
        if paid.method in REFUND_SCRIPTS:
            self._tally.count(kind_of(paid.method))

    def _new(
        self,
        chance: random.Random,
        shop: Shop,
        action: Action,
        amount_minor: int,
        *,
        transaction: str | None = None,
        method: str | None = None,
    ) -> Ask:
        ask = Ask(
            key=f"{action}-{chance.randbytes(10).hex()}",
            merchant=shop.merchant,
            action=action,
            amount_minor=amount_minor,
            asked_at=time.monotonic(),
            transaction=transaction,
            method=method,
        )
        self.asks.append(ask)
        return ask

    def _some_apis(self, chance: random.Random, count: int) -> list[int]:
        first = chance.choice((0, 1))
        return [first + number for number in range(count)]

    async def _until_told(self, ask: Ask, shop: Shop, first: int) -> None:
        """Ask one API after the other, with the same key, until one of them tells what happened."""
        path, body = _request_of(ask, shop)
        headers = {**shop.headers, "Idempotency-Key": ask.key}
        for number in range(first, 10**6):
            try:
                answer = await self._apis[number % len(self._apis)].post(path, json=body, headers=headers)
            except httpx.TransportError:
                ask.doubts += 1
            else:
                if _tells(answer):
                    _note(ask, shop, answer)
                    return
                ask.doubts += 1
                if _code_of(answer) not in UNTOLD:
                    ask.unexpected.append(f"{answer.status_code} {answer.text[:200]}")
            await asyncio.sleep(PAUSE_SECONDS)

    async def _look(self, chance: random.Random, shop: Shop) -> None:
        """Look for what was told last: it is there, and no earlier than it was told."""
        newest = shop.newest
        assert newest is not None
        told = shop.told[newest]
        api = chance.choice(self._apis)
        path = chance.choice(("/api/transactions/", f"/api/transactions/{newest}/"))
        try:
            answer = await api.get(
                path, params={"limit": LIST_LIMIT} if path.endswith("s/") else {}, headers=shop.headers
            )
        except httpx.TransportError:
            return
        if answer.status_code == 503:
            return
        self.reads += 1
        shown = answer.json() if answer.status_code == 200 else {}
        listed = {each["id"]: each for each in shown.get("results", [shown])} if shown else {}
        if newest not in listed:
            self.stale_reads.append(f"{newest} is not in {path}: {answer.status_code}")
        elif RANKS[listed[newest]["status"]] < told:
            self.stale_reads.append(f"{newest} is still {listed[newest]['status']} in {path}")


def _request_of(ask: Ask, shop: Shop) -> tuple[str, dict[str, Any] | None]:
    match ask.action:
        case Action.PAY:
            return "/api/transactions/pay", {
                "payment_key": shop.channel,
                "amount": dollars(ask.amount_minor),
                "currency": "USD",
                "payment_method": ask.method,
                "metadata": {"order": ask.key},
            }
        case Action.REFUND:
            return "/api/refunds/", {
                "transaction": ask.transaction,
                "amount": dollars(ask.amount_minor),
                "metadata": {"order": ask.key},
            }
        case Action.CANCEL:
            return f"/api/transactions/{ask.transaction}/cancel/", None


def _tells(answer: httpx.Response) -> bool:
    return not answer.is_server_error and _code_of(answer) not in UNTOLD


def _code_of(answer: httpx.Response) -> str | None:
    try:
        return str(answer.json().get("code")) if answer.is_error else None
    except ValueError:
        return None


def _note(ask: Ask, shop: Shop, answer: httpx.Response) -> None:
    made = answer.json()["id"] if answer.is_success else None
    ask.answers.append(Answer(status=answer.status_code, body=answer.content, at=time.monotonic(), resource=made))
    if made is None and _code_of(answer) not in REFUSALS[ask.action]:
        ask.unexpected.append(f"{answer.status_code} {answer.text[:200]}")
    if made is not None and ask.action is not Action.REFUND:
        shop.learn(made, answer.json()["status"])
        if ask.action is Action.PAY and len(ask.answers) == 1:
            shop.newest = made
