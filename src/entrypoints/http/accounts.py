"""Accounts: register, log in and out, tokens, password, who am I."""

from __future__ import annotations

from typing import Final

from entrypoints.http.answers import Merchant, RegisteredMerchant, SessionKey, TokenPair
from entrypoints.http.operations import Call, NoBody, Operation, command, read
from entrypoints.http.requests import LogInBody, PasswordBody, RefreshBody, RegisterBody, TokenBody
from payments_core import Answer, Forbidden, Scope
from payments_core.describe import JsonObject
from payments_core.use_cases.read_lists import Seen

TAG: Final = "Accounts"


@command(
    "POST",
    "/api/auth/register/",
    tag=TAG,
    summary="Open an account",
    access="public",
    status=201,
    body=RegisterBody,
    answer=RegisteredMerchant,
    location="/api/auth/me/",
    problems=["registration_closed", "email_taken"],
)
async def register(call: Call, body: RegisterBody) -> Answer:
    """The answer holds the first API key, for test mode. An installation may be closed to this."""
    if call.services.settings.registration == "closed":
        raise Forbidden("This installation does not let anybody register.", code="registration_closed")
    return await call.payments.register(body.command(), address=call.address)


@command(
    "POST",
    "/api/auth/login/",
    tag=TAG,
    summary="Get an API key for a day",
    access="public",
    status=200,
    body=LogInBody,
    answer=SessionKey,
    problems=["invalid_credentials", "suspended", "live_mode_unavailable"],
)
async def log_in(call: Call, body: LogInBody) -> Answer:
    """The key lasts for 24 hours or until it logs out; beyond ten such keys the oldest goes."""
    return await call.payments.log_in(body.command(), address=call.address)


@command(
    "POST",
    "/api/auth/token/",
    tag=TAG,
    summary="Get an access token and a refresh token",
    access="public",
    status=200,
    body=TokenBody,
    answer=TokenPair,
    problems=["invalid_credentials", "suspended", "live_mode_unavailable"],
)
async def open_session(call: Call, body: TokenBody) -> Answer:
    """The access token lasts for five minutes, the refresh token for a day, the whole session for 30 days."""
    return await call.payments.open_session(body.command(), address=call.address)


@command(
    "POST",
    "/api/auth/token/refresh/",
    tag=TAG,
    summary="Exchange a refresh token for a new pair",
    access="public",
    status=200,
    body=RefreshBody,
    answer=TokenPair,
    problems=["invalid_credentials", "suspended"],
)
async def refresh_session(call: Call, body: RefreshBody) -> Answer:
    """The old refresh token is spent. One that is spent again was stolen or lost: it ends the whole session."""
    return await call.payments.refresh_session(body.refresh)


@command(
    "POST",
    "/api/auth/logout/",
    tag=TAG,
    summary="End the session that calls",
    access=Scope.ACCOUNT_WRITE,
    status=204,
    problems=["forbidden"],
    once=False,
)
async def log_out(call: Call, _body: NoBody) -> None:
    """Ends the session key or the family of tokens. A server's key does not log out: DELETE it."""
    await call.payments.log_out(call.caller)


@command(
    "POST",
    "/api/auth/password/",
    tag=TAG,
    summary="Change the password",
    access=Scope.ACCOUNT_WRITE,
    status=204,
    body=PasswordBody,
    problems=["invalid_credentials"],
    once=False,
)
async def change_password(call: Call, body: PasswordBody) -> None:
    """All sessions end, the one that calls too; servers' keys stay."""
    await call.payments.change_password(
        call.caller, password=body.password, new_password=body.new_password, address=call.address
    )


@read(
    "/api/auth/me/",
    tag=TAG,
    summary="Who am I",
    access=Scope.ACCOUNT_READ,
    answer=Merchant,
    cached=False,
)
async def me(call: Call) -> Seen[JsonObject]:
    """The account to which the credential belongs."""
    return await call.payments.read.merchant(call.caller)


OPERATIONS: Final[tuple[Operation, ...]] = (
    register,
    log_in,
    open_session,
    refresh_session,
    log_out,
    change_password,
    me,
)
