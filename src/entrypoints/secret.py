"""A text that nothing shows by accident."""

from __future__ import annotations

from typing import Final, Never, final

HIDDEN: Final = "(hidden)"


@final
class Secret:
    """A password, a key, a URL with a password: whatever prints, logs or copies it into another form shows HIDDEN.

    It is no dataclass, which `asdict` would take apart, and has no JSON and no pickle: both are TypeErrors. Equal
    where the texts are; whoever compares with what a stranger sent takes `hmac.compare_digest`.
    """

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text: Final = text

    def reveal(self) -> str:
        """Return the text, for who connects, signs or seals with it."""
        return self._text

    def __repr__(self) -> str:
        return HIDDEN

    def __format__(self, specification: str) -> str:
        return format(HIDDEN, specification)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and self._text == other._text

    def __hash__(self) -> int:
        return hash(self._text)

    def __copy__(self) -> Secret:
        return self

    def __deepcopy__(self, _: object) -> Secret:
        return self

    def __reduce_ex__(self, _: object) -> Never:
        raise TypeError("a secret is not pickled")
