"""What all tests share: contract suites report their failures as test modules do; no example has to be quick."""

import pytest
from hypothesis import HealthCheck, settings

pytest.register_assert_rewrite("payments_core.testing")
# A deadline for an example times the machine, which may stand still for a moment, and not what is tested.
# The mutation tests run each test many times in one process, each time as another instance of its class.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.differing_executors])
settings.load_profile("patient")
