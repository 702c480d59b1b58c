"""The browser of these tests: this machine's Chromium. Run as a module, it installs Debian's where it can."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from typing import Final

SHELL: Final = "chromium-headless-shell"
"""Chromium without windows: the same pages, in half the processor time."""
NAMES: Final = (SHELL, "chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
PACKAGES: Final = (SHELL, "fonts-dejavu-core")
REQUIRED: Final = "TESTS_REQUIRE_BROWSER"
"""Where this is set, as in CI, these tests fail without a browser; elsewhere they are skipped."""
MISSING: Final = (
    f"No Chromium is here: none of {', '.join(NAMES)} is on the path. "
    "`nox -s browser` installs one as root on Debian; elsewhere it is up to you."
)
ARGUMENTS: Final = (
    # Chromium refuses to run as root with its sandbox, and containers give /dev/shm 64 MB.
    "--no-sandbox",
    "--disable-dev-shm-usage",
    "--disable-gpu",
)
INSTALL_SECONDS_MAX: Final = 600


def chromium() -> str | None:
    """Return where the browser is, if there is one."""
    return next((found for name in NAMES if (found := shutil.which(name))), None)


def is_required() -> bool:
    """Say whether a machine without a browser fails the tests."""
    return bool(os.environ.get(REQUIRED))


def install() -> None:
    """Install it with apt-get, and say so; say why not where that can't be done: whether it is a failure, tests say."""
    if not _is_debian() or os.getuid() != 0 or shutil.which("apt-get") is None:
        print(MISSING if chromium() is None else f"{chromium()} it is: only root on Debian installs {SHELL}.")
        return
    print(f"No {SHELL} is here: installing {' and '.join(PACKAGES)} with apt-get.", flush=True)
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for call in (["update", "-qq"], ["install", "-qq", "--yes", "--no-install-recommends", *PACKAGES]):
        done = subprocess.run(
            ["apt-get", *call],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            timeout=INSTALL_SECONDS_MAX,
            check=False,
        )
        if done.returncode != 0:
            print(f"apt-get {call[0]} ended with {done.returncode}: {SHELL} could not be installed.")
            return


def _is_debian() -> bool:
    try:
        return platform.freedesktop_os_release()["ID"] == "debian"
    except OSError:
        return False


if __name__ == "__main__":
    if shutil.which(SHELL) is None:
        install()
