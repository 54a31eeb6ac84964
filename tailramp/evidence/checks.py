"""The questions that are asked of Prometheus about a candidate, and what counts as bad in the answer.

A check is written once and asked of every slot: `{match}` in its queries becomes the label matchers of the slot. Who
is asked matters. Requests and errors are counted at the gateway, because a dead server reports nothing; latency and
toxicity are known only to the server. So each slot has two sets of matchers, and a check says which of the two it
means.

Queries return raw counters, never rates: see `counts`.
"""

from collections.abc import Collection, Iterable, Mapping
from decimal import Decimal
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from tailramp.evidence.arms import Arm, HistogramArm, RatioArm
from tailramp.evidence.in_flight import HangingArm
from tailramp.evidence.judge import Judge, JudgeName
from tailramp.evidence.jury import Jury
from tailramp.evidence.relative import RelativeJudge
from tailramp.evidence.sequential.judge import SequentialJudge
from tailramp.evidence.sequential.rule import SequentialRule
from tailramp.evidence.threshold import ThresholdJudge, ThresholdRule
from tailramp.evidence.wording import Wording
from tailramp.forms import Matchers
from tailramp.presets.model import TimeUnit
from tailramp.query_template import checked_template, render

if TYPE_CHECKING:
    from tailramp.evidence.sequential.dossier import Dossier


class Source(StrEnum):
    """Which of a slot's two sets of matchers a check uses: who counted."""

    GATEWAY = "gateway"
    SERVER = "server"


class SlotMatch(BaseModel):
    """The label matchers by which the series of one slot are told from those of the others."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    slot: str = Field(min_length=1)
    metrics: Matchers = Field(description='for what the servers export, such as slot="green"')
    gateway: Matchers = Field(description='for what the gateway exports, such as envoy_cluster_name="green"')

    def of(self, source: Source) -> str:
        """Return the matchers for what `source` exports."""
        return self.gateway if source is Source.GATEWAY else self.metrics


class _CheckBase(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(min_length=1, description="errors, latency, toxicity, …")
    source: Source
    limit: float = Field(
        ge=0, lt=1, description="largest share of bad answers that is still allowed; more than this breaches"
    )
    rule: ThresholdRule
    judges: tuple[JudgeName, ...] = Field(default=(JudgeName.THRESHOLD,), min_length=1)
    sequential: SequentialRule | None = Field(default=None, description="of the sequential judge, where it is one")
    breach: str = Field(min_length=1, description="what a breach is called: p99 above 2 s")
    unit: str = Field(default="answers", min_length=1, description="what is counted")
    bad_is: str = Field(min_length=1, description="what a bad one is: slower than 2 s")
    in_settle: bool = Field(description="may fail while a step still settles; not latency, which cold caches explain")
    hint: str = Field(default="", description="what to see to if Prometheus has no series for it")

    @property
    def words(self) -> Wording:
        """The words of this check for its verdicts."""
        return Wording(breach=self.breach, unit=self.unit, bad=self.bad_is)

    @property
    def is_sequential(self) -> bool:
        """Whether the sequential judge is one of its judges."""
        return self.sequential is not None and JudgeName.SEQUENTIAL in self.judges

    def judge(self, slot: str, floor: int = 0, dossier: "Dossier | None" = None, *, listening: bool = False) -> Jury:
        """Return new judges of this check for the candidate in `slot`.

        `floor` is the step's evidence floor, in answers. The sequential judge speaks for a `dossier`, and is left out
        without one; see `SequentialJudge` for `listening`.
        """
        floor = max(self.rule.floor, floor)
        rule = self.rule.model_copy(update={"floor": floor})
        judges: list[Judge] = []
        sequential: SequentialJudge | None = None
        for name in self.judges:
            if name is JudgeName.THRESHOLD:
                judges.append(ThresholdJudge(rule, limit=self.limit, check=self.name, slot=slot, words=self.words))
            elif name is JudgeName.RELATIVE:
                judges.append(RelativeJudge(rule, limit=self.limit, check=self.name, slot=slot, words=self.words))
            elif dossier is not None:
                sequential = SequentialJudge(
                    dossier,
                    limit=self.limit,
                    check=self.name,
                    slot=slot,
                    floor=floor,
                    words=self.words,
                    bad_above=self.bad_above,
                    listening=listening,
                )
                judges.append(sequential)
        return Jury(judges, sequential)

    def dossier(self, since: int) -> "Dossier":
        """Return a new dossier of this check; `since`: unix time at which the ramp's first day of evidence began."""
        from tailramp.evidence.sequential.dossier import Dossier  # numpy: only who judges waits for it

        if self.sequential is None:
            raise AssertionError(f"the check {self.name} has no sequential judge")
        return Dossier(self.sequential, limit=self.limit, limit_edge=self.limit_edge, since=since)

    @property
    def has_native_answers(self) -> bool:
        """Whether its queries return native histograms."""
        return False

    @property
    def limit_edge(self) -> float | None:
        """The bucket edge of the limit; None where nothing is counted by buckets."""
        return None

    def bad_above(self, edge: float) -> str:
        """Return what an answer above a bucket edge is called."""
        return f"above {edge:g}"


class RatioCheck(_CheckBase):
    """A check on two counters: all answers, and the bad ones."""

    kind: Literal["ratio"] = "ratio"
    total: str = Field(description="PromQL of the counter of all answers")
    bad: str = Field(description="PromQL of the counter of bad answers")
    bad_absent_is_zero: bool = Field(
        default=False, description="true where the counter of bad answers is created by the first of them"
    )

    @field_validator("total", "bad")
    @classmethod
    def _query(cls, value: str) -> str:
        return checked_template(value)

    def queries(self, slot: SlotMatch) -> Mapping[str, str]:
        """Return the PromQL for `slot`, by part: `total` and `bad`."""
        match = slot.of(self.source)
        return {"total": render(self.total, match), "bad": render(self.bad, match)}

    def arm(self) -> Arm:
        """Return a new, empty arm of this check."""
        return RatioArm(bad_absent_is_zero=self.bad_absent_is_zero)


class HistogramCheck(_CheckBase):
    """A check on a classic histogram: an answer above the edge is bad.

    A limit on a percentile is a limit on a share: p99 > 2 s exactly if more than 1 % of the answers took longer than
    2 s. So nothing is interpolated, and the edge must be one of the histogram's own.

    A judge that compares two whole distributions wants more edges than the limit's. With `ladder` the same one query
    brings them, and every `CheckTick` then carries `candidate_edges` and `baseline_edges` beside the counts at the
    limit. Which edges to take can be read from `CheckTick.baseline_before`, the baseline's own distribution up to the
    anchor: ask with `ladder=None` until it is known, or fix the edges in the check for good.
    """

    kind: Literal["histogram"] = "histogram"
    buckets: str = Field(description="PromQL of the _bucket series, raw or summed by (instance, le)")
    edge: float = Field(gt=0, allow_inf_nan=False, description="the limit, in the unit of the histogram")
    time_unit: TimeUnit = TimeUnit.SECONDS
    ladder: tuple[float, ...] | None = Field(
        default=(),
        description="edges that are counted beside the limit, in the unit of the histogram, as far as it has them; "
        "null for all that it has",
    )
    native: bool = Field(
        default=False, description="whether the query returns native histograms instead of _bucket series; see `native`"
    )

    @field_validator("buckets")
    @classmethod
    def _query(cls, value: str) -> str:
        return checked_template(value)

    def queries(self, slot: SlotMatch) -> Mapping[str, str]:
        """Return the PromQL for `slot` by part: the one query `buckets`, for the edges that are counted and no others.

        A range query over a day returns a value per tick, server and edge, so a ladder of a few edges is worth
        naming once they are known.
        """
        if self.ladder is None or self.native:
            return {"buckets": self.all_edges_query(slot)}
        edges = "|".join(_spellings(edge) for edge in dict.fromkeys((self.edge, *self.ladder)))
        return {"buckets": render(self.buckets, f'{slot.of(self.source)},le=~"{edges}|\\\\+Inf"')}

    @property
    def has_native_answers(self) -> bool:
        """See `_CheckBase.has_native_answers`."""
        return self.native

    @property
    def limit_edge(self) -> float | None:
        """See `_CheckBase.limit_edge`."""
        return self.edge

    def bad_above(self, edge: float) -> str:
        """See `_CheckBase.bad_above`; in seconds."""
        return f"slower than {edge / self.time_unit.per_second:g} s"

    def all_edges_query(self, slot: SlotMatch) -> str:
        """Return the PromQL for every edge of the histogram of `slot`."""
        return render(self.buckets, slot.of(self.source))

    def arm(self) -> Arm:
        """Return a new, empty arm of this check."""
        return HistogramArm(edge=self.edge, others=self.ladder, unit=self.time_unit, native=self.native)


class HangingCheck(_CheckBase):
    """A check on requests in flight: one that does not end within `seconds` is bad. See `hanging`."""

    kind: Literal["hanging"] = "hanging"
    active: str = Field(description="PromQL of the gauge of requests in flight")
    ended: str = Field(description="PromQL of the counters of requests that came to an end, in whatever way")
    seconds: float = Field(gt=0, allow_inf_nan=False, description="longer than this, a request hangs")

    @field_validator("active", "ended")
    @classmethod
    def _query(cls, value: str) -> str:
        return checked_template(value)

    def queries(self, slot: SlotMatch) -> Mapping[str, str]:
        """Return the PromQL for `slot` by part: `least` and `before` of the gauge, `ended` and `endedBefore`."""
        ago = f"{round(self.seconds * 1000)}ms"
        active, ended = self.active_query(slot), self.ended_query(slot)
        return {
            "least": f"min_over_time({active}[{ago}])",
            "before": f"{active} offset {ago}",
            "ended": ended,
            "endedBefore": f"{ended} offset {ago}",
        }

    def active_query(self, slot: SlotMatch) -> str:
        """Return the PromQL of the gauge itself."""
        return render(self.active, slot.of(self.source))

    def ended_query(self, slot: SlotMatch) -> str:
        """Return the PromQL of the counters of requests that ended."""
        return render(self.ended, slot.of(self.source))

    def arm(self) -> Arm:
        """Return a new, empty arm of this check."""
        return HangingArm()


Check = Annotated[RatioCheck | HistogramCheck | HangingCheck, Field(discriminator="kind")]


def queries_of(checks: Iterable[Check], slots: Collection[SlotMatch]) -> tuple[str, ...]:
    """Everything that the checks ask about the slots, each query once."""
    asked = (query for check in checks for slot in slots for query in check.queries(slot).values())
    return tuple(dict.fromkeys(asked))


def native_queries(checks: Iterable[Check], slots: Collection[SlotMatch]) -> tuple[str, ...]:
    """Those of them that return native histograms."""
    return queries_of((check for check in checks if check.has_native_answers), slots)


def _spellings(edge: float) -> str:
    """Return a regular expression, as PromQL quotes it, for the ways exporters write an edge: 2, 2.0, 2.00, 2e+00."""
    exact = Decimal(repr(edge)).normalize()
    whole, _, fraction = format(exact, "f").partition(".")
    plain = f"{whole}\\\\.{fraction}0*" if fraction else f"{whole}(?:\\\\.0*)?"
    mantissa, _, exponent = format(exact, "e").partition("e")
    sign = "-" if exponent.startswith("-") else "[+]?"
    return f"{plain}|{mantissa.replace('.', '[.]')}e{sign}0*{exponent.lstrip('+-')}"
