"""What breaks a rule."""

from __future__ import annotations

from typing import TypeAlias

Broken: TypeAlias = tuple[str, str]
"""The id of a thing that breaks a rule, and why it does."""
Looked: TypeAlias = tuple[int, list[Broken]]
"""How many things a rule looked at, and which of them break it."""
