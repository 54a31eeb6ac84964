"""The evidence about one check of one candidate, over all steps of a ramp.

A step has a grid and judges of its own, but what was learnt at 1 % is not forgotten at 5 %: the dossier is handed from
step to step. It is rebuilt, after a crash as for the next step, from the counts of the stretches of time since the
ramp's present day of evidence began, so it needs no memory but Prometheus'.
"""

import math
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import islice, pairwise

import numpy as np

from tailramp.evidence.counts import ArmCounts, EdgeCounts
from tailramp.evidence.judge import CheckTick
from tailramp.evidence.kept import Kept, TimeBefore
from tailramp.evidence.sequential.absolute import LimitProcess
from tailramp.evidence.sequential.dispersion import Noise
from tailramp.evidence.sequential.grids import EFFECTS, Array
from tailramp.evidence.sequential.process import DAY, EvidenceProcess
from tailramp.evidence.sequential.ratios import ratios
from tailramp.evidence.sequential.rule import LADDER, SequentialRule
from tailramp.evidence.sequential.time_before import LEAST_BAD, LEAST_SECONDS, learnt_law
from tailramp.evidence.sequential.user_sets import UserSets

_AT_ONCE = 60
"""Windows that are made ready in one go; the process takes those of five minutes of them at once."""

_LEAST_HISTORY = 1000
"""Answers of the baseline before the ramp that are enough to read its quantiles from."""

_AGAINST = 1.01
"""Evidence of a row with less than this, at the end of a stretch of time, does not rest on what was counted in it."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What a dossier says about its most telling row: a bucket edge (None: the check's own bad answers), the counts
    that its evidence rests on, and how many times as often the candidate has bad answers since the ramp began, with its
    interval; `since` is how many times as often since it became worse, if it did. `more` are the bad answers in a row,
    beyond what is usual, after which the candidate would be taken back.

    Counts of `earlier` stretches are among them if those ended with evidence against the candidate: what the last
    ticks of a hold have found is known only when the next step, or the bake, has counted nothing yet.
    """

    edge: float | None
    candidate: ArmCounts
    baseline: ArmCounts
    earlier: bool
    ratio: float
    low: float
    high: float
    upper: float
    since: float
    more: int


@dataclass(frozen=True, slots=True)
class _Earlier:
    sets: UserSets
    start: int
    window: int
    kept: Kept

    @property
    def end(self) -> int:
        return self.start + self.window * len(self.kept.rows)


class Dossier:
    """Evidence that outlives a step."""

    def __init__(self, rule: SequentialRule, *, limit: float, limit_edge: float | None = None, since: int) -> None:
        """`limit`: largest allowed share, 0 to 1; `limit_edge`: its bucket edge where the check is on a histogram.
        `since`: unix time at which the ramp's first day of evidence began.
        """
        self.rule = rule
        self._limit = limit
        self._limit_edge = limit_edge
        self._since = since
        self._day = 0
        self._sets: UserSets | None = None
        self._rows: tuple[float | None, ...] = ()
        self._process: EvidenceProcess | None = None
        self._against_limit: LimitProcess | None = None
        self._last_at = since
        self._counts = np.zeros((4, 0))
        # What the evidence rests on; the stretch's own counts are what an answer is weighed against.
        self._basis = np.zeros((4, 0))
        self._evidence = rule.weight
        self._earlier: _Earlier | None = None
        self._coming: deque[CheckTick] = deque()
        # Of the next of them: the counts and the seconds since the one before.
        self._prepared: deque[tuple[Array, float]] = deque()

    def learn(self, sets: UserSets, start: int, window: int, kept: Kept) -> None:
        """Know the users from the time before the ramp; before any tick. See `TimeBefore`; `sets` are those of it."""
        self._earlier = _Earlier(sets, start, window, kept)

    @property
    def adjusted(self) -> bool | None:
        """Whether the users are known from the time before the ramp; None if nobody asked, or nothing was counted yet.

        What is learnt is learnt by row: a bucket edge with too few bad answers may be left out.
        """
        if self.rule.carry is None or self._process is None:
            return None
        return bool(self._process.adjusted.any())

    @property
    def knows_users(self) -> bool:
        """Whether the time before the ramp tells enough of the users, of all bad answers at least."""
        if self._earlier is None:
            return False
        ticks = [self._earlier.kept.tick(index, 0) for index in range(len(self._earlier.kept.rows))]
        both = [tick for tick in ticks if not tick.blind and tick.candidate.n > 0 and tick.baseline.n > 0]
        bad = sum(max([tick.candidate.bad + tick.baseline.bad, *_above(tick)]) for tick in both)
        return len(both) * self._earlier.window >= LEAST_SECONDS and bad >= LEAST_BAD

    def begin(self, sets: UserSets, at: int) -> None:
        """A stretch of time begins at unix time `at`, in which these sets of users are served; its ticks follow."""
        self._sets = sets
        self._last_at = at
        self._counts = np.zeros((4, len(self._rows)))
        if self._process is not None:
            self._basis[:, self._process.evidence < _AGAINST] = 0.0
            self._process.move(sets)

    @property
    def edges(self) -> tuple[float, ...]:
        """The bucket edges below the limit's that are compared, ascending; none before the first counts."""
        return tuple(edge for edge in self._rows if edge is not None and edge != self._limit_edge)

    @property
    def all_edges(self) -> tuple[float, ...]:
        """The limit's edge, too."""
        return tuple(edge for edge in self._rows if edge is not None)

    @property
    def evidence(self) -> float:
        """The weighted e-value of this check."""
        return self._evidence

    @property
    def breaks_limit(self) -> bool:
        """Whether the candidate certainly breaks its limit, whoever's fault that is."""
        return self._against_limit is not None and self._against_limit.evidence >= self.rule.needed

    def foresee(self, ticks: Iterable[CheckTick]) -> None:
        """Know the ticks that will be taken next, in this order: it changes nothing but the time that they take."""
        self._coming = deque(ticks)
        self._prepared.clear()

    def _window(self, tick: CheckTick, seconds: int) -> Array:
        """The counts of a tick, which the process has been told of before if the tick was known."""
        if self._process is None or not self._coming or self._coming[0] is not tick:
            self._coming.clear()
            self._prepared.clear()
            return self._counted(tick)
        if not self._prepared:
            known = list(islice(self._coming, _AT_ONCE))
            ends = [tick.at - seconds, *(one.at for one in known)]
            lengths = [float(end - begin) for begin, end in pairwise(ends)]
            self._prepared.extend(zip(map(self._counted, known), lengths, strict=True))
        if not self._process.foresees(self._prepared[0][0]):
            self._process.foresee([counts for counts, _ in self._prepared], [length for _, length in self._prepared])
        self._coming.popleft()
        return self._prepared.popleft()[0]

    def take(self, tick: CheckTick) -> None:
        """Add what one tick brought."""
        if self._sets is None:
            raise AssertionError("a dossier is told which users are served before it is shown counts")
        seconds = tick.at - self._last_at
        self._last_at = tick.at
        if self._process is None:
            self._open(tick.baseline_before)
        if self._process is None or seconds <= 0:
            return
        if (day := math.floor((tick.at - self._since) / DAY)) > self._day:
            self._day = day
            self._basis[:] = 0.0
            self._process.renew()
            if self._against_limit is not None:
                self._against_limit.renew()
        counts = self._window(tick, seconds)
        if self._process.foresees(counts):
            self._counts += counts
            self._basis += counts
        else:
            self._counts += np.where(np.isfinite(counts), counts, 0.0)
            compared = np.isfinite(counts).all(axis=0) & (counts[0::2] > 0.0).all(axis=0)
            self._basis += np.where(compared, counts, 0.0)
        if self._against_limit is not None:
            own = float(self._process.eta[self._rows.index(self._limit_edge)])
            self._against_limit.observe(tick.candidate.n, max(0.0, tick.candidate.bad), seconds, own)
        told = self._process.observe(counts, float(seconds))
        self._evidence = self.rule.weight * float(told.sum() / len(told))

    def _open(self, before: EdgeCounts) -> None:
        """Choose the rows, once, from the baseline's distribution up to the ramp's anchor."""
        if self._sets is None or not self._sets.comparable:
            return
        rungs = rungs_of(before, self._limit_edge)
        self._rows = tuple(edge for edge, _ in rungs)
        noise = Noise.of(*np.array([self.rule.noise_of(rung) for _, rung in rungs]).T)
        self._process = EvidenceProcess(noise, self._sets, tolerance=self.rule.tolerance)
        if 0 < self._limit < 1:
            self._against_limit = LimitProcess(self._limit, alpha=self.rule.alpha)
        self._counts = np.zeros((4, len(self._rows)))
        self._basis = np.zeros((4, len(self._rows)))
        if self._earlier is not None and self.rule.carry is not None:
            known, sets = self._windows(self._earlier), self._earlier.sets
            law, learnt = learnt_law(noise, sets, known, float(self._earlier.window))
            days = max(0, math.floor((self._since - self._earlier.end) / DAY))
            self._process.expect(law, learnt, sets, [self.rule.carry_of(rung) for _, rung in rungs], days=days)

    def _windows(self, earlier: "_Earlier") -> Array:
        """Shape (windows, 4, rows); what could not be seen is no count."""
        ticks = (earlier.kept.tick(index, earlier.start) for index in range(len(earlier.kept.rows)))
        blind = np.full((4, len(self._rows)), np.nan)
        windows = [blind if tick.blind else self._counted(tick, by_edge=True) for tick in ticks]
        return np.array(windows).reshape(-1, 4, len(self._rows))

    def _counted(self, tick: CheckTick, *, by_edge: bool = False) -> Array:
        """Shape (4, rows). An edge that an arm does not have is no count.

        `by_edge`: the tick's own bad answers may be those of another limit.
        """
        counts = np.empty((4, len(self._rows)))
        for row, edge in enumerate(self._rows):
            arms = ((tick.candidate, tick.candidate_edges), (tick.baseline, tick.baseline_edges))
            for arm, (own, edges) in enumerate(arms):
                limit = edge is None or (edge == self._limit_edge and not by_edge)
                counts[2 * arm, row] = own.n
                bad = own.bad if limit or edge is None else edges.above.get(edge, math.nan)
                # Within one tick a scrape may fall between two increments of one answer.
                counts[2 * arm + 1, row] = max(0.0, bad) if math.isfinite(bad) else math.nan
        return counts

    def finding(self) -> Finding | None:
        """Say what the most telling row says; None as long as nothing could be compared."""
        process = self._process
        if process is None:
            return None
        row = int(np.argmax(process.evidence))
        log_ratios, told = process.ratio_support
        found = ratios(log_ratios, told[[row]], process.spread[[row]], process.centre[[row]])
        n_c, x_c, n_b, x_b = (float(part) for part in self._basis[:, row])
        return Finding(
            edge=self._rows[row],
            candidate=ArmCounts(n_c, x_c),
            baseline=ArmCounts(n_b, x_b),
            earlier=n_c > float(self._counts[0, row]),
            ratio=float(found.estimate[0]),
            low=float(found.low[0]),
            high=float(found.high[0]),
            upper=float(found.upper[0]),
            since=process.ratio_since(row),
            more=self._more(row),
        )

    def risks(self) -> tuple[tuple[float, float], ...]:
        """Return the largest ratio still possible, and the baseline's rate in this stretch, of what harms users.

        That are the check's own bad answers, and of a histogram those above the edge next below the limit's, too.
        """
        if self._process is None:
            return ()
        log_ratios, told = self._process.ratio_support
        upper = ratios(log_ratios, told, self._process.spread, self._process.centre).upper
        # One bad answer more than was seen: of what has not happened yet it is not known that it never does.
        bad = self._counts[3] + 1.0
        base = np.divide(bad, self._counts[2], out=np.ones(len(self._rows)), where=self._counts[2] >= bad)
        rows = range(max(0, len(self._rows) - 2), len(self._rows))
        return tuple((float(upper[row]), float(base[row])) for row in rows)

    def _more(self, row: int) -> int:
        """Bad answers in a row that would bring the evidence to what is needed, if all were the candidate's."""
        process = self._process
        n_c, _, n_b, _ = self._counts[:, row]
        if process is None or n_c <= 0 or n_b <= 0:
            return 0
        # One more bad answer multiplies the likelihood of an effect by so much.
        base = n_c * self.rule.tolerance
        gain = EFFECTS + np.log((base + n_b) / (base * np.exp(EFFECTS) + n_b))
        missing = math.log(self.rule.needed / max(self.evidence, 1e-12)) + math.log(len(EFFECTS) / 0.3)
        return max(1, math.ceil(missing / float(process.eta[row] * gain.max())))


def _above(tick: CheckTick) -> list[float]:
    """Answers of both arms above each edge."""
    above = tick.candidate_edges.above
    return [count + above.get(edge, 0.0) for edge, count in tick.baseline_edges.above.items()]


def teach(dossiers: Mapping[tuple[str, str], Dossier], earlier: TimeBefore | None) -> None:
    """Have the dossiers, by slot and name of the check, learn from the time before the ramp what it tells of each."""
    if earlier is None:
        return
    for (slot, name), dossier in dossiers.items():
        kept, shares = earlier.kept.get(slot, {}).get(name), earlier.shares.get(slot)
        if kept is not None and shares is not None and UserSets(*shares).comparable:
            dossier.learn(UserSets(*shares), earlier.start, earlier.window, kept)


def rungs_of(before: EdgeCounts, limit_edge: float | None) -> list[tuple[float | None, int]]:
    """Return the bucket edges to compare, ascending, each with its rung; one row without an edge for a plain ratio.

    `before` is the distribution that the quantiles are read from; with little in it only the limit's edge is compared.
    """
    last = len(LADDER)
    if limit_edge is None:
        return [(None, last)]
    chosen: dict[float, int] = {}
    if before.n >= _LEAST_HISTORY:
        shares = {edge: above / before.n for edge, above in before.above.items() if above > 0 and edge < limit_edge}
        for rung, quantile in enumerate(LADDER):
            wanted = math.log(1 - quantile)
            nearest = min(shares, key=lambda edge: abs(math.log(shares[edge]) - wanted), default=None)
            if nearest is not None:
                chosen[nearest] = rung  # of two quantiles with one edge the outer one, whose noise is larger
    return [*sorted(chosen.items()), (limit_edge, last)]
