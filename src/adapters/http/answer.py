"""What is kept of a receiver's answer: a short, harmless text, and when it asks us to come back."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final

from payments_core.card_numbers import mask_card_numbers

ANSWER_BYTES_MAX: Final = 20_480
"""Read of one answer's body; the rest is left on the wire."""

EXCERPT_CHARACTERS_MAX: Final = 2_048
RETRY_AFTER_SECONDS_MAX: Final = 48.0 * 60 * 60
"""Twice the longest step of the retry schedule; a later date is taken as this."""

_RETRY_AFTER_CHARACTERS_MAX: Final = 64
_DELAY_SECONDS: Final = re.compile(r"[0-9]+")


def excerpt_of(body: bytes) -> str:
    """Return the first characters of an answer, without card numbers and without what could not be shown.

    Characters that don't print go first, as they can hide inside a number, and the cut comes last, as it could
    leave most of one.
    """
    text = body.decode("utf-8", errors="replace")
    return mask_card_numbers("".join(map(_shown, text)))[:EXCERPT_CHARACTERS_MAX]


def _shown(character: str) -> str:
    if character.isprintable() or character in "\n\t":
        return character
    return " " if character.isspace() else ""


def retry_after_seconds(value: str | None, *, now: datetime) -> float | None:
    """Return the seconds that a `Retry-After` header asks for (RFC 9110, section 10.2.3), or None for nonsense.

    Both forms are read, a number of seconds and a date. The result is 0 to `RETRY_AFTER_SECONDS_MAX`.
    """
    if value is None or len(value) > _RETRY_AFTER_CHARACTERS_MAX:
        return None
    text = value.strip()
    if _DELAY_SECONDS.fullmatch(text):
        return min(float(text), RETRY_AFTER_SECONDS_MAX)
    try:
        date = parsedate_to_datetime(text)
    except ValueError:
        return None
    if date.tzinfo is None:  # "-0000": the time is UTC, the sender's zone unknown
        date = date.replace(tzinfo=UTC)
    return min(max((date - now).total_seconds(), 0.0), RETRY_AFTER_SECONDS_MAX)
