"""explain, list and history: a ramp in sentences, all ramps of a namespace, all decisions of a route."""

from project_folder import Folder
from scripted_world import ScriptedWorld
from test_look_and_act import checks_are_seen, phase_is, start

from cli.holds import ALERT_ENDS_BY
from tailramp.ramp import WatchOutcome
from workflows.handles import ramp_handle
from workflows.messages import Alert
from workflows.ramp import RampWorkflow


async def test_explain_says_where_why_next_and_what_would_take_it_back(
    ramp_folder: Folder, world: ScriptedWorld
) -> None:
    world.script.checks = {"green latency": "INCONCLUSIVE: 12 of 500 answers"}
    await start(ramp_folder)
    await phase_is(ramp_folder, world, "HOLDING")
    await checks_are_seen(ramp_folder, world)

    shown = await ramp_folder.run("explain")
    assert shown.code == 0, shown
    assert "is HOLDING, step 1 of 4: 1 % of identified users are on the candidate" in shown.out
    assert "its hold of 10m is not over" in shown.out
    assert "no answer of Prometheus for 5m takes everyone back" in shown.out

    assert (await ramp_folder.run("pause")).code == 0
    shown = await ramp_folder.run("explain")
    assert "it is paused: `tailramp resume` lets it go on" in shown.out
    data = (await ramp_folder.run("explain", "-o", "json")).data
    assert data["phase"] == "HOLDING"

    world.script.hold = WatchOutcome.FAILED
    assert (await ramp_folder.run("resume")).code == 0
    assert (await ramp_folder.run("watch")).code == 3
    shown = await ramp_folder.run("explain")
    assert "ROLLED_BACK" in shown.out
    assert "rolled back: unhealthy" in shown.out


async def test_explain_says_each_reason_of_a_refused_ramp_once(ramp_folder: Folder, world: ScriptedWorld) -> None:
    problems = "canary.model: was taken out before (unhealthy). Use --override", "prometheus: knows nothing of blue"
    world.script.problems = problems
    assert (await ramp_folder.run("start")).code == 5
    shown = await ramp_folder.run("explain")
    assert "is REFUSED" in shown.out
    assert [shown.out.count(problem) for problem in problems] == [1, 1]
    assert (await ramp_folder.run("explain", "-o", "json")).data["why"] == list(problems)


async def test_each_alert_that_holds_a_ramp_is_told_by_status_explain_and_history(
    ramp_folder: Folder, world: ScriptedWorld
) -> None:
    await start(ramp_folder)
    await phase_is(ramp_folder, world, "HOLDING")
    ramp = ramp_handle(world.client, ramp_folder.route)
    for name in ("DiskFull", "GpuLost", "DiskFull"):
        await ramp.signal(RampWorkflow.alert, Alert(actor="alertmanager", name=name))

    status = await ramp_folder.run("status")
    assert [line.split(maxsplit=1)[1] for line in status.out.splitlines() if "because" in line] == [
        "alert DiskFull",
        "alert GpuLost",
    ]
    explained = await ramp_folder.run("explain")
    assert ALERT_ENDS_BY in explained.out
    assert "alert GpuLost" in explained.out
    (told,) = (await ramp_folder.run("history", "-o", "json")).data["ramps"]
    alerts = [decision["sentence"] for decision in told["decisions"] if decision["kind"] == "alerted"]
    assert alerts == ["alert DiskFull from alertmanager", "alert GpuLost from alertmanager"]

    assert (await ramp_folder.run("ack")).code == 0
    assert "because" not in (await ramp_folder.run("status")).out


async def test_list_shows_live_ramps_and_history_every_decision(ramp_folder: Folder, world: ScriptedWorld) -> None:
    await start(ramp_folder)
    await phase_is(ramp_folder, world, "HOLDING")
    name = ramp_folder.route

    live = (await ramp_folder.run("list", "--route", name, "-o", "json")).data["ramps"]
    assert [(row["route"], row["phase"], row["share"]) for row in live] == [(name, "HOLDING", 0.01)]
    assert (await ramp_folder.run("list", "--route", name, "--phase", "BAKING")).out.strip() == "no ramp"
    assert (await ramp_folder.run("list", "--phase", "NAPPING")).code == 2

    world.script.hold = WatchOutcome.FAILED
    assert (await ramp_folder.run("watch")).code == 3
    assert (await ramp_folder.run("list", "--route", name, "-o", "json")).data == {"ramps": [], "more": False}
    ended = (await ramp_folder.run("list", "--route", name, "--ended", "-o", "json")).data["ramps"]
    assert [row["reason"] for row in ended] == ["unhealthy"]

    history = (await ramp_folder.run("history", "-o", "json")).data
    (ramp,) = history["ramps"]
    kinds = [decision["kind"] for decision in ramp["decisions"]]
    assert (kinds[0], kinds[-1]) == ("started", "ended")
    assert len({decision["id"] for decision in ramp["decisions"]}) == len(kinds)
    shown = await ramp_folder.run("history", "-v")
    assert "rolled back: unhealthy" in shown.out


async def test_list_reads_route_records_where_temporal_is_gone(folder: Folder) -> None:
    assert (await folder.run("list")).code == 6
    shown = await folder.run("list", TAILRAMP_ROUTES=str(folder.route_file))
    assert shown.code == 0
    assert f"{folder.route}  blue" in shown.out
    listed = await folder.run("list", "--records", str(folder.path / "routes" / "*.json"), "-o", "json")
    (record,) = listed.data["records"]
    assert record["assignment"]["default"] == "blue"
