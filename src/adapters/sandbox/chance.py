"""Chance that can be repeated, and how long the sandbox takes."""

from __future__ import annotations

import hashlib
import re
from typing import Final

from payments_core.ids import AttemptId

LATENCY_SECONDS_MAX: Final = 60.0

_FRACTION_BITS: Final = 53
_LATENCY: Final = re.compile(r"([0-9]+(?:\.[0-9]+)?)(?:-([0-9]+(?:\.[0-9]+)?))?")


def draw(seed: int | None, attempt: AttemptId, purpose: str) -> float:
    """Return a number from 0 to below 1 that follows from its arguments alone.

    So neither the order of calls nor a repeat in another process changes what an attempt meets.
    """
    digest = hashlib.blake2b(f"{seed}:{attempt}:{purpose}".encode(), digest_size=8).digest()
    return (int.from_bytes(digest, "big") >> 64 - _FRACTION_BITS) / (1 << _FRACTION_BITS)


def parse_latency(text: str) -> tuple[float, float]:
    """Return the least and the most seconds of a latency such as ``"0.2"`` or ``"3-5"``, or raise ValueError."""
    found = _LATENCY.fullmatch(text.strip())
    if found is None:
        raise ValueError('A latency is a number of seconds such as "0.2", or a range such as "3-5".')
    latency = float(found[1]), float(found[2] or found[1])
    check_latency(latency)
    return latency


def check_latency(latency: tuple[float, float]) -> None:
    """Raise ValueError unless both are seconds from 0 to LATENCY_SECONDS_MAX, the smaller one first."""
    least, most = latency
    if not 0 <= least <= most <= LATENCY_SECONDS_MAX:
        raise ValueError(f"A latency is between 0 and {LATENCY_SECONDS_MAX:g} seconds, the smaller number first.")
