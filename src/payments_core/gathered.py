"""One question for many who ask at once: what is asked while a look-up runs shares the next one."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Mapping, Sequence
from itertools import islice
from typing import Final, Generic, TypeAlias, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

LookUp: TypeAlias = Callable[[Sequence[K]], Awaitable[Mapping[K, V]]]
"""Look up several keys, each once; what is not found is left out. What it raises, each of those who ask hears."""


class Gathered(Generic[K, V]):
    """Answers by look-ups of up to `keys_max` keys, one of them at a time; who is alone waits for nobody.

    An answer is never older than its question: the look-up begins after it was asked. Whoever is cancelled leaves the
    others their answer. How long a look-up takes is for `look_up` to bound. For one event loop at a time.
    """

    def __init__(self, look_up: LookUp[K, V], *, keys_max: int) -> None:
        self._look_up: Final = look_up
        self._keys_max: Final = keys_max
        self._asked: dict[K, asyncio.Future[V | None]] = {}
        self._looking: asyncio.Task[None] | None = None

    async def get(self, key: K) -> V | None:
        """Return what there is for the key, or None."""
        answer = self._asked.get(key)
        if answer is None:
            answer = self._asked[key] = asyncio.get_running_loop().create_future()
            # Where all who asked are cancelled, nobody else looks at an exception.
            answer.add_done_callback(lambda done: done.cancelled() or done.exception())
        if self._looking is None:
            self._looking = asyncio.create_task(self._answer_all())
        return await asyncio.shield(answer)

    async def _answer_all(self) -> None:
        try:
            while self._asked:
                keys = list(islice(self._asked, self._keys_max))
                await self._answer({key: self._asked.pop(key) for key in keys})
        finally:
            self._looking = None

    async def _answer(self, asked: Mapping[K, asyncio.Future[V | None]]) -> None:
        try:
            found = await self._look_up(list(asked))
        except asyncio.CancelledError:
            for answer in asked.values():
                answer.cancel()
            raise
        except Exception as error:
            for answer in asked.values():
                answer.set_exception(error)
            return
        for key, answer in asked.items():
            answer.set_result(found.get(key))
