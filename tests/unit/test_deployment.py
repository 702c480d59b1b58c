"""What a deployment reads agrees with what the service takes."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

import pytest

from adapters.embedded.valkey import OPTIONS
from entrypoints.cli.app import payments
from entrypoints.settings import SETTINGS

ROOT: Final = Path(__file__).parents[2]
NAMES: Final = {setting.name for setting in SETTINGS}


def test_compose_sets_nothing_that_is_no_setting() -> None:
    named = set(re.findall(r"PAYMENTS_[A-Z_]+", (ROOT / "compose.yaml").read_text()))
    assert named
    assert named <= NAMES


def test_compose_has_the_whole_service_with_health_checks() -> None:
    compose = (ROOT / "compose.yaml").read_text()
    for service in ("postgres", "valkey", "migrate", "api", "worker"):
        assert f"\n  {service}:\n" in compose
    assert compose.count("healthcheck:") == 4


@pytest.mark.parametrize("name", ["save", "appendonly", "maxmemory", "maxmemory-policy"])
def test_the_valkey_of_compose_keeps_and_forgets_what_the_embedded_one_does(name: str) -> None:
    assert f'"--{name}", "{OPTIONS[name]}"' in (ROOT / "compose.yaml").read_text()


def test_the_readme_lists_every_command() -> None:
    readme = (ROOT / "README.md").read_text()
    for name in payments.commands:
        assert f"payments {name}" in readme, name


def test_the_image_has_no_shell_no_root_and_only_what_is_locked() -> None:
    build, _, image = (ROOT / "Dockerfile").read_text().partition("\nFROM gcr.io/distroless/")
    assert "uv sync --locked" in build
    assert "uv sync" not in build.replace("uv sync --locked", "")
    instructions = [line.split()[0] for line in image.splitlines()[1:] if line]
    assert "RUN" not in instructions, "there is nothing there to run it"
    assert re.search(r"^USER [1-9][0-9]*:[1-9][0-9]*$", image, re.MULTILINE), (
        "a number: the kubelet can tell it from root"
    )
    assert all(
        line.startswith(f"{word} [")
        for word in ("ENTRYPOINT", "CMD")
        for line in image.splitlines()
        if line.startswith(word)
    )


def test_what_compose_starts_of_ours_writes_nothing_and_gains_no_rights() -> None:
    ours = (ROOT / "compose.yaml").read_text().partition("x-payments:")[2].partition("\nservices:")[0]
    for line in ("read_only: true", "cap_drop: [ALL]", 'security_opt: ["no-new-privileges:true"]'):
        assert f"\n  {line}\n" in ours


def test_no_health_check_of_ours_needs_a_shell() -> None:
    compose = (ROOT / "compose.yaml").read_text()
    for service in ("api", "worker"):
        assert 'test: ["CMD", "python"' in compose.partition(f"\n  {service}:\n")[2].partition("healthcheck:")[2][:60]


def test_what_is_locked_comes_from_the_public_index_with_hashes() -> None:
    lock = (ROOT / "uv.lock").read_text()
    assert set(re.findall(r'registry = "([^"]*)"', lock)) == {"https://pypi.org/simple"}
    files = [line for line in lock.splitlines() if "url = " in line]
    assert files
    assert all('url = "https://files.pythonhosted.org/' in line and 'hash = "sha256:' in line for line in files)
