"""The demo: every scenario of the lab has a story, a promise and a place in both languages."""

import pytest

from cli.demo_command import _PROMISES, _STORIES, _announcement, demo_command
from cli.language.zh import translator
from lab.acts import ACTS, Scenario
from lab.world import World
from tailramp.ramp import Block, Phase, Reason


def test_every_scenario_has_a_story_and_one_right_end() -> None:
    assert list(_STORIES) == list(Scenario) == list(ACTS)
    offered = next(option for option in demo_command.params if option.name == "scenario").type
    assert list(offered.choices) == list(Scenario)  # type: ignore[attr-defined]


@pytest.mark.parametrize("scenario", Scenario)
def test_a_story_is_told_in_chinese_too(scenario: Scenario, tmp_path: object) -> None:
    world = World.__new__(World)
    world.models = {"blue": "chat-v1", "green": "chat-v2"}
    say = translator()
    told = _announcement(1, scenario, world, "green").splitlines()
    assert [line for line in told if line and say.find(line) is None] == []
    assert "chat-v2" in say(told[0])


def test_every_broken_promise_has_a_name_in_both_languages() -> None:
    assert set(_PROMISES) == {"forged", "no_id", "moved_back_and_forth"}
    assert [name for name in _PROMISES.values() if translator().find(name) is None] == []


def test_only_a_broken_candidate_is_blamed() -> None:
    blamed = {scenario for scenario, act in ACTS.items() if act.reason is Reason.UNHEALTHY}
    assert blamed == {scenario for scenario, act in ACTS.items() if act.strike is not None and act.blames_candidate}
    incident = ACTS[Scenario.SHARED_INCIDENT]
    assert (incident.outcome, incident.block) == (Phase.SUCCEEDED, Block.SHARED_INCIDENT)
