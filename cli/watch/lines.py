"""A followed ramp as one line per change, or as one line of JSON per change."""

from collections.abc import Callable
from typing import Any

from cli.console import one_line
from cli.following import Change, ChangeKind
from cli.language.help_pages import width_of


def as_line(change: Change, say: Callable[[str], str] = str) -> str:
    """``12:00:15  HOLDING       step 2/6    5 %  step 2 PASS: ...``, in local time; ``say`` translates."""
    step = say(f"step {change.step}/{change.steps}" if change.steps else "step -")
    phase = say(str(change.phase))
    where = f"{change.at.astimezone():%H:%M:%S}  {_padded(phase, 13)} {_padded(step, 9)} {change.share * 100:>5.4g} %"
    mark = "! " if change.kind is ChangeKind.TROUBLE else ""
    return f"{where}  {mark}{say(one_line(change.sentence))}"


def _padded(text: str, columns: int) -> str:
    """``text`` and blanks up to as many columns, of which a Chinese character takes two."""
    return text + " " * (columns - width_of(text))


def as_data(change: Change) -> dict[str, Any]:
    """The change for programs.  ``event`` is one of ``ChangeKind``."""
    data: dict[str, Any] = {
        "event": str(change.kind),
        "at": change.at.isoformat(),
        "route": change.route,
        "ramp": change.ramp,
        "phase": str(change.phase),
        "step": change.step,
        "steps": change.steps,
        "share": change.share,
        "sentence": change.sentence,
    }
    if change.decision is not None:
        decision = change.decision
        data |= {"decision": str(decision.kind), "actor": decision.actor, "reason": decision.reason, "id": decision.id}
    if change.kind is ChangeKind.CHECK:
        data |= {"check": change.check, "verdict": change.verdict}
    if change.kind is ChangeKind.END:
        data["result"] = None if change.result is None else change.result.model_dump(mode="json")
    return data
