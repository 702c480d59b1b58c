"""API keys: list, make, rotate, revoke."""

from __future__ import annotations

from typing import Final

from entrypoints.http.docs.quantities import in_time
from entrypoints.http.operations import Call, NoBody, Operation, check_command, command, read
from entrypoints.http.query import PAGED
from entrypoints.http.request_schemas import ApiKeyBody
from entrypoints.http.response_schemas import ApiKey, NewApiKey
from payments_core import Answer, Scope
from payments_core.describe import JsonObject
from payments_core.ids import ApiKeyId
from payments_core.merchant import API_KEYS_MAX, ROTATION_OVERLAP
from payments_core.page import Page
from payments_core.use_cases.read_lists import Seen

TAG: Final = "API keys"
PATH: Final = "/api/auth/api_keys/"
ONE: Final = f"{PATH}{{id}}/"


@read(
    PATH,
    tag=TAG,
    summary="List API keys",
    access=Scope.API_KEYS_READ,
    answer=ApiKey,
    page=True,
    parameters=PAGED,
    cached=False,
)
async def list_api_keys(call: Call) -> Page[JsonObject]:
    """Those of this mode that are not revoked, the newest first; never their secrets."""
    return await call.payments.read.api_keys(call.caller, call.query.page)


@read(ONE, tag=TAG, summary="Look at an API key", access=Scope.API_KEYS_READ, answer=ApiKey, cached=False)
async def get_api_key(call: Call) -> Seen[JsonObject]:
    """Its prefix, last four characters, scopes and last use; never its secret. A revoked one is not found."""
    return await call.payments.read.api_key(call.caller, call.id(ApiKeyId))


@command(
    "POST",
    PATH,
    tag=TAG,
    summary="Make an API key",
    access=Scope.API_KEYS_WRITE,
    status=201,
    body=ApiKeyBody,
    check=check_command,
    answer=NewApiKey,
    location=f"{PATH}{{}}/",
    problems=["too_many_api_keys", "live_mode_unavailable", "forbidden"],
    limits=f"An account can have {API_KEYS_MAX} of them.",
)
async def make_api_key(call: Call, body: ApiKeyBody) -> Answer:
    """The secret is in this answer only. No key makes one with more scopes than its own."""
    return await call.payments.make_api_key(call.caller, body.command(), once=call.once)


@command(
    "POST",
    f"{ONE}rotate/",
    tag=TAG,
    summary="Make a key like this one",
    access=Scope.API_KEYS_WRITE,
    status=201,
    answer=NewApiKey,
    location=f"{PATH}{{}}/",
    problems=["too_many_api_keys", "forbidden"],
    limits=f"The old one goes on for {in_time(ROTATION_OVERLAP)}, or until it expires.",
)
async def rotate_api_key(call: Call, _body: NoBody) -> Answer:
    """The new one's secret is in this answer only."""
    return await call.payments.rotate_api_key(call.caller, call.id(ApiKeyId), once=call.once)


@command(
    "DELETE",
    ONE,
    tag=TAG,
    summary="Revoke an API key",
    access=Scope.API_KEYS_WRITE,
    status=204,
)
async def revoke_api_key(call: Call, _body: NoBody) -> None:
    """It opens nothing any more, everywhere within a second."""
    await call.payments.revoke_api_key(call.caller, call.id(ApiKeyId))


OPERATIONS: Final[tuple[Operation, ...]] = (
    list_api_keys,
    get_api_key,
    make_api_key,
    rotate_api_key,
    revoke_api_key,
)
