"""False rollbacks, time to detection and ramps by evidence: tailramp's judges and the rules of its peers, simulated.

``python -m bench evidence`` takes a quarter of an hour on one core, ``--full`` some hours; ``--table 4.2`` prints one
table.  Everything is seeded: the same numbers come again.
"""

import argparse
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from bench.evidence.tables import FULL, SHORT, TABLES
from bench.evidence.timing import timings

RESULTS = Path(__file__).parents[1] / "results"


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m bench evidence", description=__doc__)
    parser.add_argument("--full", action="store_true", help="as many runs as the figures in the documentation rest on")
    parser.add_argument("--table", action="append", choices=[*TABLES, "timing"], help="only this table; may come again")
    parser.add_argument("--keep", action="store_true", help=f"write each table to {RESULTS}/evidence-TABLE.txt, too")
    parser.add_argument("--ramps", type=int, help="so many of the table healthy, instead of the form's number")
    options = parser.parse_args(arguments)
    size = FULL if options.full else SHORT
    size = size if options.ramps is None else replace(size, healthy=options.ramps)
    for name in options.table or ["timing", *TABLES]:
        since = time.process_time()
        lines = list(timings() if name == "timing" else TABLES[name](size))
        lines.append(f"({'full' if options.full else 'short'} form; {time.process_time() - since:.0f} s of one core)")
        print("\n".join([*lines, ""]), flush=True)
        if options.keep:
            (RESULTS / f"evidence-{name}.txt").write_text("\n".join([*lines, ""]), encoding="utf-8")
