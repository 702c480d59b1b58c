"""The results as bars, in SVG by hand: how each figure stands to its target, which is the line in the middle.

The scale is by powers of two, so that twice as good and half as good are as long; beyond the edges bars are cut off.
The colours follow the reader's light or dark, and a bar's side says the same as its colour.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Final

from tests.benchmark.figures import Verdict

WIDTH: Final = 960
ROW_HEIGHT: Final = 28
BAR_HEIGHT: Final = 14
TOP: Final = 56
BOTTOM: Final = 16
LEFT: Final = 330
RIGHT: Final = 700
DOUBLINGS_MAX: Final = 3
"""To either side: eight times better, eight times worse."""
CLASSES: Final = {Verdict.MET: "met", Verdict.NOT_MET: "missed", Verdict.FAILED: "failed", Verdict.NO_TARGET: "met"}

STYLE: Final = """\
text { font: 13px system-ui, sans-serif; fill: #1f2328; }
.title { font-weight: 600; }
.quiet { fill: #59636e; }
.line { stroke: #59636e; } .grid { stroke: #d1d9e0; }
.met { fill: #1a7f37; } .missed { fill: #bc4c00; } .failed { fill: #cf222e; }
@media (prefers-color-scheme: dark) {
text { fill: #f0f6fc; }
.quiet { fill: #9198a1; }
.line { stroke: #9198a1; } .grid { stroke: #3d444d; }
.met { fill: #3fb950; } .missed { fill: #db6d28; } .failed { fill: #f85149; }
}"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """A figure: its name, what it is and should be in words, and how good that is, 1 being the target."""

    name: str
    shown: str
    target: str
    share: float
    verdict: Verdict


def plot(bars: Sequence[Bar], title: str) -> str:
    """Return the bars as an SVG document."""
    height = TOP + ROW_HEIGHT * len(bars) + BOTTOM
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img"'
        f' aria-label="{escape(title)}">',
        f"<style>{STYLE}</style>",
        f'<text class="title" x="8" y="20">{escape(title)}</text>',
        *_scale(height - BOTTOM),
        *(part for number, bar in enumerate(bars) for part in _row(bar, TOP + ROW_HEIGHT * number)),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def place_of(share: float) -> float:
    """Return where on the scale a share of the target stands, from LEFT to RIGHT."""
    if math.isnan(share) or share <= 0:
        return LEFT
    doublings = math.log2(share) if math.isfinite(share) else math.inf
    bounded = min(max(doublings, -DOUBLINGS_MAX), DOUBLINGS_MAX)
    return LEFT + (RIGHT - LEFT) * (bounded + DOUBLINGS_MAX) / (2 * DOUBLINGS_MAX)


def _scale(bottom: float) -> list[str]:
    parts: list[str] = []
    for doublings in range(-DOUBLINGS_MAX, DOUBLINGS_MAX + 1):
        x = place_of(2.0**doublings)
        name = "target" if doublings == 0 else f"{2**doublings}x" if doublings > 0 else f"1/{2**-doublings}"
        kind = "line" if doublings == 0 else "grid"
        parts.append(f'<line class="{kind}" x1="{x:.1f}" y1="{TOP - 8}" x2="{x:.1f}" y2="{bottom}"/>')
        parts.append(f'<text class="quiet" x="{x:.1f}" y="{TOP - 14}" text-anchor="middle">{name}</text>')
    return parts


def _row(bar: Bar, top: float) -> list[str]:
    end, middle = place_of(bar.share), place_of(1.0)
    x, width = min(end, middle), max(abs(end - middle), 2.0)
    baseline = top + ROW_HEIGHT / 2 + 4
    return [
        f'<text x="{LEFT - 12}" y="{baseline:.1f}" text-anchor="end">{escape(bar.name)}</text>',
        f'<rect class="{CLASSES[bar.verdict]}" x="{x:.1f}" y="{top + (ROW_HEIGHT - BAR_HEIGHT) / 2:.1f}"'
        f' width="{width:.1f}" height="{BAR_HEIGHT}" rx="2"/>',
        f'<text x="{RIGHT + 12}" y="{baseline:.1f}">{escape(bar.shown)}'
        f' <tspan class="quiet">({escape(bar.target)})</tspan></text>',
    ]
