"""Charts as SVG, written by hand: horizontal bars with an interval."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

from benchmarks.measuring import shown
from benchmarks.summary import Interval

WIDTH, LABELS, FIGURES = 720, 150, 90  # pixels; the bars have what is left
ROW, BAR, TOP, BOTTOM = 26, 16, 40, 12
OURS, THEIRS, INK, PAPER = "#0b7285", "#adb5bd", "#212529", "#ffffff"


@dataclass(frozen=True)
class Row:
    """One bar: whose it is, how long, and between which ends the truth lies."""

    label: str
    found: Interval
    is_ours: bool = False


def bars(title: str, rows: Sequence[Row]) -> str:
    """Return a chart of `rows`, in their order; the longest bar has the whole width."""
    height = TOP + ROW * len(rows) + BOTTOM
    scale = (WIDTH - LABELS - FIGURES) / max((row.found.high for row in rows), default=1.0)
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img">',
        f"<title>{escape(title)}</title>",
        f'<rect width="{WIDTH}" height="{height}" fill="{PAPER}"/>',
        f'<g font-family="sans-serif" font-size="13" fill="{INK}">',
        f'<text x="10" y="24" font-weight="bold">{escape(title)}</text>',
        *(line for place, row in enumerate(rows) for line in _bar(place, row, scale)),
        "</g>",
        "</svg>",
    ]
    return "\n".join(lines) + "\n"


def _bar(place: int, row: Row, scale: float) -> Iterator[str]:
    top = TOP + ROW * place
    middle, base = top + BAR / 2, top + BAR - 3
    length, low, high = (
        scale * value for value in (row.found.median, row.found.low, row.found.high)
    )
    color = OURS if row.is_ours else THEIRS
    yield f'<text x="{LABELS - 8}" y="{base}" text-anchor="end">{escape(row.label)}</text>'
    yield f'<rect x="{LABELS}" y="{top}" width="{length:.1f}" height="{BAR}" fill="{color}"/>'
    yield (
        f'<path d="M{LABELS + low:.1f} {middle}H{LABELS + high:.1f}" '
        f'stroke="{INK}" stroke-width="2"/>'
    )
    yield f'<text x="{LABELS + high + 8:.1f}" y="{base}">{shown(row.found.median)}</text>'
