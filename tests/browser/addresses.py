"""Where each page of the console is, in a shop that has done business: one address at least for each page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from entrypoints.http.console.handlers import PAGES
from entrypoints.http.console.page import For, Page
from entrypoints.http.console.visits import ROOT

OF_ANYBODY: Final[Mapping[str, Sequence[str]]] = {
    "/sign-in": ("/sign-in", "/sign-in?said=signed_out"),
    "/sign-up": ("/sign-up",),
}
OF_MERCHANT: Final[Mapping[str, Sequence[str]]] = {
    "": ("",),
    "/account": ("/account",),
    "/webhooks": ("/webhooks",),
    "/webhooks/new": ("/webhooks/new",),
    "/webhooks/verifiers": ("/webhooks/verifiers",),
    "/webhooks/verifiers/{language}": ("/webhooks/verifiers/go",),
    "/webhooks/{id}": (
        "/webhooks/{endpoint}",
        "/webhooks/{broken_endpoint}?status=exhausted",
        "/webhooks/{endpoint}?status=nonsense",
    ),
    "/webhooks/{id}/edit": ("/webhooks/{endpoint}/edit",),
    "/webhooks/{id}/rotate": ("/webhooks/{endpoint}/rotate",),
    "/webhooks/{id}/remove": ("/webhooks/{endpoint}/remove",),
    "/webhooks/{id}/replay": ("/webhooks/{endpoint}/replay",),
    "/webhooks/{id}/deliveries/{delivery}": (
        "/webhooks/{endpoint}/deliveries/{delivery}",
        "/webhooks/{broken_endpoint}/deliveries/{exhausted_delivery}",
    ),
    "/developers": ("/developers",),
    "/developers/payment-keys": ("/developers/payment-keys",),
    "/developers/payment-keys/{id}/deactivate": ("/developers/payment-keys/{payment_key}/deactivate",),
    "/developers/api-keys": ("/developers/api-keys",),
    "/developers/api-keys/new": ("/developers/api-keys/new", "/developers/api-keys/new?scopes=nonsense"),
    "/developers/api-keys/{id}": ("/developers/api-keys/{api_key}",),
    "/developers/api-keys/{id}/rotate": ("/developers/api-keys/{api_key}/rotate",),
    "/developers/api-keys/{id}/revoke": ("/developers/api-keys/{api_key}/revoke",),
    "/developers/first-payment": ("/developers/first-payment",),
    "/developers/examples": ("/developers/examples", "/developers/examples?language=python"),
    "/developers/events": ("/developers/events", "/developers/events?type=refund.created", "/developers/events?from=x"),
    "/developers/events/{id}": ("/developers/events/{event}",),
    "/developers/idempotency-keys": (
        "/developers/idempotency-keys",
        "/developers/idempotency-keys?key={idempotency_key}",
        "/developers/idempotency-keys?key=none-like-it",
    ),
    "/developers/audit": ("/developers/audit", "/developers/audit?action=nonsense"),
}
"""Ids in braces are those of `Shop.ids`."""


def declared(whose: For) -> list[Page]:
    """Return the pages that people look at: each has to be in one of the tables above."""
    return [page for page in PAGES if page.method == "GET" and page.whose is whose]


def addresses(of: Mapping[str, Sequence[str]]) -> list[str]:
    """Return all addresses of a table."""
    return [f"{ROOT}{address}" for found in of.values() for address in found]
