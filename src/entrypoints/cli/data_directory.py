"""The directory in which `up` keeps what must be there on the next start; nobody but its owner reads its files."""

from __future__ import annotations

import os
import secrets
from pathlib import Path
from typing import Final

DEFAULT: Final = Path(".payments")
SECRET_KEY_BYTES: Final = 32
SECRET_KEY_LENGTH_MIN: Final = 32


class DataDirectoryUnusable(Exception):
    """Nothing can be kept there; the message is one line with the cure."""


class DataDirectory:
    """Files of a few lines, each written whole or not at all."""

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()

    def make(self) -> None:
        """Make the directory where it isn't there; raise DataDirectoryUnusable where it can't be written."""
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            if not (self.path / ".gitignore").exists():
                self.write(".gitignore", "*\n")  # it holds secrets
        except FileExistsError:
            raise DataDirectoryUnusable(f"{self.path} is not a directory: choose another with --data-dir.") from None
        except OSError as error:
            raise DataDirectoryUnusable(
                f"The data directory {self.path} cannot be written ({error.strerror}): choose another with --data-dir."
            ) from error

    def read(self, name: str) -> str | None:
        """Return a file's text, or None where there is none."""
        try:
            return (self.path / name).read_text(encoding="utf-8")
        except FileNotFoundError:
            return None

    def write(self, name: str, text: str) -> None:
        """Write a file that its owner alone can read, in place of the one that is there."""
        self._scratch(name, text).replace(self.path / name)

    def secret_key(self) -> str:
        """Return the secret key that is kept here, made once.

        Raises DataDirectoryUnusable where it is damaged: with another key, sessions and webhook secrets are lost.
        """
        path = self.path / "secret_key"
        if not path.exists():
            scratch = self._scratch("secret_key", secrets.token_urlsafe(SECRET_KEY_BYTES) + "\n")
            try:
                os.link(scratch, path)  # unlike a rename it never replaces the key of a start that was faster
            except FileExistsError:
                pass
            finally:
                scratch.unlink()
        key = (self.read("secret_key") or "").strip()
        if len(key) < SECRET_KEY_LENGTH_MIN:
            raise DataDirectoryUnusable(
                f"{path} is damaged: restore it, or remove it (sessions and webhook secrets are then lost)."
            )
        return key

    def _scratch(self, name: str, text: str) -> Path:
        path = self.path / f"{name}.{secrets.token_hex(4)}.new"
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(descriptor)
        return path
