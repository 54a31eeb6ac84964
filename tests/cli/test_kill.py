"""kill and lift against real route files, with nothing else running."""

import asyncio
import itertools
import json
import sys
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from project_folder import Finished, Folder, finished

from activities.routers import record_router
from gateway.route_document import RouteDocument
from tailramp.assignment import Assignment, Rule
from tailramp.buckets import BucketSet
from tailramp.errors import Fenced, Refused
from tailramp.route_record import Mark, RouteRecord, SlotRecord, concluded, frozen, served, taken_over

RAMP = "0f5f36a0-ramp"


def record_of(file: Path) -> RouteRecord:
    return RouteDocument.parse(file.read_text(encoding="utf-8")).record


def rule(buckets: str) -> Assignment:
    return Assignment(default="blue", rules=(Rule(slot="green", buckets=BucketSet.parse(buckets)),))


async def serve(folder: Folder, *assignments: Assignment) -> None:
    """Let a ramp take the route and serve each assignment in turn."""
    router = record_router(folder.route_file)
    take: dict[str, Any] = {
        "ramp": RAMP,
        "baseline": "blue",
        "candidates": {"green": SlotRecord(model="chat-v2", digest="d2")},
    }
    record = await router.prepare(lambda record: taken_over(record, **take))
    for epoch, assignment in enumerate(assignments, start=record.epoch + 1):
        await router.apply(partial(served, ramp=RAMP, epoch=epoch, assignment=assignment))


async def test_a_kill_puts_everyone_back_and_marks_the_route(folder: Folder) -> None:
    await serve(folder, rule("00-04"))
    epoch = record_of(folder.route_file).epoch
    killed = await folder.run(
        "kill", folder.route, "--route-file", str(folder.route_file), "--reason", "投诉", LOGNAME="ada"
    )
    assert killed.code == 0
    assert "green is out (it served 00-04). The route sends everyone to blue" in killed.out
    assert f"`tailramp lift {folder.route}" in killed.out

    record = record_of(folder.route_file)
    assert record.assignment == Assignment(default="blue")
    assert record.epoch > epoch
    assert record.kill is not None
    assert record.kill.by.startswith("ada@")
    assert record.kill.reason == "投诉"
    assert "tailramp/green" not in folder.route_file.read_text(encoding="utf-8")


async def test_a_kill_needs_nothing_but_the_route_file(folder: Folder, tmp_path: Path) -> None:
    await serve(folder, rule("00-04"))
    folder.platform.unlink()
    folder.canary.unlink()
    killed = await folder.run("kill", "--route-file", "routes/chat.json", "-o", "json", HOME="/nonexistent", PATH="")
    assert killed.code == 0
    assert killed.data["taken_out"] == {"green": "00-04"}
    assert killed.data["default"] == "blue"
    assert killed.data["epoch"] == record_of(folder.route_file).epoch


async def test_a_kill_finds_the_route_file_by_the_platform_file(folder: Folder) -> None:
    await serve(folder, rule("00-04"))
    elsewhere = folder.path / "elsewhere"
    elsewhere.mkdir()
    by_option = await folder.run("kill", "--platform", str(folder.platform), "-o", "json")
    assert by_option.data["taken_out"] == {"green": "00-04"}
    by_default = await folder.run("kill", "-o", "json")
    assert by_default.code == 0
    assert by_default.data["taken_out"] == {}


async def test_without_a_candidate_a_kill_says_so_and_sets_the_mark(folder: Folder) -> None:
    killed = await folder.run("kill")
    assert killed.code == 0
    assert "nobody was on a candidate; everyone stays on blue" in killed.out
    assert record_of(folder.route_file).kill is not None


async def test_nothing_that_a_ramp_writes_after_a_kill_raises_traffic(folder: Folder) -> None:
    await serve(folder, rule("00-04"))
    assert (await folder.run("kill")).code == 0
    router = record_router(folder.route_file)
    with pytest.raises(Fenced):
        await router.apply(lambda record: served(record, ramp=RAMP, epoch=999_999, assignment=rule("00-09")))
    take: dict[str, Any] = {
        "ramp": "another",
        "baseline": "blue",
        "candidates": {"green": SlotRecord(model="chat-v3", digest="d3")},
    }
    with pytest.raises(Refused, match="was shut off by"):
        await router.prepare(lambda record: taken_over(record, **take))


async def test_a_default_that_has_moved_goes_back(folder: Folder) -> None:
    await serve(folder, rule("00-49"), Assignment(default="green"))
    killed = await folder.run("kill", "-o", "json")
    assert killed.data["taken_out"] == {"green": "everyone"}
    assert record_of(folder.route_file).assignment == Assignment(default="blue")


async def test_after_a_promotion_to_previous_goes_back_and_a_plain_kill_moves_nobody(folder: Folder) -> None:
    await serve(folder, rule("00-49"), Assignment(default="green"))
    router = record_router(folder.route_file)
    epoch = record_of(folder.route_file).epoch + 1
    await router.apply(lambda record: concluded(record, ramp=RAMP, epoch=epoch))
    plain = await folder.run("kill", "-o", "json")
    assert (plain.data["taken_out"], plain.data["default"]) == ({}, "green")
    back = await folder.run("kill", "--to-previous", "-o", "json")
    assert (back.data["taken_out"], back.data["default"]) == ({"green": "everyone"}, "blue")
    assert (plain.data["previous_servers"], back.data["previous_servers"]) == (None, None)
    again = await folder.run("kill", "--to-previous")
    assert again.code in {0, 5}
    assert record_of(folder.route_file).assignment.default == "blue"


async def test_a_program_hears_how_few_servers_the_previous_slot_keeps(folder: Folder) -> None:
    await serve(folder, rule("00-49"), Assignment(default="green"))
    router = record_router(folder.route_file)
    epoch = record_of(folder.route_file).epoch + 1
    await router.apply(lambda record: concluded(record, ramp=RAMP, epoch=epoch))
    await router.apply(lambda record: record.model_copy(update={"previous_servers": 2}))
    back = await folder.run("kill", "--to-previous", "-o", "json")
    assert (back.data["default"], back.data["previous_servers"]) == ("blue", 2)


async def test_kills_at_the_same_moment_all_succeed_and_one_finds_the_candidate(folder: Folder) -> None:
    await serve(folder, rule("00-04"))
    before = record_of(folder.route_file).epoch
    killed = await asyncio.gather(*(folder.run("kill", "-o", "json", "--reason", str(n)) for n in range(5)))
    assert [result.code for result in killed] == [0] * 5
    assert [result.data["taken_out"] for result in killed].count({"green": "00-04"}) >= 1
    record = record_of(folder.route_file)
    assert record.assignment == Assignment(default="blue")
    assert record.epoch >= before + 5
    epochs = [result.data["epoch"] for result in killed]
    assert len(set(epochs)) == 5


async def test_a_kill_wins_against_a_writer_that_never_stops(folder: Folder) -> None:
    await serve(folder, rule("00-00"))
    router = record_router(folder.route_file)
    sizes = itertools.cycle(range(1, 50))

    def grow(record: RouteRecord) -> RouteRecord:
        rules = (Rule(slot="green", buckets=BucketSet(tuple(range(next(sizes))))),)
        assignment = Assignment(default="blue", rules=rules)
        return served(record, ramp=RAMP, epoch=record.epoch + 1, assignment=assignment)

    async def write_on() -> None:
        while True:
            await router.apply(grow)

    writer = asyncio.create_task(write_on())
    killed = await folder.run("kill", "-o", "json")
    assert killed.code == 0
    with pytest.raises(Fenced):
        await writer
    assert record_of(folder.route_file).assignment == Assignment(default="blue")


async def test_the_wrong_route_is_left_alone(folder: Folder) -> None:
    text = folder.route_file.read_text(encoding="utf-8")
    killed = await folder.run("kill", "team/other")
    assert killed.code == 5
    assert f"the record of {folder.route}, not of team/other" in killed.err
    assert folder.route_file.read_text(encoding="utf-8") == text


@pytest.mark.parametrize(
    "content",
    [None, b"", b"{}", b"\xff\xfe\x00", b"[1, 2]", b'{"resources": [{"name": "x"}]}', b"not json", "目录".encode()],
    ids=repr,
)
async def test_a_file_that_is_no_route_file_is_refused_in_words(folder: Folder, content: bytes | None) -> None:
    if content is None:
        folder.route_file.unlink()
    else:
        folder.route_file.write_bytes(content)
    for command in (("kill",), ("lift", "--reason", "x")):
        refused = await folder.run(*command)
        assert refused.code == 5, refused
        assert refused.err.startswith("refused: ")
        assert "internal error" not in refused.err
        assert "Traceback" not in refused.err


async def test_a_platform_file_that_is_broken_points_to_the_route_file_option(folder: Folder) -> None:
    folder.platform.write_text("apiVersion: [", encoding="utf-8")
    killed = await folder.run("kill")
    assert killed.code == 5
    assert "With --route-file FILE or --context NAME none is needed" in killed.err


async def kill_without_space(folder: Folder) -> Finished:
    """Kill in a process that may not write a single byte into files, as on a full disk."""
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        *("sh", "-c", f"ulimit -f 0; exec {sys.executable} -m cli kill"), cwd=folder.path, stdout=pipe, stderr=pipe
    )
    return await finished(process)


async def test_a_disk_that_takes_no_byte_still_takes_a_kill_of_a_ramp(folder: Folder) -> None:
    await serve(folder, rule("00-04"))
    killed = await kill_without_space(folder)
    assert killed.code == 0
    assert record_of(folder.route_file).assignment == Assignment(default="blue")
    assert "The mark could not be written" in killed.out
    assert record_of(folder.route_file).kill is None


async def test_a_route_file_that_cannot_be_written_is_6_and_stays(folder: Folder) -> None:
    text = folder.route_file.read_text(encoding="utf-8")
    killed = await kill_without_space(folder)
    assert killed.code == 6
    assert "the route file cannot be written" in killed.err
    assert folder.route_file.read_text(encoding="utf-8") == text


async def test_a_lift_needs_a_reason_and_lets_ramps_start_again(folder: Folder) -> None:
    await serve(folder, rule("00-04"))
    assert (await folder.run("kill", "--reason", "bad answers")).code == 0
    unreasoned = await folder.run("lift")
    assert unreasoned.code == 2
    lifted = await folder.run("lift", "--reason", "fixed in v3")
    assert lifted.code == 0
    assert "(bad answers), is lifted: fixed in v3" in lifted.out
    record = record_of(folder.route_file)
    assert record.kill is None
    assert record.assignment == Assignment(default="blue")
    take: dict[str, Any] = {
        "ramp": "another",
        "baseline": "blue",
        "candidates": {"green": SlotRecord(model="chat-v3", digest="d3")},
    }
    await record_router(folder.route_file).prepare(lambda record: taken_over(record, **take))
    again = await folder.run("lift", "--reason", "sure", "-o", "json")
    assert json.loads(again.out)["lifted"] == {}


async def test_a_lift_removes_a_freeze_too(folder: Folder) -> None:
    mark = Mark(at=datetime.now(UTC), by="ada@desk", reason="national holiday")
    await record_router(folder.route_file).apply(lambda record: frozen(record, mark))
    lifted = await folder.run("lift", "--reason", "it is over")
    assert "the freeze by ada@desk" in lifted.out
    assert record_of(folder.route_file).freeze is None


async def test_uninstall_leaves_the_route_as_it_was_found(folder: Folder) -> None:
    before = json.loads(folder.route_file.read_text(encoding="utf-8"))
    (folder.route_file.parent / "pending").mkdir()
    here = ("uninstall", "--route-file", str(folder.route_file))
    assert (await folder.run(*here)).code == 0
    assert json.loads(folder.route_file.read_text(encoding="utf-8")) == before

    done = await folder.run(*here, "--yes", "-o", "json")
    assert (done.code, done.data["done"]) == (0, True)
    after = json.loads(folder.route_file.read_text(encoding="utf-8"))
    assert "tailramp" not in json.dumps(after["resources"][0].get("metadata", {}))
    assert after["resources"][0]["virtual_hosts"] == before["resources"][0]["virtual_hosts"]
    assert sorted(path.name for path in folder.route_file.parent.iterdir()) == ["chat.json"]
    assert (await folder.run(*here, "--yes")).code == 5  # nothing is left to take out


async def test_uninstall_is_refused_while_somebody_needs_the_record(folder: Folder) -> None:
    here = ("uninstall", "--route-file", str(folder.route_file), "--yes")
    await serve(folder, rule("00-04"))
    shown = await folder.run(*here)
    assert (shown.code, "still serves green" in shown.err) == (5, True)
    assert (await folder.run("kill", "--off")).code == 0
    shown = await folder.run(*here)
    assert (shown.code, "is shut off" in shown.err) == (5, True)


async def test_uninstall_asks_the_gateway_what_it_serves(folder: Folder) -> None:
    shown = await folder.run("uninstall", "--yes")
    assert (shown.code, "nobody can say what the gateway serves" in shown.err) == (5, True)
