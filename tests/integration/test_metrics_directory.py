"""The directory of the metrics: shared, folded, and gone when nobody needs it."""

import multiprocessing
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, generate_latest, multiprocess

from entrypoints import metrics_directory as directory
from entrypoints.metrics_directory import Held, fold_the_dead, hold, let_go
from entrypoints.settings import Settings
from tests.patience import PATIENCE_SECONDS

ROUNDS = 300

COUNT = """
import os, sys
os.environ["PROMETHEUS_MULTIPROC_DIR"] = sys.argv[1]
from entrypoints.metrics import Metrics
metrics = Metrics()
metrics.job_ended("charge", "done")
metrics.request_done("/x", "GET", 200, 0.004)
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "metrics"


def count_and_end(path: Path) -> None:
    """Have a process count one of each, and end without a word."""
    subprocess.run([sys.executable, "-c", COUNT, str(path)], check=True, timeout=PATIENCE_SECONDS)


def shown(path: Path) -> str:
    registry = CollectorRegistry()
    multiprocess.MultiProcessCollector(registry, path=str(path))  # type: ignore[no-untyped-call]  # the library's
    return generate_latest(registry).decode()


def take_turns(path: Path, failures: "multiprocessing.Queue[str]") -> None:
    try:
        for _ in range(ROUNDS):
            let_go(hold(path))
    except OSError as error:
        failures.put(repr(error))


def test_processes_that_come_and_go_at_once_never_fail_over_each_other(path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    failures = context.Queue()
    processes = [context.Process(target=take_turns, args=(path, failures)) for _ in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0, 0]
    assert failures.empty()
    assert not path.exists()


def test_the_first_begins_anew_and_the_last_removes_it(path: Path) -> None:
    first = hold(path)
    (path / "counter_1.db").write_bytes(b"")
    second = hold(path)
    assert (first.alone, second.alone) == (True, False)
    assert (path / "counter_1.db").exists()
    let_go(first)
    assert path.exists()
    let_go(second)
    assert not path.exists()


def test_a_link_and_what_belongs_to_somebody_else_are_refused(tmp_path: Path, path: Path) -> None:
    path.symlink_to(tmp_path)
    with pytest.raises(PermissionError):
        hold(path)


def test_what_dead_processes_counted_stays_in_one_file_for_each_kind(path: Path) -> None:
    held = hold(path)
    for _ in range(2):
        count_and_end(path)
    before = shown(path)
    fold_the_dead(path)
    count_and_end(path)
    fold_the_dead(path)
    after = shown(path)
    assert 'payments_jobs_total{kind="charge",outcome="done"} 2.0' in before
    assert 'payments_jobs_total{kind="charge",outcome="done"} 3.0' in after
    assert 'payments_http_request_seconds_count{method="GET",route="/x",status="200"} 3.0' in after
    assert sorted(file.name for file in path.glob("*.db")) == ["counter_dead.db", "histogram_dead.db"]
    let_go(held)


def test_a_file_that_its_process_never_finished_is_dropped(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    held = hold(path)
    count_and_end(path)
    [dead] = path.glob("counter_*.db")
    dead.write_bytes(b"")
    fold_the_dead(path)
    assert "payments_jobs_total" not in shown(path)
    assert "damaged" in caplog.text
    let_go(held)


def test_files_of_a_process_that_lives_are_left_alone(path: Path) -> None:
    held = hold(path)
    count_and_end(path)
    [dead] = path.glob("counter_*.db")
    mine = dead.rename(path / f"counter_{os.getpid()}.db")
    fold_the_dead(path)
    assert mine.exists()
    let_go(held)


class TestWhatKilledProcessesLeft:
    @pytest.fixture(autouse=True)
    def temporary(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))

    def test_goes_at_a_later_start(self, tmp_path: Path) -> None:
        left, used = (tmp_path / f"{directory.PREFIX}1-{name}" for name in ("left", "used"))
        abandoned = hold(left)
        os.close(abandoned.descriptor)  # as the kernel does when its process is killed
        living = hold(used)
        with directory.metrics_directory(Settings(metrics_port=1)) as held:
            assert held is not None
            assert not left.exists()
            assert used.exists()
        let_go(living)
        assert list(tmp_path.iterdir()) == []

    def test_costs_nobody_the_start_where_no_directory_can_be_had(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        settings = Settings(metrics_port=1)
        with directory.metrics_directory(settings) as held:
            assert isinstance(held, Held)
            name = held.path.name
        (tmp_path / name).symlink_to(tmp_path)
        with directory.metrics_directory(settings) as held:
            assert held is None
        assert "metrics are of this process only" in caplog.text
