"""The options of the simulation, and its report at the end of a run."""

import itertools
import logging
from collections.abc import Iterator

import pytest

HISTORIES = 2_000
CHUNKS = 20
"""Tests among which the histories are divided, so that several processes can share them."""


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("simulation")
    group.addoption("--histories", type=int, default=HISTORIES, help=f"how many histories to live ({HISTORIES})")
    group.addoption("--first-seed", type=int, default=0, help="the seed of the first one (0)")
    group.addoption("--seed", type=int, default=None, help="live the history of this seed alone, and show its trace")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what all of them share: no time is too long, and what a killed process was about to do never began.

    Where one history is asked for, it is the only thing that is done.
    """
    simulated = [item for item in items if "simulation" in item.path.parts]
    for item in simulated:
        item.add_marker(pytest.mark.timeout(0))
        item.add_marker(pytest.mark.filterwarnings("ignore:coroutine .* was never awaited:RuntimeWarning"))
    if simulated and simulated[0].config.getoption("--seed") is not None:
        items[:] = [item for item in items if "seeds" in getattr(item, "fixturenames", ())]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Divide the seeds among the tests."""
    if "seeds" not in metafunc.fixturenames:
        return
    seed: int | None = metafunc.config.getoption("--seed")
    first, count = metafunc.config.getoption("--first-seed"), metafunc.config.getoption("--histories")
    if seed is not None:
        metafunc.parametrize("seeds", [range(seed, seed + 1)], ids=[str(seed)])
        return
    bounds = [first + count * chunk // CHUNKS for chunk in range(CHUNKS + 1)]
    chunks = [range(low, high) for low, high in itertools.pairwise(bounds) if low < high]
    metafunc.parametrize("seeds", chunks, ids=[f"{chunk.start}-{chunk.stop - 1}" for chunk in chunks])


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """Have the core's log say nothing: it tells of faults, of which there are thousands here."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say how much was lived, and which mutants were caught where."""
    properties = [
        entry
        for report in terminalreporter.getreports("passed")
        if report.when == "call"
        for entry in report.user_properties
    ]
    histories = sum(int(str(value)) for name, value in properties if name == "histories")
    steps = sum(int(str(value)) for name, value in properties if name == "steps")
    if histories:
        terminalreporter.write_line(f"{histories} histories, {steps} steps, no rule broken")
    for value in (str(value) for name, value in properties if name == "trace"):
        terminalreporter.write_line(value)
    for value in sorted(str(value) for name, value in properties if name == "mutant"):
        terminalreporter.write_line(value)
