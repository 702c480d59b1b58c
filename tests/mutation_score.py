"""The score of the last mutation run, by file; `python -m tests.mutation_score` fails where it is too low.

Only a mutant that a test killed counts for it. One that no test reaches, that timed out or was not tried counts
against it, as one that survived does.
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Final

KILLED_MIN_PERCENT: Final = 95

_RESULT: Final = re.compile(r"\s*(?P<module>[\w.]+?)\.x[_ǁ]\S*: (?P<status>.+)")
"""One line of `mutmut results`: a function's name is mangled by `x_`, a method's by `xǁ`."""

_KILLED: Final = "killed"
_STATUSES: Final = (_KILLED, "survived", "no tests", "timeout")


def score(results: Iterable[str]) -> dict[str, Counter[str]]:
    """Return how many mutants of each file have which status, from the lines of `mutmut results --all true`."""
    files: dict[str, Counter[str]] = {}
    for line in results:
        found = _RESULT.fullmatch(line)
        if found:
            files.setdefault(f"src/{found['module'].replace('.', '/')}.py", Counter())[found["status"]] += 1
    return files


def killed_percent(counts: Counter[str]) -> float:
    """Return the share that tests killed; 0 where there is no mutant, as nothing was shown then."""
    return 100 * counts[_KILLED] / counts.total() if counts else 0.0


def table(files: Mapping[str, Counter[str]]) -> str:
    """Return the score of each file and of all of them, as a table in Markdown."""
    whole = sum(files.values(), Counter[str]())
    rows = [_row(f"`{file}`", counts) for file, counts in sorted(files.items())] + [_row("all", whole)]
    return "\n".join(("| file | mutants | killed | survived | no test | timeout | other | score |", _LINE, *rows))


_LINE: Final = "|---|--:|--:|--:|--:|--:|--:|--:|"


def _row(name: str, counts: Counter[str]) -> str:
    known = [counts[status] for status in _STATUSES]
    cells = [counts.total(), *known, counts.total() - sum(known)]
    return f"| {name} | {' | '.join(str(cell) for cell in cells)} | {killed_percent(counts):.1f} % |"


def main() -> None:
    """Print the score and fail where it is below KILLED_MIN_PERCENT."""
    listed = subprocess.run(["mutmut", "results", "--all", "true"], check=True, capture_output=True, text=True)
    lines = listed.stdout.splitlines()
    print("\n".join(line.strip() for line in lines if not line.endswith(f": {_KILLED}")))
    files = score(lines)
    print(table(files))
    if killed_percent(sum(files.values(), Counter[str]())) < KILLED_MIN_PERCENT:
        sys.exit(f"fewer than {KILLED_MIN_PERCENT} % of the mutants were killed")


if __name__ == "__main__":
    main()
