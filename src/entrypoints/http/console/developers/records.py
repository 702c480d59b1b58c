"""What was done: by a request with an idempotency key, and to the account."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Final

from entrypoints.http.console.days import read_span
from entrypoints.http.console.developers.section import SECTION, page_of
from entrypoints.http.console.page import page
from entrypoints.http.console.visits import Visit
from entrypoints.http.docs.quantities import in_time
from entrypoints.http.query import TEXT_LENGTH_MAX
from entrypoints.http.responses import Reply
from payments_core import NotFound
from payments_core.audit import Action, ActorKind
from payments_core.checks import Faults
from payments_core.describe import JsonObject
from payments_core.errors import Fault, Invalid
from payments_core.idempotency import KEPT, parse_key
from payments_core.page import Page
from payments_core.ports import AuditFilter
from payments_core.use_cases.read_lists import ListQuery
from payments_core.values import Json

ENTRIES_SHOWN: Final = 25
ACTORS: Final[Mapping[str, str]] = {
    ActorKind.SERVER_KEY: "API key",
    ActorKind.SESSION_KEY: "Login of a program",
    ActorKind.ACCESS_TOKEN: "Access token",
    ActorKind.CONSOLE: "Console",
    ActorKind.TRUSTED: "Code of this installation",
    ActorKind.PASSWORD: "Password",
    ActorKind.REFRESH_TOKEN: "Refresh token",
    ActorKind.STAFF: "Staff",
    ActorKind.NOBODY: "Nobody known",
}


@page("/developers/idempotency-keys", section=SECTION)
async def idempotency_keys(visit: Visit) -> Reply:
    """Show what a key did, once one is asked for."""
    asked = visit.query.get("key")
    if asked is None:
        return _record(visit)
    try:
        seen = await visit.payments.read.idempotency_key(visit.caller, parse_key(asked))
    except Invalid as invalid:
        faults = [Fault(field="key", code=fault.code, message=fault.message) for fault in invalid.faults]
        return _record(visit, faults=Invalid(faults))
    except NotFound:
        return _record(visit, is_missing=True)
    return _record(visit, record=seen.value)


@page("/developers/audit", section=SECTION)
async def audit(visit: Visit) -> Reply:
    """Show what was done to the account, the latest first."""
    try:
        query = ListQuery(limit=ENTRIES_SHOWN, cursor=visit.query.get("cursor"))
        found = await visit.payments.read.audit(visit.caller, query, _filter(visit))
    except Invalid as invalid:
        return _audit(visit, None, faults=invalid)
    return _audit(visit, found)


PAGES: Final = (idempotency_keys, audit)


def action_in_words(action: str) -> str:
    """Return an action as words: `api_key.made` as `API key made`."""
    words = action.replace(".", " ").replace("_", " ").replace("api ", "API ")
    return words[:1].upper() + words[1:]


def _filter(visit: Visit) -> AuditFilter:
    """Return what the address asks for. Raises Invalid."""
    faults = Faults()
    after, before = read_span(visit.query, visit.zone, faults)
    chosen, action = visit.query.get("action"), None
    if chosen is not None:
        if chosen in list(Action):
            action = Action(chosen)
        else:
            faults.add("action", "unknown_value", "Is no action.")
    subject = visit.query.get("subject")
    faults.text("subject", subject, longest=TEXT_LENGTH_MAX)
    faults.raise_if_any()
    return AuditFilter(action=action, subject=subject, created_after=after, created_before=before)


def _shown(visit: Visit, entry: JsonObject) -> JsonObject:
    """Return an entry with its words, and where that is shown to which it was done."""
    actor, detail = entry["actor"], entry["detail"]
    assert isinstance(actor, dict)
    assert isinstance(detail, dict)
    kind = str(actor["kind"])
    more = {**detail, "credential": actor["id"], "request": entry["request_id"]}
    return {
        **entry,
        "words": action_in_words(str(entry["action"])),
        "by": ACTORS.get(kind, action_in_words(kind)),
        "place": page_of(visit, entry["subject"]) if _is_of_this_mode(visit, entry) else None,
        "more": [[name.replace("_", " "), _text(value)] for name, value in more.items() if value is not None],
    }


def _is_of_this_mode(visit: Visit, entry: JsonObject) -> bool:
    """Say whether what an entry names is in the mode that is shown: one of both may tell of a key of the other."""
    detail = entry["detail"]
    named = detail.get("livemode", visit.caller.livemode) if isinstance(detail, dict) else visit.caller.livemode
    return named == visit.caller.livemode


def _text(value: Json) -> str:
    match value:
        case str():
            return value
        case True | False:
            return "yes" if value else "no"
        case list():
            return ", ".join(_text(one) for one in value)
        case _:
            return json.dumps(value, ensure_ascii=False)


def _record(
    visit: Visit, *, record: JsonObject | None = None, is_missing: bool = False, faults: Invalid | None = None
) -> Reply:
    return visit.show(
        "developers/idempotency_keys.html",
        faults=faults,
        record=record,
        is_missing=is_missing,
        place=None if record is None else page_of(visit, record["resource"]),
        kept=in_time(KEPT),
    )


def _audit(visit: Visit, found: Page[JsonObject] | None, *, faults: Invalid | None = None) -> Reply:
    return visit.show(
        "developers/audit.html",
        faults=faults,
        found=found,
        entries=[_shown(visit, entry) for entry in found.items] if found else [],
        actions=[("", "Any"), *((action, action_in_words(action)) for action in Action)],
        filters={name: visit.query.get(name) for name in ("action", "subject", "from", "to")},
    )
