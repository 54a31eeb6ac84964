"""A picture per metric: the rates of both arms over time, the limit, and when something was decided. Plain SVG."""

import math
from collections.abc import Sequence
from datetime import UTC, datetime
from html import escape

from tailramp.replay.course import Course
from tailramp.replay.ticks import Counted

_WIDTH, _HEIGHT = 960, 360
_LEFT, _RIGHT, _TOP, _BOTTOM = 70, 20, 50, 45
_MOST_POINTS = 240
_FONT = 'font-family="sans-serif" font-size="12"'
_COLOURS = {"candidate": "#c0392b", "baseline": "#2c6fbb"}


def plot(counts: Counted, course: Course) -> str:
    """The SVG of one check of one candidate."""
    first, last = course.first, max(course.last, course.first + 1)
    lines = {name: _rates(counts, arm) for arm, name in enumerate(_COLOURS)}
    limit = counts.check.limit
    top = max([limit * 1.3, *(rate * 1.1 for points in lines.values() for _, rate in points)]) or 1.0

    def x(at: float) -> float:
        return _LEFT + (at - first) / (last - first) * (_WIDTH - _LEFT - _RIGHT)

    def y(rate: float) -> float:
        return _HEIGHT - _BOTTOM - rate / top * (_HEIGHT - _TOP - _BOTTOM)

    name = f"{counts.slot}: {counts.check.name}"
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" {_FONT}>',
        f"<title>{escape(name)}</title>",
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="white"/>',
        f'<text x="{_LEFT}" y="20" font-size="15">{escape(name)}, {escape(counts.check.bad_is)}</text>',
    ]
    for part in range(5):
        rate = top * part / 4
        parts.append(f'<path d="M{_LEFT} {y(rate):.1f}H{_WIDTH - _RIGHT}" stroke="#e5e5e5"/>')
        parts.append(f'<text x="{_LEFT - 6}" y="{y(rate) + 4:.1f}" text-anchor="end">{rate * 100:.3g} %</text>')
        at = first + (last - first) * part / 4
        anchor = "end" if part == 4 else "middle" if part else "start"
        clock = datetime.fromtimestamp(at, UTC).astimezone()
        parts.append(f'<text x="{x(at):.1f}" y="{_HEIGHT - 24}" text-anchor="{anchor}">{clock:%m-%d %H:%M}</text>')
    parts.append(f'<path d="M{_LEFT} {y(limit):.1f}H{_WIDTH - _RIGHT}" stroke="#888" stroke-dasharray="6 4"/>')
    parts.append(f'<text x="{_WIDTH - _RIGHT}" y="{y(limit) - 4:.1f}" text-anchor="end" fill="#666">limit</text>')
    for one in course.decided:
        ended = one.after.stop is not None
        colour = "#c0392b" if ended else "#bbb"
        told, place = escape(_label(one.at, course, ended)), f"M{x(one.at):.1f} {_TOP}V{_HEIGHT - _BOTTOM}"
        parts.append(f'<path d="{place}" stroke="{colour}" stroke-width="{1 + ended}"><title>{told}</title></path>')
    for index, (arm, points) in enumerate(lines.items()):
        path = " ".join(
            f"{'L' if number else 'M'}{x(at):.1f} {y(rate):.1f}" for number, (at, rate) in enumerate(points)
        )
        colour = _COLOURS[arm]
        parts.append(f'<path d="{path or "M0 0"}" fill="none" stroke="{colour}" stroke-width="1.5"/>')
        parts.append(f'<text x="{_LEFT + 110 * index}" y="38" fill="{colour}">{arm}</text>')
    return "\n".join([*parts, "</svg>", ""])


def _label(at: int, course: Course, ended: bool) -> str:
    return f"rolled back after {at - course.first} s" if ended else f"decided after {at - course.first} s"


def _rates(counts: Counted, arm: int) -> Sequence[tuple[int, float]]:
    """The rate of bad answers over even stretches of time, at their ends."""
    ticks = counts.ticks
    many = max(1, math.ceil(len(ticks) / _MOST_POINTS))
    points = []
    for start in range(0, len(ticks), many):
        part = ticks[start : start + many]
        n = sum((tick.candidate, tick.baseline)[arm].n for tick in part)
        bad = sum((tick.candidate, tick.baseline)[arm].bad for tick in part)
        if n > 0:
            points.append((part[-1].at, min(1.0, max(0.0, bad) / n)))
    return points
