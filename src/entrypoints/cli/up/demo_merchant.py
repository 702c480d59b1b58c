"""The merchant that `up` makes once, so that the first payment is a line to paste."""

from __future__ import annotations

import contextlib
import json
import secrets
from dataclasses import asdict, dataclass, field, replace
from typing import Final

from entrypoints.cli.data_directory import DataDirectory, DataDirectoryUnusable
from payments_core import (
    Caller,
    Conflict,
    Forbidden,
    InvalidCredentials,
    LogIn,
    MakeApiKey,
    Payments,
    Refused,
    Register,
)
from payments_core.ids import MerchantId

FILE: Final = "demo_merchant.json"
PASSWORD_BYTES: Final = 18


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoMerchant:
    """Who it is and what opens its account."""

    email: str
    password: str = field(repr=False)
    api_key: str = field(default="", repr=False)
    payment_key: str = ""


async def demo_merchant(payments: Payments, directory: DataDirectory) -> DemoMerchant:
    """Return the demo merchant of this directory and store; make it where one of the two doesn't know it.

    A demo never keeps the service from starting: where the account that is kept can't be used any more, as its
    password was changed or it has all the keys that it may have, another one is made.

    The password is kept before the account is opened: a start that is killed in between finds its account again.
    """
    kept = _read(directory)
    if kept is not None:
        if kept.api_key and await _opens(payments, kept.api_key):
            return kept
        with contextlib.suppress(Refused):
            return await _with_keys(payments, directory, kept)
    another = DemoMerchant(
        email=f"demo-{secrets.token_hex(3)}@example.com", password=secrets.token_urlsafe(PASSWORD_BYTES)
    )
    _write(directory, another)
    return await _with_keys(payments, directory, another)


async def _with_keys(payments: Payments, directory: DataDirectory, merchant: DemoMerchant) -> DemoMerchant:
    """Open the account, or log in where there is one, and keep new keys of it; raise Refused where it can't be used."""
    caller = Caller(merchant=await _account(payments, merchant))
    payment_key = await payments.make_payment_key(caller)  # first, as the other one opens everything
    api_key = await payments.make_api_key(caller, MakeApiKey(name="payments up"))
    made = replace(merchant, api_key=str(api_key.json["api_key"]), payment_key=str(payment_key.json["key"]))
    _write(directory, made)
    return made


async def _account(payments: Payments, kept: DemoMerchant) -> MerchantId:
    try:
        registered = await payments.register(Register(email=kept.email, password=kept.password, name="Demo merchant"))
        return MerchantId(str(registered.json["id"]))
    except Conflict:
        session = await payments.log_in(LogIn(email=kept.email, password=kept.password))
        merchant = session.json["merchant"]
        assert isinstance(merchant, dict), "a session names its merchant"
        return MerchantId(str(merchant["id"]))


async def _opens(payments: Payments, api_key: str) -> bool:
    try:
        await payments.authenticator.by_api_key(api_key)
    except (InvalidCredentials, Forbidden):
        return False
    return True


def _read(directory: DataDirectory) -> DemoMerchant | None:
    text = directory.read(FILE)
    if text is None:
        return None
    try:
        return DemoMerchant(**json.loads(text))
    except (TypeError, ValueError):
        raise DataDirectoryUnusable(
            f"{directory.path / FILE} is damaged: remove it, and another demo merchant is made."
        ) from None


def _write(directory: DataDirectory, merchant: DemoMerchant) -> None:
    directory.write(FILE, json.dumps(asdict(merchant), indent=2) + "\n")
