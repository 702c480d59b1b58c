"""Parts of the OpenAPI document that are the same for all operations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from entrypoints.http.docs.quantities import in_time
from entrypoints.http.problem_catalogue import KINDS
from entrypoints.http.request_context import REQUEST_ID_LENGTH_MAX
from payments_core.idempotency import KEPT, KEY_LENGTH_MAX

INTRODUCTION: Final = f"""\
Take payments, refund them, and be told of everything by signed webhooks.

- **Authentication.** `Authorization: Token sk_test_…` with an API key (the word `Token` is part of it), or
  `Authorization: Bearer …` with an access token. A key is of one mode, test or live, and sees only its mode.
- **Idempotency.** Send `Idempotency-Key` with each authenticated POST that takes it (all but the change of a password
  and the logout): the same request again gets the same answer, byte for byte, and has its effect once. Keys are kept
  for {in_time(KEPT)}.
- **Money** is a decimal string with its currency's decimals: `"100.00"` USD, `"100"` JPY.
- **Errors** are problem documents (RFC 9457). Programs look at `code`; `errors` names every field at fault.
- **Lists** give `results`, `next` and `previous`; follow the links. Reads carry an `ETag`.
- **It only grows.** Fields, codes, event types and enumeration values may come at any time: pass over what you don't
  know. An unknown status is not final.

Paths work with and without a trailing slash.
"""

STATUS_WORDS: Final[Mapping[int, str]] = {
    200: "Done.",
    201: "Made; `Location` says where.",
    202: "Accepted; it is done within moments.",
    204: "Done; there is nothing to say.",
}

SECURITY_SCHEMES: Final[Mapping[str, Any]] = {
    "token": {
        "type": "apiKey",
        "in": "header",
        "name": "Authorization",
        "description": "An API key, after the word `Token`: `Token sk_test_…`.",
    },
    "bearer": {
        "type": "http",
        "scheme": "bearer",
        "description": "An access token (JWT) of `POST /api/auth/token/`, or an API key.",
    },
}


def _header(description: str, example: object, **schema: object) -> dict[str, Any]:
    return {"description": description, "schema": {"type": "string", **schema}, "example": example}


HEADERS: Final[Mapping[str, Any]] = {
    "Allow": _header("The methods that this path has.", "GET, HEAD, OPTIONS"),
    "Cache-Control": _header("`private, no-cache` where a copy may be kept, else `no-store`.", "no-store"),
    "Connection": _header("`close`: nothing more is read on it.", "close"),
    "ETag": _header("Names this answer; send it back as `If-None-Match`.", '"5d41402abc4b2a76b9719d911017c592"'),
    "Idempotent-Replayed": _header("`true` on an answer that was given before.", "true"),
    "Location": _header("The path of what was made.", "/api/transactions/txn_01K5Z8Q2H4N6T7V9XBCDEFGHJK/"),
    "RateLimit": _header("What is left of the limit, and for how many seconds.", '"api_merchant";r=199;t=2'),
    "RateLimit-Policy": _header("The limit: how many in how many seconds.", '"api_merchant";q=200;w=2'),
    "Retry-After": {"description": "Seconds to wait.", "schema": {"type": "integer", "minimum": 1}, "example": 1},
    "Vary": _header("What else the answer depends on.", "authorization"),
    "WWW-Authenticate": _header("How to authenticate.", 'Token realm="payments-core", Bearer realm="payments-core"'),
    "X-Request-Id": _header("The id of this request.", "req_0f8fad5bd9cb469fa165708673e3d2b1"),
}

HEADER_PARAMETERS: Final[Mapping[str, Any]] = {
    "Idempotency-Key": {
        "name": "Idempotency-Key",
        "in": "header",
        "required": False,
        "description": "Makes repetitions of this request one with it. Calls that move live money need it.",
        "schema": {"type": "string", "minLength": 1, "maxLength": KEY_LENGTH_MAX, "pattern": "^[!-~]([ -~]*[!-~])?$"},
    },
    "If-None-Match": {
        "name": "If-None-Match",
        "in": "header",
        "required": False,
        "description": "The `ETag` of an answer that you have: 304 where it is still the answer.",
        "schema": {"type": "string"},
    },
    "X-Request-Id": {
        "name": "X-Request-Id",
        "in": "header",
        "required": False,
        "description": "An id of your own for this request, at most "
        f"{REQUEST_ID_LENGTH_MAX} of `A-Za-z0-9._:/=+@-`; else one is made.",
        "schema": {"type": "string"},
    },
}

WEBHOOK_HEADERS: Final[Sequence[Mapping[str, Any]]] = [
    {
        "name": name,
        "in": "header",
        "required": True,
        "description": description,
        "schema": {"type": "string"},
    }
    for name, description in (
        ("webhook-id", "The event's id, the same over all retries."),
        ("webhook-timestamp", "Seconds since 1970 at which this attempt was signed."),
        ("webhook-signature", "One or more of `v1,` and base64, blank-separated."),
    )
]


def header_refs(*names: str) -> dict[str, Any]:
    """Return references to the descriptions of these headers."""
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}


def json_content(schema: Mapping[str, Any], example: object) -> dict[str, Any]:
    """Return the content of a body that is JSON."""
    # Not `example`: the viewer stumbles over its nulls.
    return {"application/json": {"schema": schema, "examples": {"example": {"value": example}}}}


def flatten_nullable(schema: Any) -> None:
    """Say `"type": ["string", "null"]` wherever there is a union of just that: shorter, and shown more clearly."""
    if isinstance(schema, list):
        for each in schema:
            flatten_nullable(each)
    elif isinstance(schema, dict):
        match schema.get("anyOf"):
            case [{"type": str(type), **more}, {"type": "null"}]:
                del schema["anyOf"]
                schema |= {**more, **schema, "type": [type, "null"]}
            case _:
                pass
        for each in schema.values():
            flatten_nullable(each)


def page_schema(item: Mapping[str, Any]) -> dict[str, Any]:
    """Return the schema of a page of such items."""
    link = {"anyOf": [{"type": "string", "format": "uri-reference"}, {"type": "null"}]}
    return {
        "type": "object",
        "description": "A page of a list.",
        "required": ["results", "next", "previous"],
        "properties": {
            "results": {"type": "array", "items": item},
            "next": {**link, "description": "The path of the next page; null at the end."},
            "previous": {**link, "description": "The path of the page before; null at the start."},
        },
    }


def problem_response(codes: Sequence[str], schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return the response for one status, with an example for each of its codes."""
    status = KINDS[codes[0]].status
    names = ["X-Request-Id", "Cache-Control"]
    if status == 401:
        names.append("WWW-Authenticate")
    if status == 408:
        names.append("Connection")
    if status in (429, 503) or "idempotency_key_in_use" in codes:
        names.append("Retry-After")
    if status == 429:
        names += ["RateLimit", "RateLimit-Policy"]
    return {
        "description": "\n".join(f"- `{code}`: {KINDS[code].title}." for code in codes),
        "headers": header_refs(*names),
        "content": {
            "application/problem+json": {
                "schema": schema,
                "examples": {code: {"$ref": f"#/components/examples/{code}"} for code in codes},
            }
        },
    }


def problem_examples() -> dict[str, Any]:
    """Return an example of each kind of problem."""
    return {code: {"summary": kind.title, "value": _problem(code)} for code, kind in KINDS.items()}


def _problem(code: str) -> dict[str, Any]:
    kind = KINDS[code]
    problem: dict[str, Any] = {
        "type": f"/problems/{code}",
        "title": kind.title,
        "status": kind.status,
        "detail": kind.detail,
        "code": code,
        "retryable": kind.retryable,
        "request_id": "req_0f8fad5bd9cb469fa165708673e3d2b1",
    }
    if code == "invalid_request":
        problem["detail"] = "amount: USD has at most 2 decimals."
        problem["errors"] = [{"field": "amount", "code": "too_many_decimals", "message": "USD has at most 2 decimals."}]
    return problem
