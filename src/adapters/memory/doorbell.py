"""A doorbell in an empty house."""

from __future__ import annotations


class MemoryDoorbell:
    """Counts its rings; nobody hears them."""

    def __init__(self) -> None:
        self.rings = 0

    def ring(self, /) -> None:
        """Count one."""
        self.rings += 1
