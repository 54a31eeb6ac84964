import math
import random
import time

import pytest
from evidence_samples import (
    ANCHOR,
    BLUE,
    GREEN,
    GRID,
    RED,
    RULE,
    histogram,
    reading,
    rebuild,
    sample,
    three_checks,
    toxicity_book,
    toxicity_reading,
    unanswered,
)
from pydantic import PrivateAttr

from tailramp.evidence import (
    Answer,
    Check,
    CheckBook,
    CheckTick,
    EdgeCounts,
    HistogramCheck,
    Reading,
    Sample,
    SlotMatch,
    Verdict,
    VerdictKind,
    gateway_errors,
    latency,
    toxicity,
)
from tailramp.evidence.jury import Jury
from tailramp.evidence.sequential.dossier import Dossier
from tailramp.evidence.verdicts import Saying


def history(ticks: int, *, bad_from: int, run_up: int = 0) -> list[Reading]:
    """Ten scored answers a tick in both slots; green's are toxic from tick `bad_from` on."""
    found = []
    for index in range(-run_up, ticks):
        scored = 1000 + 10 * (index + run_up)
        toxic = 4 * max(0, index - bad_from)
        found.append(toxicity_reading(GRID.time(index), green=(scored, toxic), blue=(scored, 0)))
    return found


def kinds(verdicts: list[Verdict]) -> list[VerdictKind]:
    return [verdict.kind for verdict in verdicts]


def test_a_healthy_candidate_passes_and_a_toxic_one_fails() -> None:
    assert kinds(rebuild(toxicity_book(), history(40, bad_from=100))) == [VerdictKind.PASS]
    [verdict] = rebuild(toxicity_book(), history(40, bad_from=10))
    assert verdict.kind is VerdictKind.FAIL
    assert verdict.reason == (
        "toxicity above 5 %: 24 of 60 scored answers (40.0 %, limit 5 %) in 3 consecutive windows; baseline 0.0 %"
    )


def test_answers_before_the_anchor_are_not_counted() -> None:
    book = toxicity_book(run_up=50)
    [verdict] = rebuild(book, history(1, bad_from=-100, run_up=10))
    assert verdict.numbers.seen == 0


def test_a_book_rebuilt_at_any_tick_goes_on_as_if_nothing_had_happened() -> None:
    readings = history(40, bad_from=12, run_up=4)
    whole = toxicity_book(run_up=20)
    expected = [whole.observe(one) for one in readings]
    for crash in range(0, len(readings), 3):
        again = toxicity_book(run_up=20)
        rebuild(again, readings[:crash])
        assert [again.observe(one) for one in readings[crash:]] == expected[crash:]


def test_an_outage_of_prometheus_is_blind_while_it_lasts_and_changes_nothing_afterwards() -> None:
    readings = history(40, bad_from=12)
    whole, torn = toxicity_book(), toxicity_book()
    expected = [whole.observe(one) for one in readings]
    for one in readings[:14]:
        torn.observe(one)
    for one in readings[14:17]:
        [blind] = torn.observe(unanswered(one))
        assert blind.kind is VerdictKind.BLIND
        assert blind.reason == "toxicity could not be judged: Prometheus cannot be reached"
        assert blind.numbers == expected[13][0].numbers
    [still] = torn.observe(readings[17])
    assert still.kind is VerdictKind.BLIND
    assert "3 earlier readings are still to be made up for (Prometheus cannot be reached)" in still.reason
    assert torn.behind(readings[17]) == (torn.checks, 14)
    rebuild(torn, readings[14:17])
    assert [torn.observe(one) for one in readings[17:]] == expected[17:]


def test_nothing_is_to_be_made_up_for_while_prometheus_is_still_out() -> None:
    book, readings = toxicity_book(), history(3, bad_from=100)
    book.observe(readings[0])
    book.observe(unanswered(readings[1]))
    assert book.behind(unanswered(readings[2])) == ((), 2)
    assert book.behind(readings[1]) == ((), 1)


def test_a_reading_that_is_known_already_changes_nothing() -> None:
    book, readings = toxicity_book(), history(20, bad_from=5)
    for index, one in enumerate(readings):
        verdicts = book.observe(one)
        assert book.observe(one) == verdicts
        assert book.observe(readings[index // 2]) == verdicts


def test_one_check_that_cannot_be_asked_does_not_stop_another_from_failing() -> None:
    checks: list[Check] = [toxicity(rule=RULE), latency(rule=RULE)]
    book = CheckBook(checks, [GREEN], BLUE, GRID, run_up=0)
    refused = {query: Answer(fault="HTTP 400") for slot in (GREEN, BLUE) for query in latency().queries(slot).values()}
    for one in history(30, bad_from=3):
        verdicts = book.observe(Reading(one.at, {**one.answers, **refused}))
    assert kinds(verdicts) == [VerdictKind.FAIL, VerdictKind.BLIND]
    assert "HTTP 400" in verdicts[1].reason


def test_one_candidate_that_fails_leaves_the_other_alone() -> None:
    book = CheckBook([toxicity(rule=RULE)], [GREEN, RED], BLUE, GRID, run_up=0)
    for index, one in enumerate(history(30, bad_from=100)):
        queries = toxicity().queries(RED)
        red = {
            queries["total"]: Answer((sample(10 * index, slot="red"),)),
            queries["bad"]: Answer((sample(9 * index, slot="red"),)),
        }
        verdicts = book.observe(Reading(one.at, {**one.answers, **red}))
    assert [(verdict.slot, verdict.kind) for verdict in verdicts] == [
        ("green", VerdictKind.PASS),
        ("red", VerdictKind.FAIL),
    ]


def test_a_candidate_whose_series_have_all_vanished_is_blind_and_loses_nothing() -> None:
    book, readings = toxicity_book(), history(30, bad_from=100)
    gone = set(toxicity().queries(GREEN).values())
    for one in readings[:10]:
        book.observe(one)
    without = {query: Answer() if query in gone else answer for query, answer in readings[10].answers.items()}
    [verdict] = book.observe(Reading(readings[10].at, without))
    assert verdict.kind is VerdictKind.BLIND
    assert verdict.reason == "toxicity could not be judged: all series of green have vanished"
    [verdict] = book.observe(readings[11])
    assert verdict.kind is VerdictKind.PASS
    assert (verdict.numbers.seen, verdict.numbers.baseline_seen) == (110, 110)


def test_a_prometheus_that_has_lost_everything_blinds_a_watch_that_begins_after_it() -> None:
    """It knows of no series that could have vanished; but without any at all nobody has looked."""
    book = toxicity_book()
    for one in history(5, bad_from=100):
        [verdict] = book.observe(Reading(one.at, dict.fromkeys(one.answers, Answer())))
        assert verdict.kind is VerdictKind.BLIND
    assert verdict.reason == "toxicity could not be judged: there is no series of green, and none of the baseline"


def test_what_comes_back_after_everything_was_lost_is_counted_from_there_on() -> None:
    book = toxicity_book()
    for index in range(3):
        empty = dict.fromkeys(toxicity_reading(ANCHOR, green=(0, 0), blue=(0, 0)).answers, Answer())
        book.observe(Reading(GRID.time(index), empty))
    blue = set(toxicity().queries(BLUE).values())
    for index in range(3, 6):
        scored = 9000 + 10 * index
        reading = toxicity_reading(GRID.time(index), green=(scored, 4000), blue=(scored, 0))
        late = {query: Answer() if index == 3 and query not in blue else a for query, a in reading.answers.items()}
        [verdict] = book.observe(Reading(reading.at, late))
    assert (verdict.numbers.seen, verdict.numbers.baseline_seen) == (10, 20)
    assert verdict.numbers.bad == 0


def test_a_candidate_that_nobody_has_asked_yet_is_waited_for_while_the_baseline_is_seen() -> None:
    book, green = toxicity_book(), set(toxicity().queries(GREEN).values())
    for one in history(5, bad_from=100):
        answers = {query: Answer() if query in green else answer for query, answer in one.answers.items()}
        [verdict] = book.observe(Reading(one.at, answers))
        assert verdict.kind is VerdictKind.INCONCLUSIVE


def test_a_baseline_whose_series_have_all_vanished_leaves_nothing_to_compare_with() -> None:
    book, readings = toxicity_book(), history(40, bad_from=3)
    gone = set(toxicity().queries(BLUE).values())
    for one in readings:
        answers = {query: Answer() if query in gone and one.at > ANCHOR else a for query, a in one.answers.items()}
        [verdict] = book.observe(Reading(one.at, answers))
    assert verdict.kind is VerdictKind.FAIL
    assert verdict.reason.endswith("no baseline beside it")


@pytest.mark.parametrize("slot", [GREEN, BLUE])
def test_a_series_that_is_no_number_blinds_the_check_and_names_the_arm(slot: SlotMatch) -> None:
    book, readings = toxicity_book(), history(2, bad_from=100)
    book.observe(readings[0])
    query = toxicity().queries(slot)["bad"]
    broken = {**readings[1].answers, query: Answer((sample(math.nan, slot=slot.slot),))}
    [verdict] = book.observe(Reading(readings[1].at, broken))
    assert verdict.kind is VerdictKind.BLIND
    assert f"of {'green' if slot is GREEN else 'the baseline'}, the series" in verdict.reason


def test_a_series_hidden_just_at_the_anchor_is_known_from_the_run_up() -> None:
    book = toxicity_book(run_up=10)
    book.observe(toxicity_reading(GRID.time(-2), green=(90_000, 9), blue=(90_000, 0)))
    book.observe(toxicity_reading(GRID.time(-1), green=(90_010, 9), blue=(90_010, 0)))
    anchor = toxicity_reading(GRID.time(0), green=(90_020, 9), blue=(90_020, 0))
    book.observe(Reading(anchor.at, dict.fromkeys(anchor.answers, Answer())))
    [verdict] = book.observe(toxicity_reading(GRID.time(1), green=(90_030, 9), blue=(90_030, 0)))
    assert (verdict.numbers.seen, verdict.numbers.baseline_seen) == (20, 20)


def test_questions_that_were_not_asked_leave_a_check_as_it_is() -> None:
    book, readings = toxicity_book(), history(30, bad_from=100)
    verdicts = rebuild(book, readings[:20])
    assert book.observe(Reading(GRID.time(20), {})) == verdicts


def test_before_the_first_answer_everything_is_blind() -> None:
    [verdict] = toxicity_book().verdicts
    assert verdict.kind is VerdictKind.BLIND
    assert verdict.reason == "toxicity could not be judged: it has not been asked yet"


def test_a_reading_off_the_grid_is_refused() -> None:
    with pytest.raises(ValueError, match="not on the grid"):
        toxicity_book().observe(Reading(ANCHOR + 1, {}))


def test_a_book_that_would_compare_a_slot_with_itself_is_refused() -> None:
    twin = SlotMatch(slot="twin", metrics=BLUE.metrics, gateway='envoy_cluster_name="twin"')
    with pytest.raises(ValueError, match="asks the same about the slots twin and blue"):
        CheckBook([toxicity()], [twin], BLUE, GRID)
    CheckBook([gateway_errors()], [twin], BLUE, GRID)
    with pytest.raises(ValueError, match="slots of their own"):
        CheckBook([toxicity()], [BLUE], BLUE, GRID)
    with pytest.raises(ValueError, match="slots of their own"):
        CheckBook([toxicity()], [], BLUE, GRID)
    with pytest.raises(ValueError, match="same name"):
        CheckBook([toxicity(), toxicity(0.1)], [GREEN], BLUE, GRID)


def three_check_reading(index: int) -> Reading:
    answers: dict[str, list[Sample]] = {}
    for check in three_checks():
        for slot in (GREEN, BLUE):
            for part, query in check.queries(slot).items():
                pods = [f"{slot.slot}-{pod}" for pod in range(5)]
                grown = 1000.0 * index
                if part == "buckets":
                    answers[query] = [one for pod in pods for one in histogram(grown, grown * 0.999, pod=pod)]
                else:
                    answers[query] = [sample(grown * (1 if part == "total" else 0.001), pod=pod) for pod in pods]
    return reading(GRID.time(index), answers)


def test_a_tick_of_three_checks_over_ten_pods_takes_at_most_a_millisecond() -> None:
    book = CheckBook(three_checks(), [GREEN], BLUE, GRID, run_up=0)
    readings = [three_check_reading(index) for index in range(300)]
    took = []
    for one in readings:
        begun = time.perf_counter()
        verdicts = book.observe(one)
        took.append(time.perf_counter() - begun)
    assert kinds(verdicts) == [VerdictKind.PASS] * 3
    assert sorted(took)[len(took) // 2] < 0.001


def test_the_order_of_series_does_not_matter() -> None:
    shuffled = random.Random(7)
    plain, mixed = (CheckBook(three_checks(), [GREEN], BLUE, GRID, run_up=0) for _ in range(2))
    for index in range(20):
        one = three_check_reading(index)
        answers = {query: list(answer.samples) for query, answer in one.answers.items()}
        for samples in answers.values():
            shuffled.shuffle(samples)
        assert plain.observe(one) == mixed.observe(reading(one.at, answers))


class NotedCheck(HistogramCheck):
    """A latency check that keeps every tick that its judge is shown."""

    _ticks: list[CheckTick] = PrivateAttr(default_factory=list)

    def judge(self, slot: str, floor: int = 0, dossier: Dossier | None = None, *, listening: bool = False) -> Jury:
        inner, ticks = super().judge(slot, floor, dossier, listening=listening), self._ticks

        class Noted:
            name = "noted"

            def consider(self, tick: CheckTick) -> Saying:
                ticks.append(tick)
                return inner.consider(tick)

            def observe(self, tick: CheckTick) -> Verdict:
                return self.consider(tick).verdict

        return Jury([Noted()])


def test_a_judge_is_shown_every_edge_of_both_arms_and_what_the_baseline_was_before() -> None:
    check = NotedCheck.model_validate(latency(rule=RULE).model_dump() | {"ladder": None})
    book = CheckBook([check], [GREEN], BLUE, GRID, run_up=0)

    def buckets(fast: float, within: float, answers: float) -> list[Sample]:
        return [sample(fast, le="1"), sample(within, le="2"), sample(answers, le="+Inf")]

    for index, growth in enumerate([0, 10, 30]):
        answers = {"green": buckets(growth, 2 * growth, 3 * growth), "blue": buckets(50 + growth, 90 + growth, 100)}
        book.observe(
            reading(GRID.time(index), {check.queries(slot)["buckets"]: answers[slot.slot] for slot in (GREEN, BLUE)})
        )
    start, first, second = check._ticks
    assert start.candidate_edges.n == 0
    assert first.candidate_edges == EdgeCounts(30, {1.0: 20, 2.0: 10})
    assert second.candidate_edges == EdgeCounts(60, {1.0: 40, 2.0: 20})
    assert second.candidate.bad == second.candidate_edges.above[2.0]
    for tick in check._ticks:
        assert tick.baseline_before == EdgeCounts(100, {1.0: 50, 2.0: 10})
