"""A history at its end: what the rules look at."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from adapters.memory.state import Account, State
from payments_core.attempt import Attempt
from payments_core.ids import EndpointId
from payments_core.verification.report import Report
from tests.simulation.clients import Clients
from tests.simulation.gateway import SimulatedGateway
from tests.simulation.receivers import Receiver
from tests.simulation.store import Witness
from tests.simulation.world import World


@dataclass(frozen=True, slots=True, kw_only=True)
class End:
    """A history at its end."""

    world: World
    state: State
    clients: Clients
    gateway: SimulatedGateway
    receivers: Mapping[EndpointId, Receiver]
    witness: Witness
    report: Report

    @property
    def account(self) -> Account:
        """All that is the merchant's."""
        return self.state.account(self.clients.caller.merchant)

    def attempts(self) -> Iterator[Attempt]:
        """Return all attempts."""
        return self.account.attempts.oldest_first()
