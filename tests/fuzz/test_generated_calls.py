"""Calls made up from the OpenAPI document, each operation for itself and in chains: no 5xx, nothing undocumented.

A run can be repeated by its seed, which `nox -s fuzz` prints and takes: `-- --hypothesis-seed N`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any, ClassVar, Final

import hypothesis
import hypothesis.errors
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
RUNS_MAX: Final = 20
"""In which all chains must be begun."""
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
    begun: ClassVar[int] = 0
    faults: ClassVar[list[str]] = []
    """What was wrong with answers, kept here: Hypothesis would rather say that a chain cannot be had again."""

    def setup(self) -> None:
        Chain.begun += 1
        STREET.another_merchant()

    def before_call(self, case: Case[Any]) -> None:
        STREET.settle(case)

    def after_call(self, response: Response, case: Case[Any]) -> None:
        super().after_call(response, case)
        STREET.note(case, response.status_code)

    def validate_response(self, response: Response, case: Case[Any], *rest: Any, **more: Any) -> None:
        try:
            super().validate_response(response, case, *rest, **more)
        except Exception as fault:
            Chain.faults.append(f"{case.method} {case.path}: {fault}")
            raise


def test_chains_of_calls_are_answered_as_documented(part: int, chains: int, request: pytest.FixtureRequest) -> None:
    Chain.begun, Chain.faults = 0, []
    for number in range(RUNS_MAX):
        seeded = hypothesis.seed(f"{request.config.getoption('--hypothesis-seed')} {part} {number}")(Chain)
        chosen = hypothesis.settings(
            max_examples=max(2, chains - Chain.begun),
            phases=[hypothesis.Phase.generate],
            suppress_health_check=list(hypothesis.HealthCheck),
        )
        # Answers depend on time and chance: two chains that begin alike may not go on alike, at which Hypothesis ends.
        with suppress(hypothesis.errors.FlakyStrategyDefinition):
            seeded.run(settings=chosen)
        assert not Chain.faults, "\n".join(Chain.faults)
        if Chain.begun >= chains:
            return
    pytest.fail(f"{Chain.begun} chains of {chains} were begun in {RUNS_MAX} runs")
