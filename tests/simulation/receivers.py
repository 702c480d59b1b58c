"""The receivers of webhooks: other companies' servers, which get a post whatever becomes of us meanwhile."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from payments_core.ports import Answered, Notification, Unreached
from payments_core.webhook import InvalidSignature, verify
from tests.simulation.plan import Fault
from tests.simulation.world import World

FAULT_SHARE: Final = 0.5
GONE_SHARE: Final = 0.01
HANG_SECONDS: Final = 15.0
BAD_DAYS_SHARE: Final = 0.1
"""Of receivers: they answer nothing but errors until the faults are over."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Post:
    """One try to post. `status_code` 0: no answer; `came`: its receiver got it."""

    event: str
    at: float
    status_code: int
    came: bool = True


@dataclass
class Receiver:
    """One receiver: its secret, what was sent to it, and what was wrong with that."""

    url: str
    secret: str
    is_bad: bool
    posts: list[Post] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)


class SimulatedReceivers:
    """The port `Notifier`, for all processes."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.by_url: dict[str, Receiver] = {}

    def listen(self, url: str, secret: str) -> Receiver:
        """Open a receiver."""
        receiver = Receiver(url, secret, is_bad=self._world.happens(Fault.RECEIVER, BAD_DAYS_SHARE))
        self.by_url[url] = receiver
        return receiver

    def refuses(self, url: str, /) -> str | None:
        return None if url.startswith("https://") else "Must begin with https://."

    async def send(self, notification: Notification, /) -> Answered | Unreached:
        """Post it: it arrives though whoever posts it ends meanwhile."""
        return await self._world.outside_task(self._receive(notification))

    async def _receive(self, notification: Notification) -> Answered | Unreached:
        receiver = self.by_url[notification.url]
        status = self._status(receiver)
        if status == 0 and self._world.random.random() < 0.5:
            self._world.note(f"{receiver.url} is away")
            event = notification.headers["webhook-id"]
            receiver.posts.append(Post(event=event, at=self._world.loop.seconds, status_code=0, came=False))
            return Unreached(code="connect", message="refused", milliseconds=1)
        event = self._check(receiver, notification)
        receiver.posts.append(Post(event=event, at=self._world.loop.seconds, status_code=status))
        self._world.note(f"{receiver.url} got {event} and answers {status}")
        if status == 0:
            await asyncio.sleep(HANG_SECONDS)
            return Unreached(code="timeout", message="no answer", milliseconds=15_000)
        await asyncio.sleep(0)
        after = self._world.random.uniform(0, 100) if status == 503 else None
        return Answered(status_code=status, milliseconds=1, excerpt="", retry_after_seconds=after)

    def _status(self, receiver: Receiver) -> int:
        world = self._world
        if receiver.is_bad and not world.healing:
            return 500
        if world.happens(Fault.RECEIVER, GONE_SHARE):
            return 410
        return world.random.choice((0, 500, 503, 301)) if world.happens(Fault.RECEIVER, FAULT_SHARE) else 204

    def _check(self, receiver: Receiver, notification: Notification) -> str:
        # Clocks are wrong by minutes here and processes stand still: what the signature is of is looked at, not when.
        at = datetime.fromtimestamp(int(notification.headers["webhook-timestamp"]), UTC)
        try:
            return verify(receiver.secret, headers=notification.headers, body=notification.body, at=at)
        except InvalidSignature as error:
            receiver.wrong.append(f"a post of {notification.headers['webhook-id']}: {error}")
            return notification.headers["webhook-id"]
