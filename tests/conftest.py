"""What all tests share: contract suites report their failures as test modules do; no example has to be quick."""

import pytest
from hypothesis import settings

pytest.register_assert_rewrite("payments_core.testing")
# A deadline for an example times the machine, which may stand still for a moment, and not what is tested.
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")
