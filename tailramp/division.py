"""Whether the users who are seen are divided between candidate and baseline as their buckets say.

When they are not, something stands between the rule and the users: a replica of the gateway that does not know it, a
client that tries the other version, a candidate that dies before it counts anything.  Whatever the cause, the two sides
are then no samples of the same users, and no comparison of them can be believed.  It is nobody's fault that could be
named, so the ramp holds and a person is called; a candidate is never taken back for it.

Users come back, so one window is no news of the next: the evidence of every window is computed by itself, and what is
said is their weighted average, which is evidence again.  The weights are 1/2, 1/6, 1/12, ..., and add up to one.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from tailramp.assignment import Assignment
from tailramp.checks import slot_match
from tailramp.evidence import ArmCounts, Reading, Source
from tailramp.evidence.arms import RatioArm
from tailramp.evidence.counts import NOTHING
from tailramp.evidence.sequential.assignment_check import assignment_evidence
from tailramp.evidence.wording import count, percent
from tailramp.forms import SlotName
from tailramp.plan import Plan
from tailramp.query_template import render
from tailramp.spec import PlatformFile, RampSpec


@dataclass(frozen=True)
class UserQueries:
    """What is asked about one candidate: its users and the baseline's."""

    candidate: str
    baseline: str


class Division:
    """The users of one candidate beside the baseline's, since the first whole window of a step."""

    def __init__(
        self, slot: SlotName, queries: UserQueries, *, share: float, window: int, anchor: int, needed: float
    ) -> None:
        """`share`: the candidate's part of both, 0 to 1, both excluded. `window`: seconds; windows begin at multiples
        of it. `anchor`: unix time from which the share is served. `needed`: evidence at which the ramp is held.
        """
        self.slot = slot
        self.queries = queries
        self.start = -(-anchor // window) * window
        """Unix time of the first whole window: before it users of an earlier share are counted, too."""
        self._share = share
        self._window = window
        self._needed = needed
        self._arms = (RatioArm(bad_absent_is_zero=True), RatioArm(bad_absent_is_zero=True))
        self._begun = False
        self._number = 0  # of the present window, from 1
        self._present = -1
        self._before = self._base = (NOTHING, NOTHING)
        self._closed = 0.0
        self.users = (0.0, 0.0)
        """The candidate's and the baseline's in the present window."""

    def take(self, reading: Reading) -> None:
        """Take the readings of the step in their order; those before `start`, and those without an answer, say
        nothing.
        """
        answers = [reading.answers[query] for query in (self.queries.candidate, self.queries.baseline)]
        if reading.at < self.start or any(answer.fault for answer in answers):
            return
        for arm, answer in zip(self._arms, answers, strict=True):
            arm.take({"total": answer.samples, "bad": ()}, starting=not self._begun)
        self._begun = True
        # A reading at a boundary ends the window before it: a watch that comes back has no others of the past.
        window = (reading.at - self.start - 1) // self._window
        if window >= 0 and window != self._present:
            self._closed += self._weight * self._evidence_now() if self._number else 0.0
            self._present = window
            self._number += 1
            self._base = self._before
        self._before = (self._arms[0].total, self._arms[1].total)
        self.users = (_grown(self._before[0], self._base[0]), _grown(self._before[1], self._base[1]))

    @property
    def evidence(self) -> float:
        """An e-value: at least 100 with a probability of at most 1 %, if users are divided as they should be."""
        if not self._number:
            return 1.0
        return self._closed + self._weight * self._evidence_now() + 1.0 / (self._number + 1)

    @property
    def amiss(self) -> str:
        """Why the ramp has to be held, in words; "" if it need not be."""
        if self.evidence < self._needed:
            return ""
        seen = sum(self.users)
        share = percent(self.users[0] / seen) if seen else "none"
        return (
            f"users are not divided as their buckets are: {count(self.users[0])} of {count(seen)} are {self.slot}'s "
            f"({share}), {percent(self._share)} were expected"
        )

    @property
    def _weight(self) -> float:
        return 1.0 / (self._number * (self._number + 1))

    def _evidence_now(self) -> float:
        return assignment_evidence(*self.users, self._share)


def divisions_of(spec: RampSpec, plan: Plan, assignment: Assignment, anchor: int) -> list[Division]:
    """The candidates of a step whose users can be counted: not with segments, of which nobody knows how many users
    they have, nor with a strategy that gives buckets unequal numbers of users.
    """
    platform, settings = spec.platform, spec.platform.checks.users
    if settings is None or not platform.identity.strategy.is_salted:
        return []
    found = []
    for variant in plan.candidates:
        candidate, baseline = assignment.share_of(variant.slot), assignment.share_of(plan.baseline)
        if variant.segments or candidate <= 0 or baseline <= 0:
            continue
        queries = UserQueries(_query(platform, variant.slot), _query(platform, plan.baseline))
        found.append(
            Division(
                variant.slot,
                queries,
                share=candidate / (candidate + baseline),
                window=int(settings.window.total_seconds()),
                anchor=anchor,
                needed=1.0 / platform.checks.sequential.alpha,
            )
        )
    return found


def baseline_query(platform: PlatformFile, baseline: SlotName) -> str | None:
    """The query that counts the baseline's users; None if nobody counts users."""
    return None if platform.checks.users is None else _query(platform, baseline)


def queries_of(divisions: Sequence[Division]) -> list[str]:
    """What their readings have to answer."""
    return list(dict.fromkeys(query for one in divisions for query in (one.queries.candidate, one.queries.baseline)))


def _query(platform: PlatformFile, slot: SlotName) -> str:
    settings = platform.checks.users
    if settings is None:
        raise AssertionError("nobody counts users")
    return render(settings.total, slot_match(platform, slot).of(Source(settings.counted_by)))


def _grown(now: ArmCounts, before: ArmCounts) -> float:
    return max(0.0, now.n - before.n)
