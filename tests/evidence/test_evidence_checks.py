import re

import pytest
from evidence_samples import GREEN, RULE
from pydantic import TypeAdapter, ValidationError

from tailramp.evidence import (
    ArmCounts,
    Check,
    CheckTick,
    RatioCheck,
    SlotMatch,
    Source,
    VerdictKind,
    gateway_errors,
    latency,
    toxicity,
)
from tailramp.query_template import render


def test_errors_are_counted_at_the_gateway_and_may_fail_while_a_step_settles() -> None:
    check = gateway_errors()
    assert check.queries(GREEN) == {
        "total": 'envoy_cluster_upstream_rq_completed{envoy_cluster_name="green"}',
        "bad": 'envoy_cluster_upstream_rq_xx{envoy_cluster_name="green",envoy_response_code_class="5"}',
    }
    assert check.bad_absent_is_zero
    assert check.in_settle


def test_toxicity_is_counted_by_the_server_and_its_counter_must_exist() -> None:
    check = toxicity()
    assert check.queries(GREEN) == {
        "total": 'llm_answers_scored_total{slot="green"}',
        "bad": 'llm_answers_toxic_total{slot="green"}',
    }
    assert not check.bad_absent_is_zero
    assert check.in_settle


def test_latency_may_not_fail_while_a_step_settles() -> None:
    check = latency()
    assert not check.in_settle
    assert (check.limit, check.edge) == (0.01, 2.0)
    assert check.all_edges_query(GREEN) == 'llm_inference_duration_seconds_bucket{slot="green"}'


@pytest.mark.parametrize(
    ("edge", "spelt", "others"),
    [
        (2.0, ["2", "2.0", "2.00", "2e+00", "2e0"], ["20", "2.5", "1.2", "2e+01", "22"]),
        (0.25, ["0.25", "0.250", "2.5e-01"], ["0.2", "0.255", "10.25"]),
        (10.0, ["10", "10.0", "1e+01"], ["1", "100", "1e+02"]),
        (2_500_000.0, ["2500000", "2500000.0", "2.5e+06"], ["250000"]),
        (1e-05, ["0.00001", "1e-05"], ["1e-06", "0.0001"]),
    ],
)
def test_only_the_counted_edges_are_asked_for_however_exporters_spell_them(
    edge: float, spelt: list[str], others: list[str]
) -> None:
    query = latency(edge).queries(GREEN)["buckets"]
    pattern = query[query.index('le=~"') + 5 : -2].replace("\\\\", "\\")
    for text in [*spelt, "+Inf"]:
        assert re.fullmatch(pattern, text), text
    for text in others:
        assert not re.fullmatch(pattern, text), text


def test_a_ladder_is_asked_for_in_the_same_query_and_all_edges_without_naming_any() -> None:
    ladder = latency(2.0).model_copy(update={"ladder": (0.5, 2.0)})
    [query] = ladder.queries(GREEN).values()
    pattern = query[query.index('le=~"') + 5 : -2].replace("\\\\", "\\")
    assert all(re.fullmatch(pattern, text) for text in ("0.5", "2.0", "+Inf"))
    assert re.fullmatch(pattern, "1") is None
    every = latency(2.0).model_copy(update={"ladder": None})
    assert every.queries(GREEN) == {"buckets": 'llm_inference_duration_seconds_bucket{slot="green"}'}


def test_matchers_become_a_selector_inside_braces_and_without_them() -> None:
    match = 'slot="green"'
    assert render("x{match}", match) == 'x{slot="green"}'
    assert render('x{{match},code="5"}', match) == 'x{slot="green",code="5"}'
    assert render('x{code="5",{match}}', match) == 'x{code="5",slot="green"}'
    assert render("x{match} / y{match}", 'a="{"') == 'x{a="{"} / y{a="{"}'
    assert render('x{{match},a="}"} / y{{match}}', match) == 'x{slot="green",a="}"} / y{slot="green"}'
    assert render("sum by (instance) (x{match}) + y{{match}}", match) == (
        'sum by (instance) (x{slot="green"}) + y{slot="green"}'
    )


def wrong_check(**changes: object) -> dict[str, object]:
    return toxicity().model_dump() | changes


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"total": "llm_answers_scored_total"}, "without {match}"),
        ({"bad": "rate(llm_answers_toxic_total{match}[1m])"}, "rate() only estimates"),
        ({"bad": "increase (x{match}[1m])"}, "increase() only estimates"),
        ({"limit": 1.0}, "less than 1"),
        ({"limit": -0.1}, "greater than or equal to 0"),
        ({"limit": float("nan")}, "limit"),
        ({"colour": "green"}, "colour"),
    ],
)
def test_a_check_that_would_not_judge_what_it_seems_to_is_refused(changes: dict[str, object], said: str) -> None:
    with pytest.raises(ValidationError, match=re.escape(said)):
        RatioCheck.model_validate(wrong_check(**changes))


@pytest.mark.parametrize("seconds", [0.0, -1.0, float("nan"), float("inf")])
def test_a_latency_limit_that_cannot_be_kept_or_broken_is_refused(seconds: float) -> None:
    with pytest.raises(ValueError, match="give a number of seconds above 0"):
        latency(seconds)


@pytest.mark.parametrize(
    "matchers", ["", '{slot="green"}', "slot=green", 'slot="green"} or up{a="b"', 'slot="a",,b="c"']
)
def test_matchers_that_are_none_are_refused_with_an_example(matchers: str) -> None:
    with pytest.raises(ValidationError, match="label matchers, without braces"):
        SlotMatch(slot="green", metrics=matchers, gateway='a="b"')


def test_matchers_may_hold_anything_in_their_quotes() -> None:
    match = SlotMatch(slot="green", metrics=r'a="x{,}\"y", b=~"c|d"', gateway='c!="e"')
    assert match.of(Source.SERVER) == r'a="x{,}\"y", b=~"c|d"'
    assert match.of(Source.GATEWAY) == 'c!="e"'


def test_the_floor_of_a_step_raises_that_of_a_check_and_never_lowers_it() -> None:
    for floor, wanted in ((0, RULE.floor), (7, RULE.floor), (5000, 5000)):
        judge = toxicity(rule=RULE).judge("green", floor)
        judge.observe(CheckTick(index=0, at=0))
        few, enough = (CheckTick(index=i, at=1, candidate=ArmCounts(n, 0)) for i, n in ((1, wanted - 1), (2, 1)))
        assert judge.observe(few).kind is VerdictKind.INCONCLUSIVE
        assert judge.observe(enough).kind is VerdictKind.PASS


def test_checks_survive_json_as_what_they_are() -> None:
    adapter: TypeAdapter[list[Check]] = TypeAdapter(list[Check])
    checks: list[Check] = [gateway_errors(0.02), latency(1.6), toxicity()]
    assert adapter.validate_json(adapter.dump_json(checks)) == checks
