"""Forms that were sent and refused: what is said above them when they are shown again, and under which key."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, TypeAlias

from entrypoints.http.console.visits import Visit, new_once
from payments_core import Conflict, Forbidden, KeyReused, RuleBroken
from payments_core.errors import Invalid

REFUSED: Final = (Conflict, Forbidden, KeyReused, RuleBroken)
"""What a form that is well filled in may still be answered with."""
Refused: TypeAlias = Conflict | Forbidden | KeyReused | RuleBroken
_SAID: Final[Mapping[str, str]] = {
    KeyReused.code: "This form was sent before, with other entries. These were not taken: send it again if they count.",
    "webhook_disabled": "The endpoint is disabled. Enable it first.",
}
"""What pages say where the words of the API, by these codes, would be no help."""


def words_of(refused: Refused | Invalid | None) -> str | None:
    """Return what is said above a form that is shown again after this; None where its fields say it."""
    return None if refused is None or isinstance(refused, Invalid) else _SAID.get(refused.code, refused.message)


def once_of(visit: Visit, refused: Refused | Invalid | None = None) -> str:
    """Return the key of a form that is shown, or shown again: its own, unless that has had its effect."""
    kept = visit.form.get("once")
    return new_once() if kept is None or isinstance(refused, KeyReused) else kept
