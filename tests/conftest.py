"""What all tests share: contract suites report their failures as test modules do."""

import pytest

pytest.register_assert_rewrite("payments_core.testing")
