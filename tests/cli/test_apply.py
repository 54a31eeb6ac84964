"""apply: the world follows the files, again and again, and what would reshuffle users is refused."""

from project_folder import Folder
from scripted_world import ScriptedWorld

from gateway.route_document import RouteDocument
from tailramp.assignment import Assignment, Rule
from tailramp.buckets import BucketSet
from tailramp.ramp import WatchOutcome


def serve(folder: Folder, assignment: Assignment) -> None:
    """Let the route file say that ``assignment`` is served for a ramp that nobody remembers."""
    document = RouteDocument.parse(folder.route_file.read_text(encoding="utf-8"))
    record = document.record.model_copy(update={"ramp": "gone", "epoch": 5, "assignment": assignment})
    folder.route_file.write_text(document.with_record(record).text(), encoding="utf-8")


async def test_a_first_apply_starts_a_ramp_and_a_second_changes_nothing(
    ramp_folder: Folder, world: ScriptedWorld
) -> None:
    first = await ramp_folder.run("apply")
    assert (first.code, "has started" in first.out) == (0, True)
    again = await ramp_folder.run("apply")
    assert (again.code, "nothing to change" in again.out) == (0, True)


async def test_more_buckets_are_a_new_target_and_both_more_and_fewer_are_refused(
    ramp_folder: Folder, world: ScriptedWorld
) -> None:
    assert (await ramp_folder.run("apply")).code == 0
    ramp_folder.write(canary={"canary.buckets": "00-09"})
    grown = await ramp_folder.run("apply")
    assert (grown.code, "new target 00-09" in grown.out) == (0, True)
    ramp_folder.write(canary={"canary.buckets": "05-14"})
    mixed = await ramp_folder.run("apply")
    assert mixed.code == 5
    assert "10-14 would come and 00-04 would go" in mixed.err
    assert "Traceback" not in mixed.err


async def test_a_changed_limit_or_model_is_refused_with_its_field(ramp_folder: Folder, world: ScriptedWorld) -> None:
    assert (await ramp_folder.run("apply")).code == 0
    ramp_folder.write(canary={"canary.maxToxicity": 0.2})
    assert "canary.maxToxicity" in (await ramp_folder.run("apply")).err
    ramp_folder.write(canary={"canary.maxToxicity": 0.05, "canary.model": "another"})
    other = await ramp_folder.run("apply")
    assert (other.code, "canary.model" in other.err) == (5, True)


async def test_an_empty_target_stops_the_live_ramp_even_if_the_rest_of_the_file_is_broken(
    ramp_folder: Folder, world: ScriptedWorld
) -> None:
    assert (await ramp_folder.run("apply")).code == 0
    ramp_folder.write(canary={"canary.buckets": "", "canary.maxLatency": "soon"})
    stopped = await ramp_folder.run("apply")
    assert (stopped.code, "everyone is back" in stopped.out) == (0, True)
    assert (await ramp_folder.run("status", "-o", "json")).data["reason"] == "target_emptied"


async def test_an_empty_target_without_a_ramp_clears_whoever_is_still_served(ramp_folder: Folder) -> None:
    ramp_folder.write(canary={"canary.buckets": ""})
    nobody = await ramp_folder.run("apply")
    assert (nobody.code, "nobody is on a candidate" in nobody.out) == (0, True)
    rule = Rule(slot="green", buckets=BucketSet.parse("00-04"))
    serve(ramp_folder, Assignment(default="blue", rules=(rule,)))
    cleared = await ramp_folder.run("apply")
    assert (cleared.code, "green is out" in cleared.out) == (0, True)
    record = RouteDocument.parse(ramp_folder.route_file.read_text(encoding="utf-8")).record
    assert (record.assignment, record.closed, record.kill) == (Assignment(default="blue"), True, None)


async def test_the_model_that_is_the_baseline_already_needs_nothing(ramp_folder: Folder) -> None:
    ramp_folder.write(canary={"canary.model": "chat-v1"})
    applied = await ramp_folder.run("apply")
    assert (applied.code, "is the baseline" in applied.out) == (0, True)


async def test_a_refused_preflight_is_a_refusal_of_apply(ramp_folder: Folder, world: ScriptedWorld) -> None:
    world.script.problems = ("canary.model: was taken out before (unhealthy). Use --override",)
    refused = await ramp_folder.run("apply")
    assert (refused.code, "taken out before" in refused.err) == (5, True)


async def test_with_wait_it_follows_the_ramp_to_its_end(ramp_folder: Folder, world: ScriptedWorld) -> None:
    world.script.hold = WatchOutcome.FAILED
    assert (await ramp_folder.run("apply", "--wait", "30s")).code == 3


async def test_without_temporal_it_points_to_kill(folder: Folder) -> None:
    applied = await folder.run("apply")
    assert applied.code == 6
    assert f"`tailramp kill {folder.route}`" in applied.err


async def test_a_freeze_is_written_told_and_lifted(folder: Folder) -> None:
    frozen = await folder.run("freeze", "--reason", "国庆", "-o", "json")
    assert (frozen.code, frozen.data["route"], frozen.data["freeze"]["reason"]) == (0, folder.route, "国庆")
    record = RouteDocument.parse(folder.route_file.read_text(encoding="utf-8")).record
    assert record.freeze is not None
    assert record.freeze.reason == "国庆"
    assert (await folder.run("lift", "--reason", "节后")).code == 0
    assert RouteDocument.parse(folder.route_file.read_text(encoding="utf-8")).record.freeze is None


async def test_an_off_route_answers_for_everybody_and_lift_puts_it_back(folder: Folder) -> None:
    before = RouteDocument.parse(folder.route_file.read_text(encoding="utf-8"))
    off = await folder.run("kill", "--off", "--reason", "regulator")
    assert (off.code, "is off" in off.out) == (0, True)
    stands = RouteDocument.parse(folder.route_file.read_text(encoding="utf-8"))
    assert all("direct_response" in entry for _, entry in stands.entries)
    assert (await folder.run("kill", "--off", "--to-previous")).code == 2
    assert (await folder.run("lift", "--reason", "cleared")).code == 0
    assert RouteDocument.parse(folder.route_file.read_text(encoding="utf-8")).digest == before.digest
