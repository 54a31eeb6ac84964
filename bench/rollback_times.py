"""How long after a trigger the last request is sent that the candidate serves.

The clock is the user's: it starts before the trigger, and ends with the sending of the last request that the candidate
answered, by the clients' own log.  A real gateway, real worker processes and a steady load, on one machine that also
carries all of them.  Every trial is a ramp of its own, and a line of its own in ``results/rollback_times.jsonl``:
a run may be cut short and go on later.
"""

import argparse
import asyncio
import os
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench._rollback_ground import SHARE, Cell, Ground
from bench._rollback_triggers import CELLS, NOTES
from bench._samples import RESULTS, Sample, append, load_range, machine, read, table
from lab.client_log import ClientRequest, last_candidate_request_sent, read_log

SAMPLES = RESULTS / "rollback_times.jsonl"
TEXT = RESULTS / "rollback_times.txt"
CALM = 10.0
"""The load average above which a trial measures the machine too."""
_SHORTEST = 600.0
"""Seconds: in fewer, the users that every run has could not ask as often as they do.  They are ended before."""


@dataclass(frozen=True)
class Ended:
    """A trial that is over: when it began, where the log stood then, when its clocks began, and the load at its end."""

    began: float
    log_at: int
    clocks: Mapping[str, float]
    load: float


def measured(cell: Cell, trial: Ended, requests: Sequence[ClientRequest], behind: int) -> list[Sample]:
    """The figures of ``trial``.  ``requests`` are those of its time; raises if the candidate served none of them."""
    last = last_candidate_request_sent(requests, "green", trial.began)
    if last is None:
        raise RuntimeError("a trial without a single candidate request proves nothing")
    return [
        Sample(cell.title + figure, round(last - since, 4), round(trial.load, 1), behind)
        for figure, since in trial.clocks.items()
    ]


async def run_cell(cell: Cell, count: int, seed: int, directory: Path) -> None:
    """Run ``count`` trials in one world, and write each down once every answer of its time is in the log."""
    ground = Ground(directory, cell, seed)
    before: Ended | None = None
    async with ground.running(seconds=max(_SHORTEST, cell.most * count + 120)):
        for number in range(count):
            began, log_at = time.time(), ground.log.stat().st_size
            handle = await ground.ramp()
            await asyncio.sleep(ground.chance.random())  # at some moment between two looks of the watch
            ended = Ended(began, log_at, await cell.trigger(ground, handle), os.getloadavg()[0])
            if before is not None:
                _write_down(ground, cell, before, began)
            before = ended
            print(f"{cell.title}: {number + 1} of {count}", file=sys.stderr, flush=True)
    if before is not None:
        _write_down(ground, cell, before, float("inf"))


def _write_down(ground: Ground, cell: Cell, trial: Ended, until: float) -> None:
    found = read_log(ground.log, trial.log_at)
    of_trial = [request for request in found.requests if trial.began <= request.sent < until]
    behind = sum(trial.began <= moment.at < until for moment in found.behind)
    for sample in measured(cell, trial, of_trial, behind):
        append(SAMPLES, sample)


def report() -> str:
    samples = read(SAMPLES)
    rows = list(dict.fromkeys(sample.cell for cell in CELLS.values() for sample in samples if _is_of(cell, sample)))
    wanted = {row: cell.wanted for cell in CELLS.values() for row in rows if row.split(", from")[0] == cell.title}
    behind = sum(sample.behind > 0 for sample in samples)
    return "\n".join(
        [
            "trigger → sending of the last request that the candidate served, in seconds",
            f"30 to 100 requests/s, {SHARE:.0%} of them to the candidate: one of its requests in 20 to 70 ms",
            f"{machine()}, {load_range(samples)}; the users' own process was behind in {behind} trials",
            "",
            *table(rows, samples, wanted),
            "",
            f"Only the trials at a load average of at most {CALM:g}; the others measure the machine too:",
            "",
            *table(rows, [sample for sample in samples if sample.load <= CALM], wanted),
            "",
            NOTES,
        ]
    )


def _is_of(cell: Cell, sample: Sample) -> bool:
    return sample.cell.split(", from")[0] == cell.title


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m bench rollback_times", description=__doc__)
    parser.add_argument("--cell", choices=[*CELLS, "report"], action="append", help="all of them by default")
    parser.add_argument("--trials", type=int, help="of each cell; by default what is missing of the wanted number")
    parser.add_argument("--worlds", type=int, default=1, help="that run beside each other (1)")
    parser.add_argument("--seed", type=int, default=None)
    chosen = parser.parse_args(arguments)
    for name in chosen.cell or CELLS:
        if name in CELLS:
            asyncio.run(_run(CELLS[name], chosen.trials, chosen.worlds, chosen.seed))
    text = report()
    TEXT.write_text(text + "\n", encoding="utf-8")
    print(text)


async def _run(cell: Cell, trials: int | None, worlds: int, seed: int | None) -> None:
    if trials is None:
        trials = cell.trials - min(
            Counter(sample.cell for sample in read(SAMPLES) if _is_of(cell, sample)).values(), default=0
        )
    seed = seed if seed is not None else random.randrange(1_000_000)
    counts = [len(range(number, trials, worlds)) for number in range(worlds)]
    with tempfile.TemporaryDirectory(prefix="tailramp-bench-") as folder:
        running = [
            run_cell(cell, count, seed + number, Path(folder) / str(number))
            for number, count in enumerate(counts)
            if count > 0
        ]
        for error in await asyncio.gather(*running, return_exceptions=True):
            if isinstance(error, BaseException):
                raise error
