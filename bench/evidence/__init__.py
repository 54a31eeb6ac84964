"""False rollbacks, time to detection and ramps by evidence: tailramp's judges and the rules of its peers, simulated.

``python -m bench evidence`` takes a quarter of an hour on two cores, ``--full`` less than two hours; ``--table 4.2``
prints one table. Everything is seeded: the same numbers come again.
"""

import argparse
import os
import time
from collections.abc import Sequence
from concurrent.futures import Future, ProcessPoolExecutor, wait
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path

from bench.evidence.tables import FULL, SHORT, TABLES, Size
from bench.evidence.timing import timings

RESULTS = Path(__file__).parents[1] / "results"
_LONG = ("healthy", "4.6", "changing", "4.2", "measured")
"""These begin first, so that none is left alone at the end."""


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m bench evidence", description=__doc__)
    parser.add_argument("--full", action="store_true", help="as many runs as the figures in the documentation rest on")
    parser.add_argument("--table", action="append", choices=[*TABLES, "timing"], help="only this table; may come again")
    parser.add_argument("--keep", action="store_true", help=f"write each table to {RESULTS}/evidence-TABLE.txt, too")
    parser.add_argument("--ramps", type=int, help="so many of the table healthy, instead of the form's number")
    options = parser.parse_args(arguments)
    size = FULL if options.full else SHORT
    size = size if options.ramps is None else replace(size, healthy=options.ramps)
    form = "full" if options.full else "short"
    names = list(dict.fromkeys(options.table or ["timing", *TABLES]))
    for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ.setdefault(variable, "1")  # read by the processes that are about to start
    with ProcessPoolExecutor(os.cpu_count(), mp_context=get_context("spawn")) as processes:
        since, texts = time.monotonic(), dict[str, Future[tuple[str, float]]]()
        for name in sorted(names, key=lambda name: (name != "timing", name not in _LONG)):
            texts[name] = processes.submit(_text, name, size, form)
            if name == "timing":  # with nothing beside it
                wait([texts[name]])
        for name in names:
            text, _ = texts[name].result()
            print(text, flush=True)
            if options.keep:
                (RESULTS / f"evidence-{name}.txt").write_text(text, encoding="utf-8")
        took = sum(future.result()[1] for future in texts.values())
        print(
            f"All of it: {took:.0f} s of one core, {(time.monotonic() - since) / 60:.0f} min on {os.cpu_count()} cores"
        )


def _text(name: str, size: Size, form: str) -> tuple[str, float]:
    """The table, and how many seconds of one core it took."""
    since = time.process_time()
    lines = list(timings() if name == "timing" else TABLES[name](size))
    took = time.process_time() - since
    return "\n".join([*lines, f"({form} form; {took:.0f} s of one core)", ""]), took
