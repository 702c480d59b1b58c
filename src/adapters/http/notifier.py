"""The webhook notifier: one signed request, one bounded look at the answer."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from datetime import UTC, datetime
from importlib.metadata import version
from types import TracebackType
from typing import Final, Self

import aiohttp

from adapters.http.answer import ANSWER_BYTES_MAX, retry_after_seconds
from adapters.http.client import GuardedClient
from adapters.http.failure import Failure, explain
from adapters.http.guard import AddressGuard
from adapters.http.proxy import Proxy
from adapters.http.resolver import Lookup, SystemLookup
from payments_core.ports import Answered, Notification, Unreached
from payments_core.webhook import excerpt_of

CONNECT_TIMEOUT_SECONDS: Final = 5.0
TOTAL_TIMEOUT_SECONDS: Final = 15.0
CONNECTIONS_MAX: Final = 500
"""Open at once. Further attempts wait their turn before their time starts to run."""

USER_AGENT: Final = f"payments-core/{version('payments-core')} (+webhooks)"


def _utc_now() -> datetime:
    return datetime.now(UTC)


class HttpNotifier:
    """Sends webhooks by HTTP to where the guard lets them go (the core's `Notifier`).

    Made anywhere, used and closed in one event loop: `async with HttpNotifier(guard) as notifier`.
    """

    def __init__(
        self,
        guard: AddressGuard,
        *,
        connect_timeout_seconds: float = CONNECT_TIMEOUT_SECONDS,
        total_timeout_seconds: float = TOTAL_TIMEOUT_SECONDS,
        look_up: Lookup | None = None,
        tls: ssl.SSLContext | None = None,
        proxy: Proxy | None = None,
        now: Callable[[], datetime] = _utc_now,
    ) -> None:
        """`look_up` replaces the system's resolver, `tls` the usual certificate authorities.

        Everything goes through the operator's `proxy` where there is one, to the addresses that would be dialled
        without it. None is taken from the environment.
        """
        self._guard = guard
        self._total_timeout_seconds = total_timeout_seconds
        self._now = now
        self._client = GuardedClient(
            guard,
            look_up or SystemLookup(),
            connect_timeout_seconds=connect_timeout_seconds,
            unsent_timeout_seconds=total_timeout_seconds,
            tls=tls,
            proxy=proxy,
        )
        self._turns = asyncio.Semaphore(CONNECTIONS_MAX)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close every connection; attempts still under way end as unreached."""
        await self._client.aclose()

    def refuses(self, url: str, /) -> str | None:
        """Return why an endpoint with this URL cannot be registered, or None. Nothing is resolved."""
        return self._guard.refuses(url)

    async def send(self, notification: Notification, /) -> Answered | Unreached:
        """Make one attempt and return its outcome; nothing that the receiver or the network does raises.

        Any status is `Answered`, redirects among them: they are not followed. Of a longer body only the first
        `ANSWER_BYTES_MAX` are read. One bound holds for all of it, from the look-up of the name to that last byte.
        """
        refused = self._guard.judge_url(notification.url)
        if refused is not None:
            return Unreached(code=refused.code, message=refused.message, milliseconds=0)
        async with self._turns:
            started = asyncio.get_running_loop().time()
            try:
                async with asyncio.timeout(self._total_timeout_seconds):
                    status_code, retry_after, body = await self._exchange(notification)
            except aiohttp.ConnectionTimeoutError as error:  # a TimeoutError too, of another time
                failure = explain(error)
            except TimeoutError:
                seconds = f"{self._total_timeout_seconds:g}"
                failure = Failure(code="timeout", message=f"no complete answer within {seconds} seconds")
            except (aiohttp.ClientError, OSError, RuntimeError, ValueError) as error:
                # ValueError: of an answer that aiohttp cannot read, for one;
                # RuntimeError: uvloop, in place of OSError, on a connection that is just closing.
                failure = explain(error)
            else:
                return Answered(
                    status_code=status_code,
                    milliseconds=_milliseconds_since(started),
                    excerpt=excerpt_of(body.decode("utf-8", errors="replace")),
                    retry_after_seconds=retry_after_seconds(retry_after, now=self._now()),
                )
            # Nothing was dialled then; how long the name took would tell names of the inside from others.
            milliseconds = 0 if failure.code == "blocked_address" else _milliseconds_since(started)
            return Unreached(code=failure.code, message=failure.message, milliseconds=milliseconds)

    async def _exchange(self, notification: Notification) -> tuple[int, str | None, bytes]:
        headers = {
            **notification.headers,
            "User-Agent": USER_AGENT,
            "Accept": "*/*",
            "Accept-Encoding": "identity",
            "Connection": "close",
        }
        async with self._client.post(notification.url, headers=headers, body=notification.body) as response:
            body = await _read(response)
            return response.status, response.headers.get("Retry-After"), body


async def _read(response: aiohttp.ClientResponse) -> bytes:
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) >= ANSWER_BYTES_MAX:
            break
    return bytes(body[:ANSWER_BYTES_MAX])


def _milliseconds_since(started: float) -> int:
    return round((asyncio.get_running_loop().time() - started) * 1000)
