"""The kinds of versioned things: where each is kept, and which of its values are unique."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import Field, dataclass, replace
from typing import Any, ClassVar, Final, Generic, Protocol, TypeAlias, TypeVar

from adapters.memory.state import Account, Key, State, Table
from payments_core.attempt import Attempt
from payments_core.ids import DeliveryId, EndpointId, MerchantId
from payments_core.merchant import ApiKey, Merchant, PaymentKey, RefreshToken, Session
from payments_core.ports import Unique
from payments_core.refund import Refund
from payments_core.staff_member import StaffMember, StaffSession
from payments_core.transaction import Transaction
from payments_core.webhook import Delivery, Endpoint


class Versioned(Protocol):
    """A dataclass with a version."""

    # What `dataclasses.replace` asks for; the standard library types it so.
    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]

    @property
    def version(self) -> int: ...


class Owned(Versioned, Protocol):
    """One that belongs to a merchant."""

    @property
    def merchant(self) -> MerchantId: ...


V = TypeVar("V", bound=Versioned)
O = TypeVar("O", bound=Owned)  # noqa: E741 - for Owned

Values: TypeAlias = list[tuple[Unique, Hashable]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind(Generic[V]):
    """How things of one kind are told apart, read and kept; `values` are unique besides the key.

    The keys of those `of_merchant` begin with the merchant's id.
    """

    key: Callable[[V], Key]
    stored: Callable[[State, Key], V | None]
    put: Callable[[State, V], None]
    values: Callable[[V], Values]
    of_merchant: bool = True


def no_values(_thing: object, /) -> Values:
    """Return that nothing but the identity is unique."""
    return []


def _owned(
    table: Callable[[Account], Table[O]], id: Callable[[O], str], values: Callable[[O], Values] = no_values
) -> Kind[O]:
    def stored(state: State, key: Key) -> O | None:
        account = state.accounts.get(MerchantId(key[0]))
        return table(account).get(key[1]) if account else None

    def put(state: State, thing: O) -> None:
        table(state.writable(thing.merchant)).put(id(thing), thing)

    return Kind(key=lambda thing: (thing.merchant, id(thing)), stored=stored, put=put, values=values)


def _stored_merchant(state: State, key: Key) -> Merchant | None:
    account = state.accounts.get(MerchantId(key[0]))
    return account.merchant if account else None


def _put_merchant(state: State, merchant: Merchant) -> None:
    if merchant.id in state.accounts:
        state.writable(merchant.id).merchant = merchant
    else:
        state.accounts[merchant.id] = Account(merchant=merchant)


def _put_refund(state: State, refund: Refund) -> None:
    account = state.writable(refund.merchant)
    account.refunds.put(refund.id, refund)
    account.refunds_of.setdefault(refund.transaction, Table()).put(refund.id, refund)


def _stored_delivery(state: State, key: Key) -> Delivery | None:
    return state.delivery(MerchantId(key[0]), EndpointId(key[1]), DeliveryId(key[2]))


def _put_api_key(state: State, key: ApiKey) -> None:
    keys = state.writable(key.merchant).api_keys
    before = keys.get(key.id)
    keys.put(key.id, key if before is None else replace(key, last_used_at=before.last_used_at))


def email(text: str) -> Hashable:
    """Return the unique value of an e-mail address."""
    return ("email", text)


def api_key_digest(text: str) -> Hashable:
    """Return the unique value of an API key's digest."""
    return ("api_key", text)


def payment_key_text(merchant: MerchantId, livemode: bool, text: str) -> Hashable:
    """Return the unique value of a payment key's public text."""
    return ("payment_key", merchant, livemode, text)


def refresh_token_digest(text: str) -> Hashable:
    """Return the unique value of a refresh token's digest."""
    return ("refresh_token", text)


def attempt_of(merchant: MerchantId, subject: str) -> Hashable:
    """Return the unique value of an attempt's subject."""
    return ("attempt_of", merchant, subject)


def subject_of(attempt: Attempt) -> str:
    """Return the id of the refund that is paid out, or of the transaction that is charged."""
    return attempt.refund or attempt.transaction


def staff_email(text: str) -> Hashable:
    """Return the unique value of the e-mail address of one of the staff."""
    return ("staff_email", text)


def _reference(transaction: Transaction) -> Values:
    if transaction.reference is None:
        return []
    value = ("reference", transaction.merchant, transaction.livemode, transaction.reference)
    return [(Unique.TRANSACTION_REFERENCE, value)]


MERCHANT: Final[Kind[Merchant]] = Kind(
    key=lambda thing: (thing.id,),
    stored=_stored_merchant,
    put=_put_merchant,
    values=lambda thing: [(Unique.MERCHANT_EMAIL, email(thing.email))],
)
API_KEY: Final[Kind[ApiKey]] = Kind(
    key=lambda thing: (thing.merchant, thing.id),
    stored=_owned(lambda account: account.api_keys, lambda thing: thing.id).stored,
    put=_put_api_key,
    values=lambda thing: [(Unique.ID, api_key_digest(thing.digest))],
)
PAYMENT_KEY: Final[Kind[PaymentKey]] = _owned(
    lambda account: account.payment_keys,
    lambda thing: thing.id,
    lambda thing: [(Unique.ID, payment_key_text(thing.merchant, thing.livemode, thing.key))],
)
SESSION: Final[Kind[Session]] = _owned(lambda account: account.sessions, lambda thing: thing.id)
REFRESH_TOKEN: Final[Kind[RefreshToken]] = _owned(
    lambda account: account.refresh_tokens,
    lambda thing: thing.digest,
    lambda thing: [(Unique.ID, refresh_token_digest(thing.digest))],
)
TRANSACTION: Final[Kind[Transaction]] = _owned(lambda account: account.transactions, lambda thing: thing.id, _reference)
REFUND: Final[Kind[Refund]] = Kind(
    key=lambda thing: (thing.merchant, thing.id),
    stored=_owned(lambda account: account.refunds, lambda thing: thing.id).stored,
    put=_put_refund,
    values=no_values,
)
ATTEMPT: Final[Kind[Attempt]] = _owned(
    lambda account: account.attempts,
    lambda thing: thing.id,
    lambda thing: [(Unique.ID, attempt_of(thing.merchant, subject_of(thing)))],
)
ENDPOINT: Final[Kind[Endpoint]] = _owned(lambda account: account.endpoints, lambda thing: thing.id)
DELIVERY: Final[Kind[Delivery]] = Kind(
    key=lambda thing: (thing.merchant, thing.endpoint, thing.id),
    stored=_stored_delivery,
    put=State.put_delivery,
    values=no_values,
)
STAFF_MEMBER: Final[Kind[StaffMember]] = Kind(
    key=lambda thing: (thing.id,),
    stored=lambda state, key: state.staff_members.get(key[0]),
    put=lambda state, thing: state.staff_members.put(thing.id, thing),
    values=lambda thing: [(Unique.STAFF_EMAIL, staff_email(thing.email))],
    of_merchant=False,
)
STAFF_SESSION: Final[Kind[StaffSession]] = Kind(
    key=lambda thing: (thing.id,),
    stored=lambda state, key: state.staff_sessions.get(key[0]),
    put=lambda state, thing: state.staff_sessions.put(thing.id, thing),
    values=no_values,
    of_merchant=False,
)
