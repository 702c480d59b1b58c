"""Bodies, read strictly: bounded bytes, one JSON object, nothing twice, nothing unknown, nothing of another type."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping, Sequence
from typing import Final, TypeVar, cast

import msgspec
from litestar.types import Receive

from entrypoints.http.body_faults import Check, find_duplicates, find_faults, find_nuls
from entrypoints.http.limits import BODY_BYTES_MAX, BODY_SECONDS
from entrypoints.http.problems import Refusal
from entrypoints.http.request_context import RequestContext
from payments_core.errors import Fault, Invalid
from payments_core.values import Json

B = TypeVar("B", bound=msgspec.Struct)

LENGTH_DIGITS_MAX: Final = 20
_JSON_TYPE: Final = re.compile(r'application/json\s*(;\s*charset\s*=\s*"?utf-8"?\s*)?;?\s*', re.IGNORECASE)
_BYTE: Final = re.compile(r"\(byte ([0-9]+)\)$")
"""Where msgspec says that it stopped, counted from 0; it says nothing where the text ended too early."""
_HALF_A_PAIR: Final = re.compile(rb"\\u[dD][89abAB][0-9a-fA-F]{2}(?!\\u[dD][c-fC-F])")
"""The first half of a surrogate pair without its second, for which msgspec waits to the end of the text."""
_decode: Final = msgspec.json.Decoder(strict=True).decode


async def read_body(receive: Receive, context: RequestContext) -> bytes:
    """Return the whole body; raise Refusal: `body_too_large`, whatever Content-Length says, or `request_timeout`."""
    for length in context.all(b"content-length"):
        if length.isdecimal() and (len(length) > LENGTH_DIGITS_MAX or int(length) > BODY_BYTES_MAX):
            raise Refusal("body_too_large")
    try:
        async with asyncio.timeout(BODY_SECONDS):
            return await _receive_all(receive)
    except TimeoutError:
        raise Refusal("request_timeout") from None


async def _receive_all(receive: Receive) -> bytes:
    body = bytearray()
    while True:
        message = await receive()
        if message["type"] != "http.request":
            raise Refusal("bad_request", "The connection was closed before the body had come.")
        body += message.get("body", b"")
        if len(body) > BODY_BYTES_MAX:
            raise Refusal("body_too_large")
        if not message.get("more_body", False):
            return bytes(body)


def check_content_type(context: RequestContext) -> None:
    """Raise Refusal (`unsupported_media_type`) unless the body is said to be JSON in UTF-8, as it is."""
    if any(coding.lower() != "identity" for coding in context.all(b"content-encoding")):
        raise Refusal("unsupported_media_type", "Compressed bodies are not read: send it without Content-Encoding.")
    types = context.all(b"content-type")
    if len(types) != 1 or (types[0] != "application/json" and _JSON_TYPE.fullmatch(types[0]) is None):
        raise Refusal("unsupported_media_type")


def parse_object(body: bytes) -> dict[str, Json]:
    """Return the JSON object; raise Refusal (`malformed_json`), or Invalid for duplicate keys and NULs."""
    try:
        parsed = _decode(body)
    except (ValueError, RecursionError) as error:
        # msgspec's errors are ValueErrors, those of text that is not UTF-8 too; their words may quote the text.
        raise Refusal("malformed_json", _why_malformed(body, error)) from None
    if not isinstance(parsed, dict):
        raise Refusal("malformed_json", "The body is JSON, but not an object: {…}.")
    # A colon for each pair, and more only inside strings or for keys that come twice.
    if body.count(b":") != _count_pairs(parsed):
        _refuse(find_duplicates(body))
    if b"\\u0000" in body:
        _refuse(find_nuls(parsed))
    return cast(dict[str, Json], parsed)


def _why_malformed(body: bytes, error: Exception) -> str:
    """Say what is wrong with it and where, and nothing of what stands there."""
    if not body.strip():
        return "The body is empty; a JSON object is needed."
    if body.startswith(b"\xef\xbb\xbf"):
        return "The body begins with a byte order mark; JSON has none (RFC 8259, section 8.1)."
    try:
        body.decode()
    except UnicodeDecodeError as not_utf8:
        return f"The body is not UTF-8 {_place(body, not_utf8.start)}."
    if isinstance(error, RecursionError):
        return "The body is nested too deeply."
    if isinstance(error, msgspec.ValidationError):
        return "The body holds a number beyond all bounds."
    if (found := _BYTE.search(str(error))) is None:
        if _HALF_A_PAIR.search(body) is not None:
            return "The body is cut short, or a string in it holds half of a surrogate pair (RFC 8259, section 8.2)."
        return f"The body is cut short: its JSON is not complete {_place(body, len(body))}."
    return f"The body is not well-formed JSON {_place(body, int(found[1]))}."


def _place(body: bytes, offset: int) -> str:
    """Return the line and the column, in characters from 1, of a byte in what is UTF-8 up to there."""
    line_start = body.rfind(b"\n", 0, offset) + 1
    line = body.count(b"\n", 0, offset) + 1
    column = len(body[line_start:offset].decode(errors="replace")) + 1
    return f"at line {line}, column {column}"


def _count_pairs(parsed: object) -> int:
    count, waiting = 0, [parsed]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            count += len(value)
            waiting.extend(each for each in value.values() if isinstance(each, (dict, list)))
        elif isinstance(value, list):
            waiting.extend(each for each in value if isinstance(each, (dict, list)))
    return count


def _refuse(faults: Sequence[Fault]) -> None:
    if faults:
        raise Invalid(faults)


def convert(parsed: Mapping[str, Json], type: type[B], check: Check[B] | None = None) -> B:
    """Return the object as a struct; raise Invalid with all that is wrong where its structure is."""
    try:
        return msgspec.convert(parsed, type, strict=True)
    except msgspec.ValidationError:
        raise Invalid(find_faults(parsed, type, check)) from None
