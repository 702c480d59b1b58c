"""What a request may be at most."""

from __future__ import annotations

from typing import Final

BODY_BYTES_MAX: Final = 64 * 1024
BODY_SECONDS: Final = 10.0
"""From the first look at a body to its end: whoever sends it slower than that holds a connection for nothing."""
