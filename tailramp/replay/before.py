"""The time before a ramp, from a file: what a live ramp would have asked Prometheus about its first users.

A file of counts has no buckets, so its arms say whose users they are; series that were asked of Prometheus have the
label that names the bucket, and are divided by it as the first step divides the users.
"""

from pathlib import Path

from tailramp.checks import slot_match
from tailramp.errors import InvalidFile, Problem, Refused
from tailramp.evidence.kept import TimeBefore
from tailramp.plan import Plan
from tailramp.ramp import Began
from tailramp.replay.counters import (
    Answers,
    Counters,
    Finder,
    answers_to,
    header_of_series,
    recorded_answers,
    selected_answers,
)
from tailramp.replay.range_json import RangeAnswers
from tailramp.replay.recording import Header, Recorded, Span
from tailramp.replay.selector import Selector
from tailramp.replay.source import Source
from tailramp.replay.windows import CsvCounts
from tailramp.spec import RampSpec
from tailramp.time_before import WINDOW, Asked, asked_before, why_not


def history_of(counts: CsvCounts | Recorded | RangeAnswers, spec: RampSpec, plan: Plan, at: int) -> TimeBefore:
    """What ``counts`` tell of the users of the plan's first step from before unix time ``at``.

    Raises Refused if nobody would ask for it, InvalidFile if they tell nothing.
    """
    began = Began(at=at, assignment=plan.steps[0].assignment)
    if spec.platform.checks.sequential.history is None:
        raise Refused(
            "--history: the platform file has no checks.sequential.history, so nothing is learnt of the users"
        )
    for slot, why in why_not(plan, began.assignment).items():
        raise Refused(f"--history: the users of {slot} cannot be known from before the ramp: {why}")
    if isinstance(counts, Recorded) and (known := counts.header.earlier_of(began.assignment)) is not None:
        return known
    asked = asked_before(spec, plan, began, by_bucket=True)
    if asked is None:
        raise Refused("--history: no check has a sequential test, so nothing is learnt of the users")
    source: Source
    if isinstance(counts, CsvCounts):
        asked = asked.only(counts.metrics)
        if not asked.parts:
            reason = f"no check with a sequential test has a line; the metrics are {', '.join(counts.metrics)}"
            raise _refused(counts.file, reason, _MEND)
        source = counts.bound(plan, {slot: checks for slot, (_, checks) in asked.parts.items()}, None)
    elif isinstance(counts, Recorded):
        source = _divided(counts.file, asked, spec, plan, counts.header, recorded_answers(counts))
    else:
        span = Span(start=counts.first, end=counts.last, anchor=counts.first)
        found = selected_answers(counts.named, counts.series)
        source = _divided(counts.file, asked, spec, plan, header_of_series(plan, span, counts.step), found)
    counting = asked.counting()
    for index in range(-1, asked.windows + 1):
        source.show(counting.shelf, asked.grid, index)
    told = counting.counted()
    if not told.kept:
        raise _refused(counts.file, "it tells nothing of the first step's users in the time before the ramp", _MEND)
    return told


_MEND = "Give the counts of the day before the first window of FILE, or a longer checks.sequential.history.period"


def _refused(file: Path, reason: str, mend: str) -> InvalidFile:
    return InvalidFile([Problem("(history)", reason, mend, file=file)])


def _divided(file: Path, asked: Asked, spec: RampSpec, plan: Plan, header: Header, found: Finder) -> Counters:
    """The series of the baseline, divided by the bucket of their users.  Raises InvalidFile."""
    if header.step > WINDOW:
        reason = f"its points lie {header.step} s apart, and windows of {WINDOW} s are compared"
        raise _refused(file, reason, f"Ask Prometheus with a step of {WINDOW} s or less")
    baseline, answers = slot_match(spec.platform, plan.baseline), dict[str, Answers]()
    labelled = False
    for users, checks in asked.parts.values():
        for check in checks:
            for part, query in check.queries(baseline).items():
                series = answers_to(check, part, query, baseline, found, header) or [()] * len(header.spans)
                labelled |= any(asked.label in one.by_name for span in series for one in span)
                for match in (users, asked.others):
                    selector = Selector.parse(f"{{{asked.matchers[match.slot]}}}")
                    answers[check.queries(match)[part]] = [
                        [one for one in span if selector is not None and selector.selects(one.by_name)]
                        for span in series
                    ]
    if not labelled:
        reason = f"no series of {plan.baseline} has the label {asked.label}"
        raise _refused(file, reason, "Record series that name the bucket, or set checks.sequential.history.bucketLabel")
    return Counters(header, answers, lambda _: (), plan, None)
