"""The kinds of fault that a campaign plays, and by what name the report counts them."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Final


class Kind(StrEnum):
    """One kind of fault; the value is its name in the report."""

    API_KILLED = "API killed (SIGKILL)"
    API_ENDED = "API ended (SIGTERM)"
    API_STOPPED = "API stopped and continued"
    WORKER_KILLED = "worker killed (SIGKILL)"
    WORKER_ENDED = "worker ended (SIGTERM)"
    WORKER_STOPPED = "worker stopped and continued"
    WORKER_PAST_LEASE = "worker stopped past its lease"
    REDIS_FLUSHED = "Redis flushed"
    REDIS_STOPPED = "Redis stopped"
    REDIS_FROZEN = "Redis frozen"
    POSTGRES_STOPPED = "Postgres stopped at once"
    CONNECTIONS_CUT = "database connections cut"
    RECEIVER_REFUSES = "receiver refuses connections"
    RECEIVER_HANGS = "receiver hangs"
    RECEIVER_DRIPS = "receiver drips"
    RECEIVER_REDIRECTS = "receiver redirects"
    RECEIVER_ANSWERS_500 = "receiver answers 500"
    RECEIVER_CUTS = "receiver cuts the connection"
    GATEWAY_CHARGED_SILENTLY = "gateway: pm_timeout_charged"
    GATEWAY_NOT_CHARGED = "gateway: pm_timeout_not_charged"
    GATEWAY_ERROR_ONCE = "gateway: pm_error_once"
    GATEWAY_SLOW = "gateway: pm_slow"
    GATEWAY_REFUND_FAILS = "gateway: pm_refund_fails"
    GATEWAY_REFUND_RETURNED = "gateway: pm_refund_returned_late"
    GATEWAY_CORRECTED = "gateway: pm_corrected_late"
    GATEWAY_NO_MONEY = "gateway: pm_decline_insufficient_funds"
    GATEWAY_EXPIRED = "gateway: pm_decline_expired"
    GATEWAY_FRAUD = "gateway: pm_decline_fraud"


KILLS: Final[Mapping[Kind, int]] = {Kind.API_KILLED: 2, Kind.WORKER_KILLED: 3}
"""By weight: so many processes there are of each."""
API_FAULTS: Final = (Kind.API_KILLED, Kind.API_ENDED, Kind.API_STOPPED)
WORKER_FAULTS: Final = (Kind.WORKER_KILLED, Kind.WORKER_ENDED, Kind.WORKER_STOPPED, Kind.WORKER_PAST_LEASE)
REDIS_FAULTS: Final[Mapping[Kind, int]] = {Kind.REDIS_FLUSHED: 2, Kind.REDIS_STOPPED: 2, Kind.REDIS_FROZEN: 1}
"""By weight."""
POSTGRES_FAULTS: Final = (Kind.POSTGRES_STOPPED, Kind.CONNECTIONS_CUT)

# What comes back on a webhook, by weight: one that hangs holds one of its endpoint's ten places for seconds.
RECEPTIONS: Final[Mapping[Kind, int]] = {
    Kind.RECEIVER_HANGS: 1,
    Kind.RECEIVER_DRIPS: 2,
    Kind.RECEIVER_REDIRECTS: 3,
    Kind.RECEIVER_ANSWERS_500: 4,
    Kind.RECEIVER_CUTS: 3,
}

# What the gateway does with a payment, by weight.
SCRIPTED: Final[Mapping[Kind, int]] = {
    Kind.GATEWAY_CHARGED_SILENTLY: 3,
    Kind.GATEWAY_NOT_CHARGED: 3,
    Kind.GATEWAY_ERROR_ONCE: 3,
    Kind.GATEWAY_SLOW: 1,
    Kind.GATEWAY_REFUND_FAILS: 2,
    Kind.GATEWAY_REFUND_RETURNED: 2,
    Kind.GATEWAY_CORRECTED: 3,
    Kind.GATEWAY_NO_MONEY: 1,
    Kind.GATEWAY_EXPIRED: 1,
    Kind.GATEWAY_FRAUD: 1,
}


def payment_method(kind: Kind) -> str:
    """Return the `payment_method` that makes the sandbox commit a fault of the gateway."""
    return kind.value.removeprefix("gateway: ")


def kind_of(method: str) -> Kind:
    """Return the fault that a `payment_method` makes the sandbox commit."""
    return Kind(f"gateway: {method}")
