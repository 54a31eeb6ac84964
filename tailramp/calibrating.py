"""What a service's own counts say about its noise: which groups are compared, and what the comparison gives.

Three divisions of the same answers tell three things.  Two slots that serve the same model differ as candidate and
baseline will, so they are the best there is.  Two halves of the servers of one slot show how servers differ.  Two
halves of the buckets show how bad answers come in bursts, since a user's session is in one bucket whole, however many
servers it meets.  Where several tell the same size, the largest counts.  How much the users of a bucket differ from
those of another only the buckets themselves can tell, over a long time, and how much of that stays, day beside day.
"""

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

import numpy as np

from tailramp.evidence import Check, EdgeCounts, HistogramCheck, Reading, Sample, SlotMatch, Source
from tailramp.evidence.arms import Arm
from tailramp.evidence.sequential.calibration import (
    LEAST_BAD,
    LEAST_BLOCKS,
    LEAST_BUCKETS,
    LEAST_DAYS,
    LEAST_EVENTS,
    LEAST_OF_EACH,
    Estimate,
    carry_estimate,
    comparable,
    noise_estimates,
    spread_estimate,
)
from tailramp.evidence.sequential.dossier import rungs_of
from tailramp.evidence.sequential.grids import Array
from tailramp.evidence.sequential.rule import LADDER, UNMEASURED_CARRY
from tailramp.judges import cautious_noise

SIZES: Final = ("tau", "phi0", "sigma0", "carry")
"""What is estimated, by the names that it has in the platform file."""

BLOCK_SECONDS: Final = 300
_DAY_SECONDS: Final = 86_400
_BUCKET = re.compile(r"[0-9]{1,4}")
_LABEL = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
_RUNGS: Final = len(LADDER) + 1


class Division(StrEnum):
    """How the two groups of a comparison are told apart."""

    SLOTS = "slots"
    SERVERS = "servers"
    BUCKETS = "buckets"


@dataclass(frozen=True)
class Pair:
    """Two groups of answers of the same model."""

    division: Division
    groups: tuple[SlotMatch, SlotMatch]


class GroupCounts:
    """The totals of one check for one group, reading by reading; servers restart and come without harm."""

    def __init__(self, check: Check, group: SlotMatch, bucket_label: str) -> None:
        # Buckets are added up by Prometheus: they are many, and here nothing depends on them.
        self.queries = {part: without(bucket_label, query) for part, query in check.queries(group).items()}
        self.labels: dict[str, set[str]] = {}
        """The labels that its series have had, each with its values."""
        self.native = check.has_native_answers
        self._arm = check.arm()

    def take(self, reading: Reading, *, starting: bool) -> bool:
        """Add what the reading brings; say whether it can be believed."""
        answers = {part: reading.answers[query] for part, query in self.queries.items()}
        if any(answer.fault for answer in answers.values()):
            return False
        for answer in answers.values():
            for sample in answer.samples:
                for name, value in sample.labels:
                    self.labels.setdefault(name, set()).add(value)
        samples = {part: answer.samples for part, answer in answers.items()}
        return not self._arm.take(samples, starting=starting) and not self._arm.vanished

    @property
    def edges(self) -> EdgeCounts:
        """The distribution of what was counted since the start."""
        return self._arm.edges

    def totals(self, rows: Sequence[float | None]) -> Array:
        """Answers and bad answers since the start, shape (2, rows)."""
        return _totals(self._arm, rows)


class PairCounts:
    """The counts of two groups, window by window; one that a gap or a fault spoils is left out."""

    def __init__(self, check: Check, pair: Pair, rows: Sequence[float | None], bucket_label: str) -> None:
        self.pair = pair
        self.native = check.has_native_answers
        self._rows = rows
        self._groups = [GroupCounts(check, group, bucket_label) for group in pair.groups]
        self._before: Array | None = None
        self._windows: list[Array] = []

    @property
    def queries(self) -> list[str]:
        """What its readings have to answer."""
        return [query for group in self._groups for query in group.queries.values()]

    def take(self, reading: Reading, *, starting: bool) -> None:
        """Add the window that ends with this reading; with ``starting`` it only says where the counting begins."""
        good = [group.take(reading, starting=starting) for group in self._groups]
        if not all(good):
            self._before = None
            return
        now = np.concatenate([group.totals(self._rows) for group in self._groups])
        if self._before is not None and not starting:
            self._windows.append(np.maximum(0.0, now - self._before))
        self._before = now

    def windows(self, row: int) -> Array:
        """Shape (windows, 4): answers and bad answers of the one group and of the other."""
        windows: Array = np.array([window[:, row] for window in self._windows]).reshape(-1, 4)
        known: Array = windows[np.isfinite(windows).all(axis=1)]
        return known


class BucketCounts:
    """The totals of one check by bucket of the users, over some slots that serve the same model."""

    def __init__(self, check: Check, slots: Sequence[SlotMatch], rows: Sequence[float | None], label: str) -> None:
        self.native = check.has_native_answers
        self._label = label
        self._rows = rows
        self._queries = [check.queries(slot) for slot in slots]
        self._check = check
        self._arms: dict[tuple[int, str], Arm] = {}
        self._start = 0
        # The totals at the end of every whole day, by bucket, shape (2, rows) each.
        self._ends: list[dict[str, Array]] = []
        self.digits = 0
        """Of the values of the label; buckets of four digits are added up to their parents of two."""

    @property
    def queries(self) -> list[str]:
        """What its readings have to answer."""
        return [query for parts in self._queries for query in parts.values()]

    def take(self, reading: Reading, *, starting: bool) -> None:
        """Add what the reading brings."""
        for slot, queries in enumerate(self._queries):
            by_bucket: dict[str, dict[str, list[Sample]]] = {}
            for part, query in queries.items():
                for sample in reading.answers[query].samples:
                    bucket = dict(sample.labels).get(self._label, "")
                    if _BUCKET.fullmatch(bucket):
                        self.digits = max(self.digits, len(bucket))
                        parts = by_bucket.setdefault(bucket, {name: [] for name in queries})
                        parts[part].append(sample)
            for bucket, answers in by_bucket.items():
                arm = self._arms.setdefault((slot, bucket), self._check.arm())
                arm.take(answers, starting=starting)
        if starting:
            self._start = reading.at
        elif reading.at - self._start >= _DAY_SECONDS * (self.days + 1):
            self._ends.append(self._now())

    @property
    def days(self) -> int:
        """Whole days that were counted."""
        return len(self._ends)

    def _now(self) -> dict[str, Array]:
        kept = 2 if self.digits > 2 else self.digits
        found: dict[str, Array] = {}
        for (_, bucket), arm in self._arms.items():
            counts = _totals(arm, self._rows)
            found[bucket[:kept]] = found.get(bucket[:kept], np.zeros_like(counts)) + counts
        return found

    def totals(self, row: int) -> Array:
        """Answers and bad answers of every bucket, shape (2, buckets)."""
        return np.array([counts[:, row] for counts in self._now().values()]).reshape(-1, 2).T

    def by_day(self, row: int) -> Array:
        """Answers and bad answers of every bucket on every whole day, shape (2, days, buckets); with fewer than two
        days the whole time is one.
        """
        ends = self._ends if self.days > 1 else [self._now()]
        nothing = np.zeros((2, len(self._rows)))
        totals = np.array([[end.get(bucket, nothing)[:, row] for bucket in ends[-1]] for end in ends], dtype=float)
        of_days: Array = np.diff(totals, axis=0, prepend=np.zeros_like(totals[:1])).transpose(2, 0, 1)
        return of_days

    @property
    def size(self) -> float:
        """Of one bucket, in % of the users."""
        return 10.0 if self.digits == 1 else 1.0


@dataclass(frozen=True)
class Row:
    """What was found about one bucket edge (None: the check's own bad answers); ``rung`` is its place in the ladder."""

    edge: float | None
    rung: int
    n: float
    bad: float
    tau: Estimate | None = None
    phi0: Estimate | None = None
    sigma0: Estimate | None = None
    carry: Estimate | None = None


@dataclass(frozen=True)
class Found:
    """What was found about one check.  ``missing`` says of each size that no row tells why, and what would help."""

    check: str
    rows: tuple[Row, ...]
    missing: Mapping[str, str] = field(default_factory=dict)

    def noise(self, assumed: Mapping[str, Sequence[float]]) -> dict[str, tuple[float, ...]]:
        """The numbers for ``checks.sequential.noise``: the upper ends, rounded up, of the sizes that a row tells, and
        of ``carry`` the lower ones, rounded down.

        Of a histogram's rungs those between stand for the next outer one, as they do in the test; where even that is
        not told, ``assumed`` stays: the cautious values of each size, one or one per rung.
        """
        noise: dict[str, tuple[float, ...]] = {}
        for name in SIZES:
            told = {
                row.rung: estimate.low if name == "carry" else estimate.high
                for row in self.rows
                if (estimate := getattr(row, name)) is not None
            }
            if not told:
                continue
            if self.rows[-1].edge is None:
                noise[name] = (_written(told[self.rows[-1].rung], name),)
                continue
            usual = assumed[name]
            outer = [next((r.rung for r in self.rows if r.rung >= rung), _RUNGS - 1) for rung in range(_RUNGS)]
            values = [told.get(rung, usual[min(rung, len(usual) - 1)]) for rung in outer]
            noise[name] = tuple(_written(value, name) for value in values)
        return noise


def rows_of(check: Check, distribution: EdgeCounts) -> list[tuple[float | None, int]]:
    """The rows that the sequential test compares, with their rungs."""
    return rungs_of(distribution, check.limit_edge)


def with_edges(check: Check, rows: Sequence[float | None]) -> Check:
    """The check with no other edges than those of the rows."""
    if not isinstance(check, HistogramCheck):
        return check
    return check.model_copy(update={"ladder": tuple(edge for edge in rows if edge is not None)})


def is_label(name: str) -> bool:
    """Whether a series may have a label of that name."""
    return _LABEL.fullmatch(name) is not None


def without(label: str, query: str) -> str:
    """PromQL that adds a query up over a label and keeps all others."""
    return f"sum without ({label}) ({query})"


def with_matcher(group: SlotMatch, matcher: str, name: str) -> SlotMatch:
    """The part of a group that a further label matcher selects."""
    return SlotMatch(slot=name, metrics=f"{group.metrics},{matcher}", gateway=f"{group.gateway},{matcher}")


def halves_of_servers(slot: SlotMatch, label: str, servers: Sequence[str]) -> Pair | None:
    """Every second server against the others; None for fewer than two."""
    ordered = sorted(servers)
    if len(ordered) < 2:
        return None
    first, second = (
        with_matcher(slot, f"{label}=~{_one_of(half)}", f"{slot.slot}, {name} half of the servers")
        for name, half in (("first", ordered[::2]), ("second", ordered[1::2]))
    )
    return Pair(Division.SERVERS, (first, second))


def halves_of_buckets(slot: SlotMatch, label: str) -> Pair:
    """Even buckets against odd ones."""
    even, odd = (
        with_matcher(slot, f'{label}=~"[0-9]*[{digits}]"', f"{slot.slot}, {name} buckets")
        for name, digits in (("even", "02468"), ("odd", "13579"))
    )
    return Pair(Division.BUCKETS, (even, odd))


def found_of(
    check: Check,
    rows: Sequence[tuple[float | None, int]],
    pairs: Sequence[PairCounts],
    buckets: BucketCounts | None,
    *,
    totals: Array,
    window: float,
) -> Found:
    """Estimate what can be estimated.

    ``totals``: answers and bad answers in the whole time, shape (2, rows); ``window``: seconds of the pairs' windows.
    """
    per_block = max(1, round(BLOCK_SECONDS / window))
    found = []
    for number, (edge, rung) in enumerate(rows):
        by_division: dict[Division, list[tuple[Estimate, Estimate]]] = {}
        for pair in pairs:
            if (told := noise_estimates(pair.windows(number), per_block)) is not None:
                by_division.setdefault(pair.pair.division, []).append(told)
        phi0 = [told[0] for all_told in by_division.values() for told in all_told]
        # Two halves of the buckets are served by the same servers.
        sigma0 = [told[1] for division, all_told in by_division.items() if division != "buckets" for told in all_told]
        largest_phi0 = max(phi0, key=lambda one: one.high, default=None)
        tau = carry = None
        if buckets is not None and largest_phi0 is not None:
            n, x = buckets.by_day(number)
            tau = spread_estimate(n, x, largest_phi0.value, buckets.size)
            carry = carry_estimate(n, x, largest_phi0.value)
        found.append(
            Row(
                edge,
                rung,
                float(totals[0, number]),
                float(totals[1, number]),
                tau=tau,
                phi0=largest_phi0,
                sigma0=max(sigma0, key=lambda one: one.high, default=None),
                carry=carry,
            )
        )
    return Found(check.name, tuple(found), _missing(check, found, pairs, buckets, per_block))


def _missing(
    check: Check, rows: Sequence[Row], pairs: Sequence[PairCounts], buckets: BucketCounts | None, per_block: int
) -> dict[str, str]:
    """Why a size is not told, with how much is needed and how much there is."""
    missing = {}
    if all(row.phi0 is None for row in rows):
        missing["phi0"] = _too_few_answers(pairs, len(rows), per_block)
    if all(row.tau is None for row in rows):
        # Before it is known how bad answers come together, that would pass for a difference between buckets.
        told = _too_few_buckets(buckets, len(rows))
        missing["tau"] = missing["phi0"] if "phi0" in missing and buckets is not None else told
    if all(row.carry is None for row in rows):
        missing["carry"] = missing.get("tau") or _no_carry(buckets)
    if all(row.sigma0 is None for row in rows):
        telling = [pair for pair in pairs if pair.pair.division is not Division.BUCKETS]
        if telling:
            missing["sigma0"] = _too_few_answers(telling, len(rows), per_block)
        elif check.source is Source.GATEWAY:
            missing["sigma0"] = "of what the gateway counts only two slots that serve the same model tell it"
        else:
            missing["sigma0"] = "two servers or more tell it, or two slots that serve the same model"
    return missing


def _too_few_buckets(buckets: BucketCounts | None, rows: int) -> str:
    totals = [buckets.totals(row) for row in range(rows)] if buckets is not None else []
    if buckets is None or not totals[0].size:
        return "its series have no label that names a bucket"
    seen = int((totals[0][0] > 0).sum())
    if seen < LEAST_BUCKETS:
        return f"{seen} of the {LEAST_BUCKETS} buckets with answers that are needed"
    most = max(float(x[n > 0].mean()) for n, x in totals)
    return f"{most:.1f} of the {LEAST_EVENTS:g} bad answers of a bucket that are needed, on average"


def _no_carry(buckets: BucketCounts | None) -> str:
    days = 0 if buckets is None else buckets.days
    if days < LEAST_DAYS:
        return f"{days} of the {LEAST_DAYS} whole days that are needed"
    return "the buckets differ by hardly more than chance"


def _too_few_answers(pairs: Sequence[PairCounts], rows: int, per_block: int) -> str:
    found = [comparable(pair.windows(row), per_block) for pair in pairs for row in range(rows)]
    blocks = max((len(one) for one in found), default=0)
    if not blocks:
        return "there is nothing to compare: two slots, two servers or a label that names a bucket"
    if blocks < LEAST_BLOCKS:
        return f"{blocks} of the {LEAST_BLOCKS} blocks of five minutes that are needed"
    bad = [one[:, :, 1::2].sum(axis=(0, 1)) for one in found]
    most = max(float(both.sum()) for both in bad)
    if most < LEAST_BAD:
        return f"{most:,.0f} of the {LEAST_BAD:g} bad answers that are needed"
    fewer = max(float(both.min()) for both in bad)
    return f"{fewer:,.0f} of the {LEAST_OF_EACH:g} bad answers of either group that are needed"


def assumed_of(check: Check) -> dict[str, tuple[float, ...]]:
    """The cautious noise of a check, by size."""
    usual = cautious_noise(check)
    return {"tau": usual.tau, "phi0": usual.phi0, "sigma0": usual.sigma0, "carry": (UNMEASURED_CARRY,)}


def _totals(arm: Arm, rows: Sequence[float | None]) -> Array:
    if rows and rows[-1] is not None:
        above = arm.edges.above
        return np.array([[arm.edges.n] * len(rows), [above.get(edge or 0.0, math.nan) for edge in rows]])
    return np.array([[arm.total.n], [arm.total.bad]])


def _one_of(values: Sequence[str]) -> str:
    """A pattern of exactly these values, as PromQL quotes it."""
    return json.dumps("|".join(re.escape(value) for value in values), ensure_ascii=False)


def _written(value: float, name: str) -> float:
    """Rounded to what a person writes, to the careful side, within what the file accepts."""
    if name == "carry":
        return min(0.99, max(0.0, math.floor(value * 100) / 100))
    if name == "phi0":
        return min(10_000.0, max(1.0, math.ceil(value * 100) / 100))
    return min(3.0, math.ceil(value * 1000) / 1000)
