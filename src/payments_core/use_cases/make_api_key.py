"""Make, rotate and revoke API keys."""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from payments_core import describe
from payments_core.audit import Action
from payments_core.checks import Faults
from payments_core.describe import JsonObject
from payments_core.errors import Forbidden, NotFound, RuleBroken
from payments_core.ids import ApiKeyId, MerchantId, Moment
from payments_core.keys import LAST_SHOWN_LENGTH, PREFIX_SHOWN_LENGTH, SECRET_BYTES, digest, make_api_key
from payments_core.merchant import (
    ALL_SCOPES,
    API_KEYS_MAX,
    NAME_LENGTH_MAX,
    ROTATION_OVERLAP,
    ApiKey,
    ApiKeyKind,
    Caller,
    CredentialKind,
    Scope,
)
from payments_core.ports import UnitOfWork
from payments_core.units import Made
from payments_core.use_cases.hold_account import hold_account
from payments_core.use_cases.record_audit import record_deed

LIVE_MODE_UNAVAILABLE: Final = "This installation has no gateway for live mode."


@dataclass(frozen=True, slots=True, kw_only=True)
class MakeApiKey:
    """What a merchant sends for a new key; None means: the caller's own scopes, no end, the caller's mode."""

    name: str | None = None
    scopes: tuple[str, ...] | None = None
    expires_at: datetime | None = None
    livemode: bool | None = None


def new_api_key(
    moment: Moment,
    merchant: MerchantId,
    *,
    livemode: bool,
    kind: ApiKeyKind,
    name: str | None = None,
    scopes: Set[Scope] = ALL_SCOPES,
    expires_at: datetime | None = None,
) -> tuple[ApiKey, str]:
    """Return a new key and its secret, which is nowhere else."""
    secret = make_api_key(moment.secret(SECRET_BYTES), livemode=livemode)
    key = ApiKey(
        id=ApiKeyId(moment.id("apk")),
        merchant=merchant,
        livemode=livemode,
        kind=kind,
        name=name,
        scopes=frozenset(scopes),
        digest=digest(secret),
        prefix=secret[:PREFIX_SHOWN_LENGTH],
        last_four=secret[-LAST_SHOWN_LENGTH:],
        created_at=moment.now,
        expires_at=expires_at,
    )
    return key, secret


def check_api_key(command: MakeApiKey, *, now: datetime) -> None:
    """Raise Invalid with all that is wrong with a command."""
    faults = Faults()
    faults.text("name", command.name, longest=NAME_LENGTH_MAX)
    if command.scopes is not None:
        if not command.scopes:
            faults.add("scopes", "too_few", "At least one scope.")
        for index, scope in enumerate(command.scopes):
            if scope not in ALL_SCOPES:
                faults.add(f"scopes.{index}", "unknown_scope", f"One of {', '.join(sorted(ALL_SCOPES))}.")
    if command.expires_at is not None and command.expires_at <= now:
        faults.add("expires_at", "in_the_past", "Must be in the future.")
    faults.raise_if_any()


async def add_api_key(
    work: UnitOfWork, moment: Moment, *, caller: Caller, command: MakeApiKey, live_mode_is_open: bool
) -> Made:
    """Make a key; its secret is in this answer only.

    Raises Invalid, Forbidden, RuleBroken (`too_many_api_keys`, `live_mode_unavailable`).
    """
    check_api_key(command, now=moment.now)
    livemode = caller.livemode if command.livemode is None else command.livemode
    if livemode and not live_mode_is_open:
        raise RuleBroken("live_mode_unavailable", LIVE_MODE_UNAVAILABLE)
    if livemode != caller.livemode and caller.kind is CredentialKind.SERVER_KEY:
        raise Forbidden("A server key makes keys of its own mode only; log in to make one of the other.")
    scopes = caller.scopes if command.scopes is None else frozenset(Scope(scope) for scope in command.scopes)
    if not scopes <= caller.scopes:
        raise Forbidden("A key cannot make one with more scopes than its own.", code="scope_missing")
    await _require_room(work, moment, caller.merchant)
    key, secret = new_api_key(
        moment,
        caller.merchant,
        livemode=livemode,
        kind=ApiKeyKind.SERVER,
        name=command.name,
        scopes=scopes,
        expires_at=command.expires_at,
    )
    work.api_keys.add(key)
    detail: JsonObject = {"livemode": livemode, "scopes": sorted(scopes)}
    # Whoever watches over one mode sees all keys of that mode, also those that were made from the other one.
    of_both = livemode != caller.livemode
    record_deed(work, moment, Action.API_KEY_MADE, caller, subject=key.id, of_account=of_both, detail=detail)
    return Made(answer=describe.api_key(key, secret=secret), resource=key.id)


async def rotate_api_key(work: UnitOfWork, moment: Moment, *, caller: Caller, id: ApiKeyId) -> Made:
    """Make a key like this one, which goes on for ROTATION_OVERLAP. Raises NotFound, Forbidden, RuleBroken."""
    old = await _own_key(work, moment, caller, id)
    if old.kind is ApiKeyKind.SESSION:
        raise Forbidden("A session key is not rotated; log in again for another one.")
    if not old.scopes <= caller.scopes:
        raise Forbidden("A key cannot rotate one with more scopes than its own.", code="scope_missing")
    await _require_room(work, moment, caller.merchant)
    key, secret = new_api_key(
        moment,
        caller.merchant,
        livemode=old.livemode,
        kind=ApiKeyKind.SERVER,
        name=old.name,
        scopes=old.scopes,
        expires_at=old.expires_at,
    )
    work.api_keys.save(old.expire_by(moment.now + ROTATION_OVERLAP))
    work.api_keys.add(key)
    record_deed(work, moment, Action.API_KEY_ROTATED, caller, subject=old.id, detail={"new": key.id})
    made: JsonObject = {"livemode": key.livemode, "scopes": sorted(key.scopes), "rotated": old.id}
    record_deed(work, moment, Action.API_KEY_MADE, caller, subject=key.id, detail=made)
    return Made(answer=describe.api_key(key, secret=secret), resource=key.id)


async def revoke_api_key(work: UnitOfWork, moment: Moment, *, caller: Caller, id: ApiKeyId) -> None:
    """Revoke a key; it opens nothing from the commit on. Raises NotFound."""
    work.api_keys.save((await _own_key(work, moment, caller, id)).revoke(moment.now))
    record_deed(work, moment, Action.API_KEY_REVOKED, caller, subject=id)


async def _own_key(work: UnitOfWork, moment: Moment, caller: Caller, id: ApiKeyId) -> ApiKey:
    key = await work.api_keys.get(caller.merchant, id)
    if key.livemode != caller.livemode or not key.is_valid(moment.now):
        # In the words for an id that nothing has: the other mode is not told apart.
        raise NotFound("There is nothing with this id.")
    return key


async def _require_room(work: UnitOfWork, moment: Moment, merchant: MerchantId) -> None:
    await hold_account(work, merchant)
    keys = await work.api_keys.valid_of(merchant, at=moment.now)
    if sum(key.kind is ApiKeyKind.SERVER for key in keys) >= API_KEYS_MAX:
        raise RuleBroken("too_many_api_keys", f"An account can have at most {API_KEYS_MAX} API keys; revoke one.")
