"""What every store must pass: units of work that are atomic, versioned, unique and apart.

An adapter's test inherits `StoreContract` and supplies one fixture, `store`: a `Store` that is empty. What the suite
settles where the ports leave room:

- `add` and `save` of one thing several times in a unit store its last state, once. A second writer of the version
  that was read is refused (StaleWrite); so is a save of what was never stored, and any write for a merchant that was
  never stored.
- A unit that writes nothing moves no revision, whatever it expects; one that writes moves the revision of each
  merchant whose things it writes by one. (A unit that only writes jobs may do either.)
- Where a commit finds several unique values taken, an idempotency key is named first: it says that the same request
  was here before, which comes before every business rule.
"""

from __future__ import annotations

from payments_core.testing.apart import ApartContract
from payments_core.testing.audit import AuditContract
from payments_core.testing.deliveries import DeliveriesContract
from payments_core.testing.jobs import JobsContract
from payments_core.testing.round_trips import RoundTripsContract
from payments_core.testing.staff import StaffContract
from payments_core.testing.subject import Store
from payments_core.testing.uniqueness import UniquenessContract
from payments_core.testing.units import UnitsContract


class StoreContract(
    UnitsContract,
    ApartContract,
    UniquenessContract,
    RoundTripsContract,
    DeliveriesContract,
    JobsContract,
    AuditContract,
    StaffContract,
):
    """Adapters supply `store`."""


__all__ = ["Store", "StoreContract"]
