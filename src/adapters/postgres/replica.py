"""Views of a replica: read there only where it shows all that the merchant was told, by an answer or by a webhook."""

from __future__ import annotations

import logging
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import Final, TypeAlias

from adapters.postgres.engine import Bounds
from adapters.postgres.errors import Rejected
from payments_core.errors import NotFound, StaleWrite, Unavailable
from payments_core.ids import MerchantId
from payments_core.ports import View, Views

OpenView: TypeAlias = Callable[[MerchantId, bool], AbstractAsyncContextManager[View]]
"""Opens a snapshot; raises NotFound where the merchant is not there."""

REPLICA_BOUNDS: Final = Bounds(
    pool_wait_seconds=0.5,
    connect_seconds=2,
    statement_seconds=2.0,
    answer_margin_seconds=0.5,
)
"""Tighter than the primary's: behind a replica that says nothing the primary still has to be asked."""
PAUSE_SECONDS: Final = 5.0
"""How long a replica that failed is left alone; then one view tries it, and the others go on without."""

_log: Final = logging.getLogger(__name__)


class ReplicaViews:
    """The port `Views`, with snapshots of a replica.

    Revisions are the primary's. A snapshot of the replica is used where its revision is no lower than the primary's was
    after the view was asked for; otherwise, and where the replica fails or is away, the view is the primary's. An
    outage is logged once, and so is its end.
    """

    def __init__(self, primary: Views, replica: OpenView, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._primary: Final = primary
        self._replica: Final = replica
        self._clock: Final = clock
        self._retry_at: float | None = None

    async def revision(self, merchant: MerchantId, /) -> int:
        """Return the merchant's revision, or raise NotFound."""
        return await self._primary.revision(merchant)

    @asynccontextmanager
    async def view(self, merchant: MerchantId, livemode: bool, /) -> AsyncGenerator[View]:
        """Open a snapshot; raise NotFound for nobody.

        A replica that fails in the middle of the block is Unavailable: what was read cannot be mixed with the
        primary's.
        """
        async with AsyncExitStack() as opened:
            view = await self._of_replica(merchant, livemode, opened) if self._may_ask() else None
            if view is None:
                yield await opened.enter_async_context(self._primary.view(merchant, livemode))
                return
            try:
                yield view
            except (StaleWrite, Unavailable) as error:
                # A standby cancels reads that keep it from going on as a race that was lost, which a read never loses.
                self._rest(error)
                raise Unavailable("the replica gave up in the middle of a read") from error

    async def _of_replica(self, merchant: MerchantId, livemode: bool, opened: AsyncExitStack) -> View | None:
        """Return the replica's view, which `opened` closes, or None where it is too old or there is none."""
        least = await self._primary.revision(merchant)
        try:
            async with AsyncExitStack() as opening:
                view = await opening.enter_async_context(self._replica(merchant, livemode))
                self._is_back()
                if view.revision >= least:
                    opened.push_async_exit(opening.pop_all())
                    return view
        except NotFound:
            self._is_back()  # and has yet to hear of the merchant
        except (Rejected, StaleWrite, Unavailable) as error:
            self._rest(error)
        return None

    def _may_ask(self) -> bool:
        """Say whether the replica is asked; after a failure one in PAUSE_SECONDS is, until one gets an answer."""
        if self._retry_at is None:
            return True
        if self._clock() < self._retry_at:
            return False
        self._retry_at = self._clock() + PAUSE_SECONDS
        return True

    def _rest(self, error: Exception) -> None:
        if self._retry_at is None:
            _log.warning("the replica is away, the primary is read until it is back: %s", error)
        self._retry_at = self._clock() + PAUSE_SECONDS

    def _is_back(self) -> None:
        if self._retry_at is not None:
            _log.info("the replica is back")
            self._retry_at = None
