"""Checks, slots and readings as the tests of evidence write them."""

from collections.abc import Mapping, Sequence

from tailramp.evidence import (
    Answer,
    ArmCounts,
    Check,
    CheckBook,
    CheckTick,
    Grid,
    Protection,
    Reading,
    Sample,
    SlotMatch,
    ThresholdJudge,
    ThresholdRule,
    Verdict,
    gateway_errors,
    latency,
    toxicity,
)
from tailramp.evidence.wording import Wording

ANCHOR = 1_760_000_000
BLUE = SlotMatch(slot="blue", metrics='slot="blue"', gateway='envoy_cluster_name="blue"')
GREEN = SlotMatch(slot="green", metrics='slot="green"', gateway='envoy_cluster_name="green"')
RED = SlotMatch(slot="red", metrics='slot="red"', gateway='envoy_cluster_name="red"')
GRID = Grid(anchor=ANCHOR, tick=5)
RULE = ThresholdRule(min_sample=10, floor=20, window=10, consecutive=3)


def sample(value: float, **labels: str) -> Sample:
    return Sample(tuple(sorted(labels.items())), value)


def histogram(all_answers: float, within: float, edge: str = "2", **labels: str) -> list[Sample]:
    return [sample(within, le=edge, **labels), sample(all_answers, le="+Inf", **labels)]


def three_checks(rule: ThresholdRule = RULE) -> list[Check]:
    return [gateway_errors(rule=rule), latency(rule=rule), toxicity(rule=rule)]


def reading(at: int, answers: Mapping[str, Sequence[Sample]]) -> Reading:
    return Reading(at, {query: Answer(tuple(samples)) for query, samples in answers.items()})


def toxicity_reading(at: int, green: tuple[float, float], blue: tuple[float, float]) -> Reading:
    """A reading for the toxicity check: (scored, toxic) of both slots, as raw counters."""
    answers: dict[str, list[Sample]] = {}
    for slot, (scored, toxic) in ((GREEN, green), (BLUE, blue)):
        queries = toxicity().queries(slot)
        answers[queries["total"]] = [sample(scored, slot=slot.slot)]
        answers[queries["bad"]] = [sample(toxic, slot=slot.slot)]
    return reading(at, answers)


def toxicity_book(rule: ThresholdRule = RULE, run_up: int = 0) -> CheckBook:
    return CheckBook([toxicity(rule=rule)], [GREEN], BLUE, GRID, run_up=run_up)


def rebuild(book: CheckBook, readings: Sequence[Reading]) -> list[Verdict]:
    """Show a book many readings, oldest first, as after a crash; the verdicts after the last."""
    for one in readings:
        book.take(one)
    return book.verdicts


def unanswered(like: Reading, fault: str = "Prometheus cannot be reached") -> Reading:
    return Reading(like.at, dict.fromkeys(like.answers, Answer(fault=fault)))


class Bench:
    """A threshold judge and its ticks, fed by counts per tick."""

    def __init__(self, *without: Protection, limit: float = 0.01, **rule: float) -> None:
        settings = {**RULE.model_dump(exclude={"without"}), **rule}
        self.judge = ThresholdJudge(
            ThresholdRule(**settings, without=frozenset(without)),
            limit=limit,
            check="latency",
            slot="green",
            words=Wording(breach="p99 above 2 s", unit="answers", bad="slower than 2 s"),
        )
        self.index = 0
        self.judge.observe(CheckTick(index=0, at=ANCHOR))

    def tick(self, n: float = 0, bad: float = 0, baseline: tuple[float, float] = (0, 0), blind: str = "") -> Verdict:
        """Show the judge the next tick, 5 s later."""
        self.index += 1
        at = GRID.time(self.index)
        if blind:
            return self.judge.observe(CheckTick(index=self.index, at=at, blind=blind))
        return self.judge.observe(
            CheckTick(index=self.index, at=at, candidate=ArmCounts(n, bad), baseline=ArmCounts(*baseline))
        )

    def window(self, n: float, bad: float, baseline: tuple[float, float] = (0, 0)) -> Verdict:
        """Show the judge two ticks that fill one window of 10 s; the verdict after it has closed."""
        self.tick()
        return self.tick(n, bad, baseline)
