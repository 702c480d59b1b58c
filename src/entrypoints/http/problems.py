"""Errors become problem documents (RFC 9457). `problem_catalogue` has the words, this module the way."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import msgspec
import structlog
from litestar.exceptions import HTTPException

from entrypoints.http.problem_catalogue import KINDS, Kind
from entrypoints.http.request_context import RequestContext
from entrypoints.http.responses import PROBLEM, Headers, Reply
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """What went wrong: of which kind it is, what is said of it, and what its answer carries."""

    kind: Kind
    detail: str
    code: str
    retryable: bool
    faults: Sequence[Fault] = ()
    headers: Headers = ()


def problem_reply(error: Exception, context: RequestContext) -> Reply:
    """Return the answer that says what went wrong; what is our own fault is logged with its traceback."""
    problem = problem_of(error, context)
    document: dict[str, Json] = {
        "type": f"/problems/{problem.code if problem.code in KINDS else problem.kind.code}",
        "title": problem.kind.title,
        "status": problem.kind.status,
        "detail": problem.detail,
        "code": problem.code,
        "retryable": problem.retryable,
        "request_id": context.request_id,
    }
    if problem.faults:
        document["errors"] = [
            {"field": fault.field, "code": fault.code, "message": fault.message} for fault in problem.faults
        ]
    return Reply(problem.kind.status, (*PROBLEM, *problem.headers), msgspec.json.encode(document))


def problem_of(error: Exception, context: RequestContext) -> Problem:
    """Return what went wrong; what is our own fault is logged with its traceback."""
    match error:
        case Refusal():
            return _problem(error.kind, error.detail)
        case PaymentsError():
            return _of_core(error, context)
        case HTTPException():
            return _of_framework(error, context)
        case _:
            return _internal(error, context)


def _of_core(error: PaymentsError, context: RequestContext) -> Problem:
    kind = KINDS.get(error.code) or KINDS.get(type(error).code)
    if kind is None:
        return _internal(error, context)
    if not isinstance(error, Refused):
        # An adapter's words may name hosts and tables: they are for the log, not for the merchant.
        _log.warning("request failed", code=kind.code, request_id=context.request_id, error=error.message)
        return _problem(kind, None)
    faults = [_spoken(fault) for fault in error.faults] if isinstance(error, Invalid) else ()
    detail = " ".join(f"{fault.field}: {fault.message}".lstrip(": ") for fault in faults) or error.message
    headers: Headers = ()
    if isinstance(error, TooMany):
        # The draft's headers of the limit that was met take the place of those of limits that were not.
        context.added = [pair for pair in context.added if not pair[0].startswith(b"ratelimit")]
        headers = [
            *rate_limit_headers(error.allowance),
            (b"retry-after", str(_seconds(error.allowance)).encode()),
        ]
    return _problem(kind, detail, code=error.code, faults=faults, retryable=error.retryable, headers=headers)


def _spoken(fault: Fault) -> Fault:
    """Return the fault with a whole sentence: adapters say why they refuse in the middle of others' sentences."""
    message = fault.message[:1].upper() + fault.message[1:]
    return replace(fault, message=message if message.endswith((".", "?", "!")) else f"{message}.")


def _of_framework(error: HTTPException, context: RequestContext) -> Problem:
    if error.status_code >= 500 and error.status_code != 503:
        return _internal(error, context)
    headers = [
        (name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in (error.headers or {}).items()
    ]
    return _problem(KINDS[BY_STATUS.get(error.status_code, "bad_request")], None, headers=headers)


def _internal(error: Exception, context: RequestContext) -> Problem:
    _log.error("request failed", request_id=context.request_id, exc_info=error)
    return _problem(KINDS["internal_error"], None)


def _problem(
    kind: Kind,
    detail: str | None,
    *,
    code: str | None = None,
    faults: Sequence[Fault] = (),
    retryable: bool | None = None,
    headers: Headers = (),
) -> Problem:
    carried = [*headers]
    if kind.status == 401:
        carried.append(WWW_AUTHENTICATE)
    if kind.status == 408:
        # The rest of the body may still come, and would be taken for the next request (RFC 9110, section 15.5.9).
        carried.append((b"connection", b"close"))
    if kind.code in _RETRY_SOON:
        carried.append((b"retry-after", str(RETRY_AFTER_SECONDS).encode()))
    return Problem(
        kind=kind,
        detail=detail or kind.detail,
        code=code or kind.code,
        retryable=kind.retryable if retryable is None else retryable,
        faults=faults,
        headers=carried,
    )
