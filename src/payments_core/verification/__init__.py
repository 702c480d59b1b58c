"""Whether the store, and the gateway's ledger, keep every rule: judged on a running system, a simulation or a wreck.

`Verification` walks through the port `Books`; the rules themselves are in `dossiers`, `history` and `logs`.
"""

from payments_core.verification.report import Report
from payments_core.verification.rules import RULES, Breach, Rule, Terms
from payments_core.verification.verify import Verification

__all__ = ["Breach", "RULES", "Report", "Rule", "Terms", "Verification"]
