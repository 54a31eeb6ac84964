"""However a watch came by its readings, one at a time or many at once, late or in time: it says the same."""

import random
from collections.abc import Sequence

import pytest
from column_samples import RUN_UP, Columns, all_checks, one_by_one, ranges
from evidence_samples import ANCHOR, BLUE, GREEN, GRID, RED
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tailramp.evidence import Answer, Check, CheckBook, CheckTick, Reading, Verdict, VerdictKind
from tailramp.evidence import page as page_module
from tailramp.evidence.columns import Column, Readings
from tailramp.evidence.judge import JudgeName
from tailramp.evidence.ledger import Counts, Ledger
from tailramp.evidence.sequential.rule import FAILURES, TIMES, SequentialRule, UsualNoise
from tailramp.evidence.sequential.user_sets import UserSets
from tailramp.evidence.shelf import Shelf

CANDIDATES = (GREEN, RED)
SINCE = ANCHOR - 86_400 + 50
"""A day of evidence ends within the ticks."""


def judged(check: Check, noise: UsualNoise) -> Check:
    rule = SequentialRule(alpha=0.2, weight=0.5, tau=noise.tau, phi0=noise.phi0, sigma0=noise.sigma0)
    return check.model_copy(update={"judges": tuple(JudgeName), "sequential": rule})


def checks() -> tuple[Check, ...]:
    errors, latency, hanging = all_checks()
    return judged(errors, FAILURES), judged(latency, TIMES), hanging


class Watched:
    """The books of two candidates, what their judges were shown, and what a record would keep of it."""

    def __init__(self) -> None:
        by_slot = {slot.slot: checks() for slot in CANDIDATES}
        self.dossiers = {
            (slot, check.name): check.dossier(SINCE)
            for slot, own in by_slot.items()
            for check in own
            if check.is_sequential
        }
        for dossier in self.dossiers.values():
            dossier.begin(UserSets(5, 90), ANCHOR)
        self.ledger = Ledger(by_slot, SINCE, self.dossiers)
        self.ledger.begin(GRID, dict.fromkeys(by_slot, (5, 90)), settling=False)
        self.shown: dict[tuple[str, str], list[CheckTick]] = {}
        self.shelf = Shelf(
            [
                CheckBook(
                    checks(), [slot], BLUE, GRID, run_up=RUN_UP * GRID.tick, dossiers=self.dossiers, told=self.told
                )
                for slot in CANDIDATES
            ]
        )

    def told(self, slot: str, check: str, tick: CheckTick) -> None:
        self.shown.setdefault((slot, check), []).append(tick)
        self.ledger.take(slot, check, tick)

    def caught_up(self, readings: Sequence[Reading], *, briefly: bool) -> list[Verdict]:
        """As an activity catches up: in brief, and in full at its end."""
        self.shelf.speak_briefly(briefly)
        for reading in readings:
            self.shelf.take(reading)
        self.shelf.restate()
        self.shelf.speak_briefly(False)
        return self.shelf.verdicts


def part_of(times: range, columns: Columns, first: int, end: int) -> Readings:
    """As one range query brings them: a series that was never there is not among the answers."""
    part = {
        query: [
            Column(one.labels, one.values[first:end])
            for one in of_query
            if any(value is not None for value in one.values[first:end])
        ]
        for query, of_query in columns.items()
    }
    return Readings(times[first:end], part)


@pytest.mark.timeout(300)
@settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large], max_examples=15)
@given(ranges((GREEN, BLUE, RED), 40), st.sampled_from([1, 4]), st.randoms(use_true_random=False))
def test_what_is_made_up_for_is_judged_as_what_was_seen_in_time(
    drawn: tuple[range, Columns], worth_it: int, chance: random.Random
) -> None:
    times, columns = drawn
    in_time, late = Watched(), Watched()
    readings = one_by_one(*drawn)
    verdicts = [in_time.shelf.observe(reading) for reading in readings]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(page_module, "_WORTH_IT", worth_it)
        place = 0
        while place < len(readings):
            if chance.random() < 0.3:  # some questions were not answered: they are asked again
                broken = {
                    query: Answer(fault="it does not answer") if chance.random() < 0.5 else answer
                    for query, answer in readings[place].answers.items()
                }
                late.shelf.take(Reading(readings[place].at, broken))
            end = min(len(readings), place + chance.choice([1, 3, 8, 20]))
            many = part_of(times, columns, place, end) if end > place + 1 else readings[place:end]
            found = late.caught_up(many, briefly=chance.random() < 0.7)
            place = end
            assert [verdict.kind for verdict in found] == [verdict.kind for verdict in verdicts[place - 1]]
    assert found == verdicts[-1]
    assert late.shown == in_time.shown
    for key, dossier in in_time.dossiers.items():
        other = late.dossiers[key]
        assert (dossier.evidence, dossier.finding()) == (other.evidence, other.finding())
    asked = [verdict for verdict in found if verdict.kind is not VerdictKind.BLIND or verdict.judge]
    again = {(verdict.slot, verdict.check): verdict for verdict in Counts.read(late.ledger.written()).verdicts()}
    assert asked == [again[verdict.slot, verdict.check] for verdict in asked]
