"""The short way to a call: its path is walked once, part by part.

Litestar's router and its handling of a request cost more than most calls do. It answers whatever is not found here:
other methods, paths that are none, and the one call whose path ends in any text.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from entrypoints.http.operations import KEY, Operation

_HOST: Final = re.compile(r"[A-Za-z0-9._-]*(:[0-9]*)?")
"""A Host about which nobody needs to think; Litestar judges the others."""


@dataclass(slots=True)
class _Branch:
    """What may follow a part of a path: a word, or else an id; and the calls whose path ends there, by method."""

    words: dict[str, _Branch] = field(default_factory=dict[str, "_Branch"])
    id: _Branch | None = None
    ends: dict[str, tuple[Operation, Sequence[str]]] = field(default_factory=dict[str, tuple[Operation, Sequence[str]]])


class Routes:
    """The calls by their paths. `/x` and `/x/` are one path, as they are to Litestar."""

    def __init__(self, operations: Sequence[Operation]) -> None:
        self._root: Final = _Branch()
        for operation in operations:
            if f"{{{KEY}}}" not in operation.path:
                self._add(operation)

    def find(self, method: str, path: str, hosts: Sequence[str]) -> tuple[Operation, dict[str, str]] | None:
        """Return the call and the ids in its path, or None where Litestar is to answer."""
        if not path.startswith("/") or any(_HOST.fullmatch(host) is None for host in hosts):
            return None
        branch = self._root
        ids: list[str] = []
        for part in path[1:].removesuffix("/").split("/"):
            following = branch.words.get(part)
            if following is None:
                if not part:
                    return None
                ids.append(part)
                following = branch.id
                if following is None:
                    return None
            branch = following
        found = branch.ends.get(method)
        return None if found is None else (found[0], dict(zip(found[1], ids, strict=True)))

    def _add(self, operation: Operation) -> None:
        branch = self._root
        names: list[str] = []
        for part in operation.path.strip("/").split("/"):
            if part.startswith("{"):
                names.append(part.strip("{}"))
                branch.id = branch.id or _Branch()
                branch = branch.id
            else:
                branch = branch.words.setdefault(part, _Branch())
        branch.ends[operation.method] = operation, names
