"""A line chart as a small SVG file: enough for a page of documentation, and the same bytes for the same numbers."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from typing import Final

_WIDTH, _HEIGHT = 720, 340
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 190, 34, 46
COLORS: Final = ("#1f6feb", "#d1242f", "#1a7f37", "#9a6700", "#8250df", "#57606a")


@dataclass(frozen=True)
class Line:
    """Points from left to right; without a `name` it is not in the legend. Lines of one `color` belong together."""

    name: str
    points: Sequence[tuple[float, float]]
    color: int = 0
    dashed: bool = False
    faint: bool = False


@dataclass(frozen=True)
class Axis:
    """What an axis shows, from where to where; `log` by powers of ten. `ticks` are where it is labelled."""

    title: str
    low: float
    high: float
    ticks: Sequence[float]
    log: bool = False

    def place(self, value: float) -> float:
        """Return 0 to 1."""
        value = min(max(value, self.low), self.high)
        if self.log:
            return math.log(value / self.low) / math.log(self.high / self.low)
        return (value - self.low) / (self.high - self.low)


def svg(title: str, x: Axis, y: Axis, lines: Sequence[Line]) -> str:
    """Return the chart. Both light and dark pages show it: it brings its own white ground."""
    inner_width, inner_height = _WIDTH - _LEFT - _RIGHT, _HEIGHT - _TOP - _BOTTOM

    def at(px: float, py: float) -> tuple[float, float]:
        return _LEFT + inner_width * x.place(px), _TOP + inner_height * (1 - y.place(py))

    size = f'viewBox="0 0 {_WIDTH} {_HEIGHT}" width="{_WIDTH}" height="{_HEIGHT}"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="sans-serif" font-size="12">',
        f"<title>{escape(title)}</title>",
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="#fff"/>',
        f'<text x="{_LEFT}" y="20" font-size="14" fill="#1f2328">{escape(title)}</text>',
    ]
    for tick in x.ticks:
        px, _ = at(tick, y.low)
        parts.append(f'<path d="M{px:.1f} {_TOP}V{_TOP + inner_height}" stroke="#d8dee4"/>')
        parts.append(
            f'<text x="{px:.1f}" y="{_HEIGHT - 28}" text-anchor="middle" fill="#57606a">{_number(tick)}</text>'
        )
    for tick in y.ticks:
        _, py = at(x.low, tick)
        parts.append(f'<path d="M{_LEFT} {py:.1f}H{_LEFT + inner_width}" stroke="#d8dee4"/>')
        parts.append(f'<text x="{_LEFT - 8}" y="{py + 4:.1f}" text-anchor="end" fill="#57606a">{_number(tick)}</text>')
    middle = _LEFT + inner_width / 2
    parts.append(
        f'<text x="{middle:.0f}" y="{_HEIGHT - 8}" text-anchor="middle" fill="#1f2328">{escape(x.title)}</text>'
    )
    parts.append(
        f'<text transform="translate(14 {_TOP + inner_height / 2:.0f}) rotate(-90)" text-anchor="middle" '
        f'fill="#1f2328">{escape(y.title)}</text>'
    )
    named = 0
    for line in lines:
        path = "L".join("{:.1f} {:.1f}".format(*at(px, py)) for px, py in line.points)
        style = f'stroke="{COLORS[line.color]}" stroke-width="{1 if line.faint else 2}"'
        style += ' stroke-dasharray="5 4"' * line.dashed + ' stroke-opacity="0.45"' * line.faint
        parts.append(f'<path d="M{path}" fill="none" {style}/>')
        if line.name:
            py = _TOP + 8 + 18 * named
            left = _WIDTH - _RIGHT + 12
            parts.append(f'<path d="M{left} {py}h18" {style}/>')
            parts.append(f'<text x="{left + 24}" y="{py + 4}" fill="#1f2328">{escape(line.name)}</text>')
            named += 1
    return "\n".join([*parts, "</svg>", ""])


def _number(tick: float) -> str:
    return f"{tick:,.0f}" if tick >= 1000 else f"{tick:g}"
