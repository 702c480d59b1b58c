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
from payments_core import NotFound
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
def source(code: str) -> str:
    """Return what is copied in a language. Raises NotFound where there is none for it."""
    return (files("entrypoints.http.console") / "verifiers" / _language(code).file).read_text(encoding="utf-8")


@page("/webhooks/verifiers", section=SECTION)
async def verifiers(visit: Visit) -> Reply:
    """Show the first language."""
    return _verifier(visit, LANGUAGES[0])


@page("/webhooks/verifiers/{language}", section=SECTION)
async def verifier(visit: Visit) -> Reply:
    """Show one language."""
    return _verifier(visit, _language(visit.ids["language"]))


PAGES: Final = (verifiers, verifier)


def _language(code: str) -> Language:
    for language in LANGUAGES:
        if language.code == code:
            return language
    raise NotFound("There is no such language here.")


def _verifier(visit: Visit, language: Language) -> Reply:
    headers = sign([_EXAMPLE_SECRET], id=_EXAMPLE_ID, at=_EXAMPLE_AT, body=_EXAMPLE_BODY.encode())
    return visit.show(
        "webhooks/verifiers.html",
        languages=LANGUAGES,
        language=language,
        source=source(language.code),
        example={"secret": _EXAMPLE_SECRET, "headers": headers, "body": _EXAMPLE_BODY, "at": _EXAMPLE_AT},
        tolerance=in_time(TOLERANCE),
        overlap=in_time(SECRET_OVERLAP),
        attempts=len(RETRY_SCHEDULE),
    )
