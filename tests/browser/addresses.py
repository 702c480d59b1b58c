"""Where each page of the console is, in a shop that has done business: one address at least for each page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from entrypoints.http.console.handlers import PAGES
from entrypoints.http.console.page import For
from entrypoints.http.console.visits import ROOT

OF_ANYBODY: Final[Mapping[str, Sequence[str]]] = {
    "/sign-in": ("/sign-in", "/sign-in?said=signed_out"),
    "/sign-up": ("/sign-up",),
    "/staff/sign-in": ("/staff/sign-in",),
}
OF_MERCHANT: Final[Mapping[str, Sequence[str]]] = {
    "": ("", "?from=2026-01-01&to=2025-01-01"),
    "/account": ("/account",),
    "/transactions": (
        "/transactions",
        "/transactions?text=chairs&status=succeeded",
        "/transactions?status=nonsense&min_amount=1",
        "/transactions?text=nothing-is-like-it",
    ),
    "/transactions/{id}": ("/transactions/{transaction}", "/transactions/{declined}", "/transactions/{unknown}"),
    "/transactions/{id}/refund": ("/transactions/{transaction}/refund", "/transactions/{declined}/refund"),
    "/refunds": ("/refunds", "/refunds?transaction={transaction}", "/refunds?transaction=nonsense"),
    "/refunds/{id}": ("/refunds/{refund}", "/refunds/{failed_refund}"),
    "/webhooks": ("/webhooks",),
    "/webhooks/new": ("/webhooks/new",),
    "/webhooks/verifiers": ("/webhooks/verifiers", "/webhooks/verifiers?language=php"),
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
    "/developers/events": (
        "/developers/events",
        "/developers/events?type=refund.created",
        "/developers/events?type=nonsense",
    ),
    "/developers/events/{id}": ("/developers/events/{event}",),
    "/developers/idempotency-keys": (
        "/developers/idempotency-keys",
        "/developers/idempotency-keys?key={idempotency_key}",
        "/developers/idempotency-keys?key=none-like-it",
    ),
    "/developers/audit": ("/developers/audit", "/developers/audit?action=nonsense"),
}
"""Ids in braces are those of `Shop.ids`."""
WITH_NOTHING_YET: Final = (
    "/console",
    "/console/transactions",
    "/console/refunds",
    "/console/webhooks",
    "/console/developers",
    "/console/developers/payment-keys",
    "/console/developers/events",
    "/console/developers/examples",
    "/console/developers/first-payment",
)
"""Pages that look different where nothing has happened."""
NO_PAGES: Final = frozenset({"/transactions.csv"})
OF_STAFF: Final[Mapping[str, Sequence[str]]] = {
    "/staff": ("/staff", "/staff?text=pages", "/staff?text=nothing-is-like-it&state=suspended"),
    "/staff/merchants/{id}": ("/staff/merchants/{merchant}",),
    "/staff/transactions": ("/staff/transactions", "/staff/transactions?status=nonsense"),
    "/staff/refunds": ("/staff/refunds",),
    "/staff/payment-keys": ("/staff/payment-keys",),
    "/staff/webhooks": ("/staff/webhooks",),
    "/staff/idempotency-keys": ("/staff/idempotency-keys", "/staff/idempotency-keys?key={idempotency_key}"),
    "/staff/find": ("/staff/find?id={transaction}",),
    "/staff/jobs": ("/staff/jobs", "/staff/jobs?state=all"),
    "/staff/jobs/{id}": ("/staff/jobs/{job}",),
    "/staff/attempts": ("/staff/attempts", "/staff/attempts?state=all"),
    "/staff/attempts/{id}": ("/staff/attempts/{attempt}",),
    "/staff/audit": ("/staff/audit", "/staff/audit?action=nonsense"),
    "/staff/account": ("/staff/account",),
}


def declared(whose: For) -> set[str]:
    """Return the paths of pages that people look at: each has to be in one of the tables above."""
    return {page.path for page in PAGES if page.method == "GET" and page.whose is whose} - NO_PAGES


def addresses(of: Mapping[str, Sequence[str]]) -> list[str]:
    """Return all addresses of a table."""
    return [f"{ROOT}{address}" for found in of.values() for address in found]


def looked_at() -> list[str]:
    """Return one address of each page of a merchant at which staff may look."""
    shown = {page.path for page in PAGES if page.for_staff} - NO_PAGES
    return [f"{ROOT}/merchants/{{merchant}}/test{OF_MERCHANT[path][0]}" for path in sorted(shown)]
