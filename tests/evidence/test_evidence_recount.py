from evidence_samples import ANCHOR, BLUE, GREEN, GRID, RULE, toxicity_book

from tailramp.evidence import Answer, RawSeries, Reading, Sample, VerdictKind, recount, toxicity
from tailramp.evidence.raw_series import LOOKBACK

CHECKS = [toxicity(rule=RULE)]


def scrapes(bad_from: float, until: float, offset: float = 0.3, every: float = 1.0) -> dict[str, list[RawSeries]]:
    """Two answers a second in both slots, scraped every second; green's are toxic from `bad_from` on."""
    times = [ANCHOR - 30 + offset + every * step for step in range(int((until - ANCHOR + 30) / every))]
    scored = [2 * (at - times[0]) for at in times]
    toxic = [2 * max(0.0, at - bad_from) for at in times]
    found = {}
    for slot, bad in ((GREEN, toxic), (BLUE, [0.0] * len(times))):
        queries = toxicity().queries(slot)
        labels = (("slot", slot.slot),)
        found[queries["total"]] = [RawSeries(labels, times, scored)]
        found[queries["bad"]] = [RawSeries(labels, times, bad)]
    return found


def test_the_trigger_is_the_newest_scrape_that_the_failing_tick_used() -> None:
    counted = recount(CHECKS, [GREEN], BLUE, GRID, scrapes(ANCHOR + 60, ANCHOR + 200), until=39)
    assert counted.tick is not None
    assert counted.trigger is not None
    assert GRID.time(counted.tick) - 1 < counted.trigger <= GRID.time(counted.tick)
    assert counted.trigger % 1 > 0.29
    assert [verdict.kind for verdict in counted.verdicts] == [VerdictKind.FAIL]
    assert counted.verdicts[0].at == GRID.time(counted.tick)


def test_a_healthy_candidate_has_no_trigger() -> None:
    counted = recount(CHECKS, [GREEN], BLUE, GRID, scrapes(ANCHOR + 999, ANCHOR + 200), until=39)
    assert (counted.trigger, counted.tick) == (None, None)
    assert [verdict.kind for verdict in counted.verdicts] == [VerdictKind.PASS]


def test_a_recount_and_a_watch_agree_on_the_tick() -> None:
    raw = scrapes(ANCHOR + 42, ANCHOR + 200)
    book = toxicity_book(run_up=30)
    failed = None
    for index in range(-6, 40):
        at = GRID.time(index)
        answers = {}
        for query, [series] in raw.items():
            last = (
                max(position for position, when in enumerate(series.times) if when <= at)
                if series.times[0] <= at
                else None
            )
            answers[query] = Answer((Sample(series.labels, series.values[last]),) if last is not None else ())
        [verdict] = book.observe(Reading(at, answers))
        if verdict.kind is VerdictKind.FAIL:
            failed = index
            break
    assert failed is not None
    assert recount(CHECKS, [GREEN], BLUE, GRID, raw, until=39).tick == failed


def test_a_scrape_stands_for_five_minutes_and_not_longer() -> None:
    series = RawSeries((), [100.0, 200.0], [1.0, 2.0])
    assert series.scrape_at(99.9) is None
    assert series.scrape_at(100.0) == 0
    assert series.scrape_at(200.0) == 1
    assert series.scrape_at(200.0 + LOOKBACK - 0.1) == 1
    assert series.scrape_at(200.0 + LOOKBACK) is None


def test_without_any_scrapes_nothing_is_judged() -> None:
    counted = recount(CHECKS, [GREEN], BLUE, GRID, {}, until=39)
    assert counted.trigger is None
    assert [verdict.kind for verdict in counted.verdicts] == [VerdictKind.BLIND]
