"""What axe-core finds wrong with a page: rules of WCAG 2.2, levels A and AA, and its best practices."""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files
from typing import Any, Final

from playwright.async_api import Page

TAGS: Final = ("wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice")


@cache
def _source() -> str:
    # The package brings axe-core's own file; of its few lines of Python nothing is needed.
    return (files("axe_playwright_python") / "axe.min.js").read_text("utf-8")


async def violations(page: Page) -> list[str]:
    """Return a line for each element that breaks a rule, as the page looks now.

    It gets into the page as what a debugger evaluates, which the page's Content-Security-Policy does not concern.
    """
    if not await page.evaluate("() => 'axe' in globalThis"):
        await page.evaluate(_source())
    options = json.dumps({"runOnly": {"type": "tag", "values": TAGS}, "resultTypes": ["violations"]})
    found: list[dict[str, Any]] = await page.evaluate(f"axe.run(document, {options}).then(done => done.violations)")
    return [
        f"{rule['id']} ({rule['impact']}): {' '.join(map(str, node['target']))}: {node.get('failureSummary', '')!r}"
        for rule in found
        for node in rule["nodes"]
    ]
