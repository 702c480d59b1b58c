"""Why a request was not answered, in words that the owner of the endpoint may read."""

from __future__ import annotations

import os
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import aiohttp
from aiohttp.http_exceptions import LineTooLong


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """A code of `payments_core.ports.Unreached` and its message.

    Messages never hold an address: what a name resolves to inside our network is not the receiver's to know.
    """

    code: str
    message: str


class AddressRefused(OSError):
    """The guard refused an address that was about to be dialled.

    An OSError, because only those pass unharmed through aiohttp's race between several addresses.
    """

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.message)
        self.failure = failure


class ProxyFailed(OSError):
    """The proxy cannot be reached, doesn't let us in, or speaks no HTTP: the operator's to mend, not the receiver's."""


class TunnelRefused(OSError):
    """The proxy made no tunnel to the address."""


class AnswerTooLarge(aiohttp.ClientPayloadError):
    """More came than any answer may have, and still not all that is read of it."""


_TOO_MANY_HEADERS: Final = "Too many headers"
"""aiohttp has no exception of its own for this limit, only this message."""


def explain(error: BaseException) -> Failure:
    """Say what the client's exception means.

    aiohttp wraps what the guard raised, so the answer comes from the causes behind it first.
    """
    causes = list(_causes(error))
    for cause in causes:
        if isinstance(cause, AddressRefused):
            return cause.failure
        if isinstance(cause, ProxyFailed):
            return Failure(code="internal", message="the attempt failed on our side")
    for cause in causes:
        found = _explain_one(cause)
        if found is not None:
            return found
    return Failure(code="protocol", message="the answer is not HTTP that can be read")


def _causes(error: BaseException) -> Iterator[BaseException]:
    cause: BaseException | None = error
    while cause is not None:
        yield cause
        cause = cause.__cause__


def _explain_one(cause: BaseException) -> Failure | None:
    match cause:
        case aiohttp.ClientConnectorCertificateError() | aiohttp.ClientConnectorSSLError():
            return Failure(code="tls", message=_tls_reason(cause.__cause__))
        case aiohttp.ClientConnectorDNSError():
            return Failure(code="dns", message="the host name has no address")
        case aiohttp.ConnectionTimeoutError():
            return Failure(code="timeout", message="no connection in time")
        case aiohttp.ClientConnectorError():
            return Failure(code="connect", message=f"no connection: {_reason(cause)}")
        case AnswerTooLarge():
            return Failure(code="too_large", message="too much came before the answer was complete")
        case LineTooLong():
            return Failure(code="too_large", message="a line of the answer's head is too long")
        case aiohttp.ClientResponseError() if _TOO_MANY_HEADERS in cause.message:
            return Failure(code="too_large", message="the answer has too many headers")
        case aiohttp.ServerDisconnectedError() | aiohttp.ClientOSError():
            return Failure(code="protocol", message="the connection was closed before an answer")
        case aiohttp.ClientPayloadError():
            return Failure(code="protocol", message="the connection was closed in the middle of the answer")
        case _:
            return None


def _reason(error: aiohttp.ClientConnectorError) -> str:
    """Return the system's word for the error number: its own message names the address."""
    number = error.os_error.errno
    return os.strerror(number).lower() if number else "the receiver cannot be reached"


def _tls_reason(cause: BaseException | None) -> str:
    """Name the fault. `cause` is OpenSSL's error: aiohttp's own are of the same types, without their fields."""
    match cause:
        case ssl.SSLCertVerificationError():
            return f"the certificate is not valid: {cause.verify_message}"
        case ssl.SSLError() if cause.reason:
            return f"no TLS connection: {cause.reason.replace('_', ' ').lower()}"
        case _:
            return "no TLS connection"
