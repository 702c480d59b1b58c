"""How names of the web are read from a setting's text: hosts that we answer for, origins whose scripts may call."""

from __future__ import annotations

import re
from typing import Final

NAMES_MAX: Final = 100
_LABEL: Final = r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?"
_NAME: Final = rf"(?=.{{1,253}}$){_LABEL}(\.{_LABEL})*"
_HOST: Final = re.compile(rf"(\*\.)?{_NAME}|\[[0-9a-f:.]{{2,45}}\]")
_ORIGIN: Final = re.compile(r"(https?)://([a-z0-9_.-]{1,253}|\[[0-9a-f:.]{2,45}\])(?::([1-9][0-9]{0,4}))?")
_DEFAULT_PORTS: Final = {"http": "80", "https": "443"}


def host_names(text: str) -> frozenset[str]:
    """Read names of hosts without ports, comma-separated; `*.example.com` stands for one label before the rest."""
    return frozenset(_host(name) for name in _parts(text))


def _host(name: str) -> str:
    if _HOST.fullmatch(name) is None:
        raise ValueError(f'"{name}" is not a name such as pay.example.com or *.example.com, without scheme and port')
    return name


def origins(text: str) -> frozenset[str]:
    """Read origins as browsers send them, comma-separated: a scheme, a host, and a port unless it is the scheme's own.

    Neither `*` nor `null` is one: any page at all could have its visitors' browsers call.
    """
    return frozenset(_origin(name) for name in _parts(text))


def _origin(name: str) -> str:
    found = _ORIGIN.fullmatch(name)
    if found is None or found[3] == _DEFAULT_PORTS[found[1]]:
        raise ValueError(
            f'"{name}" is not an origin as browsers send it, such as https://shop.example.com: no path, no * and no '
            "null, a port only where it is not the scheme's own"
        )
    return name


def _parts(text: str) -> list[str]:
    parts = [part.strip().lower() for part in text.split(",")]
    if len(parts) > NAMES_MAX:
        raise ValueError(f"{len(parts)} names are more than the {NAMES_MAX} allowed")
    return parts
