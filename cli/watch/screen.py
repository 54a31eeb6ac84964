"""The live picture: a scene drawn for a terminal of a given size.

What matters stands at the top and is never cut: where the ramp is, its ladder, its checks, what happens next.  The
latest decisions fill what is left.  Every mark can be told without colour.
"""

from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from enum import IntEnum
from typing import TYPE_CHECKING, Final

from rich.console import Console, ConsoleOptions, Group, JustifyMethod, RenderableType, RenderResult
from rich.rule import Rule
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from cli.console import one_line, visible
from cli.holds import told_beside
from cli.watch.scene import CheckRow, Progress, Rung, Scene, Standing
from tailramp.evidence import VerdictKind
from tailramp.ramp import Block, Phase
from tailramp.units import format_duration, format_share

if TYPE_CHECKING:
    from tailramp.evidence import Verdict

Say = Callable[[str], str]

_WIDE: Final = 100
_NARROW: Final = 76
_MOST_RUNGS: Final = 8
_FEW_RUNGS: Final = 3
_MOST_CAUSES: Final = 3
_VERDICT_STYLE: Final = {
    VerdictKind.PASS: "green",
    VerdictKind.FAIL: "bold red",
    VerdictKind.INCONCLUSIVE: "yellow",
    VerdictKind.BLIND: "bold magenta",
}
_PLAIN_MARKS: Final = {Standing.DONE: "x", Standing.CURRENT: ">", Standing.NEXT: " "}
_MARKS: Final = {Standing.DONE: "✓", Standing.CURRENT: "▶", Standing.NEXT: "·"}
_STYLES: Final = {Standing.DONE: "green", Standing.CURRENT: "bold", Standing.NEXT: "dim"}


class _Detail(IntEnum):
    """How much is drawn, so that a low terminal still shows where the ramp is and what comes next."""

    LEAST = 0
    LESS = 1
    FULL = 2


class Screen:
    """A scene that rich can draw, as large as the terminal and no larger.  ``say`` translates."""

    def __init__(self, scene: Scene, now: datetime, say: Say = str) -> None:
        self._scene = scene
        self._now = now
        self._say = say

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        width, height = options.max_width, options.height or console.size.height
        plain = not options.encoding.lower().startswith("utf")
        for detail in reversed(_Detail):
            parts = Group(*self._parts(width, plain, detail))
            fixed = console.render_lines(parts, options.update(height=None), pad=False)
            if len(fixed) < height:
                break
        room = height - len(fixed) - 1
        lines = fixed
        if room > 0:
            decisions = console.render_lines(self._decisions(room), options.update(height=None), pad=False)
            lines = fixed + decisions[:room]
        blank = [Segment("")]
        lines = lines[: height - 1]
        lines += [blank] * (height - 1 - len(lines))
        footer = Text(self._say("Ctrl-C leaves the picture; the ramp goes on"), style="dim", no_wrap=True)
        lines += console.render_lines(footer, options.update(height=1), pad=False)
        for number, line in enumerate(lines):
            if number:
                yield Segment.line()
            yield from line

    def _parts(self, width: int, plain: bool, detail: "_Detail") -> Iterable[RenderableType]:
        scene, say = self._scene, self._say
        yield self._header(width)
        yield Rule(style="dim", characters="-" if plain else "─")
        if scene.rungs:
            yield self._ladder(width, plain, _FEW_RUNGS if detail is _Detail.LEAST else _MOST_RUNGS)
            yield ""
        if scene.checks:
            yield self._checks(width, plain)
            if detail is _Detail.FULL:
                yield from self._doubts()
            yield ""
        yield from self._facts()
        for trouble in scene.troubles:
            yield _fact(say("trouble"), say(trouble), "bold red")
        if detail is _Detail.FULL:
            yield ""

    def _header(self, width: int) -> RenderableType:
        scene, say = self._scene, self._say
        left = Text(scene.name, style="bold")
        if scene.model:
            left.append("  ")
            left.append(visible(scene.model), style="cyan")
        if scene.candidates and width >= _WIDE:
            slots = " + ".join(variant.slot for variant in scene.candidates)
            left.append(f"  {scene.baseline} → {slots}", style="dim")
        right = Text.assemble(
            (say(scene.phase), _phase_style(scene.phase)), f"  {format_share(scene.share)}", f"  {self._elapsed()}"
        )
        grid = Table.grid(expand=True)
        grid.add_column(no_wrap=True, overflow="ellipsis", ratio=1)
        grid.add_column(no_wrap=True, justify="right")
        grid.add_row(left, right)
        return grid

    def _elapsed(self) -> str:
        scene = self._scene
        if scene.started_at is None:
            return ""
        return clock_text((scene.ended_at or self._now) - scene.started_at)

    def _ladder(self, width: int, plain: bool, most: int) -> RenderableType:
        table = Table.grid(padding=(0, 2, 0, 0))
        columns: tuple[tuple[JustifyMethod, int], ...] = (("left", 1), ("right", 2), ("right", 5), ("left", 8))
        for justify, least in columns:
            table.add_column(justify=justify, no_wrap=True, overflow="ellipsis", min_width=least)
        table.add_column(no_wrap=True, overflow="ellipsis")
        marks = _PLAIN_MARKS if plain else _MARKS
        for rung in _around_current(self._scene.rungs, most):
            buckets = rung.buckets or self._say("everyone")
            room = max(8, width - 48)
            buckets = buckets if len(buckets) <= room else f"{buckets[: room - 1]}…"
            style = _STYLES[rung.standing]
            cells = [marks[rung.standing], str(rung.index), format_share(rung.share), buckets]
            table.add_row(*(Text(cell, style=style) for cell in cells), self._course(rung, plain))
        return table

    def _course(self, rung: Rung, plain: bool) -> Text:
        """What the last column says: how far the present step is, how long the others are held."""
        scene, say = self._scene, self._say
        is_bake = not rung.buckets
        hold = "" if rung.hold is None else format_duration(rung.hold)
        words = say(f"bake {hold}") if is_bake else say(f"hold {hold}")
        if rung.approval:
            words += say(", then an approval")
        if rung.standing is not Standing.CURRENT:
            return Text(words, style=_STYLES[rung.standing])
        if scene.progress is not None:
            return self._clock(scene.progress, plain)
        doing = {
            Phase.SHIFTING: "is applied and proven",
            Phase.SETTLING: "settles: traffic is reaching it",
            Phase.PROMOTING: "becomes the default",
        }.get(scene.phase)
        return Text(words if doing is None else say(doing), style="bold")

    def _clock(self, progress: Progress, plain: bool) -> Text:
        over = format_duration(timedelta(seconds=int(progress.over.total_seconds())))
        if progress.needed is None:
            return Text(self._say(f"held for {over}, without end"), style="bold")
        text = bar(progress.over / progress.needed if progress.needed else 1.0, 16, plain)
        text.append(" " + self._say(f"{over} of {format_duration(progress.needed)}"), style="bold")
        if not progress.running:
            text.append(" " + self._say("(stands still)"), style="yellow")
        return text

    def _checks(self, width: int, plain: bool) -> RenderableType:
        say, rows = self._say, self._scene.checks
        several = len({row.slot for row in rows}) > 1
        table = Table(box=None, padding=(0, 2, 0, 0), show_edge=False, header_style="dim")
        titles = ["check", "verdict", "bad", "limit", "baseline", "answers"]
        if width < _NARROW:
            titles.remove("baseline")
        for title in titles:
            justify: JustifyMethod = "right" if title in {"bad", "limit", "baseline"} else "left"
            least = 5 if title == "limit" else None
            table.add_column(say(title), justify=justify, no_wrap=True, overflow="ellipsis", min_width=least)
        before = ""
        for row in rows:
            if several and row.slot != before:
                table.add_row(Text(row.slot, style="cyan"))
                before = row.slot
            table.add_row(*self._check_cells(row, width, plain, indent="  " if several else ""))
        return table

    def _check_cells(self, row: CheckRow, width: int, plain: bool, indent: str) -> list[Text]:
        say, verdict, numbers = self._say, row.verdict, row.verdict.numbers
        name = indent + say(row.name)
        if row.bad_is and width >= _WIDE:
            name += f" ({say(row.bad_is)})"
        breaks = numbers.rate is not None and numbers.limit is not None and numbers.rate > numbers.limit
        cells = [
            Text(name),
            Text(say(verdict.kind), style=_VERDICT_STYLE[verdict.kind]),
            Text(_rate(numbers.rate), style="bold red" if breaks else ""),
            Text(
                "" if numbers.limit is None else f"≤ {format_share(numbers.limit)}".replace("≤", "<=" if plain else "≤")
            ),
            self._evidence(verdict, row.floor, plain, 10 if width >= _NARROW else 4),
        ]
        if width >= _NARROW:
            cells.insert(4, Text(_rate(numbers.baseline_rate), style="dim"))
        return cells

    def _evidence(self, verdict: "Verdict", floor: int, plain: bool, cells: int) -> Text:
        """What is gathered of what a verdict needs: windows of a streak while one grows, else answers."""
        numbers = verdict.numbers
        if numbers.streak and numbers.needed:
            text = bar(numbers.streak / numbers.needed, cells, plain, "red")
            text.append(" " + self._say(f"{numbers.streak}/{numbers.needed} bad windows"))
            return text
        if not floor:
            return Text(f"{numbers.seen:,}")
        text = bar(numbers.seen / floor, cells, plain, "green")
        text.append(f" {numbers.seen:,}/{floor:,}")
        return text

    def _doubts(self) -> Iterable[RenderableType]:
        """Why whatever is no PASS is none."""
        for row in self._scene.checks:
            if row.verdict.kind is not VerdictKind.PASS:
                reason = visible(one_line(self._say(row.verdict.reason)))
                text = Text(f"  {self._say(row.name)}: ", style="dim")
                text.append(reason, style=_VERDICT_STYLE[row.verdict.kind])
                yield text

    def _facts(self) -> Iterable[RenderableType]:
        scene, say = self._scene, self._say
        if scene.result is not None:
            style = "bold green" if scene.phase is Phase.SUCCEEDED else "bold red"
            yield _fact(say("ended"), f"{say(scene.phase)} ({say(scene.result.reason)})", style)
            yield _fact(say("why"), say(one_line(scene.result.detail)))
            for problem in scene.result.problems:
                yield _fact(say("problem"), say(problem))
            return
        if scene.next:
            yield _fact(say("next"), say(one_line(scene.next)), "bold")
        for told in scene.servers:
            yield _fact(say("servers"), say(one_line(told)), "bold")
        if scene.waits:
            yield _fact(say("waits for"), f"{', '.join(say(wait) for wait in scene.waits)}{self._way_on()}", "yellow")
        shown = {f"{row.slot} {row.name}" for row in scene.checks}
        for sentence in told_beside(scene.causes, shown)[-_MOST_CAUSES:]:
            yield _fact(say("because"), say(one_line(sentence)), "yellow")
        if scene.lease is not None and scene.renewed is not None:
            age = max(timedelta(), self._now - scene.renewed)
            seconds = format_duration(timedelta(seconds=int(age.total_seconds())))
            style = "yellow" if age > scene.lease / 2 else "dim"
            yield _fact(say("lease"), say(f"{format_duration(scene.lease)}, renewed {seconds} ago"), style)
        if scene.lost is not None:
            yield _fact(say("trouble"), say(f"Temporal is silent for {int(scene.lost)} s; trying on"), "bold red")
        elif scene.unanswered:
            yield _fact(say("worker"), say("none answers: this is what Temporal knows"), "yellow")

    def _way_on(self) -> str:
        alerted = any(cause.block is Block.APPROVAL for cause in self._scene.causes)
        approval = "`tailramp ack`" if alerted else "`tailramp promote`"
        ways = {"paused": "`tailramp resume`", "approval": approval, "freeze": "`tailramp lift`"}
        named = [ways[wait] for wait in self._scene.waits if wait in ways]
        return f" → {', '.join(named)}" if named else ""

    def _decisions(self, room: int) -> RenderableType:
        table = Table.grid(padding=(0, 2, 0, 0), expand=True)
        table.add_column(no_wrap=True)
        table.add_column(ratio=1, overflow="ellipsis", no_wrap=True)
        for decision in self._scene.decisions[-room:]:
            bad = decision.kind in {"failed", "rollback_intended", "blocked", "aborted", "refused"}
            table.add_row(
                Text(f"{decision.at.astimezone():%H:%M:%S}", style="dim"),
                Text(visible(one_line(self._say(decision.sentence))), style="red" if bad else ""),
            )
        return table


def _fact(label: str, text: str, style: str = "") -> RenderableType:
    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(no_wrap=True, min_width=9)
    grid.add_column(overflow="fold")
    grid.add_row(Text(label, style="dim"), Text(visible(text), style=style))
    return grid


def _around_current(rungs: tuple[Rung, ...], most: int) -> tuple[Rung, ...]:
    """All of them, or the ``most`` around the present one where there are more."""
    if len(rungs) <= most:
        return rungs
    at = next((i for i, rung in enumerate(rungs) if rung.standing is not Standing.DONE), len(rungs) - 1)
    first = min(max(at - most // 2, 0), len(rungs) - most)
    return rungs[first : first + most]


def _rate(rate: float | None) -> str:
    return "–" if rate is None else f"{rate * 100:.1f} %" if rate == 0 or rate >= 0.001 else f"{rate * 100:.2g} %"


def _phase_style(phase: Phase) -> str:
    if phase is Phase.SUCCEEDED:
        return "bold green"
    if phase.is_rollback or phase in {Phase.REFUSED, Phase.SUPERSEDED}:
        return "bold red"
    return "bold blue"


def bar(fraction: float, width: int, plain: bool, style: str = "blue") -> Text:
    """A bar of ``width`` cells; what is not empty shows at least one."""
    fraction = min(1.0, max(0.0, fraction))
    full = max(1 if fraction > 0 else 0, int(fraction * width))
    on, off = ("#", ".") if plain else ("█", "░")
    text = Text(on * full, style=style)
    text.append(off * (width - full), style="dim")
    return text


def clock_text(elapsed: timedelta) -> str:
    """``02:14``, ``1:02:14``, ``2d 03:04:05``."""
    seconds = max(0, int(elapsed.total_seconds()))
    days, seconds = divmod(seconds, 86400)
    hours, seconds = divmod(seconds, 3600)
    minutes, seconds = divmod(seconds, 60)
    if days:
        return f"{days}d {hours:02}:{minutes:02}:{seconds:02}"
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes:02}:{seconds:02}"
