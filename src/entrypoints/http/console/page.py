"""What a page of the console is: declared once; by it requests are admitted, read and answered."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Literal, TypeAlias

from entrypoints.http.console.visits import ROOT, Visit
from entrypoints.http.responses import Reply

Show: TypeAlias = Callable[[Visit], Awaitable[Reply]]

OF_MERCHANT: Final = f"{ROOT}/merchants/{{merchant}}/{{mode}}"
"""Under which staff see a merchant's pages: those that only show something."""


class For(StrEnum):
    """Whose a page is."""

    ANYBODY = "anybody"
    MERCHANT = "merchant"
    STAFF = "staff"


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """A page, or a form that is sent to it. `section` is where the menu says that one is."""

    method: Literal["GET", "POST"]
    path: str
    name: str
    whose: For
    section: str
    show: Show

    @property
    def paths(self) -> list[str]:
        """Where it is. A merchant's page that only shows something is there for staff as well."""
        own = f"{ROOT}{self.path}"
        return [own, f"{OF_MERCHANT}{self.path}"] if self.whose is For.MERCHANT and self.method == "GET" else [own]


def page(path: str, *, whose: For = For.MERCHANT, section: str = "") -> Callable[[Show], Page]:
    """Declare a page under `/console`; an id in braces is part of its path."""
    return _declare("GET", path, whose, section)


def form(path: str, *, whose: For = For.MERCHANT, section: str = "") -> Callable[[Show], Page]:
    """Declare where a form is sent to. Whoever sends it has seen it on a page of ours."""
    return _declare("POST", path, whose, section)


def _declare(method: Literal["GET", "POST"], path: str, whose: For, section: str) -> Callable[[Show], Page]:
    def declare(show: Show) -> Page:
        return Page(method=method, path=path, name=show.__name__, whose=whose, section=section, show=show)

    return declare
