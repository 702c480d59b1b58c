"""The checks. `uv run nox` runs all of them in the locked environment that uv has made; CI runs the same.

The sessions use the interpreter at hand: one that has to be found first would be skipped where it is missing.
`wheel` alone has clean environments of its own.
"""

import os
import secrets
import shutil
from pathlib import Path

import nox
from nox.command import CommandFailed

nox.needs_version = ">=2025.5"
nox.options.sessions = [
    "lint",
    "types",
    "imports",
    "unit",
    "simulation",
    "fuzz",
    "integration",
    "attack",
    "browser",
    "chaos",
    "wheel",
]
nox.options.stop_on_first_error = False
nox.options.error_on_missing_interpreters = True

UV = os.environ.get("UV", "uv")
"""The uv that runs us names itself, so that it is found even where it is not on the path."""

KEEP_BYTECODE = {"PYTHONDONTWRITEBYTECODE": ""}
"""Where an environment forbids it, each test process compiles all that it imports again: seconds, each time."""

SEEDS = 2**32

CODE = ["src", "tests", "noxfile.py"]


@nox.session(venv_backend="none")
def lint(session: nox.Session) -> None:
    """Ruff: style and formatting; the lock agrees with what is asked for."""
    session.run("ruff", "check", *CODE)
    session.run("ruff", "format", "--check", *CODE)
    # What is installed here and in the image is what `pyproject.toml` asks for.
    session.run(UV, "lock", "--check", "--quiet", external=True)


@nox.session(venv_backend="none")
def types(session: nox.Session) -> None:
    """Mypy and pyright, both strict."""
    session.run("mypy")
    session.run("pyright", "--warnings")


@nox.session(venv_backend="none")
def imports(session: nox.Session) -> None:
    """The walls: entrypoints, adapters, core; siblings apart; nothing but the standard library in the core."""
    session.run("lint-imports")


@nox.session(venv_backend="none")
def unit(session: nox.Session) -> None:
    """The core, the memory adapters and HTTP over memory: no sockets, seconds."""
    session.run(
        "pytest", "tests/unit", "--numprocesses", "auto", "--dist", "worksteal", *session.posargs, env=KEEP_BYTECODE
    )


@nox.session(venv_backend="none")
def simulation(session: nox.Session) -> None:
    """The core through 2,000 histories of faults, and the mutants; `-- --histories N`, `-- --seed S` for one again."""
    session.run(
        "pytest",
        "tests/simulation",
        *("--numprocesses", "auto", "--dist", "worksteal"),
        *session.posargs,
        env=KEEP_BYTECODE,
    )


@nox.session(venv_backend="none")
def fuzz(session: nox.Session) -> None:
    """Calls made up from the OpenAPI document; `-- --examples N --chains N`, `-- --hypothesis-seed N` for one again."""
    # Printed by nox with the command: a run that fails can be had again. A seed that is given comes later and wins.
    seed = f"--hypothesis-seed={secrets.randbelow(SEEDS)}"
    session.run(
        *("pytest", "tests/fuzz", seed),
        *("--numprocesses", "auto", "--dist", "worksteal"),
        *session.posargs,
        env=KEEP_BYTECODE,
    )


@nox.session(venv_backend="none")
def mutants(session: nox.Session) -> None:
    """Mutation testing of money, transitions, keys, tokens and the guard; `-- --max-children 1` for one at a time.

    The survivors and the score of each file are at the end; fewer killed than `docs/mutants.md` promises is a failure.
    """
    # From scratch: mutmut keeps a verdict whose tests have changed since.
    shutil.rmtree("mutants", ignore_errors=True)
    session.run("mutmut", "run", *session.posargs, env=KEEP_BYTECODE)
    session.run("python", "-m", "tests.mutation_score")


@nox.session(venv_backend="none")
def integration(session: nox.Session) -> None:
    """The same contracts on a real Postgres and a real Valkey; outages, processes, the README."""
    # A file's tests stay together: what they share is made once, and its servers are stopped under nobody else.
    session.run(
        "pytest",
        "tests/integration",
        *("--numprocesses", "auto", "--dist", "loadfile"),
        *session.posargs,
        env=KEEP_BYTECODE,
    )


@nox.session(venv_backend="none")
def attack(session: nox.Session) -> None:
    """What somebody would try who is after other people's money, data or this machine; each try must fail."""
    session.run(
        "pytest",
        "tests/attack",
        *("--numprocesses", "auto", "--dist", "loadfile"),
        *session.posargs,
        env=KEEP_BYTECODE,
    )


@nox.session(venv_backend="none")
def browser(session: nox.Session) -> None:
    """The console in a real Chromium: people's stories, each page for everybody's eyes, hands and screens (axe-core).

    Where there is no Chromium it is installed, if that can be done; else the tests are skipped, or fail in CI.
    """
    session.run("python", "-m", "tests.browser.chromium")
    session.run(
        "pytest",
        "tests/browser",
        *("--numprocesses", "auto", "--dist", "worksteal"),
        *session.posargs,
        env=KEEP_BYTECODE,
    )


@nox.session(venv_backend="none")
def screenshots(session: nox.Session) -> None:
    """Pictures of each page of the console, light, dark and narrow, for `docs/console/`."""
    session.run("python", "-m", "tests.browser.chromium")
    session.run("python", "-m", "tests.browser.screenshots", *session.posargs, env=KEEP_BYTECODE)


@nox.session(venv_backend="none")
def chaos(session: nox.Session) -> None:
    """Kills, stops and outages at random moments, and a ledger outside that decides; `-- --help` shows the options."""
    session.run("python", "-m", "tests.chaos", *session.posargs, env=KEEP_BYTECODE)


@nox.session(venv_backend="none")
def bench(session: nox.Session) -> None:
    """The service's speed against its targets, next to what Postgres does without it; `-- --help` shows the options."""
    session.run("python", "-m", "tests.benchmark", *session.posargs, env=KEEP_BYTECODE)


@nox.session(venv_backend="none")
def audit(session: nox.Session) -> None:
    """Known vulnerabilities of all that is locked, of the tools too, as PyPI knows them. It needs PyPI's JSON API.

    Not among the sessions that always run: what it finds changes without a change here, and it asks the network.
    Where PyPI has no answer it fails and says so; an audit that did not happen is none.
    """
    requirements = Path(session.create_tmp()) / "requirements.txt"
    session.run(
        *(UV, "export", "--quiet", "--locked", "--all-extras", "--all-groups", "--no-emit-project"),
        *("--output-file", str(requirements)),
        external=True,
        silent=True,
    )
    try:
        session.run(
            *("pip-audit", "--requirement", str(requirements), "--disable-pip", "--require-hashes"),
            *("--progress-spinner", "off", "--strict"),
            *session.posargs,
        )
    except CommandFailed:
        session.error("something is vulnerable, or PyPI's JSON API was not reached and nothing was audited: see above")


@nox.session(venv_backend="none")
def sbom(session: nox.Session) -> None:
    """A CycloneDX list of what `payments-core[server]` installs, in `dist/`; from the lock, with hashes."""
    Path("dist").mkdir(exist_ok=True)
    session.run(
        *(UV, "export", "--quiet", "--locked", "--no-default-groups", "--extra", "server"),
        *("--format", "cyclonedx1.5", "--preview-features", "sbom-export"),
        *("--output-file", "dist/payments-core.cdx.json"),
        external=True,
        silent=True,
    )


@nox.session(venv_backend="none")
def wheel(session: nox.Session) -> None:
    """The built wheel in clean environments: the core without any dependency, the command with the extras."""
    folder = Path(session.create_tmp())
    dist, bare, full = folder / "dist", folder / "bare", folder / "full"
    for each in (dist, bare, full):
        shutil.rmtree(each, ignore_errors=True)
    session.run(UV, "build", "--wheel", "--out-dir", str(dist), "--quiet")
    built = str(next(dist.glob("*.whl")))
    session.run(UV, "venv", "--quiet", str(bare))
    session.run(UV, "pip", "install", "--quiet", "--python", str(bare), built)
    # -I: neither this folder nor the environment's variables, so that what is imported is what was installed.
    python = str(bare / "bin" / "python")
    session.run(python, "-I", "-c", "import payments_core, adapters.memory, payments_core.payments", external=True)
    listed = session.run(
        UV, "pip", "list", "--quiet", "--format", "freeze", "--python", str(bare), silent=True, external=True
    )
    if listed is None or [line.partition("==")[0] for line in listed.split()] != ["payments-core"]:
        session.error(f"the core brought dependencies: {listed}")
    session.run(UV, "venv", "--quiet", str(full))
    session.run(UV, "pip", "install", "--quiet", "--python", str(full), f"{built}[server,embedded]")
    session.run(str(full / "bin" / "payments"), "--help", external=True, silent=True)
    session.run(str(full / "bin" / "payments"), "--version", external=True)
