"""A webhook endpoint that is there while a block runs."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Final

import httpx

from entrypoints.cli.errors import CommandFailed

CALL_TIMEOUT_SECONDS: Final = 3.0
"""Below the 5 s that a whole stop may take: the removal happens then."""


@asynccontextmanager
async def registered(api: str, api_key: str, url: str) -> AsyncGenerator[str, None]:
    """Register `url` at the API and give the endpoint's secret; remove the endpoint at the end of the block.

    `api` is an address of HTTP without the path /api; `api_key` is ASCII.

    Raises CommandFailed where the API cannot be reached or refuses.
    """
    headers = {"Authorization": f"Token {api_key}"}
    async with httpx.AsyncClient(
        base_url=api, headers=headers, timeout=CALL_TIMEOUT_SECONDS, trust_env=False
    ) as client:
        made = await _call(client, "POST", "/api/webhooks/", {"url": url, "description": "payments listen"})
        try:
            yield str(made["secret"])
        finally:
            await _call(client, "DELETE", f"/api/webhooks/{made['id']}/")


async def _call(client: httpx.AsyncClient, method: str, path: str, body: object = None) -> dict[str, object]:
    try:
        answer = await client.request(method, path, json=body)
    except httpx.HTTPError as error:
        what = f"The API at {client.base_url} does not answer ({error}): is `payments up` running?"
        raise CommandFailed(what) from error
    try:
        read = answer.json() if answer.content else {}
    except ValueError:
        read = {}
    if answer.is_error:
        raise CommandFailed(f"The API refused {method} {path} with {answer.status_code}: {read.get('detail', '')}")
    return dict(read)
