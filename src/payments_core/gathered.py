"""One question for many who ask at once: what is asked while a look-up runs shares the next one."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Awaitable, Callable, Hashable, Mapping, Sequence
from copy import copy
from itertools import islice
from typing import Final, Generic, TypeAlias, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

LookUp: TypeAlias = Callable[[Sequence[K]], Awaitable[Mapping[K, V]]]
"""Look up several keys, each once; what is not found is left out. Of what it raises
each of those who ask hears a copy (`copy.copy`)."""

_Answer: TypeAlias = asyncio.Future[Mapping[K, V] | Exception]
"""What a look-up found for all of its keys, or why it failed."""


class Gathered(Generic[K, V]):
    """Answers by look-ups of up to `keys_max` keys, one of them at a time; who is alone waits for nobody.

    An answer is never older than its question: the look-up begins after it was asked. Whoever is cancelled leaves the
    others their answer; a key whose askers have all gone before its look-up began is not looked up. How long a look-up
    takes is for `look_up` to bound, how long one waits for its beginning is for who asks. For one event loop at a time.
    """

    def __init__(self, look_up: LookUp[K, V], *, keys_max: int) -> None:
        self._look_up: Final = look_up
        self._keys_max: Final = keys_max
        self._asked: dict[K, list[_Answer[K, V]]] = {}
        self._looking: asyncio.Task[None] | None = None

    async def get(self, key: K) -> V | None:
        """Return what there is for the key, or None. What the look-up raised is raised as a copy of one's own."""
        answer: _Answer[K, V] = asyncio.get_running_loop().create_future()
        self._asked.setdefault(key, []).append(answer)
        if self._looking is None:
            # In nobody's context, as it looks up for all.
            self._looking = asyncio.create_task(self._answer_all(), context=contextvars.Context())
        try:
            found = await answer
        except asyncio.CancelledError:
            self._take_back(key, answer)
            raise
        if isinstance(found, Exception):
            # Each raising writes into the exception: one for all would carry the tracebacks of all.
            raise copy(found) from found
        return found.get(key)

    def _take_back(self, key: K, answer: _Answer[K, V]) -> None:
        waiting = self._asked.get(key, [])
        # Where it is not there its look-up has begun, and goes on.
        if answer in waiting:
            waiting.remove(answer)
            if not waiting:
                del self._asked[key]

    async def _answer_all(self) -> None:
        try:
            while self._asked:
                keys = list(islice(self._asked, self._keys_max))
                await self._answer({key: self._asked.pop(key) for key in keys})
        finally:
            self._looking = None

    async def _answer(self, asked: Mapping[K, Sequence[_Answer[K, V]]]) -> None:
        found: Mapping[K, V] | Exception
        try:
            found = await self._look_up(list(asked))
        except asyncio.CancelledError:
            for answer in _waiting(asked):
                answer.cancel()
            raise
        except Exception as error:
            found = error
        for answer in _waiting(asked):
            answer.set_result(found)


def _waiting(asked: Mapping[K, Sequence[_Answer[K, V]]]) -> list[_Answer[K, V]]:
    return [answer for waiting in asked.values() for answer in waiting if not answer.done()]
