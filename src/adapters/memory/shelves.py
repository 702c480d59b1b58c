"""The versioned things of a unit of work, a class for each port."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime

from adapters.memory import kinds
from adapters.memory.shelf import Shelf
from adapters.memory.state import State, Table
from payments_core.attempt import Attempt
from payments_core.ids import (
    ApiKeyId,
    AttemptId,
    EndpointId,
    MerchantId,
    PaymentKeyId,
    RefundId,
    SessionId,
    StaffId,
    StaffSessionId,
    TransactionId,
)
from payments_core.merchant import ApiKey, Merchant, PaymentKey, RefreshToken, Session
from payments_core.refund import Refund
from payments_core.staff_member import StaffMember, StaffSession
from payments_core.transaction import Transaction
from payments_core.webhook import Endpoint


class MemoryMerchants(Shelf[Merchant]):
    """The port `Merchants`."""

    def __init__(self, state: State) -> None:
        super().__init__(kinds.MERCHANT, state)

    async def get(self, id: MerchantId, /) -> Merchant:
        """Return the merchant, or raise NotFound."""
        return await self.read(id)

    async def by_email(self, email: str, /) -> Merchant | None:
        """Return the merchant with this e-mail address, if there is one."""
        return await self.find_by(kinds.email(email), lambda merchant: merchant.email == email)


class MemoryApiKeys(Shelf[ApiKey]):
    """The port `ApiKeys`."""

    def __init__(self, state: State) -> None:
        super().__init__(kinds.API_KEY, state)

    async def get(self, merchant: MerchantId, id: ApiKeyId, /) -> ApiKey:
        """Return the merchant's key, or raise NotFound."""
        return await self.read(merchant, id)

    async def valid_of(self, merchant: MerchantId, /, *, at: datetime) -> Sequence[ApiKey]:
        """Return the merchant's keys that open something at that time, the oldest first."""
        return await self.all(
            merchant,
            lambda account: account.api_keys.oldest_first(),
            lambda key: key.is_valid(at),
        )


class MemoryPaymentKeys(Shelf[PaymentKey]):
    """The port `PaymentKeys`."""

    def __init__(self, state: State) -> None:
        super().__init__(kinds.PAYMENT_KEY, state)

    async def get(self, merchant: MerchantId, livemode: bool, id: PaymentKeyId, /) -> PaymentKey:
        """Return the merchant's key, or raise NotFound."""
        return await self.read(merchant, id, wanted=lambda key: key.livemode is livemode)

    async def by_key(self, merchant: MerchantId, livemode: bool, key: str, /) -> PaymentKey | None:
        """Return the merchant's key with this public text, if there is one."""
        return await self.find_by(
            kinds.payment_key_text(merchant, livemode, key),
            lambda found: (found.merchant, found.livemode, found.key) == (merchant, livemode, key),
        )

    async def count(self, merchant: MerchantId, livemode: bool, /) -> int:
        """Return how many active keys the merchant has in this mode."""
        active = await self.all(
            merchant,
            lambda account: account.payment_keys.oldest_first(),
            lambda key: key.livemode is livemode and key.is_active,
        )
        return len(active)


class MemoryRefreshTokens(Shelf[RefreshToken]):
    """The refresh tokens of the port `Sessions`."""

    def __init__(self, state: State) -> None:
        super().__init__(kinds.REFRESH_TOKEN, state)

    async def by_digest(self, digest: str) -> RefreshToken | None:
        """Return the token with this digest, if there is one."""
        return await self.find_by(kinds.refresh_token_digest(digest), lambda token: token.digest == digest)


class MemorySessions(Shelf[Session]):
    """The port `Sessions`."""

    def __init__(self, state: State) -> None:
        super().__init__(kinds.SESSION, state)
        self.tokens = MemoryRefreshTokens(state)

    async def get(self, merchant: MerchantId, id: SessionId, /) -> Session:
        """Return the merchant's session, or raise NotFound."""
        return await self.read(merchant, id)

    async def valid_of(self, merchant: MerchantId, /, *, at: datetime) -> Sequence[Session]:
        """Return the merchant's sessions that have not ended, the oldest first."""
        return await self.all(
            merchant,
            lambda account: account.sessions.oldest_first(),
            lambda session: session.is_valid(at),
        )

    async def refresh_token(self, digest: str, /) -> RefreshToken | None:
        """Return the refresh token with this digest, if there is one."""
        return await self.tokens.by_digest(digest)

    def add_refresh_token(self, token: RefreshToken, /) -> None:
        """Remember a new refresh token."""
        self.tokens.add(token)

    def save_refresh_token(self, token: RefreshToken, /) -> None:
        """Remember the new state."""
        self.tokens.save(token)


class MemoryTransactions(Shelf[Transaction]):
    """The port `Transactions`."""

    def __init__(self, state: State) -> None:
        super().__init__(kinds.TRANSACTION, state)

    async def get(self, merchant: MerchantId, livemode: bool, id: TransactionId, /) -> Transaction:
        """Return the merchant's transaction, or raise NotFound."""
        return await self.read(merchant, id, wanted=lambda transaction: transaction.livemode is livemode)


class MemoryRefunds(Shelf[Refund]):
    """The port `Refunds`."""

    def __init__(self, state: State) -> None:
        super().__init__(kinds.REFUND, state)

    async def get(self, merchant: MerchantId, livemode: bool, id: RefundId, /) -> Refund:
        """Return the merchant's refund, or raise NotFound."""
        return await self.read(merchant, id, wanted=lambda refund: refund.livemode is livemode)

    async def latest_of(self, merchant: MerchantId, transaction: TransactionId, /, *, limit: int) -> Sequence[Refund]:
        """Return the latest refunds of a transaction, the newest first."""
        found = await self.all(
            merchant,
            lambda account: account.refunds_of.get(transaction, Table[Refund]()).oldest_first(),
            lambda refund: refund.transaction == transaction,
        )
        return found[::-1][:limit]


class MemoryAttempts(Shelf[Attempt]):
    """The port `Attempts`."""

    def __init__(self, state: State) -> None:
        super().__init__(kinds.ATTEMPT, state)

    async def get(self, merchant: MerchantId, id: AttemptId, /) -> Attempt:
        """Return the attempt, or raise NotFound."""
        return await self.read(merchant, id)

    async def of(self, merchant: MerchantId, subject: TransactionId | RefundId, /) -> Attempt | None:
        """Return the attempt to charge a transaction or to pay out a refund, if one was prepared."""
        return await self.find_by(
            kinds.attempt_of(merchant, subject),
            lambda attempt: (attempt.merchant, kinds.subject_of(attempt)) == (merchant, subject),
        )


class MemoryEndpoints(Shelf[Endpoint]):
    """The port `Endpoints`."""

    def __init__(self, state: State) -> None:
        super().__init__(kinds.ENDPOINT, state)

    async def get(self, merchant: MerchantId, livemode: bool, id: EndpointId, /) -> Endpoint:
        """Return the merchant's endpoint, or raise NotFound; a removed one is not found."""
        return await self.read(
            merchant, id, wanted=lambda endpoint: endpoint.livemode is livemode and endpoint.removed_at is None
        )

    async def count(self, merchant: MerchantId, livemode: bool, /) -> int:
        """Return how many endpoints the merchant has in this mode; removed ones don't count."""
        present = await self.all(
            merchant,
            lambda account: account.endpoints.oldest_first(),
            lambda endpoint: endpoint.livemode is livemode and endpoint.removed_at is None,
        )
        return len(present)


class MemoryStaffMembers(Shelf[StaffMember]):
    """The port `StaffMembers`."""

    def __init__(self, state: State) -> None:
        super().__init__(kinds.STAFF_MEMBER, state)

    async def get(self, id: StaffId, /) -> StaffMember:
        """Return the member, or raise NotFound."""
        return await self.read(id)

    async def by_email(self, email: str, /) -> StaffMember | None:
        """Return the member with this e-mail address, if there is one."""
        return await self.find_by(kinds.staff_email(email), lambda member: member.email == email)


class MemoryStaffSessions(Shelf[StaffSession]):
    """The port `StaffSessions`."""

    def __init__(self, state: State) -> None:
        super().__init__(kinds.STAFF_SESSION, state)

    async def get(self, id: StaffSessionId, /) -> StaffSession:
        """Return the session, or raise NotFound."""
        return await self.read(id)

    async def valid_of(self, member: StaffId, /, *, at: datetime) -> Sequence[StaffSession]:
        """Return the member's sessions that have not ended, the oldest first."""
        await asyncio.sleep(0)
        return self.seen(
            self.state.staff_sessions.oldest_first(), lambda one: one.member == member and one.is_valid(at)
        )
