"""What ``tailramp replay`` shows beside its decisions: other tools' rules, pictures, and recomputed records."""

from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cli.console import Console, one_line
from cli.exit_codes import ExitCode
from tailramp.errors import Refused

if TYPE_CHECKING:
    from tailramp.replay.again import Again
    from tailramp.replay.comparing import PeerDecision
    from tailramp.replay.course import Course
    from tailramp.replay.ticks import Counted


def peers_as_lines(console: Console, course: "Course", peers: "list[PeerDecision]") -> list[str]:
    """One line for each rule, and for each candidate if there are several."""
    from cli.tables import table
    from tailramp.units import format_duration

    say = console.say
    several = len({peer.slot for peer in peers}) > 1
    rows = []
    for peer in peers:
        told = "would have rolled nothing back"
        if peer.at is not None:
            told = f"would have rolled back after {format_duration(timedelta(seconds=peer.at - course.first))}"
        rows.append((f"{peer.slot} " * several + say(peer.rule), say(told)))
    return [say("other rules, on the limits of the same files:"), *table(rows, widest=100)]


def write_plots(counts: "list[Counted]", course: "Course", folder: Path) -> list[Path]:
    """Write one picture of each check of each candidate.  Raises Refused if they cannot be written."""
    from tailramp.replay.plots import plot

    written = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for one in counts:
            path = folder / f"{one.slot}-{one.check.name}.svg"
            path.write_text(plot(one, course), encoding="utf-8")
            written.append(path)
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or "the path is none"
        raise Refused(f"{folder} cannot be written: {why}. Name another folder with --plots") from None
    return written


def recompute_record(console: Console, file: Path) -> ExitCode:
    """Recompute the verdicts of a decision log.  Raises InvalidFile, and Refused for one without any counts."""
    from tailramp.replay.again import recompute
    from tailramp.replay.opening import lines_of

    found = list(recompute(lines_of(file), file))
    if not any(again.holds_counts for again in found):
        none = "has no decision that holds the counts of its verdicts"
        raise Refused(f"{file} {none}: name a file of the worker's TAILRAMP_RECORDS")
    differ = [again for again in found if again.differences]
    verdicts = sum(again.verdicts for again in found)
    lines = []
    for again in found:
        at = again.decision.at.astimezone()
        lines.append(f"{at:%m-%d %H:%M:%S}  {console.say(one_line(again.decision.sentence))}")
        lines += [f"                {console.say(one_line(sentence))}" for sentence in _said(again)]
    total = f"{verdicts} verdicts of {len(found)} decisions recomputed, {len(differ)} decisions differ"
    data = {"verdicts": verdicts, "agree": not differ, "decisions": [_as_data(again) for again in found]}
    console.answer("\n".join([*lines, "", console.say(total)]), data, said=True)
    return ExitCode.REFUSED if differ else ExitCode.DONE


def _said(again: "Again") -> tuple[str, ...]:
    if again.differences:
        return again.differences
    if again.holds_counts:
        return (f"{again.verdicts} verdicts, recomputed from their counts: the same",)
    return ("it holds no counts: there were too many, or an older worker wrote it",)


def _as_data(again: "Again") -> dict[str, Any]:
    return {
        "id": again.decision.id,
        "at": again.decision.at.isoformat(),
        "sentence": again.decision.sentence,
        "holds_counts": again.holds_counts,
        "verdicts": again.verdicts,
        "differences": list(again.differences),
    }
