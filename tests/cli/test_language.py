"""Chinese: whatever the product says has a translation, and nothing but names stays English."""

import asyncio
import base64
import json
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from project_folder import Finished, Folder
from scripted_world import ScriptedWorld
from test_look_and_act import phase_is

from cli.__main__ import root
from cli.command_table import COMMANDS
from cli.console import Console
from cli.language import Language, language_asked_for
from cli.language.help_pages import width_of, wrapped
from cli.language.translator import Translator
from cli.language.zh import translator
from tailramp.evidence import (
    Check,
    Source,
    ThresholdRule,
    gateway_errors,
    hanging,
    latency,
    server_errors,
    toxicity,
)
from tailramp.evidence.counts import ArmCounts
from tailramp.evidence.judge import CheckTick, JudgeName
from tailramp.evidence.kept import Kept
from tailramp.evidence.sequential.rule import FAILURES, SequentialRule
from tailramp.evidence.sequential.user_sets import UserSets
from tailramp.evidence.wording import Wording
from tailramp.presets.model import InFlight
from tailramp.presets.servers import DURATION, FIRST_TOKEN, SGLANG, TGI, TOXIC_ANSWERS, VLLM
from tailramp.ramp import Block, Phase, RampState, WatchOutcome
from workflows.wording import next_event

HISTORIES = Path(__file__).parents[1] / "workflows" / "histories"
MEND = "add each to the catalog in cli/language/"
_SENTENCE = re.compile(r"[A-Za-z]{2,}(?:,? [A-Za-z]{2,}){2,}")


def untranslated(*sentences: str) -> list[str]:
    say = translator()
    return sorted({sentence for sentence in sentences if say.find(sentence.strip()) is None})


def english_left(text: str) -> list[str]:
    """Lines with three English words in a row, outside of commands and of what other programs said."""
    return [
        line for line in text.splitlines() if _SENTENCE.search(re.sub(r"`[^`]*`|\([^()]*\)|（[^（）]*）", "", line))
    ]


@pytest.mark.parametrize(
    ("environment", "language"),
    [
        ({}, Language.EN),
        ({"LANG": "zh_CN.UTF-8"}, Language.ZH),
        ({"LANG": "zh_CN.UTF-8", "LC_MESSAGES": "en_US.UTF-8"}, Language.EN),
        ({"LANG": "en_US.UTF-8", "LC_ALL": "zh_TW"}, Language.ZH),
        ({"LANG": "C.UTF-8"}, Language.EN),
    ],
)
def test_the_locale_chooses_as_everywhere_else(environment: dict[str, str], language: Language) -> None:
    assert language_asked_for(["status"], environment) is language
    assert language_asked_for(["status", "--lang", "zh"], environment) is Language.ZH
    assert language_asked_for(["--lang=en", "status"], environment) is Language.EN


@pytest.mark.parametrize("name", ["", *COMMANDS])
def test_every_help_page_is_translated_to_its_last_option(name: str) -> None:
    say = translator()
    say.missing.clear()
    shown = CliRunner().invoke(root, [*([name] if name else []), "--help"], obj=Console(say=say))
    assert shown.exit_code == 0
    assert sorted(say.missing) == [], MEND


def test_every_decision_of_the_recorded_histories_is_translated() -> None:
    sentences = [sentence for file in HISTORIES.glob("*.json") for sentence in decided(file)]
    assert len(sentences) > 100
    assert untranslated(*sentences) == [], MEND


def decided(file: Path) -> list[str]:
    """The sentences of the decisions in a recorded history."""
    sentences = []
    for event in json.loads(file.read_text(encoding="utf-8"))["events"]:
        scheduled = event.get("activityTaskScheduledEventAttributes", {})
        if scheduled.get("activityType", {}).get("name") == "record":
            (payload,) = scheduled["input"]["payloads"]
            sentences.append(json.loads(base64.b64decode(payload["data"]))["sentence"])
    return sentences


RULE = ThresholdRule(min_sample=20, floor=50, window=2, consecutive=3)
CHECKS: list[Check] = [
    gateway_errors(rule=RULE),
    server_errors(0.01, RULE, TGI.errors or TOXIC_ANSWERS),
    latency(rule=RULE),
    latency(0.5, RULE, FIRST_TOKEN, name="first-token", what="time to first token"),
    latency(0.1, RULE, SGLANG.per_output_token or DURATION, name="per-output-token", what="time per output token"),
    toxicity(rule=RULE),
    hanging(300, RULE, VLLM.in_flight or InFlight("a", "b"), Source.SERVER),
]


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.name)
def test_every_word_of_every_check_is_translated(check: Check) -> None:
    words = check.words
    assert untranslated(check.name, words.breach, words.unit, words.bad) == [], MEND


def test_every_limit_is_translated() -> None:
    shares = ("errors ≤ 5 %", "server errors ≤ 1 %", "toxicity ≤ 5 %")
    times = ("p99 ≤ 2s", "p99 at the gateway ≤ 2s", "p99 to the first token ≤ 1s", "p99 per output token ≤ 100ms")
    assert untranslated(*shares, *times, "in flight ≤ 5m", ", ".join((*shares, *times))) == [], MEND


@pytest.mark.parametrize("carry", [None, 0.9])
@pytest.mark.parametrize("name", list(JudgeName))
@given(
    st.lists(st.tuples(st.integers(0, 60), st.integers(0, 60), st.integers(0, 60), st.booleans()), max_size=12),
    st.sampled_from([check.words for check in CHECKS]),
)
def test_every_reason_of_a_judge_is_translated(
    name: JudgeName, carry: float | None, ticks: list[tuple[int, int, int, bool]], words: Wording
) -> None:
    noise = FAILURES.cautious
    carries = None if carry is None else (carry,)
    sequential = SequentialRule(alpha=0.01, carry=carries, tau=noise.tau, phi0=noise.phi0, sigma0=noise.sigma0)
    check = gateway_errors(rule=RULE).model_copy(
        update={
            "judges": (name,),
            "sequential": sequential,
            "breach": words.breach,
            "unit": words.unit,
            "bad_is": words.bad,
        }
    )
    dossier = check.dossier(0)
    if carry is not None and ticks and ticks[0][0] % 2:  # some are known, others are not
        dossier.learn(UserSets.of_share(50), -86_400, 300, Kept(rows=((500.0, 5.0, 500.0, 5.0),) * 288))
    dossier.begin(UserSets.of_share(50), 0)
    judge = check.judge("green", 0, dossier)
    for index, (n, bad, baseline_bad, blind) in enumerate(ticks):
        candidate, baseline = ArmCounts(n, min(n, bad)), ArmCounts(60, baseline_bad)
        fault = "Prometheus at 127.0.0.1:9 does not answer" if blind else ""
        tick = CheckTick(index=index, at=index, candidate=candidate, baseline=baseline, blind=fault)
        assert untranslated(judge.observe(tick).reason) == [], MEND


def test_what_comes_next_is_translated_in_every_phase(world_plan: Any) -> None:
    now = datetime(2026, 1, 5, tzinfo=UTC)
    sentences = set()
    for phase in Phase:
        for step in (1, len(world_plan.steps)):
            for blocks in (frozenset[Block](), *(frozenset({block}) for block in Block), frozenset(Block)):
                for paused in (False, True):
                    state = RampState(phase=phase, step=step, paused=paused, blocked_by=blocks)
                    sentences.add(next_event(world_plan, state, now))
    assert untranslated(*sentences) == [], MEND


@pytest.fixture
def world_plan(folder: Folder) -> Any:
    from tailramp.planning import make_plan
    from tailramp.spec import load_spec

    folder.write(canary={"canary.buckets": "00-99"})
    return make_plan(load_spec(folder.canary, folder.platform), default="blue", candidates=["green"])


def test_a_meaning_names_only_what_its_sentence_has() -> None:
    part = re.compile(r"\{(?:said:|any:|#)?(\w+)\}")
    for template in translator()._templates:
        assert set(part.findall(template._meaning)) <= set(part.findall(template._sentence)), template._sentence


def test_what_is_not_known_stays_as_it_is_and_is_remembered() -> None:
    say = Translator({"at {name} now": "在{name}", "list {said:x}": "表{x}"})
    assert say("at 7 now") == "在7"
    assert say("  list at 1 now; at 2 now") == "  表在1；在2"
    assert say("list of something else") == "list of something else"
    assert say.missing == {"list of something else"}


def test_lines_are_as_wide_as_they_look() -> None:
    text = "把大模型服务的流量按用户分批切到新版本，用 `tailramp start` 启动；一旦变坏，立即回滚。" * 3
    lines = list(wrapped(text, 40))
    assert max(map(width_of, lines)) <= 42  # a closing mark may hang over
    assert "".join(lines).replace(" ", "") == text.replace(" ", "")


@pytest.mark.timeout(120)
async def test_the_way_of_a_first_ramp_leaves_no_english_sentence(ramp_folder: Folder, world: ScriptedWorld) -> None:
    async def run(*commands: str) -> list[Finished]:
        """At once: each is a process of its own."""
        return await asyncio.gather(*(ramp_folder.run(*words.split(), LANG="zh_CN.UTF-8") for words in commands))

    shown = await run("plan --offline", "start")
    await phase_is(ramp_folder, world, "HOLDING")
    shown += await run("status", "explain", "list", "history", "doctor", "pause")
    shown += await run("resume")
    world.script.hold = WatchOutcome.FAILED
    shown += await run("watch")
    shown += await run("status", "abort", "explain", "stauts", "kill")
    text = "\n".join(f"{each.out}\n{each.err}" for each in shown)
    assert not english_left(text), f"{MEND}:\n" + "\n".join(english_left(text))
    data = (await ramp_folder.run("status", "-o", "json", LANG="zh_CN.UTF-8")).data
    assert data["last"].startswith("rolled back: unhealthy")  # JSON stays English
