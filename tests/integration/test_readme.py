"""The README's promises, run as they stand."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Final

from tests.patience import PATIENCE_SECONDS
from tests.processes import environment, free_port, running, wait_until_ready

ROOT: Final = Path(__file__).parents[2]
README: Final = (ROOT / "README.md").read_text()


def block(marker: str, language: str) -> str:
    """Return the code block that follows a comment in the README."""
    found = re.search(
        rf"<!-- {marker}: a test runs this block as it stands -->\n```{language}\n(.*?)```", README, re.DOTALL
    )
    assert found is not None, f"the README has no block {marker!r}"
    return found[1]


def test_the_seven_calls_of_a_payments_life_work_as_they_stand(tmp_path: Path) -> None:
    port = free_port()
    script = block("seven calls", "sh").replace("http://127.0.0.1:8000", f"http://127.0.0.1:{port}")
    settings = {"PAYMENTS_METRICS_PORT": "0"}
    with running("up", "--port", str(port), settings=settings, cwd=tmp_path) as service:
        wait_until_ready(f"http://127.0.0.1:{port}", service)
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", script],
            env=environment({}),
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=PATIENCE_SECONDS,
            check=False,
        )
    assert done.returncode == 0, done.stdout + done.stderr
    assert '"url":"http://127.0.0.1:9999/"' in done.stdout
    assert '"status":"pending"' in done.stdout
    assert "\nsucceeded\n" in done.stdout
    assert '"amount":"30.00"' in done.stdout
    assert '"results":[' in done.stdout
    assert '"code"' not in done.stdout.replace('"code":null', ""), "a call was answered with a problem"


def test_the_library_example_prints_what_the_readme_says(tmp_path: Path) -> None:
    # -S: without site-packages, so that nothing but the standard library and this project is there.
    done = subprocess.run(
        [sys.executable, "-S", "-c", block("library", "python")],
        env={**environment({}), "PYTHONPATH": str(ROOT / "src")},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "succeeded\n"), done.stderr
