"""What a command watches of its service: that it may begin, and that no part of it ends before it is told to."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, Never

from entrypoints.cli.errors import CommandFailed
from payments_core.errors import Unavailable

if TYPE_CHECKING:
    from collections.abc import Collection

    from entrypoints.services import Services
    from entrypoints.settings import Settings

DATABASE_CURE: Final = "start it, create what it lacks, or set PAYMENTS_DATABASE_URL right"


async def require_vital(services: Services) -> None:
    """Raise CommandFailed with what is wrong: the store is away, lacks migrations, or holds secrets of another key."""
    for name, check in services.vital.items():
        wrong = await check()
        if wrong is not None:
            await require_database(services.settings)
            raise CommandFailed(f"{name}: {wrong}")


async def require_database(settings: Settings) -> None:
    """Raise CommandFailed with the cause and its cure, where the database does not answer."""
    from entrypoints.wiring import see_database

    try:
        await see_database(settings)
    except Unavailable as error:
        raise CommandFailed(f"{error.message}: {DATABASE_CURE}; `payments doctor` shows more.") from None


async def until_one_ends(parts: Collection[asyncio.Task[str | None]]) -> Never:
    """Wait for ever; where a part ends, raise what it failed with, or CommandFailed with the reason that it returned.

    Unlike an `await` of a part itself, the end of this wait leaves the parts to end in their own way.
    """
    ended, _ = await asyncio.wait(parts, return_when=asyncio.FIRST_COMPLETED)
    part = ended.pop()
    why = None if part.cancelled() else await part
    raise CommandFailed(why or f"The {part.get_name()} ended by itself, and with it this command; the log may say why.")
