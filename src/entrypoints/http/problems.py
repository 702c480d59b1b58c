"""Errors become problem documents (RFC 9457). `problem_catalogue` has the words, this module the way."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

import msgspec
import structlog
from litestar.exceptions import HTTPException

from entrypoints.http.problem_catalogue import KINDS, Kind
from entrypoints.http.request_context import RequestContext
from entrypoints.http.responses import PROBLEM, Reply
from payments_core.errors import Fault, Invalid, PaymentsError, Refused, TooMany
from payments_core.limits import Allowance
from payments_core.values import Json

WWW_AUTHENTICATE: Final = (b"www-authenticate", b'Token realm="payments-core", Bearer realm="payments-core"')
RETRY_AFTER_SECONDS: Final = 1
_RETRY_SOON: Final = frozenset({"unavailable", "idempotency_key_in_use"})
BY_STATUS: Final[Mapping[int, str]] = {
    401: "authentication_required",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    413: "body_too_large",
    415: "unsupported_media_type",
    429: "rate_limited",
    503: "unavailable",
}
_log: Final = structlog.stdlib.get_logger(__name__)


class Refusal(Exception):
    """A request that HTTP itself refuses, before the core hears of it; `code` is one of `KINDS`."""

    def __init__(self, code: str, detail: str | None = None) -> None:
        super().__init__(code)
        self.kind = KINDS[code]
        self.detail = detail or self.kind.detail


def rate_limit_headers(allowance: Allowance) -> list[tuple[bytes, bytes]]:
    """Return `RateLimit-Policy` and `RateLimit` (draft-ietf-httpapi-ratelimit-headers-10)."""
    limit = allowance.limit
    policy = f'"{limit.name}";q={limit.amount};w={limit.per_seconds}'
    left = f'"{limit.name}";r={allowance.remaining};t={_seconds(allowance)}'
    return [(b"ratelimit-policy", policy.encode()), (b"ratelimit", left.encode())]


def _seconds(allowance: Allowance) -> int:
    return max(1, math.ceil(allowance.reset_after_seconds))


def problem_reply(error: Exception, context: RequestContext) -> Reply:
    """Return the answer that says what went wrong; what is our own fault is logged with its traceback."""
    match error:
        case Refusal():
            return _reply(error.kind, error.detail, context)
        case PaymentsError():
            return _of_core(error, context)
        case HTTPException():
            return _of_framework(error, context)
        case _:
            return _internal(error, context)


def _of_core(error: PaymentsError, context: RequestContext) -> Reply:
    kind = KINDS.get(error.code) or KINDS.get(type(error).code)
    if kind is None:
        return _internal(error, context)
    if not isinstance(error, Refused):
        # An adapter's words may name hosts and tables: they are for the log, not for the merchant.
        _log.warning("request failed", code=kind.code, request_id=context.request_id, error=error.message)
        return _reply(kind, None, context)
    faults = [_spoken(fault) for fault in error.faults] if isinstance(error, Invalid) else ()
    detail = " ".join(f"{fault.field}: {fault.message}".lstrip(": ") for fault in faults) or error.message
    reply = _reply(kind, detail, context, code=error.code, faults=faults, retryable=error.retryable)
    if isinstance(error, TooMany):
        # The draft's headers of the limit that was met take the place of those of limits that were not.
        context.added = [pair for pair in context.added if not pair[0].startswith(b"ratelimit")]
        reply.headers += [
            *rate_limit_headers(error.allowance),
            (b"retry-after", str(_seconds(error.allowance)).encode()),
        ]
    return reply


def _spoken(fault: Fault) -> Fault:
    """Return the fault with a whole sentence: adapters say why they refuse in the middle of others' sentences."""
    message = fault.message[:1].upper() + fault.message[1:]
    return replace(fault, message=message if message.endswith((".", "?", "!")) else f"{message}.")


def _of_framework(error: HTTPException, context: RequestContext) -> Reply:
    if error.status_code >= 500 and error.status_code != 503:
        return _internal(error, context)
    reply = _reply(KINDS[BY_STATUS.get(error.status_code, "bad_request")], None, context)
    for name, value in (error.headers or {}).items():
        reply.headers.append((name.lower().encode("latin-1"), value.encode("latin-1")))
    return reply


def _internal(error: Exception, context: RequestContext) -> Reply:
    _log.error("request failed", request_id=context.request_id, exc_info=error)
    return _reply(KINDS["internal_error"], None, context)


def _reply(
    kind: Kind,
    detail: str | None,
    context: RequestContext,
    *,
    code: str | None = None,
    faults: Sequence[Fault] = (),
    retryable: bool | None = None,
) -> Reply:
    code = code or kind.code
    document: dict[str, Json] = {
        "type": f"/problems/{code if code in KINDS else kind.code}",
        "title": kind.title,
        "status": kind.status,
        "detail": detail or kind.detail,
        "code": code,
        "retryable": kind.retryable if retryable is None else retryable,
        "request_id": context.request_id,
    }
    if faults:
        document["errors"] = [{"field": fault.field, "code": fault.code, "message": fault.message} for fault in faults]
    reply = Reply(kind.status, PROBLEM, msgspec.json.encode(document))
    if kind.status == 401:
        reply.headers.append(WWW_AUTHENTICATE)
    if kind.status == 408:
        # The rest of the body may still come, and would be taken for the next request (RFC 9110, section 15.5.9).
        reply.headers.append((b"connection", b"close"))
    if kind.code in _RETRY_SOON:
        reply.headers.append((b"retry-after", str(RETRY_AFTER_SECONDS).encode()))
    return reply
