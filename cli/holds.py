"""What holds a ramp, in sentences: for ``status``, ``explain`` and the live picture."""

from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from tailramp.ramp import Cause

ENDS_BY: Final = {
    "paused": "it is paused: `tailramp resume` lets it go on",
    "approval": "a person must look: `tailramp promote` goes on, `tailramp abort` goes back",
    "inconclusive": "the hold's time is over, but there is too little evidence: it goes on once every check passes",
    "blind": "Prometheus cannot be asked: it goes on once it answers",
    "shared_incident": "something is wrong that is not the candidate's fault: it goes on once that is over",
    "budget": "nobody knows what was spent today: it goes on once that is known",
    "drift": "somebody else changed the route: undo it, and it goes on",
    "freeze": "the route is frozen: `tailramp lift` lets it go on",
    "capacity": "servers of the next share did not come in time: it goes on once they are ready",
}
"""What ends each word that a ramp may wait for: a pause, and every block."""

ALERT_ENDS_BY: Final = (
    "an alert holds it until a person looks: `tailramp ack` lets the hold go on, `tailramp promote` ends the hold, "
    "`tailramp abort` goes back"
)


def ends_by(wait: str, causes: "Iterable[Cause]") -> str:
    """What ends the wait for ``wait``.  An approval is a step's own, or an alert wants somebody to look."""
    alerted = wait == "approval" and any(cause.block == wait for cause in causes)
    return ALERT_ENDS_BY if alerted else ENDS_BY[wait]


def told_beside(causes: "Iterable[Cause]", checks: Collection[str]) -> list[str]:
    """The sentences of ``causes``, but for those that are told with newer numbers beside them.

    ``checks``: those whose present verdicts are shown, such as ``green latency``.
    """
    return [cause.sentence for cause in causes if cause.key not in checks and not (checks and cause.block == "blind")]
