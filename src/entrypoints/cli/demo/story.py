"""The life of one payment over real HTTP, told step by step; each step says what was promised and what came."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final, Self, TypeAlias

import httpx

from entrypoints.cli.listen.receiver import Received, Receiver

Body: TypeAlias = Mapping[str, Any]  # a stranger's JSON: what it should hold is what the story checks
Step: TypeAlias = Callable[[], Awaitable[str]]

PATIENCE_SECONDS: Final = 5.0
"""For what a worker does: the sandbox's 0.2 s, and at most a second where a ring was lost."""
CALL_TIMEOUT_SECONDS: Final = 5.0
POLL_SECONDS: Final = 0.02
EVENTS_PROMISED: Final = (
    "transaction.created",
    "transaction.processing",
    "transaction.succeeded",
    "refund.created",
    "refund.succeeded",
)


class PromiseBroken(Exception):
    """Something came that was not promised, or did not come."""

    def __init__(self, what: str, *, promised: object, came: object) -> None:
        super().__init__(f"{what}: promised {promised}, came {came}")


def check(what: str, *, promised: object, came: object) -> None:
    """Raise PromiseBroken where the two differ."""
    if promised != came:
        raise PromiseBroken(what, promised=promised, came=came)


@dataclass(slots=True, kw_only=True)
class Story:
    """One merchant, one payment, one refund. `client` reaches the API, the API reaches the receiver at `listens_at`."""

    client: httpx.AsyncClient
    listens_at: str
    patience_seconds: float = PATIENCE_SECONDS
    receiver: Receiver = field(init=False)
    received: list[Received] = field(default_factory=list[Received], init=False)
    _arrival: asyncio.Event = field(default_factory=asyncio.Event, init=False)
    _pay_request: Mapping[str, Any] = field(default_factory=dict[str, Any], init=False)
    _paid: httpx.Response | None = field(default=None, init=False)
    _payment_key: str = field(default="", init=False)
    _transaction: str = field(default="", init=False)
    _refund: str = field(default="", init=False)

    def __post_init__(self) -> None:
        self.receiver = Receiver(hear=self._hear)

    @classmethod
    @asynccontextmanager
    async def over(cls, api: str, *, listens_at: str) -> AsyncGenerator[Self, None]:
        """Give a story that calls this API, over connections that are closed where the block ends."""
        async with httpx.AsyncClient(base_url=api, timeout=CALL_TIMEOUT_SECONDS, trust_env=False) as client:
            yield cls(client=client, listens_at=listens_at)

    @property
    def steps(self) -> Sequence[tuple[str, Step]]:
        """Each step's title and what it does; its text says what came. Raises PromiseBroken or httpx.HTTPError."""
        return (
            ("Register a merchant", self._register),
            ("Make a payment key", self._make_payment_key),
            ("Register a webhook endpoint", self._add_endpoint),
            ("Pay 100.00 USD", self._pay),
            ("The payment is processed", self._processed),
            ("The same request again changes nothing", self._replay),
            ("Refund 30.00 of it", self._refund_part),
            ("The refund is processed", self._refunded),
            ("Webhooks arrive, signed and numbered", self._webhooks),
            ("The list shows it", self._list),
        )

    async def _register(self) -> str:
        body = {"email": f"demo-{secrets.token_hex(4)}@example.com", "password": secrets.token_urlsafe(18)}
        made = await self._call("POST", "/api/auth/register/", body, promised=201)
        self.client.headers["Authorization"] = f"Token {made['api_key']}"
        return str(made["id"])

    async def _make_payment_key(self) -> str:
        made = await self._call("POST", "/api/payments/payment_key/", promised=201)
        self._payment_key = made["key"]
        return self._payment_key

    async def _add_endpoint(self) -> str:
        made = await self._call("POST", "/api/webhooks/", {"url": self.listens_at}, promised=201)
        self.receiver.secret = made["secret"]
        return f"{made['id']} at {self.listens_at}"

    async def _pay(self) -> str:
        self._pay_request = {
            "headers": {"Idempotency-Key": f"demo-{secrets.token_hex(8)}"},
            "json": {
                "payment_key": self._payment_key,
                "amount": "100.00",
                "currency": "USD",
                "description": "Order #123",
            },
        }
        self._paid = await self.client.post("/api/transactions/pay", **self._pay_request)
        paid = _read(self._paid, "POST /api/transactions/pay", promised=201)
        check("status of a new payment", promised="pending", came=paid["status"])
        check("amount", promised="100.00", came=paid["amount"])
        self._transaction = paid["id"]
        return f"{self._transaction} pending"

    async def _processed(self) -> str:
        paid = await self._become("succeeded", f"/api/transactions/{self._transaction}/")
        check("refundable amount", promised="100.00", came=paid["amount_refundable"])
        return f"succeeded, {paid['gateway_reference']}"

    async def _replay(self) -> str:
        again = await self.client.post("/api/transactions/pay", **self._pay_request)
        _read(again, "the same POST again", promised=201)
        check("Idempotent-Replayed", promised="true", came=again.headers.get("Idempotent-Replayed"))
        assert self._paid is not None, "the payment comes before its replay"
        check("bytes of the answer", promised=self._paid.content, came=again.content)
        return "same bytes, Idempotent-Replayed: true"

    async def _refund_part(self) -> str:
        body = {"transaction": self._transaction, "amount": "30.00", "reason": "demo"}
        made = await self._call("POST", "/api/refunds/", body, promised=201)
        check("status of a new refund", promised="pending", came=made["status"])
        self._refund = made["id"]
        return f"{self._refund} pending"

    async def _refunded(self) -> str:
        await self._become("succeeded", f"/api/refunds/{self._refund}/")
        paid = await self._call("GET", f"/api/transactions/{self._transaction}/", promised=200)
        check("amount refunded", promised="30.00", came=paid["amount_refunded"])
        check("refundable amount", promised="70.00", came=paid["amount_refundable"])
        return "succeeded, 70.00 USD are left"

    async def _webhooks(self) -> str:
        try:
            async with asyncio.timeout(self.patience_seconds):
                while len(self._sequences()) < len(EVENTS_PROMISED):
                    self._arrival.clear()
                    await self._arrival.wait()
        except TimeoutError:
            pass  # what is missing is told below
        check("webhooks refused for their signature", promised=[], came=[each.id for each in self._refused()])
        came = tuple(type for _, type in sorted(self._sequences().items()))
        check("types of webhooks, by sequence", promised=EVENTS_PROMISED, came=came)
        check("sequence numbers", promised=list(range(1, len(came) + 1)), came=sorted(self._sequences()))
        return f"{len(came)} verified"

    async def _list(self) -> str:
        page = await self._call("GET", "/api/transactions/?limit=1", promised=200)
        check("newest transaction", promised=[self._transaction], came=[each["id"] for each in page["results"]])
        return f"{self._transaction} is the newest"

    def _hear(self, received: Received) -> None:
        self.received.append(received)
        self._arrival.set()

    def _refused(self) -> Sequence[Received]:
        return [each for each in self.received if each.refusal is not None]

    def _sequences(self) -> Mapping[int, str]:
        """What arrived for the transaction, once each: a webhook may come more than once."""
        arrived: dict[int, str] = {}
        for each in self.received:
            sequence = each.event.get("sequence")
            if each.refusal is None and isinstance(sequence, int):
                arrived[sequence] = str(each.event.get("type"))
        return arrived

    async def _become(self, status: str, path: str) -> Body:
        """Read until the status is there; raise PromiseBroken where it isn't in time."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self.patience_seconds
        while True:
            read = await self._call("GET", path, promised=200)
            if read["status"] == status:
                return read
            if loop.time() > deadline:
                raise PromiseBroken(f"status after {self.patience_seconds:g} s", promised=status, came=read["status"])
            await asyncio.sleep(POLL_SECONDS)

    async def _call(self, method: str, path: str, body: object = None, *, promised: int) -> Body:
        return _read(await self.client.request(method, path, json=body), f"{method} {path}", promised=promised)


def _read(answer: httpx.Response, what: str, *, promised: int) -> Body:
    if answer.status_code != promised:
        raise PromiseBroken(what, promised=promised, came=f"{answer.status_code} {answer.text}")
    body: Body = answer.json()
    return body
