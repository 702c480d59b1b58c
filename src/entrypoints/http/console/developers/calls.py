"""Calls of the API, written out so that they can be copied and run."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

Body: TypeAlias = Mapping[str, str | Sequence[str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiCall:
    """One call: where it goes, by whom, and what it says. `once` is its idempotency key."""

    method: str
    url: str
    api_key: str
    body: Body | None = None
    once: str | None = None

    @property
    def headers(self) -> dict[str, str]:
        """What has to be said about it; of the body's type, libraries see to that themselves."""
        headers = {"Authorization": f"Token {self.api_key}"}
        if self.once is not None:
            headers["Idempotency-Key"] = self.once
        return headers


def as_curl(call: ApiCall) -> str:
    """Return the call as a command for a POSIX shell."""
    headers = call.headers
    # curl knows by itself which method it is: POST where there is a body, else GET.
    lines = [f"curl {shlex.quote(call.url)}"]
    if call.body is not None:
        headers["Content-Type"] = "application/json"
    lines += [f"-H {shlex.quote(f'{name}: {text}')}" for name, text in headers.items()]
    if call.body is not None:
        lines.append(f"-d {shlex.quote(_json(call.body, indent=2))}")
    return " \\\n  ".join(lines)


def as_python(call: ApiCall) -> str:
    """Return the call as a Python program that uses httpx."""
    # Texts, and lists and objects of texts, are written alike in JSON, Python and JavaScript.
    arguments = [_json(call.url), f"headers={_indented(call.headers, 4)}"]
    if call.body is not None:
        arguments.append(f"json={_indented(call.body, 4)}")
    listed = "".join(f"    {argument},\n" for argument in arguments)
    return (
        f"import httpx\n\nanswer = httpx.{call.method.lower()}(\n{listed})\n"
        "answer.raise_for_status()\nprint(answer.json())"
    )


def as_node(call: ApiCall) -> str:
    """Return the call as an ECMAScript module that uses `fetch`."""
    headers = call.headers
    if call.body is not None:
        headers["Content-Type"] = "application/json"
    options = [f"headers: {_indented(headers, 2)}"]
    if call.body is not None:
        options = [f"method: {_json(call.method)}", *options, f"body: JSON.stringify({_indented(call.body, 2)})"]
    listed = "".join(f"  {option},\n" for option in options)
    return (
        f"const answer = await fetch({_json(call.url)}, {{\n{listed}}});\n"
        "if (!answer.ok) throw new Error(await answer.text());\nconsole.log(await answer.json());"
    )


LANGUAGES: Final[Mapping[str, tuple[str, str, Callable[[ApiCall], str]]]] = {
    "curl": ("curl", "For a shell, as on Linux and macOS.", as_curl),
    "python": ("Python", "Needs httpx: pip install httpx.", as_python),
    "node": ("Node", "Node 18 or later, in a file that ends in .mjs; no packages.", as_node),
}
"""By the code in an address: name, what it needs, and how a call is written in it."""


def _json(value: object, *, indent: int | None = None) -> str:
    return json.dumps(value, indent=indent, ensure_ascii=False)


def _indented(value: object, by: int) -> str:
    """Return an object over several lines, the later of which begin `by` further in."""
    return _json(value, indent=by).replace("\n", "\n" + " " * by)
