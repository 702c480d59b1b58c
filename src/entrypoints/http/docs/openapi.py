"""The OpenAPI 3.1 document, made of the same declarations by which requests are answered."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from importlib.metadata import version
from typing import Any, Final, TypeAlias

import msgspec

from entrypoints.http.docs import document_parts as parts
from entrypoints.http.docs.examples import example_of
from entrypoints.http.health import LIVE_PATH, READY_PATH
from entrypoints.http.operations import NoBody, Operation
from entrypoints.http.problem_catalogue import KINDS
from entrypoints.http.response_schemas import Event, Health, Problem
from payments_core.event import EventType
from payments_core.webhook import RETRY_SCHEDULE

Part: TypeAlias = dict[str, Any]

_REF: Final = "#/components/schemas/{name}"
_SENT_AGAIN: Final = (
    f"Not received: it is sent again, by default {len(RETRY_SCHEDULE)} attempts in all over about "
    f"{round(sum(RETRY_SCHEDULE, start=timedelta()) / timedelta(days=1))} days."
)
_ALWAYS: Final = ("bad_request", "invalid_request", "misdirected_request", "internal_error", "unavailable")
_OF_COMMANDS: Final = ("outcome_unknown",)
_OF_BODIES: Final = ("malformed_json", "request_timeout", "body_too_large", "unsupported_media_type")
_OF_CREDENTIALS: Final = (
    "authentication_required",
    "invalid_credentials",
    "scope_missing",
    "suspended",
    "rate_limited",
)
_OF_LIMITED: Final = ("RateLimit", "RateLimit-Policy")
_OF_ONCE: Final = ("invalid_idempotency_key", "idempotency_key_in_use", "idempotency_key_reused")
_PATH_PARAMETER: Final = re.compile(r"{(\w+)}")


def make_document(operations: Sequence[Operation]) -> Part:
    """Return the document of these operations, of health, and of the webhooks that are sent."""
    types = _types(operations)
    references, schemas = msgspec.json.schema_components(types, ref_template=_REF)
    parts.flatten_nullable(schemas)
    refs = dict(zip(types, references, strict=True))
    paths: Part = {}
    for operation in operations:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _operation(operation, refs, schemas)
    paths.update(_health_paths(refs))
    for page_of in {operation.answer for operation in operations if operation.page and operation.answer}:
        schemas[f"{page_of.__name__}Page"] = parts.page_schema(refs[page_of])
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Payments",
            "version": version("payments-core"),
            "summary": "Payments, refunds and signed webhooks.",
            "description": parts.INTRODUCTION,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/", "description": "Where this document comes from."}],
        "tags": [{"name": tag} for tag in dict.fromkeys(operation.tag for operation in operations)],
        "paths": paths,
        "webhooks": {str(type): _webhook(type, refs) for type in EventType},
        "components": {
            "schemas": dict(sorted(schemas.items())),
            "securitySchemes": parts.SECURITY_SCHEMES,
            "headers": parts.HEADERS,
            "examples": parts.problem_examples(),
            "parameters": parts.HEADER_PARAMETERS,
        },
    }


def _types(operations: Sequence[Operation]) -> list[type[msgspec.Struct]]:
    used: dict[type[msgspec.Struct], None] = {Problem: None, Health: None, Event: None}
    for operation in operations:
        if operation.body is not NoBody:
            used[operation.body] = None
        if operation.answer is not None:
            used[operation.answer] = None
    return list(used)


def _operation(operation: Operation, refs: Mapping[type[msgspec.Struct], Part], schemas: Part) -> Part:
    described: Part = {
        "operationId": operation.name,
        "tags": [operation.tag],
        "summary": operation.summary,
        "description": _description(operation),
        "security": _security(operation),
        "parameters": _parameters(operation),
        "responses": {str(operation.status): _success(operation, refs, schemas)},
    }
    if operation.body is not NoBody:
        reference = refs[operation.body]
        described["requestBody"] = {
            "required": operation.needs_body,
            "content": parts.json_content(reference, example_of(reference, schemas)),
        }
    if operation.read is not None:
        described["responses"]["304"] = {
            "description": "Nothing changed since the answer that `If-None-Match` names.",
            "headers": parts.header_refs("X-Request-Id", *_of_reads(operation), *_OF_LIMITED),
        }
    described["responses"].update(_problems(codes_of(operation), refs))
    return described


def _description(operation: Operation) -> str:
    if operation.access == "public":
        return operation.description
    return f"{operation.description}\n\nNeeds the scope `{operation.access}`."


def _security(operation: Operation) -> list[Part]:
    if operation.access == "public":
        return []
    return [{name: [str(operation.access)]} for name in parts.SECURITY_SCHEMES]


def _parameters(operation: Operation) -> list[Part]:
    parameters: list[Part] = [
        {
            "name": name,
            "in": "path",
            "required": True,
            "description": "An opaque id." if name != "key" else "The idempotency key, percent-encoded.",
            "schema": {"type": "string", "minLength": 1, "maxLength": 255},
        }
        for name in _PATH_PARAMETER.findall(operation.path)
    ]
    parameters += [
        {
            "name": parameter.name,
            "in": "query",
            "required": False,
            "description": parameter.description,
            "schema": parameter.schema,
        }
        for parameter in operation.parameters.values()
    ]
    names = ["X-Request-Id"]
    if operation.once:
        names.append("Idempotency-Key")
    if operation.read is not None:
        names.append("If-None-Match")
    return [*parameters, *({"$ref": f"#/components/parameters/{name}"} for name in names)]


def _of_reads(operation: Operation) -> Sequence[str]:
    return ("ETag", "Cache-Control", "Vary") if operation.cached else ("ETag", "Cache-Control")


def _success(operation: Operation, refs: Mapping[type[msgspec.Struct], Part], schemas: Part) -> Part:
    names = ["X-Request-Id", *(["Cache-Control"] if operation.read is None else _of_reads(operation))]
    if operation.location is not None:
        names.append("Location")
    if operation.once:
        names.append("Idempotent-Replayed")
    if operation.access != "public":
        names += _OF_LIMITED
    success: Part = {"description": parts.STATUS_WORDS[operation.status], "headers": parts.header_refs(*names)}
    if operation.answer is not None:
        reference = refs[operation.answer]
        example: object = example_of(reference, schemas)
        if operation.page:
            reference = {"$ref": _REF.format(name=f"{operation.answer.__name__}Page")}
            example = {"results": [example], "next": None, "previous": None}
        success["content"] = parts.json_content(reference, example)
    return success


def codes_of(operation: Operation) -> list[str]:
    """Return the codes of all problems that the operation can answer with, the statuses ascending."""
    codes = {*_ALWAYS, *operation.problems}
    if operation.command is not None:
        codes.update((*_OF_COMMANDS, *_OF_BODIES))
    if operation.access != "public":
        codes.update(_OF_CREDENTIALS)
    if operation.once:
        codes.update(_OF_ONCE)
    if "{" in operation.path:
        codes.add("not_found")
    return sorted(codes, key=lambda code: (KINDS[code].status, code))


def _problems(codes: Iterable[str], refs: Mapping[type[msgspec.Struct], Part]) -> Part:
    by_status: dict[str, list[str]] = {}
    for code in codes:
        by_status.setdefault(str(KINDS[code].status), []).append(code)
    return {status: parts.problem_response(these, refs[Problem]) for status, these in by_status.items()}


def _health_paths(refs: Mapping[type[msgspec.Struct], Part]) -> Part:
    def answer(words: str, status: str) -> Part:
        return {
            "description": words,
            "headers": parts.header_refs("X-Request-Id", "Cache-Control"),
            "content": parts.json_content(refs[Health], {"status": status, "checks": {"store": "ok"}}),
        }

    def page(name: str, summary: str, responses: Part) -> Part:
        return {
            "get": {
                "operationId": name,
                "tags": ["Health"],
                "summary": summary,
                "security": [],
                "parameters": [{"$ref": "#/components/parameters/X-Request-Id"}],
                "responses": {**responses, **_problems(["bad_request", "invalid_request", "internal_error"], refs)},
            }
        }

    return {
        LIVE_PATH: page("live", "Whether the process lives", {"200": answer("It does.", "ok")}),
        READY_PATH: page(
            "ready",
            "Whether it can work",
            {
                "200": answer("`ok`, or `degraded`: slower, but right.", "ok"),
                "503": answer("It cannot; `checks` says why.", "unavailable"),
            },
        ),
    }


def _webhook(type: EventType, refs: Mapping[type[msgspec.Struct], Part]) -> Part:
    return {
        "post": {
            "operationId": f"on_{type.replace('.', '_')}",
            "tags": ["Events"],
            "summary": str(type),
            "description": "Sent to each endpoint that listens to it, signed as Standard Webhooks 1.0.0 says.",
            "parameters": parts.WEBHOOK_HEADERS,
            "requestBody": {"required": True, "content": {"application/json": {"schema": refs[Event]}}},
            "responses": {
                "2XX": {"description": "Received."},
                "410": {"description": "Nothing more, please: the endpoint is disabled."},
                "default": {"description": _SENT_AGAIN},
            },
        }
    }
