"""Who is served by what."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from tailramp.assignment import Assignment, Rule
from tailramp.buckets import BucketSet


def assigned(*rules: tuple[str, str] | tuple[str, str, tuple[str, ...]], default: str = "blue") -> Assignment:
    made = [
        Rule(slot=rule[0], buckets=BucketSet.parse(rule[1]), segments=rule[2] if len(rule) > 2 else ())
        for rule in rules
    ]
    return Assignment(default=default, rules=tuple(made))


TAGS = st.sets(st.sampled_from(["VIP", "NEW"])).map(lambda tags: tuple(sorted(tags)))


@st.composite
def assignments(draw: st.DrawFn) -> Assignment:
    """Any valid assignment of three slots; the cuts keep the rules apart."""
    numbers = draw(st.permutations(range(100)))
    cuts = sorted(draw(st.lists(st.integers(0, 100), min_size=2, max_size=4)))
    rules = [
        Rule(
            slot=draw(st.sampled_from(["green", "red"])),
            buckets=BucketSet(tuple(numbers[first:last])),
            segments=draw(TAGS),
        )
        for first, last in itertools.pairwise(cuts)
        if first < last
    ]
    return Assignment(default=draw(st.sampled_from(["blue", "green"])), rules=tuple(rules))


BUCKETS = [f"{number:02d}" for number in range(100)]
PEOPLE = [(bucket, tag) for bucket in BUCKETS[::7] for tag in (None, "VIP", "NEW", "OLD")]


@pytest.mark.parametrize(
    "rules",
    [
        (("green", "00-04"), ("red", "04-09")),
        (("green", "00-04"), ("green", "04")),
        (("green", "00-04", ("VIP",)), ("red", "04")),
        (("green", "00-04"), ("red", "04", ("VIP",))),
        (("green", "00-04", ("VIP", "NEW")), ("red", "04", ("NEW",))),
    ],
)
def test_a_bucket_that_two_rules_claim_is_refused_and_named(rules: tuple[tuple[str, str], ...]) -> None:
    with pytest.raises(ValidationError, match="buckets 04 are given to both"):
        assigned(*rules)


def test_two_rules_may_share_a_bucket_for_different_segments() -> None:
    both = assigned(("green", "00-04", ("VIP",)), ("red", "00-04", ("NEW",)))
    assert [both.slot_for("03", tag) for tag in ("VIP", "NEW", "OLD", None)] == ["green", "red", "blue", "blue"]


def test_a_rule_without_buckets_is_refused() -> None:
    with pytest.raises(ValidationError, match="nobody is expressed by having no rule"):
        Rule(slot="green", buckets=BucketSet())


@pytest.mark.parametrize("slot", ["", "Green", "gr een", "-green", "green-", "green/1", "a" * 64, "绿"])
def test_a_slot_has_a_plain_name(slot: str) -> None:
    with pytest.raises(ValidationError):
        Assignment(default=slot)


@pytest.mark.parametrize("segment", ["vip", "", "V|P", "VIP)", "A" * 17, "贵宾", ".*"])
def test_a_segment_cannot_smuggle_anything_into_a_pattern(segment: str) -> None:
    with pytest.raises(ValidationError):
        Rule(slot="green", buckets=BucketSet.parse("00"), segments=(segment,))


def test_everyone_whom_no_rule_names_is_on_the_default() -> None:
    some = assigned(("green", "00-04,37"), ("red", "10"))
    assert {bucket: some.slot_for(bucket) for bucket in ("00", "37", "10", "05", "99")} == {
        "00": "green",
        "37": "green",
        "10": "red",
        "05": "blue",
        "99": "blue",
    }


@pytest.mark.parametrize("bucket", [None, "", "0000", "１０", "²³", "VIP"])
def test_a_user_without_a_proper_bucket_is_on_the_default(bucket: str | None) -> None:
    assert assigned(("green", "00-99")).slot_for(bucket) == "blue"


def test_an_unknown_tag_is_not_eligible() -> None:
    vips = assigned(("green", "00-99", ("VIP",)))
    assert [vips.slot_for("05", tag) for tag in ("VIP", "NEW", None)] == ["green", "blue", "blue"]


@given(assignments())
def test_shares_add_up_to_everyone(assignment: Assignment) -> None:
    slots = {assignment.default, "red", "green", "blue"}
    assert sum(assignment.share_of(slot) for slot in slots) == pytest.approx(1)
    assert all(-1e-9 <= assignment.share_of(slot) <= 1 + 1e-9 for slot in slots)


@given(assignments())
def test_the_share_is_what_a_count_of_the_buckets_says(assignment: Assignment) -> None:
    def first_tag(bucket: str) -> str | None:
        rule = next((rule for rule in assignment.rules if bucket in rule.buckets), None)
        return rule.segments[0] if rule and rule.segments else None

    for slot in ("blue", "green", "red"):
        counted = sum(assignment.slot_for(bucket, first_tag(bucket)) == slot for bucket in BUCKETS)
        assert assignment.share_of(slot) == pytest.approx(counted / 100)


@given(assignments(), assignments())
def test_what_grows_moves_nobody_off_a_rule(earlier: Assignment, later: Assignment) -> None:
    if later.grows_from(earlier):
        for bucket, tag in PEOPLE:
            named = next((rule.slot for rule in earlier.rules if rule.admits(bucket, tag)), None)
            assert named is None or later.slot_for(bucket, tag) == named


@given(assignments())
def test_every_assignment_grows_from_itself_and_from_nobody(assignment: Assignment) -> None:
    assert assignment.grows_from(assignment)
    assert assignment.grows_from(Assignment(default="blue"))


@pytest.mark.parametrize(
    ("earlier", "later", "grows"),
    [
        (assigned(("green", "00-04")), assigned(("green", "00-09")), True),
        (assigned(("green", "00-04")), assigned(("green", "04-09")), False),
        (assigned(("green", "00-04")), assigned(), False),
        (assigned(("green", "00-04")), assigned(("red", "00-04")), False),
        (assigned(("green", "00-04")), assigned(default="green"), True),
        (assigned(("green", "00-04")), assigned(("green", "00-04"), default="green"), True),
        (assigned(("green", "00-04", ("VIP",))), assigned(("green", "00-04")), True),
        (assigned(("green", "00-04")), assigned(("green", "00-04", ("VIP",))), False),
        (assigned(("green", "00-04", ("VIP",))), assigned(("green", "00-04", ("VIP", "NEW"))), True),
        (assigned(("green", "00-04", ("VIP", "NEW"))), assigned(("green", "00-04", ("VIP",))), False),
    ],
)
def test_growth_keeps_everyone_whom_a_rule_named(earlier: Assignment, later: Assignment, grows: bool) -> None:
    assert later.grows_from(earlier) is grows


@given(assignments(), assignments())
def test_a_difference_without_a_line_means_that_nobody_moves(one: Assignment, other: Assignment) -> None:
    if not other.difference(one):
        assert [one.slot_for(*person) for person in PEOPLE] == [other.slot_for(*person) for person in PEOPLE]
    assert one.difference(one) == []


@pytest.mark.parametrize(
    ("earlier", "later", "lines"),
    [
        (assigned(), assigned(("green", "00-04")), ["green: + 00-04"]),
        (assigned(("green", "00-04")), assigned(), ["green: - 00-04"]),
        (assigned(("green", "00-04")), assigned(("green", "03-05")), ["green: + 05", "green: - 00-02"]),
        (assigned(), assigned(default="green"), ["default: blue → green"]),
        (assigned(("green", "00")), assigned(("red", "00")), ["green: - 00", "red: + 00"]),
        (assigned(("green", "00", ("VIP",))), assigned(("green", "00")), ["green of VIP: - 00", "green: + 00"]),
        (assigned(("green", "00-04")), assigned(("green", "00-04")), []),
    ],
)
def test_the_difference_is_one_readable_line_per_change(
    earlier: Assignment, later: Assignment, lines: list[str]
) -> None:
    assert later.difference(earlier) == lines


def test_an_assignment_describes_itself_in_one_line() -> None:
    assert assigned(("green", "00-04", ("VIP",))).describe() == "default blue, green 00-04 (5 %) of VIP"
    assert assigned().describe() == "default blue"


@given(assignments())
def test_an_assignment_survives_the_way_through_json(assignment: Assignment) -> None:
    assert Assignment.model_validate_json(assignment.model_dump_json()) == assignment
