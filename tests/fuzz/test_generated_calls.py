"""Calls made up from the OpenAPI document, each operation for itself and in chains: no 5xx, nothing undocumented.

A run can be repeated by its seed, which `nox -s fuzz` prints and takes: `-- --hypothesis-seed N`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any, Final

import hypothesis
import msgspec
import pytest
import schemathesis
from schemathesis import AuthContext, Case, Config, Response

from entrypoints.http.app import OPERATIONS
from entrypoints.http.docs.openapi import make_document
from tests.fuzz.street import OWN_CREDENTIAL, Street

REFUSALS: Final = ["2xx", "3xx", "400", "401", "403", "404", "409", "422", "429"]
"""What may answer a call that keeps to the schema: much is refused for reasons that no schema tells."""
KEPT_FOR_THE_RECORD: Final = ["Payment keys"]
"""A payment key that is deleted stays readable, as what it is then: not active."""
DONE_SHARE_MIN: Final = 0.1
"""Of each test's calls that keep to the schema, so many at least must be done, not refused."""

STREET: Final = Street()
SCHEMA: Final = schemathesis.openapi.from_dict(
    json.loads(msgspec.json.encode(make_document(OPERATIONS))),
    config=Config.from_dict(
        {
            "checks": {"positive_data_acceptance": {"expected-statuses": REFUSALS}},
            "operations": [{"include-tag": KEPT_FOR_THE_RECORD, "checks": {"use_after_free": {"enabled": False}}}],
        }
    ),
)
SCHEMA.app = STREET


@SCHEMA.auth(refresh_interval=None)
class Credential:
    def get(self, case: Case[Any], context: AuthContext) -> str:
        return OWN_CREDENTIAL

    def set(self, case: Case[Any], data: str, context: AuthContext) -> None:
        case.headers["Authorization"] = data


@pytest.fixture(scope="module", autouse=True)
def street() -> Iterator[None]:
    with STREET.opened():
        yield


@pytest.fixture(autouse=True)
def answers(street: None, record_property: Callable[[str, object], None]) -> Iterator[None]:
    """What was answered to the test's calls, which must not all have been refused."""
    STREET.answers.clear()
    yield
    kept = {answer: count for answer, count in STREET.answers.items() if answer[1]}
    done = sum(count for (_, _, status), count in kept.items() if status < 400)
    record_property("calls", STREET.answers.total())
    record_property("kept", sum(kept.values()))
    record_property("done", done)
    operations = {operation for operation, _, _ in STREET.answers}
    successful = {operation for operation, _, status in kept if status < 300}
    if len(operations) == 1:
        assert successful == operations, f"no call was successful: {STREET.answers}"
    assert done >= DONE_SHARE_MIN * sum(kept.values()), STREET.answers


@SCHEMA.parametrize()
def test_an_operation_answers_as_documented(case: Case[Any]) -> None:
    STREET.next_case(case)
    answer = case.call()
    STREET.note(case, answer.status_code)
    case.validate_response(answer)


class Chain(SCHEMA.as_state_machine()):  # type: ignore[misc]  # made of the document
    def setup(self) -> None:
        STREET.another_merchant()

    def before_call(self, case: Case[Any]) -> None:
        STREET.settle(case)

    def after_call(self, response: Response, case: Case[Any]) -> None:
        super().after_call(response, case)
        STREET.note(case, response.status_code)


def test_chains_of_calls_are_answered_as_documented(part: int, chains: int, request: pytest.FixtureRequest) -> None:
    seeded = hypothesis.seed(f"{request.config.getoption('--hypothesis-seed')} {part}")(Chain)
    seeded.run(
        settings=hypothesis.settings(
            max_examples=chains, phases=[hypothesis.Phase.generate], suppress_health_check=list(hypothesis.HealthCheck)
        )
    )
