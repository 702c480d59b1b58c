"""Open an account: the merchant and the first API key, in one commit."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final

from payments_core import describe
from payments_core.audit import Action, Actor, Origin
from payments_core.checks import Faults
from payments_core.describe import JsonObject
from payments_core.ids import MerchantId, Moment
from payments_core.merchant import (
    EMAIL_LENGTH_MAX,
    NAME_LENGTH_MAX,
    PASSWORD_LENGTH_MAX,
    PASSWORD_LENGTH_MIN,
    ApiKeyKind,
    Merchant,
)
from payments_core.ports import Passwords, UnitOfWork
from payments_core.units import Made
from payments_core.use_cases.make_api_key import new_api_key
from payments_core.use_cases.record_audit import audit_entry

_EMAIL: Final = re.compile(r"[^@\s\x00-\x1f\x7f]+@[^@\s.\x00-\x1f\x7f]+(\.[^@\s.\x00-\x1f\x7f]+)+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Register:
    """What somebody sends who wants to be a merchant."""

    email: str
    password: str = field(repr=False)
    name: str | None = None


def normal_email(email: str) -> str:
    """Return the form in which an address is kept and looked for."""
    return email.strip().lower()


def check_password(faults: Faults, field: str, password: str, passwords: Passwords) -> None:
    """Note what is wrong with a new password (OWASP ASVS 5.0, 6.2: length and commonness, no composition rules)."""
    if not PASSWORD_LENGTH_MIN <= len(password) <= PASSWORD_LENGTH_MAX:
        faults.add(field, "wrong_length", f"Must have {PASSWORD_LENGTH_MIN} to {PASSWORD_LENGTH_MAX} characters.")
    elif passwords.is_common(password):
        faults.add(field, "too_common", "This password is among those that attackers try first.")
    faults.text(field, password, longest=len(password), shortest=0)


def check_email(faults: Faults, email: str, *, longest: int) -> None:
    """Note what is wrong with an e-mail address in its normal form."""
    if len(email) > longest or not _EMAIL.fullmatch(email):
        faults.add("email", "malformed", f"Must be an e-mail address of at most {longest} characters.")
    faults.text("email", email, longest=len(email), shortest=0)


def check_registration(command: Register, passwords: Passwords) -> None:
    """Raise Invalid with all that is wrong with a registration."""
    faults = Faults()
    check_email(faults, normal_email(command.email), longest=EMAIL_LENGTH_MAX)
    check_password(faults, "password", command.password, passwords)
    faults.text("name", command.name, longest=NAME_LENGTH_MAX)
    faults.raise_if_any()


def check_new_password(field: str, password: str, passwords: Passwords) -> None:
    """Raise Invalid with what is wrong with a new password."""
    faults = Faults()
    check_password(faults, field, password, passwords)
    faults.raise_if_any()


async def register_merchant(
    work: UnitOfWork, moment: Moment, *, command: Register, password_hash: str, by: Actor, origin: Origin
) -> Made:
    """Open the account; the commit raises Duplicate where the address has one."""
    merchant = Merchant(
        id=MerchantId(moment.id("mer")),
        email=normal_email(command.email),
        name=command.name,
        password_hash=password_hash,
        created_at=moment.now,
    )
    key, secret = new_api_key(moment, merchant.id, livemode=False, kind=ApiKeyKind.SERVER, name="first key")
    work.merchants.add(merchant)
    work.api_keys.add(key)
    deeds: list[tuple[Action, str, JsonObject]] = [
        (Action.MERCHANT_REGISTERED, merchant.id, {}),
        (Action.API_KEY_MADE, key.id, {"livemode": key.livemode, "scopes": sorted(key.scopes)}),
    ]
    for action, subject, detail in deeds:
        work.audit.add(
            audit_entry(moment, action, by, merchant=merchant.id, origin=origin, subject=subject, detail=detail)
        )
    return Made(answer={**describe.merchant(merchant), "api_key": secret}, resource=merchant.id)
