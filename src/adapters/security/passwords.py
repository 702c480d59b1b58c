"""Password hashes: argon2id, off the event loop, few at a time."""

from __future__ import annotations

import asyncio
import base64
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final, TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from adapters.security.common_passwords import is_common
from payments_core.errors import Unavailable

Result = TypeVar("Result")

MEMORY_KIB: Final = 19_456
ITERATIONS: Final = 2
LANES: Final = 1
"""OWASP Password Storage Cheat Sheet, argon2id: m=19456 KiB, t=2, p=1."""

SALT_LENGTH_BYTES: Final = 16
HASH_LENGTH_BYTES: Final = 32
HASHES_AT_ONCE_MAX: Final = 2
HASHES_PENDING_MAX: Final = 128
"""At some 30 ms each and two at a time, the last one in this queue waits for about two seconds."""


class Argon2Passwords:
    """Hashes and verifies in threads of its own, two at a time, so that logins never starve payments.

    Beyond `pending_max` hashes under way or waiting it raises Unavailable at once. Its owner closes it. Tests pass
    cheaper parameters.
    """

    def __init__(
        self,
        *,
        memory_kib: int = MEMORY_KIB,
        iterations: int = ITERATIONS,
        lanes: int = LANES,
        pending_max: int = HASHES_PENDING_MAX,
    ) -> None:
        self._hasher = PasswordHasher(
            time_cost=iterations,
            memory_cost=memory_kib,
            parallelism=lanes,
            hash_len=HASH_LENGTH_BYTES,
            salt_len=SALT_LENGTH_BYTES,
        )
        self._nobody = _hash_of_nobody(memory_kib, iterations, lanes)
        # A pool of threads bounds the work without belonging to an event loop, as an asyncio semaphore would.
        self._threads = ThreadPoolExecutor(HASHES_AT_ONCE_MAX, thread_name_prefix="passwords")
        self._places = threading.BoundedSemaphore(pending_max)

    def close(self) -> None:
        """Take no more (Unavailable), and cancel those that wait; the two under way end in their own time.

        Threads of a pool hold up the end of their process until they have done all that waits for them.
        """
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def hash(self, password: str, /) -> str:
        """Return a salted hash in PHC form. Raises Unavailable where too many wait already."""
        return await self._run(lambda: self._hasher.hash(_encoded(password)))

    async def verify(self, password_hash: str | None, password: str, /) -> bool:
        """Say whether the password made this hash; never for None, an unknown account, after the same time.

        A hash that cannot be read verifies nothing. Raises Unavailable where too many wait already.
        """
        target = self._nobody if password_hash is None else password_hash
        matches = await self._run(lambda: self._matches(target, password))
        return matches and password_hash is not None

    def is_stale(self, password_hash: str, /) -> bool:
        """Say whether the parameters moved since: hash again at the next login."""
        try:
            return self._hasher.check_needs_rehash(password_hash)
        except InvalidHashError:
            return True

    def is_common(self, password: str, /) -> bool:
        """Say whether it is on the list of passwords that everybody tries first."""
        return is_common(password)

    def _matches(self, password_hash: str, password: str) -> bool:
        try:
            return self._hasher.verify(password_hash, _encoded(password))
        except (VerificationError, InvalidHashError):
            return False

    async def _run(self, work: Callable[[], Result]) -> Result:
        if not self._places.acquire(blocking=False):
            raise Unavailable("too many passwords are being checked; try again in a moment")
        try:
            future = self._threads.submit(work)
        except RuntimeError:
            self._places.release()
            raise Unavailable("passwords are not checked any more: this process is ending") from None
        future.add_done_callback(self._leave)
        return await asyncio.wrap_future(future)

    def _leave(self, _: Future[Result]) -> None:
        # Called when the work ends, not when its request does: a cancelled request's hash still uses a thread.
        self._places.release()


def _hash_of_nobody(memory_kib: int, iterations: int, lanes: int) -> str:
    """Return a hash that no password makes (its digest is all zeros) and that costs as much to verify as a real one."""
    salt, digest = (
        base64.b64encode(bytes(length)).decode().rstrip("=") for length in (SALT_LENGTH_BYTES, HASH_LENGTH_BYTES)
    )
    return f"$argon2id$v=19$m={memory_kib},t={iterations},p={lanes}${salt}${digest}"


def _encoded(password: str) -> bytes:
    # Lone surrogates are no text, but must not become an error that tells one password from another.
    return password.encode("utf-8", "surrogatepass")
