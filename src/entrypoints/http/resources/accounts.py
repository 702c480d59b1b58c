"""Accounts: register, log in and out, tokens, password, who am I."""

from __future__ import annotations

from typing import Final

from entrypoints.http.docs.quantities import in_time
from entrypoints.http.operations import Call, NoBody, Operation, check_command, command, read
from entrypoints.http.request_schemas import LogInBody, PasswordBody, RefreshBody, RegisterBody, TokenBody
from entrypoints.http.response_schemas import Merchant, RegisteredMerchant, SessionKey, TokenPair
from payments_core import Answer, Forbidden, Scope
from payments_core.describe import JsonObject
from payments_core.merchant import (
    ACCESS_TOKEN_LIFETIME,
    REFRESH_IDLE_LIFETIME,
    SESSION_KEY_LIFETIME,
    SESSION_KEYS_MAX,
    SESSION_LIFETIME,
)
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
    check=check_command,
    answer=RegisteredMerchant,
    location="/api/auth/me/",
    problems=["registration_closed", "email_taken", "rate_limited"],
)
async def register(call: Call, body: RegisterBody) -> Answer:
    """The answer holds the first API key, for test mode. An installation may be closed to this."""
    if call.services.settings.registration == "closed":
        raise Forbidden("This installation does not let anybody register.", code="registration_closed")
    return await call.payments.register(body.command(), origin=call.origin)


@command(
    "POST",
    "/api/auth/login/",
    tag=TAG,
    summary="Get an API key that expires",
    access="public",
    status=200,
    body=LogInBody,
    answer=SessionKey,
    problems=["invalid_credentials", "suspended", "live_mode_unavailable", "rate_limited"],
    limits=f"It lasts for {in_time(SESSION_KEY_LIFETIME)}; beyond {SESSION_KEYS_MAX} such keys the oldest goes.",
)
async def log_in(call: Call, body: LogInBody) -> Answer:
    """The key goes when it logs out, or when its time is over."""
    return await call.payments.log_in(body.command(), origin=call.origin)


@command(
    "POST",
    "/api/auth/token/",
    tag=TAG,
    summary="Get an access token and a refresh token",
    access="public",
    status=200,
    body=TokenBody,
    check=lambda _call, body: body.command(),
    answer=TokenPair,
    problems=["invalid_credentials", "suspended", "live_mode_unavailable", "rate_limited"],
    limits=f"The access token lasts for {in_time(ACCESS_TOKEN_LIFETIME)}, the refresh token for "
    f"{in_time(REFRESH_IDLE_LIFETIME)}, the whole session for {in_time(SESSION_LIFETIME)}.",
)
async def open_session(call: Call, body: TokenBody) -> Answer:
    """Call with the access token; get the next pair with the refresh token."""
    return await call.payments.open_session(body.command(), origin=call.origin)


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
    return await call.payments.refresh_session(body.refresh, origin=call.origin)


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
    check=lambda call, body: call.payments.check_new_password(body.new_password),
    problems=["invalid_credentials"],
    once=False,
)
async def change_password(call: Call, body: PasswordBody) -> None:
    """All sessions end, the one that calls too; servers' keys stay."""
    await call.payments.change_password(call.caller, password=body.password, new_password=body.new_password)


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
