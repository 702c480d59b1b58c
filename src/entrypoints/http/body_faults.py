"""All that is wrong with a refused body. msgspec stops at the first fault; this walks on, and only then runs."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from itertools import islice
from typing import Final, TypeAlias, TypeVar

import msgspec
from msgspec import inspect

from entrypoints.http.query import parse_time
from payments_core.card_numbers import mask_card_numbers
from payments_core.errors import Fault, Invalid
from payments_core.values import Json

FAULTS_MAX: Final = 20
FIELD_LENGTH_MAX: Final = 64
DEPENDS_ON: Final = {"amount": "currency", "since": "until", "email": "username"}
"""Where the second is at fault, nothing can be said of the first: an amount has no decimals without its currency, a
window no length without its end, and an address may come under its other name.
"""

B = TypeVar("B", bound=msgspec.Struct)
Check: TypeAlias = Callable[[B], object]
"""Look at a well-formed body as far as it alone tells; raises Invalid."""

_NAMES: Final[Mapping[type[inspect.Type], str]] = {
    inspect.StrType: "a string",
    inspect.BoolType: "true or false",
    inspect.IntType: "a whole number",
    inspect.ListType: "an array",
    inspect.VarTupleType: "an array",
    inspect.DictType: "an object",
    inspect.NoneType: "null",
}


_TOKEN: Final = re.compile(rb'("(?:[^"\\]|\\.)*")\s*:|"(?:[^"\\]|\\.)*"|[{}\[\]]')


def find_duplicates(body: bytes) -> Sequence[Fault]:
    """Return a fault for each key that an object of this well-formed JSON has more than once."""
    found: dict[str, None] = {}
    open_objects: list[tuple[str, set[str]] | None] = []
    path = ""
    for token in _TOKEN.finditer(body):
        text, key_text = token.group(), token.group(1)
        current = open_objects[-1] if open_objects else None
        if text == b"{":
            open_objects.append((path, set()))
        elif text == b"[":
            open_objects.append(None)
        elif text in (b"}", b"]"):
            open_objects.pop()
        elif key_text is not None and current is not None:
            above, keys = current
            key = msgspec.json.decode(key_text, type=str)
            path = f"{above}.{key}" if above else key
            if key in keys:
                found[path] = None
            keys.add(key)
    return [_fault(name, "duplicate_field", "Is given more than once.") for name in list(found)[:FAULTS_MAX]]


def find_nuls(body: Mapping[str, object]) -> Sequence[Fault]:
    """Return a fault for each field with the character NUL anywhere in it: no store keeps that."""
    named = [name for name, value in body.items() if _has_nul(name) or _has_nul(value)]
    message = "Must not contain the character NUL."
    return [_fault(name, "forbidden_character", message) for name in named[:FAULTS_MAX]]


def _has_nul(value: object) -> bool:
    waiting = [value]
    while waiting:
        value = waiting.pop()
        if isinstance(value, str):
            if "\0" in value:
                return True
        elif isinstance(value, dict):
            waiting.extend((*value, *value.values()))
        elif isinstance(value, list):
            waiting.extend(value)
    return False


def find_faults(body: Mapping[str, Json], type: type[B], check: Check[B] | None) -> Sequence[Fault]:
    """Return the faults of a body that `type` refused: missing, unknown, mistyped fields, at most FAULTS_MAX.

    `check` says what else is wrong with the fields that are of the right type.
    """
    faults = list(islice(_walk(body, type), FAULTS_MAX))
    if check is not None and len(faults) < FAULTS_MAX:
        faults += _faults_of_the_rest(body, type, check, {fault.field.partition(".")[0] for fault in faults})
    return faults[:FAULTS_MAX] or [_fault("", "malformed", "The body is not what this call takes.")]


def _fault(field: str, code: str, message: str) -> Fault:
    # A name is what somebody sent, too.
    return Fault(field=mask_card_numbers(field, kept=FIELD_LENGTH_MAX), code=code, message=message)


def _faults_of_the_rest(
    body: Mapping[str, Json], type: type[B], check: Check[B], bad: Collection[str]
) -> Iterator[Fault]:
    """Give the faults of a body whose bad fields are as good as their examples."""
    stand_ins: dict[str, object] = {}
    shape = inspect.type_info(type)
    assert isinstance(shape, inspect.StructType)
    for field in shape.fields:
        if field.encode_name not in bad:
            if field.encode_name in body:
                stand_ins[field.encode_name] = body[field.encode_name]
        elif field.required and isinstance(field.type, inspect.Metadata):
            stand_ins[field.encode_name] = (field.type.extra_json_schema or {})["examples"][0]
    try:
        check(msgspec.convert(stand_ins, type, strict=True))
    except Invalid as invalid:
        for fault in invalid.faults:
            if fault.field.partition(".")[0] not in bad and DEPENDS_ON.get(fault.field) not in bad:
                yield fault


def _walk(body: Mapping[str, Json], type: type[msgspec.Struct]) -> Iterator[Fault]:
    shape = inspect.type_info(type)
    assert isinstance(shape, inspect.StructType)
    fields = {field.encode_name: field for field in shape.fields}
    for name, field in fields.items():
        if name in body:
            yield from _faults_of(name, body[name], field.type)
        elif field.required:
            yield _fault(name, "missing", "Is required.")
    known = ", ".join(f"`{name}`" for name in fields) or "none"
    for name in body:
        if name not in fields:
            message = f"Is not a field of this call; its fields are: {known}."
            yield _fault(name, "unknown_field", message)


def _faults_of(path: str, value: Json, type: inspect.Type) -> Iterator[Fault]:
    example = _example(type)
    if _is_time(type) and isinstance(value, str):
        if isinstance(found := parse_time(path, value), Fault):
            yield found
        return
    type = _bare(type)
    options = [_bare(option) for option in type.types] if isinstance(type, inspect.UnionType) else [type]
    for option in options:
        if isinstance(option, inspect.DictType) and isinstance(value, Mapping):
            for key, each in value.items():
                yield from _faults_of(f"{path}.{key}", each, option.value_type)
            return
        if isinstance(option, inspect.ListType | inspect.VarTupleType) and isinstance(value, list):
            for index, each in enumerate(value):
                yield from _faults_of(f"{path}.{index}", each, option.item_type)
            return
        if _is(value, option):
            return
    wanted = " or ".join(_name(option) for option in options)
    yield _fault(path, "wrong_type", f"Must be {wanted}{example}.")


def _is(value: Json, type: inspect.Type) -> bool:
    match type:
        case inspect.StrType():
            return isinstance(value, str)
        case inspect.BoolType():
            return isinstance(value, bool)
        case inspect.IntType():
            return isinstance(value, int) and not isinstance(value, bool)
        case inspect.NoneType():
            return value is None
        case _:
            return False


def _name(option: inspect.Type) -> str:
    return _NAMES.get(type(option), "another type")


def _example(type: inspect.Type) -> str:
    """Return words with an example of a field whose form is not said by its type: an amount is a string of digits."""
    schema = (type.extra_json_schema or {}) if isinstance(type, inspect.Metadata) else {}
    return f', such as "{schema["examples"][0]}"' if "pattern" in schema else ""


def _is_time(type: inspect.Type) -> bool:
    return isinstance(type, inspect.Metadata) and (type.extra_json_schema or {}).get("format") == "date-time"


def _bare(type: inspect.Type) -> inspect.Type:
    return type.type if isinstance(type, inspect.Metadata) else type
