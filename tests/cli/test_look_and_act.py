"""status, watch, pause, resume, promote and abort against a real server, a real workflow and scripted activities."""

import asyncio
import json
import os
import signal
import sys
from typing import Any

from project_folder import Folder, finished
from scripted_world import ScriptedWorld

from cli.ramps import Ramp
from lab.process import wait_until
from tailramp.ramp import WatchOutcome
from workflows.handles import ramp_handle
from workflows.ramp import RampWorkflow


async def start(folder: Folder) -> None:
    started = await folder.run("start")
    assert started.code == 0, started


async def phase_is(folder: Folder, world: ScriptedWorld, phase: str, step: int = 1) -> None:
    """Wait until the ramp's own answer says so."""

    async def says_so() -> bool:
        status = await ramp_handle(world.client, folder.route).query(RampWorkflow.status)
        return status.phase == phase and status.step == step

    await wait_until(says_so, 20, f"{folder.route} is {phase} at step {step}")


async def checks_are_seen(folder: Folder, world: ScriptedWorld) -> None:
    """Wait until the server has a heartbeat of the watch that is running."""

    async def seen() -> bool:
        sighting = await Ramp(world.client, folder.route).look(ask_worker=False)
        return any(pending.checks for pending in sighting.pending)

    await wait_until(seen, 20, f"the checks of {folder.route} are seen")


async def line_with(process: asyncio.subprocess.Process, words: str) -> Any:
    """The next line of JSON of a started watch whose sentence has ``words``."""
    assert process.stdout is not None
    while line := await asyncio.wait_for(process.stdout.readline(), 20):
        data = json.loads(line)
        if words in data["sentence"]:
            return data
    raise AssertionError(f"the watch ended without {words!r}")


async def test_status_tells_place_reason_and_what_comes_next(ramp_folder: Folder, world: ScriptedWorld) -> None:
    world.script.checks = {"green latency": "INCONCLUSIVE: 12 of 500 answers"}
    await start(ramp_folder)
    await phase_is(ramp_folder, world, "HOLDING")
    await checks_are_seen(ramp_folder, world)

    shown = await ramp_folder.run("status")
    assert shown.code == 0
    assert f"{ramp_folder.route}@" in shown.out
    assert "HOLDING, step 1 of 4, 1 % of identified users" in shown.out
    assert "2 % (00-01) in" in shown.out
    assert "green latency INCONCLUSIVE: 12 of 500 answers" in shown.out

    data = (await ramp_folder.run("status", ramp_folder.route.removeprefix("default/"), "-o", "json")).data
    assert (data["phase"], data["worker"], data["status"]["steps"]) == ("HOLDING", True, 4)


async def test_status_without_a_worker_shows_what_temporal_knows(ramp_folder: Folder, world: ScriptedWorld) -> None:
    world.script.checks = {"green errors": "PASS: 0 of 700 answers"}
    await start(ramp_folder)
    await phase_is(ramp_folder, world, "HOLDING")
    await checks_are_seen(ramp_folder, world)
    await world.stop()

    shown = await ramp_folder.impatient.run("status")
    assert shown.code == 0
    assert "NONE ANSWERS" in shown.out
    assert "HOLDING, 1 % of identified users" in shown.out
    assert "green errors PASS: 0 of 700 answers" in shown.out
    data = (await ramp_folder.impatient.run("status", "-o", "json")).data
    assert (data["worker"], data["status"], data["phase"]) == (False, None, "HOLDING")


async def test_a_ramp_that_is_over_is_shown_without_a_worker(ramp_folder: Folder, world: ScriptedWorld) -> None:
    await start(ramp_folder)
    world.script.hold = WatchOutcome.FAILED
    watched = await ramp_folder.run("watch")
    assert watched.code == 3
    await world.stop()

    data = (await ramp_folder.run("status", "-o", "json")).data
    assert (data["execution"], data["phase"], data["reason"]) == ("COMPLETED", "ROLLED_BACK", "unhealthy")
    assert data["result"]["assignment"] == {"default": "blue", "rules": []}


async def test_a_route_without_a_ramp_is_refused_in_words(ramp_folder: Folder) -> None:
    for command in ("status", "watch", "pause", "resume", "promote", "abort"):
        shown = await ramp_folder.run(command)
        assert shown.code == 5, shown
        assert f"knows no ramp of {ramp_folder.route}" in shown.err


async def test_watch_tells_every_decision_once_and_exits_0_when_promoted(
    ramp_folder: Folder, world: ScriptedWorld
) -> None:
    ramp_folder.write(canary={"canary.buckets": "00-99"})
    await start(ramp_folder)
    process = await ramp_folder.start("watch", "-o", "json")
    await line_with(process, "")  # it has seen where the ramp stands, and tells whatever comes
    world.script.hold = WatchOutcome.PASSED
    watched = await finished(process)

    assert watched.code == 0
    decisions = [line["id"] for line in watched.lines if line["event"] == "decision"]
    assert len(decisions) == len(set(decisions))
    shares = [line["share"] for line in watched.lines]
    assert shares == sorted(shares)
    assert [line["step"] for line in watched.lines if line.get("decision") == "shifted"][-1] == 5
    assert watched.lines[-1]["event"] == "end"
    assert watched.lines[-1]["result"]["phase"] == "SUCCEEDED"
    assert watched.lines[-1]["share"] == 1.0
    assert "\x1b" not in watched.out


async def test_watch_knows_of_a_target_that_has_changed(ramp_folder: Folder, world: ScriptedWorld) -> None:
    await start(ramp_folder)
    await phase_is(ramp_folder, world, "HOLDING")
    process = await ramp_folder.start("watch", "-o", "json")
    assert (await line_with(process, ""))["steps"] == 4
    ramp_folder.write(canary={"canary.buckets": "00-19"})
    applied = await ramp_folder.run("apply")
    assert applied.code == 0, applied
    world.script.hold = WatchOutcome.PASSED
    while (change := await line_with(process, ""))["share"] < 0.2:
        assert change["event"] != "end"
    assert change["step"] == change["steps"]
    assert (await ramp_folder.run("abort")).code == 0
    assert (await finished(process)).code == 3


async def test_watch_tells_a_check_whose_verdict_changes(ramp_folder: Folder, world: ScriptedWorld) -> None:
    world.script.checks = {"green latency": "INCONCLUSIVE: 12 of 500 answers"}
    await start(ramp_folder)
    await phase_is(ramp_folder, world, "HOLDING")
    process = await ramp_folder.start("watch", "-o", "json")
    await line_with(process, "")
    world.script.checks = {"green latency": "PASS: 501 answers"}
    passed = await line_with(process, "501 answers")
    assert (passed["event"], passed["check"], passed["verdict"]) == ("check", "green latency", "PASS")
    world.script.checks = {"green latency": "PASS: 502 answers", "green errors": "BLIND: no answer"}
    assert (await line_with(process, "green errors"))["verdict"] == "BLIND"
    world.script.hold = WatchOutcome.FAILED
    rest = await finished(process)

    assert rest.code == 3
    assert not [line for line in rest.lines if line["event"] == "check" and line["verdict"] == "PASS"]
    failed = next(line for line in rest.lines if line.get("decision") == "failed")
    assert "412 answers, p99 1.2 s → rollback" in failed["sentence"]


async def test_watch_ends_with_7_while_the_ramp_goes_on(ramp_folder: Folder, world: ScriptedWorld) -> None:
    await start(ramp_folder)
    watched = await ramp_folder.run("watch", "--timeout", "1s")
    assert watched.code == 7
    assert "the wait ended" in watched.err


async def test_watch_ends_with_8_when_only_a_person_can_go_on(ramp_folder: Folder, world: ScriptedWorld) -> None:
    ramp_folder.write(canary={"canary.autoRollback": False})
    await start(ramp_folder)
    world.script.hold = WatchOutcome.FAILED

    async def waits_for_a_person() -> bool:
        return "waiting for a person" in (await ramp_folder.run("status")).out

    await wait_until(waits_for_a_person, 30, "the failed check")
    watched = await ramp_folder.run("watch", "--timeout", "1s")
    assert watched.code == 8
    assert "waiting for a person" in watched.out


async def test_watch_ends_with_4_while_a_rollback_is_not_proven(ramp_folder: Folder, world: ScriptedWorld) -> None:
    world.script.zero_is_proven = False
    await start(ramp_folder)
    world.script.hold = WatchOutcome.FAILED

    async def is_tried_again() -> bool:
        return "prove_zero is tried again" in (await ramp_folder.run("status")).out

    await wait_until(is_tried_again, 30, "the proof is tried again")
    watched = await ramp_folder.run("watch", "--timeout", "1s")
    assert watched.code == 4
    assert "prove_zero is tried again" in watched.out
    assert "3 new requests" in watched.out
    world.script.zero_is_proven = True
    assert (await ramp_folder.run("watch")).code == 3


async def test_watch_ends_with_0_at_its_time_limit_when_the_target_is_held(
    ramp_folder: Folder, world: ScriptedWorld
) -> None:
    world.script.hold = WatchOutcome.PASSED
    await start(ramp_folder)
    await phase_is(ramp_folder, world, "HOLDING", step=4)
    assert (await ramp_folder.run("watch", "--timeout", "1s")).code == 0


async def test_watch_says_that_no_worker_takes_the_tasks(ramp_folder: Folder, world: ScriptedWorld) -> None:
    await start(ramp_folder)
    await phase_is(ramp_folder, world, "HOLDING")
    await world.stop()
    assert (await ramp_folder.impatient.run("pause")).code == 0
    process = await ramp_folder.impatient.start("watch", "-o", "json")
    trouble = await line_with(process, "no worker takes the tasks of tailramp-control")
    assert trouble["event"] == "trouble"
    await world.start()
    assert (await line_with(process, "paused by"))["decision"] == "paused"
    world.script.hold = WatchOutcome.FAILED
    assert (await ramp_folder.run("resume")).code == 0
    assert (await finished(process)).code == 3


async def test_a_terminated_workflow_ends_the_watch_with_4_and_names_kill(
    ramp_folder: Folder, world: ScriptedWorld
) -> None:
    await start(ramp_folder)
    await phase_is(ramp_folder, world, "HOLDING")
    process = await ramp_folder.start("watch")
    assert process.stdout is not None
    await process.stdout.readline()
    await ramp_handle(world.client, ramp_folder.route).terminate("by hand")
    watched = await finished(process)
    assert watched.code == 4
    assert f"`tailramp kill {ramp_folder.route}`" in watched.out
    status = await ramp_folder.run("status")
    assert "terminated from outside" in status.out


async def test_pause_and_resume_are_confirmed_and_recorded_with_who_and_why(
    ramp_folder: Folder, world: ScriptedWorld
) -> None:
    await start(ramp_folder)
    await phase_is(ramp_folder, world, "HOLDING")
    paused = await ramp_folder.run("pause", "--reason", "looking at logs", "-o", "json", LOGNAME="ada")
    assert paused.code == 0
    assert paused.data["confirmed"] is True
    status = (await ramp_folder.run("status", "-o", "json")).data["status"]
    assert status["paused"] is True
    assert status["last"].startswith("paused by ada@")
    resumed = await ramp_folder.run("resume")
    assert resumed.code == 0
    assert "runs; next: 2 % (00-01) in" in resumed.out


async def test_promote_skips_the_hold_of_the_step_it_saw(ramp_folder: Folder, world: ScriptedWorld) -> None:
    await start(ramp_folder)
    await phase_is(ramp_folder, world, "HOLDING")
    promoted = await ramp_folder.run("promote")
    assert promoted.code == 0
    assert "step 1 is promoted" in promoted.out
    await phase_is(ramp_folder, world, "HOLDING", step=2)
    full = await ramp_folder.run("promote", "--full")
    assert full.code == 0
    await phase_is(ramp_folder, world, "HOLDING", step=4)
    at_target = await ramp_folder.run("promote")
    assert at_target.code == 5
    assert "holds its target" in at_target.err


async def test_promote_needs_a_worker_and_says_so(ramp_folder: Folder, world: ScriptedWorld) -> None:
    await start(ramp_folder)
    await world.stop()
    promoted = await ramp_folder.impatient.run("promote", "-o", "json")
    assert promoted.code == 6
    assert "no worker answers" in promoted.data["error"]


async def test_abort_rolls_back_and_a_second_one_is_told_how_it_ended(
    ramp_folder: Folder, world: ScriptedWorld
) -> None:
    await start(ramp_folder)
    aborted = await ramp_folder.run("abort", "--reason", "用户投诉")
    assert aborted.code == 0
    assert "operator_abort" in aborted.out
    assert (await ramp_folder.run("watch")).code == 3
    again = await ramp_folder.run("abort")
    assert again.code == 5
    assert "is over: ROLLED_BACK (operator_abort)" in again.err
    assert "用户投诉" in again.err
    assert (await ramp_folder.run("pause")).code == 5


async def test_abort_without_a_worker_is_kept_and_points_to_kill(ramp_folder: Folder, world: ScriptedWorld) -> None:
    await start(ramp_folder)
    await phase_is(ramp_folder, world, "HOLDING")
    await world.stop()
    aborted = await ramp_folder.impatient.run("abort", "-o", "json")
    assert aborted.code == 0
    assert aborted.data["confirmed"] is False
    assert "no worker is running" in aborted.data["sentence"]
    assert f"`tailramp kill {ramp_folder.route}`" in aborted.data["sentence"]
    await world.start()
    assert (await ramp_folder.run("watch")).code == 3


async def test_pause_is_refused_while_everyone_goes_back(ramp_folder: Folder, world: ScriptedWorld) -> None:
    world.script.clear_fails = "disk full"
    await start(ramp_folder)
    world.script.hold = WatchOutcome.FAILED
    await phase_is(ramp_folder, world, "ROLLING_BACK")
    paused = await ramp_folder.run("pause")
    assert paused.code == 5
    assert "there is nothing to pause" in paused.err

    async def is_tried_again() -> bool:
        return "clear_route is tried again" in (await ramp_folder.run("status")).out

    await wait_until(is_tried_again, 30, "the way back is tried again")
    world.script.clear_fails = ""
    assert (await ramp_folder.run("watch")).code == 3


async def test_ctrl_c_ends_a_watch_quietly(ramp_folder: Folder, world: ScriptedWorld) -> None:
    await start(ramp_folder)
    process = await ramp_folder.start("watch")
    assert process.stdout is not None
    await process.stdout.readline()
    process.send_signal(signal.SIGINT)
    watched = await finished(process)
    assert watched.code == 1
    assert watched.err.strip() == "interrupted"


async def test_a_reader_that_goes_away_ends_a_watch_quietly(ramp_folder: Folder, world: ScriptedWorld) -> None:
    await start(ramp_folder)
    read, write = os.pipe()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "cli", "watch"),
        cwd=ramp_folder.path,
        env={**os.environ, "TEMPORAL_ADDRESS": ramp_folder.temporal},
        stdout=write,
        stderr=asyncio.subprocess.PIPE,
    )
    os.close(write)
    os.read(read, 1)
    os.close(read)
    world.script.hold = WatchOutcome.FAILED
    _, err = await process.communicate()
    assert process.returncode == 1
    assert err == b""


async def test_what_others_wrote_cannot_control_the_terminal(ramp_folder: Folder, world: ScriptedWorld) -> None:
    await start(ramp_folder)
    await phase_is(ramp_folder, world, "HOLDING")  # whatever is decided later would be the last word
    await ramp_folder.run("pause", LOGNAME="eve\x1b[2J\nHOLDING fine")
    shown = await ramp_folder.run("status")
    assert "\x1b" not in shown.out
    assert "\\x1b[2J HOLDING fine" in shown.out


async def test_a_server_that_is_down_is_6_and_abort_names_kill(ramp_folder: Folder) -> None:
    gone = Folder(ramp_folder.path, ramp_folder.route, "127.0.0.1:1", ramp_folder.warm)
    for command in ("status", "watch", "start", "pause", "resume", "promote", "abort"):
        shown = await gone.run(command)
        assert shown.code == 6, (command, shown)
        assert "127.0.0.1:1 cannot be reached" in shown.err
    assert f"`tailramp kill {gone.route}`" in (await gone.run("abort")).err


async def test_a_namespace_that_does_not_exist_is_6_by_name(ramp_folder: Folder) -> None:
    shown = await ramp_folder.run("status", TEMPORAL_NAMESPACE="elsewhere")
    assert shown.code == 6
    assert "no namespace elsewhere: TEMPORAL_NAMESPACE names it" in shown.err
