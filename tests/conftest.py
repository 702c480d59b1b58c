"""What all tests share: contract suites report their failures as test modules do; no example has to be quick."""

import pytest
from hypothesis import HealthCheck, settings

pytest.register_assert_rewrite("payments_core.testing")
# A deadline for an example times the machine, which may stand still for a moment, and not what is tested.
settings.register_profile("patient", deadline=None)
# For mutation testing, which asks for it by name: each test runs many times in one process, each time as another
# instance of its class; the same examples each time, so that a verdict does not change by chance or by load.
settings.register_profile(
    "mutants",
    settings.get_profile("patient"),
    derandomize=True,
    suppress_health_check=[HealthCheck.differing_executors, HealthCheck.too_slow],
)
settings.load_profile("patient")
