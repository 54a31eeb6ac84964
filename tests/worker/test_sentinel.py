"""The dead man's switch as a process of its own, beside real route files and nothing else.

Leases are a hundredth of what is shipped, so that a lapse is a matter of tenths of a second.
"""

import asyncio
import contextlib
import json
import os
import random
import signal
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from activities.routers.kube.record_lease import place_patterns
from activities.routers.route_file import RouteFile
from cli.__main__ import main
from cli.exit_codes import ExitCode
from gateway.route_document import RouteDocument
from lab.process import ManagedProcess, wait_until
from tailramp.assignment import Assignment, Rule
from tailramp.buckets import BucketSet
from tailramp.errors import Fenced
from tailramp.route_record import Clearer, RouteRecord, SlotRecord, renewed, served, shortened, taken_over

POLL = 0.1
LEASE = 0.9
KEPT_LEASE = 3.0
"""Of those that a test renews itself: longer than a busy machine makes it late."""
LATE = 40.0
"""What a busy machine may need for anything that is waited for."""
BASELINE_ONLY = Assignment(default="blue")
FIVE_PERCENT = Assignment(default="blue", rules=(Rule(slot="green", buckets=BucketSet.parse("00-04")),))


class Route:
    """A route file, and a ramp that writes it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.file = RouteFile(path)

    def create(self) -> None:
        slots = {"blue": SlotRecord(model="chat-v1"), "green": SlotRecord(model="chat-v0")}
        document = RouteDocument.initial(f"demo/{self.path.stem}", slots=slots, default="blue")
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.write_text(document.text(), encoding="utf-8")

    def serve(self, ramp: str = "ramp-a", lease: float = LEASE) -> int:
        """The ramp takes the route over and gives green 5 %; returns the epoch of that."""

        def take(record: RouteRecord) -> RouteRecord:
            return taken_over(
                record, ramp=ramp, baseline="blue", candidates={"green": SlotRecord(model=ramp, digest=ramp)}
            )

        epoch = self.file.change(take).record.epoch + 1
        self.file.change(
            lambda record: served(record, ramp=ramp, epoch=epoch, assignment=FIVE_PERCENT, lease_seconds=lease)
        )
        return epoch

    def renew(self, ramp: str = "ramp-a") -> None:
        self.file.change(lambda record: renewed(record, ramp=ramp, epoch=record.epoch), entries=False)

    @property
    def record(self) -> RouteRecord:
        return self.file.read().record

    @property
    def serves_somebody(self) -> bool:
        return bool(self.record.candidates)

    async def cleared(self, within: float = LATE) -> RouteRecord:
        await wait_until(lambda: not self.serves_somebody, within, f"{self.path.name} is cleared", interval=0.005)
        return self.record

    async def renewals(self, count: int) -> None:
        """Wait for ``count`` more renewals of green's lease; five last as long as the lease."""
        until = self.record.leases["green"].renewals + count
        await wait_until(lambda: self.record.leases["green"].renewals >= until, LATE, f"{count} renewals")

    @contextlib.asynccontextmanager
    async def kept_alive(self) -> AsyncIterator[None]:
        """Renewed five times per ``KEPT_LEASE`` until the block is left."""

        async def renew() -> None:
            while True:
                self.renew()
                await asyncio.sleep(KEPT_LEASE / 5)

        task = asyncio.create_task(renew())
        try:
            yield
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task


@pytest.fixture
def route(tmp_path: Path) -> Route:
    route = Route(tmp_path / "routes" / "chat.json")
    route.create()
    return route


@contextlib.asynccontextmanager
async def sentinel(*patterns: object, log: Path) -> AsyncIterator[ManagedProcess]:
    argv = [sys.executable, "-m", "worker", "sentinel", *(str(pattern) for pattern in patterns)]
    process = ManagedProcess.start(argv, log, env={"TAILRAMP_SENTINEL_POLL": str(POLL)}, name="sentinel")
    try:
        await process.wait_ready(lambda: "the sentinel watches" in process.tail(), LATE, "it watches")
        yield process
    finally:
        await process.terminate()


async def test_a_lease_that_nobody_renews_is_cleared_within_its_time_and_two_looks(
    route: Route, tmp_path: Path
) -> None:
    within: list[float] = []
    async with sentinel(route.path, log=tmp_path / "log"):
        # A machine that is busy only adds to what is measured, so the quickest of some lapses tells of the sentinel.
        for ramp in ("ramp-a", "ramp-b", "ramp-c", "ramp-d", "ramp-e", "ramp-f"):
            since = time.monotonic()
            epoch = route.serve(ramp)
            record = await route.cleared()
            within.append(time.monotonic() - since)
            if within[-1] <= LEASE + 2 * POLL + 0.3:
                break
    assert LEASE <= min(within) <= LEASE + 2 * POLL + 0.3, "0.3 s is for two writes and whatever else is done"
    assert (record.cleared_by, record.cleared_reason) == (Clearer.SENTINEL, "lease_lapsed")
    assert (record.assignment, record.closed, record.leases) == (BASELINE_ONLY, True, {})
    assert record.epoch == epoch + 1
    with pytest.raises(Fenced, match="cleared by sentinel"):
        route.renew(ramp)


async def test_a_lease_that_is_renewed_is_left_alone_and_cleared_when_that_ends(route: Route, tmp_path: Path) -> None:
    async with sentinel(route.path, log=tmp_path / "log"):
        route.serve(lease=KEPT_LEASE)
        async with route.kept_alive():
            await route.renewals(8)
            assert route.serves_somebody
        await route.cleared()


async def test_a_shortened_lease_is_cleared_with_the_reason_of_the_bad_verdict(route: Route, tmp_path: Path) -> None:
    async with sentinel(route.path, log=tmp_path / "log"):
        route.serve(lease=KEPT_LEASE)
        route.file.change(
            lambda record: shortened(record, ramp="ramp-a", epoch=record.epoch, slot="green", reason="unhealthy"),
            entries=False,
        )
        assert (await route.cleared()).cleared_reason == "unhealthy"


async def test_two_sentinels_clear_once(route: Route, tmp_path: Path) -> None:
    async with sentinel(route.path, log=tmp_path / "log-1") as one, sentinel(route.path, log=tmp_path / "log-2") as two:
        epoch = route.serve()
        record = await route.cleared()
        text = route.path.read_bytes()
        assert record.epoch - epoch <= 2, "the second one may have read the record before the first one wrote"
        await one.terminate()
        await two.terminate()
        if record.epoch == epoch + 1:
            assert route.path.read_bytes() == text, "what is cleared already is not written again"
        assert route.record.assignment == BASELINE_ONLY


async def test_a_sentinel_that_was_frozen_for_longer_than_the_lease_does_not_take_its_own_sleep_for_a_lapse(
    route: Route, tmp_path: Path
) -> None:
    async with sentinel(route.path, log=tmp_path / "log") as process:
        route.serve(lease=KEPT_LEASE)
        async with route.kept_alive():
            for _ in range(2):  # it is stopped at whatever instruction it is at
                process.suspend()
                await route.renewals(7)
                process.thaw()
                await route.renewals(2)
                assert route.serves_somebody
        assert (await route.cleared()).cleared_by is Clearer.SENTINEL, "thawed, it does its work"


async def test_a_thawed_sentinel_does_not_touch_the_ramp_that_came_after(route: Route, tmp_path: Path) -> None:
    decoy = Route(route.path.with_name("decoy.json"))
    async with sentinel(route.path.parent / "*.json", log=tmp_path / "log-1") as frozen:
        route.serve(lease=KEPT_LEASE)
        async with route.kept_alive():
            frozen.suspend()
        async with sentinel(route.path, log=tmp_path / "log-2"):
            await route.cleared()
        route.serve("ramp-b", lease=60)
        stands = route.path.read_bytes()
        decoy.create()
        decoy.serve()
        frozen.thaw()
        await decoy.cleared()
    assert route.path.read_bytes() == stands, "it has looked again, and left the new ramp alone"


async def test_a_file_that_cannot_be_read_is_named_once_and_keeps_nobody_from_the_others(
    route: Route, tmp_path: Path
) -> None:
    broken = Route(route.path.with_name("broken.json"))
    broken.path.write_text('{"resources": [', encoding="utf-8")
    async with sentinel(route.path.parent / "*.json", log=tmp_path / "log") as process:
        route.serve()
        await route.cleared()
        assert process.tail(200).count("broken.json: the route file is not one that tailramp can write") == 1
        broken.create()
        broken.serve()
        assert (await broken.cleared()).cleared_by is Clearer.SENTINEL


async def test_a_route_file_that_vanishes_and_comes_back_is_watched_again(route: Route, tmp_path: Path) -> None:
    async with sentinel(route.path, log=tmp_path / "log") as process:
        route.serve(lease=60)
        moved = route.path.rename(route.path.with_name("elsewhere"))
        await wait_until(lambda: "there is no route file" in process.tail(), LATE, "the sentinel misses the file")
        moved.rename(route.path)
        route.file.change(
            lambda record: served(record, ramp="ramp-a", epoch=9, assignment=FIVE_PERCENT, lease_seconds=LEASE)
        )
        await route.cleared()


@pytest.mark.parametrize("named", ["*.json", "later.json"])
async def test_a_route_file_that_appears_later_is_watched(tmp_path: Path, named: str) -> None:
    later = Route(tmp_path / "not-yet" / "later.json")
    async with sentinel(later.path.with_name(named), log=tmp_path / "log") as process:
        if "*" not in named:
            await wait_until(
                lambda: "there is no route file" in process.tail(), LATE, "it misses the file it was given"
            )
        later.create()
        later.serve()
        assert (await later.cleared()).cleared_by is Clearer.SENTINEL


async def test_whoever_wins_the_race_of_a_renewal_with_the_clear_the_other_one_knows(tmp_path: Path) -> None:
    """Renewals come about when the lease runs out; after the first that is fenced, none ever succeeds."""
    chance = random.Random(4)
    routes = [Route(tmp_path / "routes" / f"chat-{number}.json") for number in range(2)]

    async def race(route: Route) -> None:
        for ramp in ("ramp-a", "ramp-b"):
            route.serve(ramp, lease=0.3)
            renewals = 0
            with contextlib.suppress(Fenced):
                while renewals < 12:
                    await asyncio.sleep(0.3 + POLL * chance.uniform(-0.5, 0.6))
                    route.renew(ramp)
                    renewals += 1
            record = await route.cleared()
            assert (record.ramp, record.cleared_by) == (ramp, Clearer.SENTINEL)
            with pytest.raises(Fenced):
                route.renew(ramp)

    for route in routes:
        route.create()
    async with sentinel(tmp_path / "routes" / "*.json", log=tmp_path / "log"):
        await asyncio.gather(*(race(route) for route in routes))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_sentinel_leaves_at_once_and_in_order(route: Route, tmp_path: Path, number: signal.Signals) -> None:
    async with sentinel(route.path, log=tmp_path / "log") as process:
        os.kill(process.pid, number)
        assert await process.wait_exit(LATE) == 0


async def test_a_sentinel_without_a_route_says_what_to_give_it(tmp_path: Path) -> None:
    argv = [sys.executable, "-m", "worker", "sentinel"]
    process = ManagedProcess.start(argv, tmp_path / "log", env={"TAILRAMP_ROUTES": ""}, name="sentinel")
    assert await process.wait_exit(LATE) == 2
    assert "TAILRAMP_ROUTES" in process.tail()


@pytest.mark.parametrize("named", ["kubernetes:", "kubernetes:llm/chat", "kubernetes:LLM", "kubernetes:llm;search"])
def test_a_namespace_that_can_be_none_is_refused_and_not_waited_for(
    named: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TAILRAMP_ROUTES", f"kubernetes:chat, {named}")
    assert main(["sentinel"]) == ExitCode.USAGE
    assert f"{named} names no namespace" in capsys.readouterr().err


def test_routes_are_told_apart_by_commas_with_and_without_spaces() -> None:
    assert place_patterns("kubernetes:llm, kubernetes:search ,,a/*.json,") == [
        "kubernetes:llm",
        "kubernetes:search",
        "a/*.json",
    ]


async def test_with_json_a_script_reads_start_clear_and_end_from_standard_output(route: Route, tmp_path: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "cli", "sentinel", str(route.path), "-o", "json"),
        env={**os.environ, "TAILRAMP_SENTINEL_POLL": str(POLL)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(45):
            started = json.loads(await process.stdout.readline())
            route.serve()
            cleared = json.loads(await process.stdout.readline())
    finally:
        process.terminate()
        out, err = await process.communicate()
    (ended,) = [json.loads(line) for line in out.splitlines()]
    assert [started["event"], cleared["event"], ended["event"]] == ["started", "cleared", "ended"]
    assert (cleared["route"], cleared["epoch"]) == (route.record.route, route.record.epoch)
    assert (process.returncode, err) == (0, b"")


@pytest.mark.parametrize("command", [["sentinel", "x.json"], ["worker"]])
def test_settings_that_cannot_be_used_are_named_as_json_too(
    command: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TAILRAMP_MAX_RAMPS", "many")
    assert main([*command, "-o", "json"]) == ExitCode.REFUSED
    (problem,) = json.loads(capsys.readouterr().out)["problems"]
    assert (problem["field"], problem["value"]) == ("TAILRAMP_MAX_RAMPS", "many")
    assert problem["mend"] == "Change or unset the variable"
