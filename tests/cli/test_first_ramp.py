"""The way of somebody who uses tailramp for the first time, command after command, each output looked at.

What does not change from run to run is kept in ``golden/``.  After a change that is meant, look at the difference and
write them anew: ``TAILRAMP_WRITE_GOLDEN=1 pytest tests/cli/test_first_ramp.py``.
"""

import os
import re
from pathlib import Path

import pytest
from project_folder import Folder
from scripted_world import ScriptedWorld
from test_look_and_act import phase_is

from lab.process import wait_until
from tailramp.ramp import WatchOutcome

GOLDEN = Path(__file__).with_name("golden")


def stable(text: str, folder: Folder) -> str:
    """``text`` without what differs from run to run: names, ids, times, the machine."""
    text = text.replace(folder.route, "default/chat").replace(folder.route.partition("/")[2], "chat")
    text = text.replace(str(folder.path), "~")
    text = re.sub(r"@[0-9a-f]{8}\b", "@1a2b3c4d", text)
    text = re.sub(r"\b\d\d:\d\d:\d\d\b", "12:00:00", text)
    text = re.sub(r"\b[\w.-]+@[\w.-]+\b(?<!@1a2b3c4d)", "ada@host", text)
    return "\n".join(line.rstrip() for line in text.splitlines()) + "\n"


def looks_as_kept(name: str, text: str, folder: Folder) -> None:
    file, seen = GOLDEN / f"{name}.txt", stable(text, folder)
    if os.environ.get("TAILRAMP_WRITE_GOLDEN"):
        file.write_text(seen, encoding="utf-8")
    assert seen == file.read_text(encoding="utf-8"), f"{file.name} differs: see this module's docstring"


@pytest.mark.timeout(300)
async def test_from_an_empty_folder_to_everyone_on_the_new_model(ramp_folder: Folder, world: ScriptedWorld) -> None:
    ramp_folder.canary.unlink()
    ramp_folder.platform.unlink()
    begun = await ramp_folder.run("init", "--route", ramp_folder.route, "--salt", "choose-once-and-keep")
    assert begun.code == 0, begun
    looks_as_kept("init", begun.out, ramp_folder)
    looks_as_kept("canary.yaml", ramp_folder.canary.read_text(encoding="utf-8"), ramp_folder)
    looks_as_kept("tailramp.yaml", ramp_folder.platform.read_text(encoding="utf-8"), ramp_folder)

    ramp_folder.write(
        canary={"canary.buckets": "00-99"},
        platform={
            "router.file": "../routes/chat.json",
            "ramp.steps": ["5%", {"share": "50%", "approval": True}, "100%"],
            "ramp.hold": "10m",
        },
    )
    validated = await ramp_folder.run("validate")
    assert validated.code == 0, validated
    looks_as_kept("validate", validated.out, ramp_folder)

    planned = await ramp_folder.run("plan", "--offline", "--users", "200000")
    assert planned.code == 0, planned
    looks_as_kept("plan", planned.out, ramp_folder)

    started = await ramp_folder.run("start")
    assert started.code == 0, started
    assert "has started: 5/50/100 %. Next: " in started.out

    await phase_is(ramp_folder, world, "HOLDING")
    assert (await ramp_folder.run("watch", "--timeout", "1s")).code == 7  # still running

    promoted = await ramp_folder.run("promote", "--reason", "looks good")
    assert promoted.code == 0, promoted
    assert "step 1 is promoted" in promoted.out

    world.script.hold = WatchOutcome.PASSED
    await phase_is(ramp_folder, world, "HOLDING", step=2)

    async def waits_for_the_approval() -> bool:
        return (await ramp_folder.run("watch", "--timeout", "1s")).code == 8

    await wait_until(waits_for_the_approval, 60, "the hold of step 2 is over")
    assert (await ramp_folder.run("promote")).code == 0

    watched = await ramp_folder.run("watch")
    assert watched.code == 0, watched
    assert watched.out.splitlines()[-1].endswith("the ramp has ended: succeeded: green serves everyone")

    history = await ramp_folder.run("history")
    looks_as_kept("history", re.sub(r"\d\d-\d\d 12", "01-05 12", stable(history.out, ramp_folder)), ramp_folder)
    again = await ramp_folder.run("promote")
    assert (again.code, "is over" in again.err) == (5, True)
