"""A receiver of webhooks on this machine, which believes nothing that isn't signed."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from payments_core.event import BODY_BYTES_MAX
from payments_core.values import Json
from payments_core.webhook import InvalidSignature, verify

if TYPE_CHECKING:
    from uvicorn._types import ASGIReceiveCallable, ASGISendCallable, Scope

ACCEPTED: Final = 204
REFUSED: Final = 400
TOO_LARGE: Final = 413
WRONG_METHOD: Final = 405


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """One request: whether it was what its sender signed (`refusal` is None), and what was answered."""

    at: datetime
    id: str
    body: bytes
    refusal: str | None
    status: int

    @property
    def event(self) -> Mapping[str, Json]:
        """The body, read; empty where it is no JSON object."""
        try:
            value = json.loads(self.body)
        except (ValueError, RecursionError):  # the second for what is nested too deeply
            return {}
        return value if isinstance(value, dict) else {}


@dataclass(slots=True)
class Receiver:
    """An ASGI application. Each request is verified with `secret`, handed to `hear` and answered.

    Where there is no secret nothing can be verified: then everything is taken, and said to be unverified.
    `status` is the answer to what is verified; `hear` must not raise.
    """

    hear: Callable[[Received], None]
    secret: str | None = None
    status: int = ACCEPTED
    now: Callable[[], datetime] = field(default=lambda: datetime.now(UTC))

    async def __call__(self, scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        """Answer one request, or take part in the server's start and end."""
        if scope["type"] == "lifespan":
            await _live(receive, send)
        elif scope["type"] == "http":
            if scope["method"] != "POST":
                await _answer(send, WRONG_METHOD)
                return
            body = await _body(receive)
            if body is None:
                await _answer(send, TOO_LARGE)
                return
            headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
            received = self._judge(headers, body)
            self.hear(received)
            await _answer(send, received.status)

    def _judge(self, headers: Mapping[str, str], body: bytes) -> Received:
        at, refusal = self.now(), None
        if self.secret is not None:
            try:
                verify(self.secret, headers=headers, body=body, at=at)
            except InvalidSignature as error:
                refusal = str(error)
        status = self.status if refusal is None else REFUSED
        return Received(at=at, id=headers.get("webhook-id", ""), body=body, refusal=refusal, status=status)


async def _body(receive: ASGIReceiveCallable) -> bytes | None:
    """Return the whole body, or None where it is larger than any webhook."""
    body = b""
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return body
        body += message.get("body", b"")
        if len(body) > BODY_BYTES_MAX:
            return None
        if not message.get("more_body", False):
            return body


async def _answer(send: ASGISendCallable, status: int) -> None:
    headers = [] if status == ACCEPTED else [(b"content-length", b"0")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _live(receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
    await receive()
    await send({"type": "lifespan.startup.complete"})
    await receive()
    await send({"type": "lifespan.shutdown.complete"})
