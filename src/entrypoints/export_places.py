"""How many exports may be under way in one process: each holds a batch for as long as its client takes to read it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator
from contextlib import contextmanager
from typing import Final

from payments_core.ids import MerchantId

EXPORTS_MAX: Final = 16
EXPORTS_OF_ONE_MAX: Final = 2
"""Of one merchant, so that one cannot keep the others out."""


class NoExportPlace(Exception):
    """As many exports as may be are under way, of this merchant or in all."""


class ExportPlaces:
    """The places for exports of one process."""

    def __init__(self) -> None:
        self._under_way: Final = Counter[MerchantId]()

    @contextmanager
    def take(self, merchant: MerchantId) -> Generator[None]:
        """Hold a place while the block runs. Raises NoExportPlace."""
        if self._under_way[merchant] >= EXPORTS_OF_ONE_MAX or self._under_way.total() >= EXPORTS_MAX:
            raise NoExportPlace
        self._under_way[merchant] += 1
        try:
            yield
        finally:
            self._under_way[merchant] -= 1
            if not self._under_way[merchant]:
                del self._under_way[merchant]
