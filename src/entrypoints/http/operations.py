"""What a call is: declared once; by it requests are answered, the entrance is guarded and the document is written."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal, Protocol, TypeAlias, TypeVar, cast

import msgspec
from litestar.types import HTTPScope

from entrypoints.http.query import NO_QUERY, Parameter, Query
from entrypoints.http.request_context import RequestContext
from entrypoints.services import Services
from payments_core import Answer, Caller, Once, Payments, Scope
from payments_core.audit import Origin
from payments_core.describe import JsonObject
from payments_core.page import Page
from payments_core.payments import Command
from payments_core.use_cases.read_lists import Seen

B = TypeVar("B", bound=msgspec.Struct)
Id = TypeVar("Id", bound=str)

Access: TypeAlias = Scope | Literal["public"]
"""The scope that a call needs, or that anybody may make it."""

OPERATION: Final = "operation"
"""The key of a Litestar handler's `opt` under which its Operation is."""
KEY: Final = "key"
"""The name of the one path parameter that is not an id but any text."""


class NoBody(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Nothing: no body, or an object without fields."""


@dataclass(slots=True, kw_only=True)
class Call:
    """One request, admitted: who asks, of what, and with which parameters."""

    services: Services
    admitted: Caller | None
    origin: Origin
    connection: HTTPScope
    context: RequestContext
    ids: Mapping[str, str]
    query: Query = NO_QUERY
    once: Once | None = None

    @property
    def payments(self) -> Payments:
        """The facade."""
        return self.services.payments

    @property
    def caller(self) -> Caller:
        """Who asks; only for calls that are not public."""
        assert self.admitted is not None
        return self.admitted

    def id(self, kind: Callable[[str], Id], name: str = "id") -> Id:
        """Return an id of the path."""
        return kind(self.ids[name])


Run: TypeAlias = Callable[[Call, B], Awaitable[Answer | None]]
Read: TypeAlias = Callable[[Call], Awaitable[Seen[JsonObject] | Page[JsonObject]]]
Check: TypeAlias = Callable[[Call, B], object]
"""Look at a body as far as it alone tells; raises Invalid."""


class Commanding(Protocol):
    """A body that is a command of the core."""

    def command(self) -> Command:
        """Return what is to be done."""
        ...


def check_command(call: Call, body: Commanding) -> None:
    """Raise Invalid with all that the core can say of a body's command without doing anything."""
    livemode = call.admitted is not None and call.admitted.livemode
    call.payments.check(body.command(), livemode=livemode)


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One call of the API.

    A body may be empty unless `needs_body`; `check` is what the core can say of it without doing anything, so that one
    of another shape is told that too. `answer` is the type of what comes back, of each item where it is a `page`.
    `location` is the path of what a command makes, with `{}` for its id. `once` says that an idempotency key gives it
    one effect, `cached` that its answer follows from the merchant's revision alone.
    """

    method: Literal["GET", "POST", "PATCH", "DELETE"]
    path: str
    name: str
    tag: str
    summary: str
    access: Access
    status: int = 200
    description: str = ""
    parameters: Mapping[str, Parameter[object]] = field(default_factory=dict[str, Parameter[object]])
    body: type[msgspec.Struct] = NoBody
    check: Check[msgspec.Struct] | None = None
    answer: type[msgspec.Struct] | None = None
    page: bool = False
    problems: Sequence[str] = ()
    location: str | None = None
    needs_body: bool = False
    once: bool = False
    cached: bool = False
    command: Run[msgspec.Struct] | None = None
    read: Read | None = None

    @property
    def template(self) -> str:
        """The name of its path where requests are counted and logged."""
        return self.path.rstrip("/")


def command(
    method: Literal["POST", "PATCH", "DELETE"],
    path: str,
    *,
    tag: str,
    summary: str,
    access: Access,
    status: int,
    body: type[B] = NoBody,  # type: ignore[assignment]  # the default of the type variable
    check: Check[B] | None = None,
    answer: type[msgspec.Struct] | None = None,
    problems: Sequence[str] = (),
    location: str | None = None,
    once: bool | None = None,
    limits: str = "",
) -> Callable[[Run[B]], Operation]:
    """Declare a call that changes something; the function's docstring and `limits` are its description.

    An authenticated POST has one effect for each idempotency key unless `once` is False.
    """

    def declare(run: Run[B]) -> Operation:
        return Operation(
            method=method,
            path=path,
            name=run.__name__,
            tag=tag,
            summary=summary,
            description=_description(run, limits),
            access=access,
            status=status,
            body=body,
            check=cast(Check[msgspec.Struct] | None, check),
            answer=answer,
            problems=problems,
            location=location,
            needs_body=any(field.required for field in msgspec.structs.fields(body)),
            once=(method == "POST" and access != "public") if once is None else once,
            command=cast(Run[msgspec.Struct], run),
        )

    return declare


def read(
    path: str,
    *,
    tag: str,
    summary: str,
    access: Scope,
    answer: type[msgspec.Struct],
    page: bool = False,
    parameters: Iterable[Parameter[object]] = (),
    problems: Sequence[str] = (),
    cached: bool = True,
    limits: str = "",
) -> Callable[[Read], Operation]:
    """Declare a call that looks at something; the function's docstring and `limits` are its description."""

    def declare(run: Read) -> Operation:
        return Operation(
            method="GET",
            path=path,
            name=run.__name__,
            tag=tag,
            summary=summary,
            description=_description(run, limits),
            access=access,
            parameters={parameter.name: parameter for parameter in parameters},
            answer=answer,
            page=page,
            problems=problems,
            cached=cached,
            read=run,
        )

    return declare


def _description(run: Callable[..., object], limits: str) -> str:
    return " ".join(f"{run.__doc__ or ''} {limits}".split())
