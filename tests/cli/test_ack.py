"""ack: a person has seen the alert or the failed check that holds a ramp."""

from project_folder import Folder
from scripted_world import ScriptedWorld
from test_look_and_act import phase_is, start

from lab.process import wait_until
from tailramp.ramp import Block, WatchOutcome
from workflows.answers import RampStatus
from workflows.handles import ramp_handle
from workflows.messages import Alert
from workflows.ramp import RampWorkflow


async def status_of(folder: Folder, world: ScriptedWorld) -> RampStatus:
    return await ramp_handle(world.client, folder.route).query(RampWorkflow.status)


async def test_an_acknowledged_alert_holds_the_ramp_no_longer(ramp_folder: Folder, world: ScriptedWorld) -> None:
    await start(ramp_folder)
    await phase_is(ramp_folder, world, "HOLDING")
    refused = await ramp_folder.run("ack")
    assert (refused.code, "waits to be acknowledged" in refused.err) == (5, True)

    alert = Alert(actor="alertmanager", name="DiskFull", attributed=False)
    await ramp_handle(world.client, ramp_folder.route).signal(RampWorkflow.alert, alert)

    async def held() -> bool:
        return Block.APPROVAL in (await status_of(ramp_folder, world)).blocked_by

    await wait_until(held, 20, "the alert's hold")
    acknowledged = await ramp_folder.run("ack", "--reason", "the database's disk, not ours", "-o", "json")
    assert (acknowledged.code, acknowledged.data["confirmed"]) == (0, True)
    status = await status_of(ramp_folder, world)
    assert (status.blocked_by, status.step, status.paused) == ((), 1, False)
    assert status.last.startswith("acknowledged by")


async def test_an_acknowledged_failed_check_stays_paused(ramp_folder: Folder, world: ScriptedWorld) -> None:
    ramp_folder.write(canary={"canary.autoRollback": False})
    world.script.hold = WatchOutcome.FAILED
    await start(ramp_folder)

    async def paused() -> bool:
        return (await status_of(ramp_folder, world)).paused

    await wait_until(paused, 20, "the pause of the failed check")
    assert (await ramp_folder.run("ack")).code == 0
    assert await paused()
    assert (await ramp_folder.run("ack")).code == 5  # once is enough
