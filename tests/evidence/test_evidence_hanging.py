"""What hangs is counted, and nothing else is."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

import pytest
from evidence_samples import BLUE, GREEN, GRID, RULE, reading, sample

from tailramp.evidence import ArmCounts, CheckBook, Sample, Source, Verdict, VerdictKind, hanging
from tailramp.evidence.in_flight import FEWEST, HangingArm
from tailramp.presets.gateways import ENVOY

assert ENVOY.in_flight is not None
CHECK = hanging(30.0, RULE, ENVOY.in_flight, Source.GATEWAY)


def parts(least: float, before: float, ended: float, ended_before: float, instance: str = "a") -> dict[str, Sample]:
    values = {"least": least, "before": before, "ended": ended, "endedBefore": ended_before}
    return {part: sample(value, instance=instance) for part, value in values.items()}


def take(arm: HangingArm, *processes: dict[str, Sample], starting: bool = False) -> str:
    answers = {part: [process[part] for process in processes if part in process] for part in parts(0, 0, 0, 0)}
    return arm.take(answers, starting=starting)


def test_the_gauge_is_asked_for_its_least_and_its_past_and_the_counter_twice() -> None:
    assert CHECK.queries(GREEN) == {
        "least": 'min_over_time(envoy_cluster_upstream_rq_active{envoy_cluster_name="green"}[30000ms])',
        "before": 'envoy_cluster_upstream_rq_active{envoy_cluster_name="green"} offset 30000ms',
        "ended": 'envoy_cluster_upstream_rq_completed{envoy_cluster_name="green"}',
        "endedBefore": 'envoy_cluster_upstream_rq_completed{envoy_cluster_name="green"} offset 30000ms',
    }


@pytest.mark.parametrize(
    ("least", "before", "ended_since", "hung"),
    [
        (20, 20, 0, 20),  # nothing ends any more
        (20, 20, 12, 8),  # some end: they may have been among the old ones
        (20, 20, 300, 0),  # busy: no more can be said
        (5, 20, 0, 5),  # no more can hang than were there all the time
        (0, 20, 0, 0),
        (2, 2, 0, 0),  # a client may hold one or two open
    ],
)
def test_what_hangs_is_at_least_what_was_there_and_cannot_have_ended(
    least: float, before: float, ended_since: float, hung: float
) -> None:
    arm = HangingArm()
    take(arm, parts(0, 0, 100, 100), starting=True)
    assert take(arm, parts(least, before, 100 + ended_since, 100)) == ""
    assert arm.total == ArmCounts(ended_since + hung, hung)


def test_a_rising_gauge_alone_is_no_evidence() -> None:
    arm = HangingArm()
    take(arm, parts(10, 10, 1000, 900), starting=True)
    for tick in range(1, 20):
        take(arm, parts(10 * tick, 10 * tick, 1000 + 200 * tick, 1000 + 200 * tick - 1200))
    assert arm.total.bad == 0


def test_a_request_that_goes_on_hanging_is_counted_at_every_tick() -> None:
    arm = HangingArm()
    take(arm, parts(9, 9, 100, 100), starting=True)
    for _ in range(3):
        take(arm, parts(9, 9, 100, 100))
    assert arm.total == ArmCounts(27, 27)


def test_a_restart_ends_what_a_process_had_in_flight() -> None:
    arm = HangingArm()
    take(arm, parts(9, 9, 100, 100), starting=True)
    take(arm, parts(9, 9, 5, 100))
    assert arm.total == ArmCounts(5, 0)


def test_one_process_cannot_answer_for_another() -> None:
    arm = HangingArm()
    both = (parts(9, 9, 100, 100, "a"), parts(3, 3, 900, 500, "b"))
    take(arm, *both, starting=True)
    take(arm, *both)
    assert arm.total.bad == 9


def test_a_process_that_has_gone_hangs_in_nothing() -> None:
    arm = HangingArm()
    take(arm, parts(9, 9, 100, 100), starting=True)
    gone = parts(9, 9, 100, 100)
    del gone["least"], gone["ended"]
    assert take(arm, gone) == ""
    assert arm.total.bad == 0
    assert arm.vanished


@dataclass
class Simulated:
    """Requests with known beginnings and ends; what a gauge and a counter, scraped every second, say of them."""

    begun: list[float] = field(default_factory=list)
    ends: list[float] = field(default_factory=list)

    def add(self, at: float, lasts: float) -> None:
        self.begun.append(at)
        self.ends.append(at + lasts)

    def active(self, at: float) -> int:
        return sum(begun <= at < end for begun, end in zip(self.begun, self.ends, strict=True))

    def ended(self, at: float) -> int:
        return sum(end <= at for end in self.ends)

    def older(self, at: float, seconds: float) -> int:
        return sum(begun <= at - seconds and at < end for begun, end in zip(self.begun, self.ends, strict=True))

    def parts(self, at: int, seconds: int) -> dict[str, Sample]:
        least = min(self.active(second) for second in range(at - seconds + 1, at + 1))
        return parts(least, self.active(at - seconds), self.ended(at), self.ended(at - seconds))


@pytest.mark.parametrize("seed", range(20))
def test_nothing_is_counted_that_does_not_hang(seed: int) -> None:
    chance = random.Random(seed)
    requests = Simulated()
    rate, hanging_share, mean = chance.uniform(0.2, 4), chance.choice([0.0, 0.1, 0.5, 1.0]), chance.uniform(1, 20)
    for second in range(180):
        for _ in range(round(chance.expovariate(1 / rate))):
            hangs = second > 60 and chance.random() < hanging_share
            requests.add(second + chance.random(), 10_000 if hangs else chance.expovariate(1 / mean))
    arm = HangingArm()
    take(arm, requests.parts(40, 30), starting=True)
    for at in range(45, 180, 5):
        counted = arm.total.bad
        take(arm, requests.parts(at, 30))
        assert arm.total.bad - counted <= requests.older(at, 30)
    if hanging_share == 1.0 and requests.older(179, 30) >= FEWEST + 5:
        assert arm.total.bad > 0


def books_verdict(hung: bool, ticks: int = 40) -> Verdict:
    book = CheckBook([CHECK], [GREEN], BLUE, GRID, run_up=0)
    for index in range(ticks):
        answers = {}
        for slot in (GREEN, BLUE):
            ended = 5 * min(index, 10) if hung and slot is GREEN else 5 * index
            before = 5 * max(0, min(index - 6, 10)) if hung and slot is GREEN else 5 * max(0, index - 6)
            for part, one in parts(8, 8, 100 + ended, 100 + before).items():
                answers[CHECK.queries(slot)[part]] = [one]
        [verdict] = book.observe(reading(GRID.time(index), answers))
    return verdict


def test_a_candidate_that_hangs_altogether_fails_though_it_answers_nothing_any_more() -> None:
    assert books_verdict(hung=False).kind is VerdictKind.PASS
    verdict = books_verdict(hung=True)
    assert verdict.kind is VerdictKind.FAIL
    assert verdict.reason.startswith("requests in flight for more than 30 s: ")
    assert verdict.reason.endswith("in 3 consecutive windows; baseline 0.0 %")
