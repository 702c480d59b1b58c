"""The options of the generated calls, and a report of what was answered."""

import logging
from collections.abc import Iterator
from typing import Final

import pytest
from hypothesis import settings

EXAMPLES: Final = 100
CHAINS: Final = 60
CHAIN_PARTS: Final = 4
"""Tests among which the chains are divided, so that several processes can share them."""


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("fuzz")
    group.addoption("--examples", type=int, default=EXAMPLES, help=f"generated calls of each operation ({EXAMPLES})")
    group.addoption("--chains", type=int, default=CHAINS, help=f"chains of calls ({CHAINS})")


def pytest_configure(config: pytest.Config) -> None:
    """Have each operation get as many examples as asked for."""
    settings.register_profile("fuzz", settings.get_profile("patient"), max_examples=config.getoption("--examples"))
    settings.load_profile("fuzz")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Divide the chains among the tests."""
    if "chains" in metafunc.fixturenames:
        share = -(-metafunc.config.getoption("--chains") // CHAIN_PARTS)
        metafunc.parametrize("part, chains", [(part, share) for part in range(CHAIN_PARTS)])


@pytest.fixture(autouse=True, scope="session")
def quiet() -> Iterator[None]:
    """Have the log say nothing: it tells of each refusal, of which there are thousands here."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say how much was called, and how much of it was done."""
    sums = dict.fromkeys(("calls", "kept", "done"), 0)
    for report in terminalreporter.getreports(""):
        if getattr(report, "when", None) == "teardown":
            for name, value in report.user_properties:
                sums[name] = sums.get(name, 0) + int(str(value))
    if sums["calls"]:
        terminalreporter.write_line(
            "{calls} calls; of {kept} that keep to the schema {done} were done".format_map(sums)
        )
