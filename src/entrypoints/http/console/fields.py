"""What a query or a form says: texts by name, read strictly and bounded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final
from urllib.parse import parse_qsl

from entrypoints.http.problems import Refusal

FIELDS_MAX: Final = 200


class Fields:
    """Texts by name. A field that is empty, or blank, is not there."""

    def __init__(self, values: Mapping[str, Sequence[str]]) -> None:
        self._values = values

    def all(self, name: str) -> list[str]:
        """Return every text of a field that may be given more than once."""
        return [text for text in self._values.get(name, ()) if text.strip()]

    def get(self, name: str) -> str | None:
        """Return the field's text, without blanks around it; None where it isn't there. Of several the last counts."""
        texts = self.all(name)
        return texts[-1].strip() if texts else None

    def text(self, name: str) -> str:
        """Return the field's text, or an empty one: what a form shows again."""
        return self.get(name) or ""

    def exact(self, name: str) -> str:
        """Return the field's text as it was typed, blanks around it included: a password."""
        texts = self._values.get(name, ())
        return texts[-1] if texts else ""

    def given(self) -> dict[str, list[str]]:
        """Return all that is there, by name."""
        return {name: texts for name in self._values if (texts := self.all(name))}


NOTHING: Final = Fields({})


def read_fields(encoded: bytes) -> Fields:
    """Return the fields of `application/x-www-form-urlencoded`. Raises Refusal (`bad_request`)."""
    values: dict[str, list[str]] = {}
    try:
        text = encoded.decode("ascii")
        pairs = parse_qsl(text, keep_blank_values=True, errors="strict", max_num_fields=FIELDS_MAX)
    except ValueError:
        raise Refusal("bad_request", "The fields of this page are not UTF-8, or too many.") from None
    for name, text in pairs:
        if "\0" in name or "\0" in text:
            raise Refusal("bad_request", "The fields of this page hold a NUL character.")
        # A browser ends the lines of a text area in CR LF (HTML, 4.10.21.4).
        values.setdefault(name, []).append(text.replace("\r\n", "\n"))
    return Fields(values)
