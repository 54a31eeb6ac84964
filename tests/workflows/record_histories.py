"""Record the histories that the replay tests read, and the fingerprint of the workflow's commands beside them.

A change of the workflow's commands breaks every ramp that is under way. Where such a change is wanted, guard it with
``workflow.patched``, keep the old histories, and add new ones. Only as long as no ramp of the old code is alive
anywhere may all of them be made anew, which is one command::

    python tests/workflows/record_histories.py

Each history is one file of ``histories/``, one event per line. What they hold names no machine: the scripted world's
spec does not, every identity is ``worker``, and stack traces are left out.
"""

from __future__ import annotations

import asyncio
import json
import logging
import sys
from pathlib import Path
from typing import Any

import command_fingerprint
from history_scenarios import ENDS, OTHERS, Scenario, before_continue_as_new
from running_temporal import connect, running_server
from scripted import ScriptedWorld

FOLDER = Path(__file__).with_name("histories")


def without_stack_traces(value: Any) -> Any:
    """The same without the traces of failures, which are full of paths."""
    if isinstance(value, dict):
        return {key: without_stack_traces(part) for key, part in value.items() if key != "stackTrace"}
    if isinstance(value, list):
        return [without_stack_traces(part) for part in value]
    return value


async def _record(address: str, name: str, scenario: Scenario) -> None:
    client = await connect(address)
    async with ScriptedWorld(client) as world:
        ramp = await scenario(world)
        first = client.get_workflow_handle(ramp.handle.id, run_id=ramp.handle.first_execution_run_id)
        history = json.loads((await first.fetch_history()).to_json())
    lines = [json.dumps(event, ensure_ascii=False) for event in without_stack_traces(history["events"])]
    text = '{"events": [\n' + ",\n".join(lines) + "\n]}\n"
    (FOLDER / f"{name}.json").write_text(text, encoding="utf-8")
    sys.stdout.write(f"{name}: {len(lines)} events, {len(text) // 1024} KiB\n")


def main() -> None:
    # An activity whose ramp is ended under it is expected here, and says so at length.
    logging.getLogger("temporalio").setLevel(logging.ERROR)
    FOLDER.mkdir(exist_ok=True)
    for old in FOLDER.glob("*.json"):
        old.unlink()
    with running_server() as address:
        for reason, scenario in ENDS.items():
            asyncio.run(_record(address, str(reason), scenario))
        for name, other in OTHERS.items():
            asyncio.run(_record(address, name, other))
    with running_server(continue_as_new_after=50) as address:
        asyncio.run(_record(address, "before_continue_as_new", before_continue_as_new))
    command_fingerprint.write()


if __name__ == "__main__":
    main()
