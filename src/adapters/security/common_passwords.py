"""The passwords that everybody tries first (NIST SP 800-63B §3.1.1.2; OWASP ASVS 5.0, 6.2.4)."""

from __future__ import annotations

from importlib import resources
from typing import Final

LIST_NAMES: Final = ("common_passwords.txt", "frequent_passwords.txt")
DECORATION: Final = "0123456789!?.@#$*_-"
"""What people append, or put in front, to please a rule: `Password1!` is `password`."""


def is_common(password: str) -> bool:
    """Say whether a password is on the list, in whatever case, with or without digits and marks around it."""
    folded = password.strip().casefold()
    return folded in _COMMON or folded.strip(DECORATION) in _COMMON or len(set(folded)) <= 2


def common_words() -> frozenset[str]:
    """Return the words of the lists, comments left out."""
    folder = resources.files("adapters.security")
    lines = (line for name in LIST_NAMES for line in folder.joinpath(name).read_text("utf-8").splitlines())
    return frozenset(word for line in lines if not line.startswith("#") for word in line.split())


_COMMON: Final = common_words()
