"""Figures that take an hour to gather: one line a trial in a file, so that a run which is cut short loses nothing."""

import json
import os
import platform
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

RESULTS = Path(__file__).parent / "results"


@dataclass(frozen=True)
class Sample:
    """One trial of a cell.  ``load`` is the machine's one-minute load average at its end."""

    cell: str
    seconds: float
    load: float
    behind: int
    """Moments in this trial at which the users' own process could not keep up."""


def append(path: Path, sample: Sample) -> None:
    """Add a line; several processes may add to the same file."""
    path.parent.mkdir(exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(asdict(sample)) + "\n")


def read(path: Path) -> list[Sample]:
    if not path.exists():
        return []
    return [Sample(**json.loads(line)) for line in path.read_text(encoding="utf-8").splitlines()]


def table(cells: Iterable[str], samples: Sequence[Sample], bounds: dict[str, str]) -> list[str]:
    """One row for each cell: how many trials, percentiles and the largest, in seconds."""
    width = max(len(cell) for cell in cells)
    rows = [f"{'':{width}} trials      p50      p95      p99      max  wanted"]
    for cell in cells:
        seconds = [sample.seconds for sample in samples if sample.cell == cell]
        if not seconds:
            rows.append(f"{cell:{width}}      0")
            continue
        p50, p95, p99 = np.percentile(seconds, [50, 95, 99])
        figures = f"{p50:8.3f} {p95:8.3f} {p99:8.3f} {max(seconds):8.3f}"
        rows.append(f"{cell:{width}} {len(seconds):6d} {figures}  {bounds.get(cell, '')}".rstrip())
    return rows


def machine() -> str:
    return f"{os.cpu_count()} cores, Python {platform.python_version()}, {platform.system()} {platform.machine()}"


def load_range(samples: Sequence[Sample]) -> str:
    loads = [sample.load for sample in samples]
    return f"load average {min(loads):.0f} to {max(loads):.0f}" if loads else "nothing measured"
