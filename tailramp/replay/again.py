"""The verdicts of a decision log, recomputed from the counts that its decisions hold."""

import json
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from tailramp.decision import Decision
from tailramp.errors import InvalidFile, Problem
from tailramp.evidence.ledger import Counts
from tailramp.evidence.verdicts import Verdict, VerdictKind

_PRECISION = 1e-6
"""Of recomputed numbers: another processor may round the last digits otherwise."""


@dataclass(frozen=True)
class Again:
    """``verdicts`` is how many were compared; ``differences`` say in words where they are other ones.

    ``holds_counts`` is False for a decision that is about verdicts and holds no counts to recompute them from.
    """

    decision: Decision
    verdicts: int
    differences: tuple[str, ...]
    holds_counts: bool = True


def recompute(lines: Iterable[str], file: Path) -> Iterator[Again]:
    """Each decision with verdicts once, in the log's order.  Raises InvalidFile, with the line."""
    seen = set()
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        decision = _decision(line, file, number)
        if decision.id in seen or "verdicts" not in decision.evidence:
            continue
        seen.add(decision.id)
        yield _again(decision, file, number)


def _decision(line: str, file: Path, number: int) -> Decision:
    try:
        return Decision.model_validate(json.loads(line))
    except ValidationError as error:
        field = ".".join(map(str, error.errors()[0]["loc"])) or "(line)"
    except (ValueError, RecursionError):
        field = "(line)"
    mend = "Name the decision log of a worker, <namespace>.<route>.jsonl"
    raise InvalidFile([Problem(field, "this line is no decision", mend, file=file, line=number)])


def _again(decision: Decision, file: Path, number: int) -> Again:
    def refuse(field: str, reason: str) -> InvalidFile:
        mend = "Get the record from another copy of the log"
        return InvalidFile([Problem(field, reason, mend, file=file, line=number)])

    try:
        written = [Verdict.model_validate(verdict) for verdict in decision.evidence["verdicts"]]
    except (ValidationError, TypeError):
        raise refuse("evidence.verdicts", "these are no verdicts") from None
    text = decision.evidence.get("counts")
    if text is None:
        return Again(decision, 0, (), holds_counts=False)
    try:
        found = {(verdict.slot, verdict.check): verdict for verdict in Counts.read(text).verdicts()}
    except (ValueError, TypeError, KeyError, AssertionError):
        raise refuse("evidence.counts", "the counts are damaged") from None
    # What could not be asked has no counts of its own.
    compared = [verdict for verdict in written if not (verdict.kind is VerdictKind.BLIND and not verdict.judge)]
    differences = [
        text for verdict in compared if (text := _difference(verdict, found.get((verdict.slot, verdict.check))))
    ]
    return Again(decision, len(compared), tuple(differences))


def _difference(written: Verdict, found: Verdict | None) -> str:
    name = f"{written.slot} {written.check}"
    if found is None:
        return f"{name}: it is not among the counts"
    if found.kind is not written.kind:
        return f"{name}: the record says {written.kind}, its counts {found.kind}: {found.reason}"
    before, after = written.numbers.model_dump(), found.numbers.model_dump()
    for number, value in before.items():
        if not _same(value, after[number]):
            return f"{name}: the record says {number} {value}, its counts {after[number]}"
    return ""


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        return len(one) == len(other) and all(map(_same, one, other))
    if isinstance(one, float) and isinstance(other, float):
        return math.isclose(one, other, rel_tol=_PRECISION, abs_tol=_PRECISION)
    return bool(one == other)
