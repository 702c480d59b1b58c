"""Payments: the use cases, assembled from ports. What HTTP, workers and other Python projects call.

Commands of a merchant give an `Answer`, whose body is the public JSON; with `once` they have one effect for each
idempotency key. Reads are in `payments.read`, jobs in `payments.processor`, recognition in `payments.authenticator`,
what the people who run the service see and do in `payments.staff`. Each call raises what `payments_core.errors` draws.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import TypeAlias, TypeVar

from payments_core.audit import HERE, NOBODY, Actor, Origin
from payments_core.errors import InvalidCredentials, RuleBroken
from payments_core.guesses import Guesses, count
from payments_core.idempotency import Once
from payments_core.ids import ApiKeyId, DeliveryId, EndpointId, PaymentKeyId, TransactionId
from payments_core.limits import REGISTRATION_PER_ADDRESS, counted_as
from payments_core.merchant import Caller, Merchant, Session
from payments_core.ports import (
    AccessTokens,
    AuditLog,
    Begin,
    ClaimedDelivery,
    Clock,
    Credentials,
    Doorbell,
    Entropy,
    Gateway,
    Notifier,
    Oversight,
    Passwords,
    RateLimits,
    Views,
)
from payments_core.recent import Recent
from payments_core.schedules import Schedules
from payments_core.staff import Staff
from payments_core.units import Act, Answer, Made, Units, turn_at
from payments_core.use_cases.authenticate import Authenticator
from payments_core.use_cases.cancel_transaction import cancel_transaction
from payments_core.use_cases.change_password import change_password, find_merchant, refused_password
from payments_core.use_cases.check_password import MOVED, PasswordCheck
from payments_core.use_cases.deliver_webhook import deliver_webhook
from payments_core.use_cases.hold_account import PasswordMoved
from payments_core.use_cases.log_in import LogIn, open_console, open_session, open_session_key
from payments_core.use_cases.log_out import log_out, log_out_everywhere
from payments_core.use_cases.make_api_key import (
    LIVE_MODE_UNAVAILABLE,
    MakeApiKey,
    add_api_key,
    check_api_key,
    revoke_api_key,
    rotate_api_key,
)
from payments_core.use_cases.make_payment_key import add_payment_key, deactivate_payment_key
from payments_core.use_cases.manage_webhooks import (
    AddEndpoint,
    ChangeEndpoint,
    add_endpoint,
    change_endpoint,
    check_endpoint,
    remove_endpoint,
    rotate_endpoint_secret,
    send_test_event,
)
from payments_core.use_cases.pay import Pay, check_payment, pay
from payments_core.use_cases.process_job import Processor
from payments_core.use_cases.read_lists import Reader
from payments_core.use_cases.refresh_session import refresh_session
from payments_core.use_cases.refund_transaction import RefundTransaction, check_refund, refund_transaction
from payments_core.use_cases.register_merchant import (
    Register,
    check_new_password,
    check_registration,
    normal_email,
    register_merchant,
)
from payments_core.use_cases.replay_deliveries import Replay, check_replay, replay_deliveries, retry_delivery
from payments_core.values import Encode, encode_json

T = TypeVar("T")

Command: TypeAlias = Register | MakeApiKey | Pay | RefundTransaction | AddEndpoint | ChangeEndpoint | Replay
"""What somebody sends whose fields can be at fault."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """All that Payments is assembled from. `gateways` has one for each mode that is open (False: test, True: live)."""

    begin: Begin
    views: Views
    oversight: Oversight
    audit: AuditLog
    credentials: Credentials
    passwords: Passwords
    tokens: AccessTokens
    limits: RateLimits
    gateways: Mapping[bool, Gateway]
    notifier: Notifier
    doorbell: Doorbell
    clock: Clock
    entropy: Entropy
    encode: Encode = encode_json
    schedules: Schedules = field(default_factory=Schedules)


class Payments:
    """The facade. It keeps no state but mutexes and what it read lately; make one for each process."""

    def __init__(self, ports: Ports) -> None:
        """Assemble the use cases; raise ValueError for a gateway of the other mode, which would move other money."""
        for livemode, gateway in ports.gateways.items():
            if gateway.capabilities.livemode is not livemode:
                raise ValueError(f"the gateway {gateway.capabilities.name} is not of the mode for which it is given")
        self._ports = ports
        self._units = Units(
            begin=ports.begin,
            clock=ports.clock,
            entropy=ports.entropy,
            encode=ports.encode,
            doorbell=ports.doorbell,
        )
        self._recent = Recent()
        self._guesses = Guesses(limits=ports.limits, clock=ports.clock)
        self.authenticator = Authenticator(credentials=ports.credentials, tokens=ports.tokens, clock=ports.clock)
        self.read = Reader(views=ports.views, clock=ports.clock)
        self.processor = Processor(
            units=self._units,
            clock=ports.clock,
            gateways=ports.gateways,
            lookups=ports.schedules.lookups,
            recent=self._recent,
        )
        self.staff = Staff(
            units=self._units,
            oversight=ports.oversight,
            audit=ports.audit,
            passwords=ports.passwords,
            credentials=ports.credentials,
            guesses=self._guesses,
            doorbell=ports.doorbell,
            clock=ports.clock,
        )

    def check(self, command: Command, *, livemode: bool = False) -> None:
        """Raise Invalid with all that is wrong with a command, as far as it alone tells; nothing is done.

        Each command is checked so before it is done. This is for those who would first say more that is wrong.
        """
        match command:
            case Register():
                check_registration(command, self._ports.passwords)
            case MakeApiKey():
                check_api_key(command, now=self._ports.clock.now())
            case Pay():
                check_payment(command, livemode=livemode)
            case RefundTransaction():
                check_refund(command)
            case AddEndpoint() | ChangeEndpoint():
                check_endpoint(command, self._ports.notifier)
            case Replay():
                check_replay(command, now=self._ports.clock.now())

    def check_new_password(self, new_password: str) -> None:
        """Raise Invalid with what is wrong with `new_password`."""
        check_new_password("new_password", new_password, self._ports.passwords)

    @property
    def live_mode_is_open(self) -> bool:
        """Whether there is a gateway for live mode."""
        return self._ports.gateways.get(True) is not None

    # ── accounts ──────────────────────────────────────────────────────────────────────────────────────────────────

    async def register(self, command: Register, *, by: Actor = NOBODY, origin: Origin = HERE) -> Answer:
        """Open an account; the answer holds its first API key. Raises Invalid, Conflict (`email_taken`), TooMany."""
        check_registration(command, self._ports.passwords)
        if origin.address is not None:
            await count(self._ports.limits, REGISTRATION_PER_ADDRESS, counted_as(origin.address))
        password_hash = await self._ports.passwords.hash(command.password)
        act = partial(register_merchant, command=command, password_hash=password_hash, by=by, origin=origin)
        return self._answer(await self._units.run(act))

    async def log_in(self, command: LogIn, *, origin: Origin = HERE) -> Answer:
        """Give a session key for a day. Raises InvalidCredentials, TooMany, Forbidden, RuleBroken."""

        def act(checked: Merchant) -> Act[Made]:
            return partial(open_session_key, checked=checked, livemode=command.livemode, origin=origin)

        return self._answer(await self._checked(command, origin, act))

    async def open_session(self, command: LogIn, *, origin: Origin = HERE) -> Answer:
        """Give a pair of access and refresh token. Raises InvalidCredentials, TooMany, Forbidden, RuleBroken."""
        tokens = self._ports.tokens

        def act(checked: Merchant) -> Act[Made]:
            return partial(open_session, checked=checked, livemode=command.livemode, tokens=tokens, origin=origin)

        return self._answer(await self._checked(command, origin, act))

    async def open_console(self, command: LogIn, *, origin: Origin = HERE) -> Session:
        """Sign in to the console for half a day. Raises InvalidCredentials, TooMany, Forbidden, RuleBroken."""

        def act(checked: Merchant) -> Act[Session]:
            return partial(open_console, checked=checked, livemode=command.livemode, origin=origin)

        return await self._checked(command, origin, act)

    async def refresh_session(self, refresh: str, *, origin: Origin = HERE) -> Answer:
        """Give a new pair for a refresh token, which is spent. Raises InvalidCredentials, Forbidden."""
        act = partial(refresh_session, refresh=refresh, tokens=self._ports.tokens, origin=origin)
        made = await self._units.run(act)
        if isinstance(made, Made):
            return self._answer(made)
        self._ports.credentials.forget(made)
        raise InvalidCredentials("The refresh token was used before; its session is ended, log in again.")

    async def log_out(self, caller: Caller) -> None:
        """End the session that calls. Raises Forbidden for a server key."""
        await self._revoking(caller, partial(log_out, caller=caller))

    async def log_out_everywhere(self, caller: Caller) -> None:
        """End all sessions of the account, wherever they were begun; server keys stay."""
        await self._revoking(caller, partial(log_out_everywhere, caller=caller))

    async def change_password(self, caller: Caller, *, password: str, new_password: str) -> None:
        """Change the password and end all sessions. Raises Invalid, InvalidCredentials, TooMany."""
        self.check_new_password(new_password)
        merchant = await self._units.run(partial(find_merchant, id=caller.merchant))
        tried = await self._guesses.begin(merchant.email, caller.address)
        if not await self._ports.passwords.verify(merchant.password_hash, password):
            await self._ports.audit.append(refused_password(self._units.moment(), caller))
            raise InvalidCredentials("The password is wrong.")
        await self._guesses.was_right(merchant.email, tried)
        password_hash = await self._ports.passwords.hash(new_password)
        try:
            await self._revoking(
                caller, partial(change_password, caller=caller, checked=merchant, password_hash=password_hash)
            )
        except PasswordMoved:
            raise InvalidCredentials(MOVED) from None

    async def make_api_key(self, caller: Caller, command: MakeApiKey, *, once: Once | None = None) -> Answer:
        """Make a key; its secret is in this answer only. Raises Invalid, Forbidden, RuleBroken."""
        act = partial(add_api_key, caller=caller, command=command, live_mode_is_open=self.live_mode_is_open)
        return await self._units.answer(act, caller=caller, once=once, on=_account(caller))

    async def rotate_api_key(self, caller: Caller, id: ApiKeyId, *, once: Once | None = None) -> Answer:
        """Make a key like this one, which goes on for a day. Raises NotFound, Forbidden, RuleBroken."""
        act = partial(rotate_api_key, caller=caller, id=id)
        return await self._units.answer(act, caller=caller, once=once, on=_account(caller))

    async def revoke_api_key(self, caller: Caller, id: ApiKeyId) -> None:
        """Revoke a key: at once in this process, within a second in all others. Raises NotFound."""
        await self._revoking(caller, partial(revoke_api_key, caller=caller, id=id))

    async def make_payment_key(self, caller: Caller, *, once: Once | None = None) -> Answer:
        """Open a channel for payments. Raises RuleBroken."""
        act = partial(add_payment_key, caller=caller)
        return await self._units.answer(act, caller=caller, once=once, on=_account(caller))

    async def deactivate_payment_key(self, caller: Caller, id: PaymentKeyId) -> None:
        """Close a channel: no payment commits through it afterwards. Raises NotFound."""
        await self._units.run(partial(deactivate_payment_key, caller=caller, id=id), on=_account(caller))

    # ── money ─────────────────────────────────────────────────────────────────────────────────────────────────────

    async def pay(self, caller: Caller, command: Pay, *, once: Once | None = None) -> Answer:
        """Accept a payment; it is processed by a worker.

        Raises Invalid, RuleBroken (`invalid_payment_key`, …), Conflict (`reference_taken`), Forbidden (`suspended`).
        """
        amount = check_payment(command, livemode=caller.livemode)
        self._require_key(caller, once)
        gateway = self._gateway(livemode=caller.livemode).capabilities.name
        act = partial(pay, caller=caller, command=command, amount=amount, gateway=gateway, recent=self._recent)
        return await self._units.answer(act, caller=caller, once=once, rings=True)

    async def cancel(self, caller: Caller, id: TransactionId, *, once: Once | None = None) -> Answer:
        """Cancel a pending transaction. Raises NotFound, Conflict (`transaction_not_cancelable`)."""
        act = partial(cancel_transaction, caller=caller, id=id)
        return await self._units.answer(act, caller=caller, once=once, on=_held(caller, "transaction", id), rings=True)

    async def refund(self, caller: Caller, command: RefundTransaction, *, once: Once | None = None) -> Answer:
        """Promise money back; a worker sends it. Raises Invalid, NotFound, RuleBroken, Forbidden (`suspended`)."""
        check_refund(command)
        self._require_key(caller, once)
        act = partial(refund_transaction, caller=caller, command=command)
        on = _held(caller, "transaction", command.transaction)
        return await self._units.answer(act, caller=caller, once=once, on=on, rings=True)

    # ── webhooks ──────────────────────────────────────────────────────────────────────────────────────────────────

    async def add_endpoint(self, caller: Caller, command: AddEndpoint, *, once: Once | None = None) -> Answer:
        """Make an endpoint; its secret is in this answer only. Raises Invalid, RuleBroken."""
        act = partial(add_endpoint, caller=caller, command=command, notifier=self._ports.notifier)
        return await self._units.answer(act, caller=caller, once=once, on=_account(caller))

    async def change_endpoint(self, caller: Caller, id: EndpointId, command: ChangeEndpoint) -> Answer:
        """Change an endpoint. Raises Invalid, NotFound."""
        act = partial(change_endpoint, caller=caller, id=id, command=command, notifier=self._ports.notifier)
        return await self._units.answer(act, caller=caller, once=None, on=_held(caller, "endpoint", id))

    async def remove_endpoint(self, caller: Caller, id: EndpointId) -> None:
        """Remove an endpoint. Raises NotFound."""
        await self._units.run(partial(remove_endpoint, caller=caller, id=id), on=_held(caller, "endpoint", id))

    async def rotate_endpoint_secret(self, caller: Caller, id: EndpointId, *, once: Once | None = None) -> Answer:
        """Give an endpoint a new secret; both sign for a day. Raises NotFound."""
        act = partial(rotate_endpoint_secret, caller=caller, id=id)
        return await self._units.answer(act, caller=caller, once=once, on=_held(caller, "endpoint", id))

    async def send_test_event(self, caller: Caller, id: EndpointId, *, once: Once | None = None) -> Answer:
        """Send a `webhook.test` event to an endpoint now. Raises NotFound, Conflict."""
        act = partial(send_test_event, caller=caller, id=id)
        return await self._units.answer(act, caller=caller, once=once, rings=True)

    async def retry_delivery(
        self, caller: Caller, endpoint: EndpointId, id: DeliveryId, *, once: Once | None = None
    ) -> Answer:
        """Send one delivery again, now. Raises NotFound, Conflict."""
        act = partial(retry_delivery, caller=caller, endpoint_id=endpoint, id=id)
        return await self._units.answer(act, caller=caller, once=once, on=_held(caller, "delivery", id), rings=True)

    async def replay(
        self, caller: Caller, endpoint: EndpointId, command: Replay, *, once: Once | None = None
    ) -> Answer:
        """Send a window of events again, now. Raises Invalid, NotFound, Conflict."""
        act = partial(replay_deliveries, caller=caller, endpoint_id=endpoint, command=command)
        return await self._units.answer(act, caller=caller, once=once, rings=True)

    async def deliver(self, claimed: ClaimedDelivery) -> None:
        """Make one attempt at a claimed delivery. Raises LeaseLost."""
        ports = self._ports
        await deliver_webhook(self._units, ports.notifier, ports.clock, claimed, ports.schedules.deliveries)

    # ── what they share ───────────────────────────────────────────────────────────────────────────────────────────

    def _answer(self, made: Made) -> Answer:
        return Answer(body=self._ports.encode(made.answer), resource=made.resource)

    async def _revoking(self, caller: Caller, act: Act[None]) -> None:
        try:
            await self._units.run(act, on=_account(caller))
        finally:
            # Also where the outcome is unknown: what was revoked must not be believed any longer.
            self._ports.credentials.forget(caller.merchant)

    async def _checked(self, command: LogIn, origin: Origin, act: Callable[[Merchant], Act[T]]) -> T:
        if command.livemode:
            # Before the password is looked at: behind it, this refusal would tell that a guess was right.
            self._gateway(livemode=True)
        email = normal_email(command.email)
        tried = await self._guesses.begin_login(email, origin.address)
        check = PasswordCheck(
            units=self._units, passwords=self._ports.passwords, audit=self._ports.audit, origin=origin
        )
        merchant, made = await check.act(email, command.password, act)
        await self._guesses.was_right(email, tried)
        # The oldest session may have gone.
        self._ports.credentials.forget(merchant.id)
        return made

    def _require_key(self, caller: Caller, once: Once | None) -> None:
        if caller.livemode and once is None:
            raise RuleBroken(
                "idempotency_key_required", "Live mode needs an Idempotency-Key for calls that move money."
            )

    def _gateway(self, *, livemode: bool) -> Gateway:
        gateway = self._ports.gateways.get(livemode)
        if gateway is None:
            raise RuleBroken("live_mode_unavailable", LIVE_MODE_UNAVAILABLE)
        return gateway


def _held(caller: Caller, kind: str, id: str) -> str:
    return turn_at(caller.merchant, kind, id)


def _account(caller: Caller) -> str:
    return turn_at(caller.merchant, "account")
