"""What became of every fault cell, kept over many runs: a run of two hours may be cut short and go on later."""

import json
import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass

from bench._samples import RESULTS, machine

CELLS = RESULTS / "faults.jsonl"
TEXT = RESULTS / "faults.txt"
_MATRIX = re.compile(r"test_a_broken_part_ends_the_ramp_as_the_table_says\[(\w+)-(\w+)-([\w-]+)\]$")
_PHASES = (
    "preflight",
    "shifting",
    "settling",
    "holding",
    "promoting",
    "baking",
    "rolling-back",
    "unverified",
    "paused",
)
_SIGN = {"passed": "yes", "failed": "NO"}


@dataclass(frozen=True)
class Outcome:
    """``cell`` is the test's name with its parameters, ``outcome`` passed or failed, ``on`` the day in UTC."""

    cell: str
    outcome: str
    on: str


def append(outcome: Outcome) -> None:
    CELLS.parent.mkdir(exist_ok=True)
    with CELLS.open("a", encoding="utf-8") as file:
        file.write(json.dumps(asdict(outcome)) + "\n")


def read() -> list[Outcome]:
    """The last outcome of every cell."""
    lines = CELLS.read_text(encoding="utf-8").splitlines() if CELLS.exists() else []
    outcomes = [Outcome(**json.loads(line)) for line in lines]
    return list({outcome.cell: outcome for outcome in outcomes}.values())


def render(outcomes: Iterable[Outcome]) -> str:
    """The matrix as a table, everything else as a list."""
    matrix: dict[tuple[str, str], dict[str, str]] = {}
    others: list[Outcome] = []
    for outcome in outcomes:
        if found := _MATRIX.search(outcome.cell):
            part, fault, phase = found.groups()
            matrix.setdefault((part, fault), {})[phase] = _SIGN[outcome.outcome]
        else:
            others.append(outcome)
    passed = sum(row == "yes" for rows in matrix.values() for row in rows.values())
    passed += sum(outcome.outcome == "passed" for outcome in others)
    everything = sum(len(rows) for rows in matrix.values()) + len(others)
    rows = [
        f"{part:11}{fault:9}" + "".join(f"{matrix[part, fault].get(phase, '-'):>13}" for phase in _PHASES)
        for part, fault in sorted(matrix)
    ]
    return "\n".join(
        [
            f"The last result of every fault cell: {passed} of {everything} passed.",
            f"{machine()}, shared with other work. A dash: this cell has not been run yet.",
            "",
            "The part is broken in the phase; the ramp ends as the table in tests/faults/test_matrix.py says, nobody",
            "is served beyond what was decided, and nothing is written after a finished rollback.",
            "",
            f"{'':20}" + "".join(f"{phase:>13}" for phase in _PHASES),
            *rows,
            "",
            *(f"{_SIGN[outcome.outcome]:4}{outcome.cell}" for outcome in sorted(others, key=lambda one: one.cell)),
        ]
    )


def write() -> None:
    TEXT.write_text(render(read()) + "\n", encoding="utf-8")


def cell_of(node: str) -> str:
    """``test_matrix.py::test_x[a]``, from pytest's id of a test."""
    return node.removeprefix("tests/faults/")
