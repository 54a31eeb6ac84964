"""``tailramp plan``: what it says without asking anybody, and that what it shows is what would be written."""

import json

import pytest
import yaml
from project_folder import Folder

from cli.examples import CANARY, PLATFORM
from cli.language.zh import translator
from cli.plan.command import _evidence_said
from cli.plan.preview import preview_of
from cli.plan.world import World
from gateway.route_document import RouteDocument
from tailramp.evidence import ThresholdRule
from tailramp.power import threshold_power
from tailramp.spec import CanaryFile, PlatformFile, RampSpec

RULE = ThresholdRule(min_sample=100, floor=300, window=15, consecutive=3)


def test_seconds_to_a_verdict_follow_from_rate_share_and_rule() -> None:
    power = threshold_power(RULE, tick=5, share=0.1, hold=600, rate=100)
    assert (power.to_pass, power.to_fail) == (30, 45)  # 300 answers at 10/s; three windows of 15 s


def test_windows_grow_when_traffic_is_thin() -> None:
    power = threshold_power(RULE, tick=5, share=0.01, hold=3600, rate=100)
    assert (power.to_pass, power.to_fail) == (300, 300)  # a window needs 100 s at 1/s


def test_below_the_least_rate_a_failure_cannot_be_told_within_the_hold() -> None:
    least = threshold_power(RULE, tick=5, share=0.01, hold=600, rate=None).least_rate
    assert least == pytest.approx(50)
    told = threshold_power(RULE, tick=5, share=0.01, hold=600, rate=least * 1.01)
    untold = threshold_power(RULE, tick=5, share=0.01, hold=600, rate=least * 0.9)
    assert told.to_fail is not None
    assert untold.to_fail is not None
    assert told.to_fail <= 600 < untold.to_fail


def test_a_hold_that_is_shorter_than_its_windows_has_no_power_at_any_rate() -> None:
    assert threshold_power(RULE, tick=5, share=1, hold=40, rate=1e6).least_rate is None


async def test_plan_offline_shows_steps_power_and_what_it_did_not_look_up(folder: Folder) -> None:
    shown = await folder.run("plan", "--offline", "--users", "100000")
    assert shown.code == 0, shown
    assert "default/chat" in shown.out
    assert "no power below" in shown.out
    assert "nobody was asked" in shown.out
    assert "1,000" in shown.out  # of 100,000 users at 1 %

    folder.route_file.unlink()
    shown = await folder.run("plan", "--offline")
    assert shown.code == 0
    assert "not looked up: which slot is live" in shown.out


async def test_the_differences_are_exactly_what_the_router_would_write(folder: Folder) -> None:
    folder.write(canary={"canary.buckets": "00-99"})
    data = (await folder.run("plan", "--offline", "-o", "json")).data
    assert [write["when"] for write in data["writes"]][-4:] == ["step 5", "promotion", "rules removed", "end"]
    assert {write["object"] for write in data["writes"]} == {str(folder.route_file)}

    text = folder.route_file.read_text(encoding="utf-8").splitlines()
    for write in data["writes"]:
        text = patched(text, write["diff"].splitlines())
    record = RouteDocument.parse("\n".join(text)).record
    assert record.closed
    assert record.assignment.default == "green"
    assert folder.route_file.read_text(encoding="utf-8").count('"closed": false') == 1  # nothing was written


def patched(lines: list[str], diff: list[str]) -> list[str]:
    """``lines`` with a unified diff applied."""
    result, at = [], 0
    for line in diff[2:]:
        if line.startswith("@@"):
            start = int(line.split()[1].split(",")[0].lstrip("-")) - 1
            result += lines[at:start]
            at = start
        elif line.startswith("+"):
            result.append(line[1:])
        else:
            assert lines[at] == line[1:]
            if not line.startswith("-"):
                result.append(line[1:])
            at += 1
    return result + lines[at:]


async def test_what_the_route_would_refuse_is_a_finding(folder: Folder) -> None:
    assert (await folder.run("kill", "--reason", "bad answers")).code == 0
    shown = await folder.run("plan", "--offline")
    assert shown.code == 5
    assert "would be refused" in shown.out
    assert "bad answers" in shown.out


async def test_a_world_that_does_not_answer_is_named_and_no_error(folder: Folder) -> None:
    shown = await folder.run("plan", "-o", "json")
    assert shown.code == 0, shown
    data = json.loads(shown.out)
    assert data["rate"] is None
    assert any("which slot serves" in sentence for sentence in data["unknown"])
    assert any("how many answers errors counts" in sentence for sentence in data["unknown"])


async def test_the_servers_of_each_step_are_told(folder: Folder) -> None:
    slots = {
        f"slots.{slot}.workload": {
            "kind": "deployment",
            "name": f"chat-{slot}",
            "replicas": {"full": 8, "idle": 0},
        }
        for slot in ("blue", "green")
    }
    folder.write(canary={"canary.buckets": "00-99"}, platform=slots)
    shown = await folder.run("plan", "--offline")
    assert shown.code == 0, shown
    assert "blue: deployment chat-blue, servers 8, 0 after the bake" in shown.out
    assert "green: deployment chat-green, servers 1 → 2 → 4 → 8" in shown.out
    blue, green = (await folder.run("plan", "--offline", "-o", "json")).data["servers"]
    assert (blue["servers"], blue["idle"]) == ([8], 0)
    assert (green["servers"], green["idle"], green["model"]) == ([1, 2, 4, 8], None, "")


async def test_plan_says_whether_the_users_of_the_first_step_are_known_from_before(folder: Folder) -> None:
    async def told() -> str:
        return (await folder.run("plan", "--offline")).out

    assert "known from before" not in await told()
    folder.write(platform={"checks.sequential": {"history": {"bucketLabel": "bucket"}}})
    unmeasured = (
        "how much users change from day to day is not calibrated, 0.5 is taken to stay (errors, latency, toxicity)"
    )
    shown = await told()
    assert "whether the users are known from before the ramp was not asked" in shown
    assert unmeasured in " ".join(shown.split())
    data = (await folder.run("plan", "--offline", "-o", "json")).data
    assert {"errors.carry", "latency.carry", "toxicity.carry"} <= set(data["noise_assumed"])
    folder.write(platform={"checks.sequential": {"history": {"bucketLabel": "bucket", "carry": 0.9}}})
    assert "from day to day" not in await told()
    folder.write(platform={"identity.resolution": 10_000}, canary={"canary.buckets": "0000-0049"})
    shown = await told()
    assert "the users of green cannot be known from before the ramp: the first step's buckets" in shown
    assert "are a part of a value of the label" in shown


@pytest.mark.parametrize(
    ("known", "words"),
    [
        (frozenset({"latency", "toxicity"}), "by latency, toxicity, not by errors"),
        (frozenset({"errors", "latency", "toxicity"}), "by errors, latency, toxicity"),
        (frozenset[str](), "too little was counted by bucket"),
    ],
)
def test_plan_names_the_checks_that_know_the_users(known: frozenset[str], words: str) -> None:
    translate = translator()
    spec = spec_with_history()
    world = World(default="blue", candidates=["green"], known=known)
    preview = preview_of(spec, world, users=None, override=None)
    (row,) = [text for _, text in _evidence_said(preview, str) if "known from before" in text]
    assert words in row
    assert translate.find(row) is not None


def spec_with_history() -> RampSpec:
    platform = yaml.safe_load(PLATFORM)
    platform["checks"] = {**platform["checks"], "sequential": {"history": {}}}
    return RampSpec(
        canary=CanaryFile.model_validate(yaml.safe_load(CANARY)), platform=PlatformFile.model_validate(platform)
    )
