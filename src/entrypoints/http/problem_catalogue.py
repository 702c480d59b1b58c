"""Every problem that the API can answer with: its code is contract, its words are prose and may change."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from entrypoints.http.docs.quantities import in_bytes, in_time
from entrypoints.http.limits import BODY_BYTES_MAX, BODY_SECONDS
from payments_core.idempotency import KEY_LENGTH_MAX
from payments_core.merchant import ACCESS_TOKEN_LIFETIME, API_KEYS_MAX, PAYMENT_KEYS_MAX
from payments_core.transaction import REFUNDS_MAX
from payments_core.webhook import ENDPOINTS_MAX, REPLAYED_MAX


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """One kind of problem: what it means, and what cures it."""

    code: str
    status: int
    title: str
    explanation: str
    cure: str
    retryable: bool = False

    @property
    def detail(self) -> str:
        """What is said where nothing more is known of the request: what it means, and what to do."""
        return f"{self.explanation} {self.cure}"


def _kind(status: int, code: str, title: str, explanation: str, cure: str, *, retryable: bool = False) -> Kind:
    return Kind(code=code, status=status, title=title, explanation=explanation, cure=cure, retryable=retryable)


_ALL: Final = (
    _kind(
        400,
        "bad_request",
        "Bad request",
        "The request is not well-formed HTTP, for example its Host header.",
        "Look at how the request is made; a usual HTTP client sends it right.",
    ),
    _kind(
        400,
        "malformed_json",
        "Malformed JSON",
        "The body is not one JSON object in UTF-8: it is empty, cut short, nested too deeply, holds NaN, a half of a "
        "surrogate pair or a number beyond all bounds, or is of another type.",
        "Send what a JSON library writes, with an object at the top.",
    ),
    _kind(
        400,
        "invalid_request",
        "Invalid request",
        "One or more fields, query parameters or headers are at fault. `errors` names each of them, with a code for "
        "programs and a sentence for people: all that are at fault, as far as the request alone tells.",
        "Correct every field that `errors` names, and send the request again.",
    ),
    _kind(
        400,
        "card_number_refused",
        "Card number refused",
        "A free text holds what looks like a card number. Card numbers must not reach this service; nothing of the "
        "request was kept. Where other fields are at fault as well, the problem is `invalid_request`, and `errors` has "
        "this code for the text among them.",
        "Leave the number out. Refer to the order or the customer by an id of your own.",
    ),
    _kind(
        400,
        "invalid_idempotency_key",
        "Invalid idempotency key",
        "The header Idempotency-Key is given once, with 1 to "
        f"{KEY_LENGTH_MAX} printable ASCII characters, bare or in double quotes.",
        "Use a UUID, a new one for each thing that you want done.",
    ),
    _kind(
        400,
        "idempotency_key_required",
        "Idempotency key required",
        "In live mode, calls that move money need an idempotency key, so that a repetition never moves it twice.",
        "Send the header Idempotency-Key with a UUID that you keep until you have the answer.",
    ),
    _kind(
        400,
        "invalid_payment_key",
        "Invalid payment key",
        "The payment key is unknown, inactive, of the other mode or of another account.",
        "Use the `key` (`pk_…`) of an active payment key of this account and mode; GET /api/payments/payment_key/ "
        "lists them, POST makes one.",
    ),
    _kind(
        400,
        "live_mode_unavailable",
        "Live mode unavailable",
        "This installation has no gateway for live mode.",
        "Use test mode, or ask whoever runs the installation to configure a live gateway.",
    ),
    _kind(
        400,
        "transaction_not_refundable",
        "Transaction not refundable",
        "Only a transaction that has succeeded can be refunded.",
        "Wait for `transaction.succeeded`. A pending transaction can be canceled instead.",
    ),
    _kind(
        400,
        "refund_exceeds_amount",
        "Refund exceeds the amount",
        "Pending and succeeded refunds together can never be more than the transaction's amount.",
        "Ask for at most the transaction's `amount_refundable`, or leave `amount` out to refund the rest.",
    ),
    _kind(
        400,
        "already_refunded",
        "Already refunded",
        "Nothing is left to refund: all of the amount is refunded, or about to be.",
        "Nothing is to be done. If a pending refund fails, its amount can be refunded again.",
    ),
    _kind(
        400,
        "too_many_refunds",
        "Too many refunds",
        f"A transaction can have at most {REFUNDS_MAX} refunds, failed ones included.",
        "Refund fewer, larger amounts.",
    ),
    _kind(
        400,
        "too_many_api_keys",
        "Too many API keys",
        f"An account can have at most {API_KEYS_MAX} API keys.",
        "Revoke one that is not used any more; `last_used_at` helps to find it.",
    ),
    _kind(
        400,
        "too_many_payment_keys",
        "Too many payment keys",
        f"An account can have at most {PAYMENT_KEYS_MAX} active payment keys in each mode.",
        "Delete one that is not used any more.",
    ),
    _kind(
        400,
        "too_many_deliveries",
        "Too many deliveries",
        f"The window has more deliveries than one replay sends again ({REPLAYED_MAX:,}).",
        "Ask for a shorter window, or with `only_failed` for those alone that never arrived.",
    ),
    _kind(
        400,
        "too_many_endpoints",
        "Too many webhook endpoints",
        f"An account can have at most {ENDPOINTS_MAX} webhook endpoints in each mode.",
        "Delete one that is not used any more.",
    ),
    _kind(
        401,
        "authentication_required",
        "Authentication required",
        "The request says not, or not clearly, who is calling.",
        "Send one header `Authorization: Token sk_test_…`, or `Authorization: Bearer …` with an access token.",
    ),
    _kind(
        401,
        "invalid_credentials",
        "Invalid credentials",
        "The API key, token or password is not one that opens anything: it is wrong, expired or revoked.",
        "Check it for missing characters and the right mode. Payment keys (`pk_…`) never authenticate. An access "
        f"token lasts {in_time(ACCESS_TOKEN_LIFETIME)}: get another with the refresh token.",
    ),
    _kind(
        403,
        "forbidden",
        "Forbidden",
        "The credentials are good, but do not allow this.",
        "See `detail` for what is allowed instead.",
    ),
    _kind(
        403,
        "scope_missing",
        "Scope missing",
        "The API key lacks the scope that this call needs; `detail` names it.",
        "Use a key that has the scope, or make one with it.",
    ),
    _kind(
        403,
        "suspended",
        "Account suspended",
        "This account is suspended.",
        "Ask whoever runs the installation.",
    ),
    _kind(
        403,
        "registration_closed",
        "Registration closed",
        "This installation does not let anybody register.",
        "Ask whoever runs it for an account (`payments merchant create`).",
    ),
    _kind(
        404,
        "not_found",
        "Not found",
        "There is nothing here: no such path or id, or it belongs to another account or to the other mode, which is "
        "never told apart.",
        "Check the path and the id, and that the API key is of the right account and mode.",
    ),
    _kind(
        405,
        "method_not_allowed",
        "Method not allowed",
        "This path exists, but not with this method.",
        "Use one of the methods that the header Allow names.",
    ),
    _kind(
        408,
        "request_timeout",
        "Request timeout",
        f"The body had not come whole after {BODY_SECONDS:g} seconds. Nothing was done, and the connection is closed.",
        "Send the request again on another connection, with its body at once.",
        retryable=True,
    ),
    _kind(
        409,
        "email_taken",
        "E-mail address taken",
        "An account with this e-mail address exists already.",
        "Log in, or register with another address.",
    ),
    _kind(
        409,
        "reference_taken",
        "Reference taken",
        "Another transaction of this account and mode has this reference.",
        "Find it with GET /api/transactions/?reference=…, or use another reference.",
    ),
    _kind(
        409,
        "transaction_not_cancelable",
        "Transaction not cancelable",
        "Only a pending transaction can be canceled; this one is past that.",
        "If it succeeds, refund it.",
    ),
    _kind(
        409,
        "webhook_disabled",
        "Webhook endpoint disabled",
        "Nothing is sent to an endpoint that is disabled.",
        'Enable it first: PATCH /api/webhooks/{id}/ with {"enabled": true}.',
    ),
    _kind(
        409,
        "idempotency_key_in_use",
        "Idempotency key in use",
        "The first request with this idempotency key is still at work.",
        "Send the same request with the same key again, after the seconds that Retry-After says.",
        retryable=True,
    ),
    _kind(
        413,
        "body_too_large",
        "Body too large",
        f"A body can have at most {in_bytes(BODY_BYTES_MAX)}.",
        "Send less; `metadata` has room for references, not for documents.",
    ),
    _kind(
        415,
        "unsupported_media_type",
        "Unsupported media type",
        "Bodies are JSON in UTF-8 and say so, without a Content-Encoding.",
        "Send the header `Content-Type: application/json`, and the body uncompressed.",
    ),
    _kind(
        421,
        "misdirected_request",
        "Misdirected request",
        "This service does not answer for the host that the request names.",
        "Use the name that the service is reached by. Whoever runs the installation lists its names in "
        "PAYMENTS_ALLOWED_HOSTS.",
    ),
    _kind(
        422,
        "idempotency_key_reused",
        "Idempotency key reused",
        "This idempotency key was used before for another request; `detail` names what differs.",
        "Use a new key for each new thing. To see what the key did: GET /api/idempotency_keys/{key}/.",
    ),
    _kind(
        429,
        "rate_limited",
        "Too many requests",
        "More requests came than the limit allows; RateLimit-Policy says which limit that is.",
        "Wait for the seconds that Retry-After says, and spread requests out.",
        retryable=True,
    ),
    _kind(
        500,
        "internal_error",
        "Internal error",
        "Something went wrong that should not.",
        "Try again with the same idempotency key. If it stays, report the `request_id`.",
        retryable=True,
    ),
    _kind(
        500,
        "outcome_unknown",
        "Outcome unknown",
        "The connection to the store broke while it committed, so that nobody can say whether the call had its effect.",
        "Send the same request again with the same idempotency key, and only so; without one, look first.",
        retryable=True,
    ),
    _kind(
        503,
        "unavailable",
        "Unavailable",
        "The store is away or too busy. Nothing was done.",
        "Send the request again after the seconds that Retry-After says.",
        retryable=True,
    ),
)

KINDS: Final[Mapping[str, Kind]] = {kind.code: kind for kind in _ALL}
"""Every kind by its code; `GET /problems/{code}` shows it, the OpenAPI document lists it."""
