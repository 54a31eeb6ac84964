"""Which slot a candidate gets."""

from __future__ import annotations

from pathlib import Path

import pytest
from spec_samples import CANARY, PLATFORM, TWO_CANARIES, spec_of, with_slot

from tailramp.placing import places
from tailramp.spec import RampSpec

NOBODY: frozenset[str] = frozenset()
MODEL = "llama-2-70b-chat-v1.3"


def with_workloads(platform: str = PLATFORM, *slots: str) -> str:
    for slot in slots or ("blue", "green"):
        line = f'    gatewayMetrics: envoy_cluster_name="{slot}"\n'
        assert line in platform
        platform = platform.replace(line, f"{line}    workload: {{kind: deployment, name: chat-{slot}}}\n")
    return platform


def spec(folder: Path, platform: str, canary: str = CANARY) -> RampSpec:
    return spec_of(folder, canary, platform)


def chosen(spec: RampSpec, served: dict[str, set[str]], live: str = "blue", previous: str | None = None) -> list[str]:
    answers = {slot: frozenset(served.get(slot, ())) for slot in spec.platform.slots}
    found = places(spec, live, answers, previous)
    return [f"{place.slot}{'' if place.is_served else ' to come'}" for place in found]


def test_a_slot_that_serves_the_model_already_is_taken_whatever_its_workload(tmp_path: Path) -> None:
    assert chosen(spec(tmp_path, PLATFORM), {"green": {MODEL}}) == ["green"]
    assert chosen(spec(tmp_path, with_workloads()), {"green": {MODEL}}) == ["green"]


def test_else_a_free_slot_whose_workload_can_be_had_to(tmp_path: Path) -> None:
    assert chosen(spec(tmp_path, with_workloads()), {"green": {"older"}}) == ["green to come"]
    assert chosen(spec(tmp_path, PLATFORM), {"green": {"older"}}) == []


def test_never_the_live_one(tmp_path: Path) -> None:
    assert chosen(spec(tmp_path, with_workloads()), {}, live="green") == ["blue to come"]
    assert chosen(spec(tmp_path, with_workloads(PLATFORM, "blue")), {}) == []


def test_a_model_that_is_live_has_no_place(tmp_path: Path) -> None:
    assert chosen(spec(tmp_path, with_workloads()), {"blue": {MODEL}}) == []


def test_the_slot_that_somebody_may_want_to_go_back_to_is_taken_last(tmp_path: Path) -> None:
    three = with_workloads(with_slot("red"), "blue", "green", "red")
    assert chosen(spec(tmp_path, three), {}, previous="green") == ["red to come"]
    assert chosen(spec(tmp_path, three), {}) == ["green to come"]
    assert chosen(spec(tmp_path, with_workloads()), {}, previous="green") == ["green to come"]


@pytest.mark.parametrize(
    ("served", "slots"),
    [
        ({}, ["green to come", "red to come"]),
        ({"green": {"chat-13b"}}, ["red to come", "green"]),
        ({"red": {"chat-70b"}, "green": {"chat-13b"}}, ["red", "green"]),
    ],
)
def test_several_candidates_get_a_slot_each(tmp_path: Path, served: dict[str, set[str]], slots: list[str]) -> None:
    three = with_workloads(with_slot("red"), "blue", "green", "red")
    assert chosen(spec(tmp_path, three, TWO_CANARIES), served) == slots
