"""Every page about webhooks."""

from __future__ import annotations

from typing import Final

from entrypoints.http.console.webhooks import changes, deliveries, endpoints, replays, verifying

PAGES: Final = (*endpoints.PAGES, *changes.PAGES, *deliveries.PAGES, *replays.PAGES, *verifying.PAGES)
