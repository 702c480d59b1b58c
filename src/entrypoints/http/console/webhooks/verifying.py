"""How a receiver checks our signature: files to copy, one for each language, and a request to try them with."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from importlib.resources import files
from typing import Final

from entrypoints.http.console.page import page
from entrypoints.http.console.visits import Visit
from entrypoints.http.console.webhooks.section import SECTION
from entrypoints.http.docs.quantities import in_time
from entrypoints.http.responses import Reply
from payments_core.webhook import RETRY_SCHEDULE, SECRET_OVERLAP, TOLERANCE, sign


@dataclass(frozen=True, slots=True, kw_only=True)
class Language:
    """A language in which there is a file to copy; `needs` is what has to be there for it."""

    code: str
    name: str
    file: str
    needs: str


LANGUAGES: Final = (
    Language(code="python", name="Python", file="verify.py", needs="Python 3.8 or later, the standard library alone"),
    Language(code="node", name="Node", file="verify.mjs", needs="Node 18 or later, no packages"),
    Language(code="go", name="Go", file="verify.go", needs="Go 1.19 or later, the standard library alone"),
    Language(code="php", name="PHP", file="verify.php", needs="PHP 8.1 or later, no packages"),
)
_EXAMPLE_SECRET: Final = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"  # noqa: S105 - published, and nobody's
_EXAMPLE_ID: Final = "msg_p5jXN8AQM9LWM0D4loKWxJek"
_EXAMPLE_AT: Final = datetime.fromtimestamp(1614265330, UTC)
_EXAMPLE_BODY: Final = '{"test": 2432232314}'
"""The example that Standard Webhooks publishes: what agrees with it agrees with us."""


@cache
def source(file: str) -> str:
    """Return what is copied: a file of one of the languages, as it is."""
    return (files("entrypoints.http.console") / "verifiers" / file).read_text(encoding="utf-8")


@page("/webhooks/verifiers", section=SECTION)
async def verifiers(visit: Visit) -> Reply:
    """Show what is to be copied in the language that the address names, or the first."""
    code = visit.query.get("language") or LANGUAGES[0].code
    chosen = next((language for language in LANGUAGES if language.code == code), None)
    known = ", ".join(language.name for language in LANGUAGES)
    headers = sign([_EXAMPLE_SECRET], id=_EXAMPLE_ID, at=_EXAMPLE_AT, body=_EXAMPLE_BODY.encode())
    shown = chosen or LANGUAGES[0]
    return visit.show(
        "webhooks/verifiers.html",
        error=None if chosen is not None else f"There are checks in {known}.",
        languages=LANGUAGES,
        language=shown,
        source=source(shown.file),
        example={"secret": _EXAMPLE_SECRET, "headers": headers, "body": _EXAMPLE_BODY, "at": _EXAMPLE_AT},
        tolerance=in_time(TOLERANCE),
        overlap=in_time(SECRET_OVERLAP),
        attempts=len(RETRY_SCHEDULE),
    )


PAGES: Final = (verifiers,)
