"""The live picture: what a person sees of a scene, at every size and without colour."""

import io
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from rich.cells import cell_len
from rich.console import Console

from cli.language.zh import translator
from cli.watch.scene import CheckRow, Progress, Rung, Scene, Standing
from cli.watch.screen import Screen, bar, clock_text
from tailramp.buckets import BucketSet
from tailramp.decision import Decision, DecisionKind
from tailramp.evidence import ThresholdRule, Verdict, VerdictKind, latency
from tailramp.evidence.verdicts import Numbers
from tailramp.plan import Variant
from tailramp.ramp import Block, Cause, Phase, Reason
from workflows.answers import RampResult

NOON = datetime(2026, 1, 5, 12, 0, tzinfo=UTC)


def check(name: str, kind: VerdictKind, reason: str, **numbers: object) -> CheckRow:
    counted = Numbers.model_validate({"limit": 0.05, "needed": 3, **numbers})
    verdict = Verdict(kind=kind, check=name, slot="green", judge="threshold", reason=reason, numbers=counted)
    return CheckRow("green", name, verdict, latency(2.0, ThresholdRule(min_sample=500, floor=500)))


def decision(sentence: str) -> Decision:
    return Decision(
        id=sentence,
        at=NOON,
        route="r",
        ramp="x",
        epoch=1,
        kind=DecisionKind.PASSED,
        sentence=sentence,
        phase="",
        step=1,
    )


SCENE = Scene(
    name="default/chat@1a2b3c4d",
    model="chat-v2",
    baseline="blue",
    candidates=(Variant(slot="green", model="chat-v2", buckets=BucketSet.parse("00-99")),),
    phase=Phase.HOLDING,
    share=0.05,
    servers=(),
    started_at=NOON - timedelta(minutes=20),
    ended_at=None,
    rungs=(
        Rung(1, 0.01, "00", timedelta(minutes=10), False, Standing.DONE),
        Rung(2, 0.05, "00-04", timedelta(minutes=10), True, Standing.CURRENT),
        Rung(3, 0.25, "00-24", timedelta(minutes=10), False, Standing.NEXT),
        Rung(4, 1.0, "", timedelta(minutes=30), False, Standing.NEXT),
    ),
    progress=Progress(timedelta(minutes=4), timedelta(minutes=10), running=True),
    checks=(
        check("errors", VerdictKind.PASS, "fine", n=700, bad=7, rate=0.01, seen=700, baseline_rate=0.002),
        check(
            "latency",
            VerdictKind.INCONCLUSIVE,
            "p99 above 2 s: 5 of 44 answers (11.4 %, limit 1 %) in 1 of 3 consecutive windows; baseline 0.0 %",
            n=44,
            bad=5,
            rate=0.114,
            limit=0.01,
            streak=1,
            seen=120,
        ),
    ),
    next="25 % (00-24) in 6m, if every check passes",
    waits=(),
    causes=(),
    lease=timedelta(seconds=90),
    renewed=NOON - timedelta(seconds=3),
    troubles=(),
    decisions=tuple(decision(f"step {number}: 1 % (00) is next") for number in range(40)),
    result=None,
    unanswered=False,
    lost=None,
)


def drawn(
    scene: Scene, width: int = 80, height: int = 24, say: Callable[[str], str] = str, encoding: str = "utf-8"
) -> str:
    file = io.TextIOWrapper(io.BytesIO(), encoding=encoding, errors="backslashreplace")
    console = Console(file=file, width=width, height=height, force_terminal=True, color_system=None)
    console.print(Screen(scene, NOON, say), height=height)
    file.seek(0)
    return file.read()


def test_at_80_by_24_it_shows_the_ladder_the_checks_what_is_next_and_the_lease() -> None:
    shown = drawn(SCENE)
    assert "HOLDING  5 %  20:00" in shown
    assert "✓   1    1 %  00" in shown
    assert "▶   2    5 %  00-04" in shown
    assert "4m of 10m" in shown
    assert "██████████ 700/500" in shown
    assert "1/3 bad windows" in shown
    assert "25 % (00-24) in 6m, if every check passes" in shown
    assert "1m30s, renewed 3s ago" in shown
    assert "step 39: 1 % (00) is next" in shown  # the latest decisions, not the first
    assert "step 0:" not in shown


@pytest.mark.parametrize(("width", "height"), [(40, 12), (60, 18), (80, 24), (120, 40), (200, 60)])
@pytest.mark.parametrize("say", [str, translator()], ids=["en", "zh"])
def test_it_never_leaves_the_terminal_whatever_its_size(width: int, height: int, say: Callable[[str], str]) -> None:
    lines = drawn(
        replace(SCENE, troubles=("no worker takes the tasks of x: `tailramp worker` runs one",)), width, height, say
    )
    assert len(lines.rstrip("\n").split("\n")) <= height
    assert max(cell_len(line) for line in lines.split("\n")) <= width


def test_a_low_terminal_keeps_what_comes_next_and_drops_explanations() -> None:
    shown = drawn(SCENE, 80, 16)
    assert "25 % (00-24) in 6m" in shown
    assert "in 1 of 3 consecutive windows" not in shown


def test_it_can_be_read_without_colour_and_without_unicode() -> None:
    shown = drawn(SCENE, encoding="ascii")
    assert "x   1    1 %  00" in shown
    assert ">   2    5 %  00-04" in shown
    assert "##########" in shown


def test_a_pause_a_silent_server_and_a_missing_worker_are_told() -> None:
    shown = drawn(replace(SCENE, waits=("paused", "approval"), unanswered=True))
    assert "paused, approval → `tailramp resume`, `tailramp promote`" in shown
    assert "none answers: this is what Temporal knows" in shown
    assert "Temporal is silent for 12 s" in drawn(replace(SCENE, lost=12.0))


def test_what_holds_it_is_told_unless_a_check_says_it_already() -> None:
    causes = (
        Cause.of(Block.INCONCLUSIVE, "44 of the 500 answers that a verdict needs", key="green latency"),
        Cause.of(Block.APPROVAL, "alert DiskFull"),
        Cause.of(Block.SHARED_INCIDENT, "the baseline blue has no ready server"),
    )
    shown = drawn(replace(SCENE, waits=("approval", "shared_incident"), causes=causes))
    assert "approval, shared_incident → `tailramp ack`" in shown
    assert "alert DiskFull" in shown
    assert "the baseline blue has no ready server" in shown
    assert "44 of the 500 answers" not in shown


def test_the_end_says_how_and_why() -> None:
    result = RampResult(
        route="default/chat",
        ramp="1a2b3c4d",
        phase=Phase.ROLLED_BACK,
        reason=Reason.UNHEALTHY,
        detail="rolled back: unhealthy: p99 above 2 s",
        assignment=None,
    )
    shown = drawn(replace(SCENE, phase=Phase.ROLLED_BACK, ended_at=NOON, result=result))
    assert "ROLLED_BACK (unhealthy)" in shown
    assert "rolled back: unhealthy: p99 above 2 s" in shown


def test_a_bar_shows_at_least_one_cell_of_what_is_not_nothing() -> None:
    assert [bar(fraction, 4, plain=True).plain for fraction in (0, 0.01, 0.5, 1, 7)] == [
        "....",
        "#...",
        "##..",
        "####",
        "####",
    ]


def test_elapsed_time_is_a_clock() -> None:
    assert [clock_text(timedelta(seconds=seconds)) for seconds in (-1, 5, 3_661, 90_061)] == [
        "00:00",
        "00:05",
        "1:01:01",
        "1d 01:01:01",
    ]


def test_servers_that_are_waited_for_say_how_far_they_are() -> None:
    waiting = replace(SCENE, servers=("green: 3 of 8 pods ready, pulling the image 12 min",))
    assert "green: 3 of 8 pods ready, pulling the image 12 min" in drawn(waiting)
