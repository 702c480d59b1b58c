"""A payment service's domain: payments, refunds, webhooks, idempotency. The standard library only.

`Payments` assembles the use cases from ports; `payments_core.ports` says what an adapter must promise and
`payments_core.testing` checks that it does. `payments_core.webhook.verify` checks webhooks that you receive.
"""

from payments_core.errors import (
    Conflict,
    Fault,
    Forbidden,
    Invalid,
    InvalidCredentials,
    KeyReused,
    NotFound,
    OutcomeUnknown,
    PaymentsError,
    Refused,
    RuleBroken,
    TooMany,
    Unavailable,
)
from payments_core.idempotency import Once
from payments_core.merchant import Caller, Scope
from payments_core.money import Currency, Money
from payments_core.payments import Payments, Ports
from payments_core.units import Answer
from payments_core.use_cases.log_in import LogIn
from payments_core.use_cases.make_api_key import MakeApiKey
from payments_core.use_cases.manage_webhooks import AddEndpoint, ChangeEndpoint
from payments_core.use_cases.pay import Pay
from payments_core.use_cases.refund_transaction import RefundTransaction
from payments_core.use_cases.register_merchant import Register
from payments_core.use_cases.replay_deliveries import Replay
from payments_core.use_cases.resolve_attempt import Resolve

__all__ = [
    "AddEndpoint",
    "Answer",
    "Caller",
    "ChangeEndpoint",
    "Conflict",
    "Currency",
    "Fault",
    "Forbidden",
    "Invalid",
    "InvalidCredentials",
    "KeyReused",
    "LogIn",
    "MakeApiKey",
    "Money",
    "NotFound",
    "Once",
    "OutcomeUnknown",
    "Pay",
    "Payments",
    "PaymentsError",
    "Ports",
    "Refused",
    "RefundTransaction",
    "Register",
    "Replay",
    "Resolve",
    "RuleBroken",
    "Scope",
    "TooMany",
    "Unavailable",
]
