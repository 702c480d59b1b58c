"""What a mutant is."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Mutant:
    """One defect, and how to have it while a block runs."""

    name: str
    patch: Callable[[], AbstractContextManager[object]]
