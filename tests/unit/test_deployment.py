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
