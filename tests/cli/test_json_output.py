"""-o json: standard output holds objects and nothing else, with the fields that docs/json.md names."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from project_folder import Finished, Folder
from scripted_world import ScriptedWorld
from test_look_and_act import phase_is

from cli.command_table import COMMANDS
from tailramp.ramp import WatchOutcome

PAGE = Path(__file__).parents[2] / "docs" / "json.md"
ROWS = {
    name: cells
    for line in PAGE.read_text(encoding="utf-8").splitlines()
    if line.startswith("| `")
    for names, cells in [line.removeprefix("| ").split(" | ", 1)]
    for name in re.findall(r"`([a-z]+)`", names)
}
WITH_FILES = [name for name in COMMANDS if name not in {"demo", "init", "schema", "bucket", "worker", "doctor"}]
"""Whatever cannot be done in an empty folder; the worker would wait for Temporal, and doctor says what is missing."""


def test_the_page_has_every_command() -> None:
    assert set(ROWS) == set(COMMANDS)


def objects(shown: Finished) -> list[dict[str, Any]]:
    """Every line of standard output, each of which is an object."""
    lines = [json.loads(line) for line in shown.out.splitlines()]
    assert lines, shown
    assert all(isinstance(line, dict) for line in lines), shown
    return lines


def are_documented(command: str, answers: list[dict[str, Any]]) -> None:
    rows = [ROWS[command], ROWS["status"] if command == "start" else ""]
    named = set(re.findall(r"`([a-z_]+)`", " ".join(rows)))
    for answer in answers:
        assert set(answer) <= named, f"docs/json.md does not name {sorted(set(answer) - named)} of {command}"


async def test_what_needs_no_ramp_answers_with_the_documented_objects(folder: Folder) -> None:
    (folder.path / "ids.txt").write_text("\n".join(str(number) for number in range(1000)), encoding="utf-8")
    for words in (
        "init other",
        "validate",
        "plan --offline",
        "doctor",
        "gateway --platform deploy/tailramp.yaml --bootstrap envoy.json",
        "list --records routes/chat.json",
        "skew ids.txt --salt s",
        "bucket --salt s u1",
        "freeze --reason sale",
        "lift --reason over",
        "kill --reason bad",
        "lift --reason mended",
        "uninstall",
    ):
        shown = await folder.run(*words.split(), "-o", "json")
        assert shown.code == (5 if words == "doctor" else 0), shown
        are_documented(words.split()[0], objects(shown))
    for words in ("schema canary", "schema platform", "gateway --platform deploy/tailramp.yaml"):
        assert json.loads((await folder.run(*words.split(), "-o", "json")).out), words


@pytest.mark.timeout(300)
async def test_what_looks_at_a_ramp_and_acts_on_it_answers_with_the_documented_objects(
    ramp_folder: Folder, world: ScriptedWorld
) -> None:
    async def run(words: str, code: int = 0) -> list[dict[str, Any]]:
        shown = await ramp_folder.run(*words.split(), "-o", "json", LANG="zh_CN.UTF-8")
        assert shown.code == code, shown
        answers = objects(shown)
        are_documented(words.split()[0], answers)
        return answers

    await run("start")
    await phase_is(ramp_folder, world, "HOLDING")
    for words in ("status", "explain", "list", "history", "pause", "resume", "apply deploy/canary.yaml"):
        await run(words)
    world.script.hold = WatchOutcome.FAILED
    changes = await run("watch", code=3)
    assert {change["event"] for change in changes} <= set(re.findall(r"`([a-z_]+)`", ROWS["watch"]))
    for words in ("status", "explain", "list --ended", "history --ramps 1"):
        await run(words)
    (refused,) = objects(await ramp_folder.run("abort", "-o", "json"))
    assert set(refused) == {"error", "code"}


@pytest.mark.parametrize("words", [f"{name} --bogus" for name in COMMANDS] + WITH_FILES)
async def test_an_error_is_an_object_on_standard_output(folder: Folder, words: str) -> None:
    """Nothing is there that could be asked: an empty folder, no Temporal, no cluster."""
    empty = folder.path / "empty"
    empty.mkdir()
    nowhere = Folder(empty, folder.route, folder.temporal, folder.warm)
    shown = await nowhere.run(*words.split(), "-o", "json", HOME="/none")
    assert shown.code in {2, 5, 6}, shown
    (error,) = objects(shown)
    assert {"error", "code"} <= set(error) <= {"error", "code", "problems"}
    assert error["code"] == shown.code
