"""API keys: list, make, rotate, revoke."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Final

import msgspec

from entrypoints.http.console.days import day_ends, read_day
from entrypoints.http.console.developers import scopes
from entrypoints.http.console.developers.section import SECTION
from entrypoints.http.console.page import form, page
from entrypoints.http.console.sent_forms import REFUSED, Refused, once_of, words_of
from entrypoints.http.console.visits import Visit, says
from entrypoints.http.docs.quantities import in_time
from entrypoints.http.responses import Reply
from payments_core import MakeApiKey
from payments_core.checks import Faults
from payments_core.describe import JsonObject
from payments_core.errors import Fault, Invalid
from payments_core.ids import ApiKeyId
from payments_core.merchant import ALL_SCOPES, ROTATION_OVERLAP, ApiKeyKind
from payments_core.units import Answer
from payments_core.use_cases.read_lists import ListQuery
from payments_core.values import Json

KEYS_SHOWN: Final = 50
PRESETS: Final[Mapping[str, frozenset[str]]] = {
    "all": ALL_SCOPES,
    "read": scopes.READ_ONLY,
    "none": frozenset(),
}
"""What the form may have ticked when it is first shown."""
ACTIVE: Final = "active"
LAST_DAY: Final = "last_day"

says(api_key_revoked="The API key is revoked: it opens nothing any more.")


@page("/developers/api-keys", section=SECTION)
async def api_keys(visit: Visit) -> Reply:
    """Show all API keys that are not revoked."""
    query = ListQuery(limit=KEYS_SHOWN, cursor=visit.query.get("cursor"))
    found = await visit.payments.read.api_keys(visit.caller, query)
    now = visit.services.clock.now()
    return visit.show("developers/api_keys.html", found=found, api_keys=[shown_key(key, now) for key in found.items])


@page("/developers/api-keys/new", section=SECTION, for_staff=False)
async def new_api_key(visit: Visit) -> Reply:
    """Ask for what a new key is to be."""
    preset = visit.query.get("scopes") or "all"
    if preset not in PRESETS:
        wrong = Invalid.field("scopes", "unknown_value", f"Must be one of {', '.join(PRESETS)}.")
        return _form(visit, ticked=ALL_SCOPES, faults=wrong)
    return _form(visit, ticked=PRESETS[preset])


@form("/developers/api-keys/new", section=SECTION)
async def make_api_key(visit: Visit) -> Reply:
    """Make a key, and show its secret: this once."""
    ticked = frozenset(visit.form.all("scopes"))
    sent: dict[str, Json] = {
        "name": visit.form.get("name"),
        "scopes": sorted(ticked),
        LAST_DAY: visit.form.get(LAST_DAY),
    }
    try:
        command = _read(visit)
        answer = await visit.payments.make_api_key(visit.caller, command, once=visit.once("api_key", sent))
    except Invalid as invalid:
        return _form(visit, ticked=ticked, faults=_by_field_of_form(invalid))
    except REFUSED as refused:
        return _form(visit, ticked=ticked, refused=refused)
    return _made(visit, answer, old=None)


@page("/developers/api-keys/{id}", section=SECTION)
async def api_key(visit: Visit) -> Reply:
    """Show one key: what it may do, and when it was used last."""
    return visit.show("developers/api_key.html", key=await _key(visit), words=scopes.WORDS)


@page("/developers/api-keys/{id}/rotate", section=SECTION, for_staff=False)
async def ask_to_rotate(visit: Visit) -> Reply:
    """Say what a rotation does, and ask for it."""
    return await _ask_to_rotate(visit)


@form("/developers/api-keys/{id}/rotate", section=SECTION)
async def rotate_api_key(visit: Visit) -> Reply:
    """Make a key like this one, and show its secret: this once."""
    id = ApiKeyId(visit.ids["id"])
    try:
        answer = await visit.payments.rotate_api_key(visit.caller, id, once=visit.once("rotate_api_key", {"id": id}))
    except Invalid as invalid:
        return await _ask_to_rotate(visit, faults=invalid)
    except REFUSED as refused:
        return await _ask_to_rotate(visit, refused=refused)
    return _made(visit, answer, old=id)


@page("/developers/api-keys/{id}/revoke", section=SECTION, for_staff=False)
async def ask_to_revoke(visit: Visit) -> Reply:
    """Ask whether a key is really to be revoked: it cannot be undone."""
    return visit.show("developers/revoke.html", key=await _key(visit))


@form("/developers/api-keys/{id}/revoke", section=SECTION)
async def revoke_api_key(visit: Visit) -> Reply:
    """Revoke a key."""
    await visit.payments.revoke_api_key(visit.caller, ApiKeyId(visit.ids["id"]))
    return visit.lead("/developers", said="api_key_revoked")


PAGES: Final = (
    api_keys,
    new_api_key,
    make_api_key,
    api_key,
    ask_to_rotate,
    rotate_api_key,
    ask_to_revoke,
    revoke_api_key,
)


def shown_key(key: JsonObject, now: datetime) -> JsonObject:
    """Return a key with what people want to know of it: whether it still opens anything, and what it may do."""
    expires, may = key["expires_at"], key["scopes"]
    assert isinstance(may, list)
    has_expired = isinstance(expires, str) and datetime.fromisoformat(expires) <= now
    return {
        **key,
        "status": "expired" if has_expired else ACTIVE,
        "may": scopes.in_short([str(scope) for scope in may]),
        "is_of_server": key["kind"] == ApiKeyKind.SERVER,
    }


async def _key(visit: Visit) -> JsonObject:
    seen = await visit.payments.read.api_key(visit.caller, ApiKeyId(visit.ids["id"]))
    return shown_key(seen.value, visit.services.clock.now())


def _read(visit: Visit) -> MakeApiKey:
    """Return what the form asks for. Raises Invalid."""
    faults = Faults()
    day = read_day(visit.form, LAST_DAY, faults)
    faults.raise_if_any()
    return MakeApiKey(
        name=visit.form.get("name"),
        scopes=tuple(visit.form.all("scopes")),
        expires_at=None if day is None else day_ends(day, visit.zone),
    )


def _by_field_of_form(invalid: Invalid) -> Invalid:
    """Return the faults under the names of the form's fields."""
    names = {"expires_at": LAST_DAY}
    return Invalid(
        [
            Fault(field=names.get(fault.field, fault.field.partition(".")[0]), code=fault.code, message=fault.message)
            for fault in invalid.faults
        ]
    )


def _form(
    visit: Visit, *, ticked: frozenset[str], faults: Invalid | None = None, refused: Refused | None = None
) -> Reply:
    return visit.show(
        "developers/new_api_key.html",
        faults=faults,
        error=words_of(refused),
        scopes=[(scope, words, scope in ticked) for scope, words in scopes.WORDS.items()],
        once=once_of(visit, refused),
    )


async def _ask_to_rotate(visit: Visit, *, faults: Invalid | None = None, refused: Refused | None = None) -> Reply:
    return visit.show(
        "developers/rotate.html",
        faults=faults,
        error=words_of(refused),
        key=await _key(visit),
        overlap=in_time(ROTATION_OVERLAP),
        once=once_of(visit, refused),
    )


def _made(visit: Visit, answer: Answer, *, old: ApiKeyId | None) -> Reply:
    made: JsonObject = msgspec.json.decode(answer.body)
    return visit.show(
        "developers/api_key_made.html",
        key=shown_key(made, visit.services.clock.now()),
        old=old,
        overlap=in_time(ROTATION_OVERLAP),
    )
