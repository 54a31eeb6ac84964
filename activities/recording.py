"""Saves what Prometheus knows of a route, stretch by stretch, so that an interrupted save goes on where it stopped.

Every stretch of every query is a packed piece of its own at the end of one file, synced before the next is asked for. A
query that Prometheus finds too large is asked for in halves.
"""

import gzip
import json
import os
import zlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from activities.metrics import PrometheusMetrics
from tailramp.errors import InvalidFile, Refused, Unreachable
from tailramp.evidence.reading import Labels
from tailramp.replay.recording import Header, encode, encode_end, read_header

AT_ONCE: Final = 1000
"""Ticks of one piece at most."""

Columns = list[tuple[Labels, Sequence[float | None]]]


@dataclass(frozen=True)
class Progress:
    """``done`` of ``points`` ticks; ``resumed`` of them were there before."""

    done: int
    points: int
    resumed: int = 0


@dataclass(frozen=True)
class Left:
    """What an interrupted recording has: its header, how many lines, and the next tick of the next span."""

    header: Header
    lines: int
    span: int
    start: int


def part_of(out: Path) -> Path:
    """Where a recording grows until it is whole."""
    return out.with_name(out.name + ".part")


def left_of(out: Path) -> Left | None:
    """What is there of a recording that was interrupted; a piece that was cut off is taken away.

    Raises Refused for a file that is none.
    """
    part = part_of(out)
    if not part.exists():
        return None
    mend = "Remove it, or name another --out"
    try:
        texts, good = _members(part.read_bytes())
        if not texts:
            part.unlink()
            return None
        header = read_header(texts[0].rstrip("\n"), part)
        span, start = 0, header.spans[0].start
        lines = 1
        for text in texts[1:]:
            written = text.splitlines()
            last = json.loads(written[-1])
            lines += len(written)
            span, start = last["span"], last["start"] + last["count"] * header.step
            if start > header.spans[span].end:
                span += 1
                start = header.spans[span].start if span < len(header.spans) else start
    except (OSError, ValueError, KeyError, TypeError, IndexError, InvalidFile):
        raise Refused(f"{part} is no recording that can be gone on with. {mend}") from None
    os.truncate(part, good)
    return Left(header, lines, span, start)


async def record(
    metrics: PrometheusMetrics, header: Header, out: Path, left: Left | None = None, *, most: int = AT_ONCE
) -> AsyncIterator[Progress]:
    """Write ``header`` and every answer to ``out``; after what is ``left`` of an earlier call, whose header it is then.

    ``most``: ticks at once.  Raises Unreachable if a query is not answered; what was saved until then stays.
    """
    part, step = part_of(out), header.step
    if left is None:
        out.parent.mkdir(parents=True, exist_ok=True)
        part.unlink(missing_ok=True)
        _append(part, [header.model_dump_json()])
    lines = 1 if left is None else left.lines
    first = 0 if left is None else left.span
    resumed = 0 if left is None else sum((s.end - s.start) // step + 1 for s in header.spans[:first])
    if left is not None and first < len(header.spans):
        resumed += (left.start - header.spans[first].start) // step
    done = resumed
    yield Progress(done, header.points, resumed)
    for number in range(first, len(header.spans)):
        span = header.spans[number]
        at = left.start if left is not None and number == first else span.start
        while at <= span.end:
            wanted = range(at, min(span.end, at + (most - 1) * step) + 1, step)
            times, answers = await _piece(metrics, header, wanted)
            if len(times) < len(wanted):
                most = len(times)  # what was too large once will be so again
            _append(part, [encode(query, number, at, len(times), columns) for query, columns in answers.items()])
            lines += len(answers)
            done += len(times)
            at = times[-1] + step
            yield Progress(done, header.points, resumed)
    _append(part, [encode_end(lines)])
    part.replace(out)


async def _piece(metrics: PrometheusMetrics, header: Header, times: range) -> tuple[range, dict[str, Columns]]:
    """The answers for as many of ``times``, from the first on, as Prometheus gives at once.  Raises Unreachable."""
    while True:
        found = await metrics.read_columns(header.queries, times, header.native)
        fault = next((answer for answer in found.values() if isinstance(answer, str)), None)
        if fault is None:
            return times, {
                query: [(column.labels, column.values) for column in answer]
                for query, answer in found.items()
                if not isinstance(answer, str)
            }
        if len(times) == 1 or "cannot be reached" in fault:
            raise Unreachable(f"{fault}. The same `tailramp record` again goes on from here")
        times = times[: len(times) // 2]


def _append(part: Path, lines: Sequence[str]) -> None:
    packed = gzip.compress("".join(f"{line}\n" for line in lines).encode(), compresslevel=6, mtime=0)
    with part.open("ab") as file:
        file.write(packed)
        file.flush()
        os.fsync(file.fileno())


def _members(data: bytes) -> tuple[list[str], int]:
    """The texts of all whole pieces, and where the last of them ends."""
    texts, at = [], 0
    while at < len(data):
        unpacking = zlib.decompressobj(wbits=31)
        try:
            text = unpacking.decompress(data[at:])
        except zlib.error:
            break
        if not unpacking.eof:
            break
        texts.append(text.decode())
        at = len(data) - len(unpacking.unused_data)
    return texts, at
