"""Who is calling: one `Authorization` header, `Token <api key>` or `Bearer <access token or api key>`."""

from __future__ import annotations

import re
from typing import Final

from entrypoints.http.problems import Refusal, rate_limit_headers
from entrypoints.http.request_context import RequestContext
from entrypoints.services import Services
from payments_core import Caller, Forbidden, Scope, TooMany
from payments_core.audit import Origin
from payments_core.limits import API_PER_MERCHANT

CREDENTIAL_LENGTH_MAX: Final = 4_096
KEY_PREFIXES: Final = ("sk_", "pk_")
"""What no access token begins with. A payment key is none either, and is told so as one."""
HOW: Final = "Send `Authorization: Token sk_test_…` (or `Bearer …`)."
_HEADER: Final = re.compile(rf"(token|bearer) +([A-Za-z0-9._~+/=-]{{1,{CREDENTIAL_LENGTH_MAX}}})", re.IGNORECASE)


async def authenticate(services: Services, context: RequestContext, origin: Origin) -> Caller:
    """Return the caller; raise Refusal (`authentication_required`), InvalidCredentials, Forbidden (`suspended`)."""
    headers = context.all(b"authorization")
    if not headers:
        raise Refusal("authentication_required", f"There is no Authorization header. {HOW}")
    if len(headers) > 1:
        raise Refusal("authentication_required", f"There is more than one Authorization header. {HOW}")
    found = _HEADER.fullmatch(headers[0])
    if found is None:
        raise Refusal("authentication_required", f"The Authorization header is not one that this service reads. {HOW}")
    scheme, credential = found[1].lower(), found[2]
    if scheme == "token" or credential.startswith(KEY_PREFIXES):
        return await services.payments.authenticator.by_api_key(credential, origin=origin)
    return await services.payments.authenticator.by_access_token(credential, origin=origin)


def check_scope(caller: Caller, scope: Scope) -> None:
    """Raise Forbidden (`scope_missing`) where the credential lacks the scope."""
    if scope not in caller.scopes:
        raise Forbidden(f"This credential lacks the scope `{scope}`.", code="scope_missing")


async def count(services: Services, caller: Caller, context: RequestContext) -> None:
    """Count the call against its merchant's limit and say what is left; raise TooMany beyond it."""
    allowance = await services.limits.hit(API_PER_MERCHANT, caller.merchant)
    if not allowance.allowed:
        raise TooMany(allowance)
    if services.settings.rate_limits:
        context.added += rate_limit_headers(allowance)
