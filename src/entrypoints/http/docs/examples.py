"""Examples of whole objects, put together from those of their fields."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_PLACEHOLDERS: Mapping[str, object] = {"boolean": False, "integer": 1, "object": {}, "string": "…"}


def example_of(schema: Mapping[str, Any], schemas: Mapping[str, Any]) -> object:
    """Return an example of a schema. What may be null is, unless it has an example; or it is left out if it may be."""
    if "$ref" in schema:
        return example_of(schemas[schema["$ref"].rsplit("/", 1)[-1]], schemas)
    if "examples" in schema:
        return schema["examples"][0]
    if "anyOf" in schema or isinstance(schema.get("type"), list):
        return None
    if "properties" in schema:
        required = schema.get("required", ())
        fields = {name: example_of(each, schemas) for name, each in schema["properties"].items()}
        return {name: value for name, value in fields.items() if value is not None or name in required}
    if schema.get("type") == "array":
        return []
    return _PLACEHOLDERS[schema["type"]]
