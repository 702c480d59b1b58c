"""Webhooks by HTTP, to addresses that strangers choose: the guard, the client that obeys it, the notifier."""

from adapters.http.guard import DEFAULT_PORTS, AddressGuard
from adapters.http.notifier import HttpNotifier
from adapters.http.proxy import Proxy

__all__ = ["DEFAULT_PORTS", "AddressGuard", "HttpNotifier", "Proxy"]
