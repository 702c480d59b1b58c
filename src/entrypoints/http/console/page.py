"""What a page of the console is: declared once; by it requests are admitted, read and answered."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Literal, TypeAlias

from entrypoints.http.console.visits import ROOT, Visit
from entrypoints.http.responses import Reply

Show: TypeAlias = Callable[[Visit], Awaitable[Reply]]

OF: Final = "merchant"
MODE: Final = "mode"
"""The names of what is in the address of a merchant's page at which staff look: whose it is, and in which mode."""
OF_MERCHANT: Final = f"{ROOT}/merchants/{{{OF}}}/{{{MODE}}}"
"""Under which staff see a merchant's pages: those that only show something."""


class For(StrEnum):
    """Whose a page is."""

    ANYBODY = "anybody"
    MERCHANT = "merchant"
    STAFF = "staff"


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """A page, or a form that is sent to it. `section` is where the menu says that one is.

    `for_staff` says of a merchant's page that staff who look see it as well: all but those that only ask for something.
    """

    method: Literal["GET", "POST"]
    path: str
    name: str
    whose: For
    section: str
    for_staff: bool
    show: Show

    @property
    def paths(self) -> list[str]:
        """Where it is."""
        own = f"{ROOT}{self.path}"
        return [own, f"{OF_MERCHANT}{self.path}"] if self.for_staff else [own]


def page(path: str, *, whose: For = For.MERCHANT, section: str = "", for_staff: bool = True) -> Callable[[Show], Page]:
    """Declare a page under `/console`; an id in braces is part of its path."""
    return _declare("GET", path, whose, section, for_staff=for_staff and whose is For.MERCHANT)


def form(path: str, *, whose: For = For.MERCHANT, section: str = "") -> Callable[[Show], Page]:
    """Declare where a form is sent to. Whoever sends it has seen it on a page of ours."""
    return _declare("POST", path, whose, section, for_staff=False)


def _declare(
    method: Literal["GET", "POST"], path: str, whose: For, section: str, *, for_staff: bool
) -> Callable[[Show], Page]:
    def declare(show: Show) -> Page:
        return Page(
            method=method,
            path=path,
            name=show.__name__,
            whose=whose,
            section=section,
            for_staff=for_staff,
            show=show,
        )

    return declare
