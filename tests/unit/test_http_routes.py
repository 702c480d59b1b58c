"""The short way to a call finds what Litestar finds, and nothing else."""

from __future__ import annotations

import pytest

from entrypoints.http.app import OPERATIONS
from entrypoints.http.operations import KEY
from entrypoints.http.routes import Routes

ROUTES = Routes(OPERATIONS)
IDS = {"id": "x_1", "delivery": "dlv_1"}


def test_every_call_is_found_with_its_ids_but_the_one_whose_path_ends_in_any_text() -> None:
    for operation in OPERATIONS:
        path = operation.path.format(**IDS, key="a/b")
        for spelt in (path.rstrip("/"), f"{path.rstrip('/')}/"):
            found = ROUTES.find(operation.method, spelt, ["shop.test:8000"])
            if f"{{{KEY}}}" in operation.path:
                assert found is None
            else:
                assert found == (operation, {name: id for name, id in IDS.items() if f"{{{name}}}" in operation.path})


@pytest.mark.parametrize(
    ("method", "path", "host"),
    [
        ("PUT", "/api/transactions/", "shop.test"),
        ("OPTIONS", "/api/transactions/", "shop.test"),
        ("GET", "/api/transactions/pay", "shop.test"),
        ("GET", "/api/transactions/x_1/none/", "shop.test"),
        ("GET", "/api", "shop.test"),
        ("GET", "/", "shop.test"),
        ("GET", "", "shop.test"),
        ("GET", "*", "shop.test"),
        ("GET", "api/transactions", "shop.test"),
        ("GET", "/api/transactions//", "shop.test"),
        ("GET", "/api/transactions/", "a b"),
        ("GET", "/api/transactions/", "shop.test/x"),
    ],
)
def test_the_rest_is_left_to_litestar(method: str, path: str, host: str) -> None:
    assert ROUTES.find(method, path, [host]) is None
