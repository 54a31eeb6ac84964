"""A replica of the gateway that never hears of the rule: its users stay on the baseline, and the ramp waits.

Nobody compares the two sides then: the candidate is healthy, the numbers look well, and the ramp must not go on.
"""

import asyncio
import json
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from aiohttp import web

from gateway.envoy import EnvoyGateway
from lab.client_log import read_log
from lab.envoy_server import EnvoyServer
from lab.process import ManagedProcess, free_port, wait_until
from lab.server import Server
from lab.world import SALT, World
from tailramp.decision import DecisionKind
from tailramp.ramp import Block, Phase, Reason
from workflows.answers import RampStatus
from workflows.handles import RampHandle
from workflows.messages import Message
from workflows.ramp import RampWorkflow
from workflows.starting import start_ramp

pytestmark = [pytest.mark.e2e, pytest.mark.faults, pytest.mark.timeout(400)]

WINDOW = 60
HOLD = 100
AMISS = "users are not divided as their buckets are"


class WorldOfTwoReplicas(World):
    """Beside the gateway of every world stands a second one, whose copy of the route nobody writes any more."""

    def __init__(self, directory: Path, seed: int) -> None:
        counting = {"total": "user_windows_total{match}", "window": f"{WINDOW}s", "countedBy": "gateway"}
        super().__init__(
            directory,
            seed=seed,
            ramp={"steps": ["50%", "100%"], "hold": f"{HOLD}s", "bake": "2s"},
            checks={"users": counting},
        )
        self._stale_file = self.directory / "stale" / "chat.json"
        self._stale_port, self.users_port = free_port(), free_port()
        gateway = EnvoyGateway(
            listener_port=self._stale_port,
            admin_port=free_port(),
            route_config_name=self.route,
            route_file=self._stale_file,
            salt=SALT,
            salt_id=SALT,
            probe_secret_file=self._probe_secret_file,
            clusters={slot: f"127.0.0.1:{port}" for slot, port in self._ports.items()},
        )
        self._stale = EnvoyServer(self.directory / "stale-envoy", gateway.bootstrap())
        self.prometheus.scrape({**self.prometheus.targets, "users": [(f"127.0.0.1:{self.users_port}", {})]})

    def _servers(self) -> list[Server]:
        return [*super()._servers(), self._stale]

    def _write_route_file(self) -> None:
        super()._write_route_file()
        self._stale_file.parent.mkdir(parents=True, exist_ok=True)
        self._stale_file.write_bytes(self.route_file.read_bytes())

    def _gateway_match(self, slot: str) -> str:
        return f'envoy_cluster_name="{slot}"'

    def start_users_of_the_stale_one(self, log: Path, *, rate: float, seconds: float) -> ManagedProcess:
        argv = [sys.executable, "-m", "lab.users", "--gateway", f"http://127.0.0.1:{self._stale_port}"]
        argv += ["--log", str(log), "--seed", str(self.seed + 1), "--rate", str(rate), "--duration", str(seconds)]
        argv += ["--core-users", "100"]
        return ManagedProcess.start(argv, self.directory / "stale-users.log", name="users of the stale gateway")


class CounterOfUsers:
    """What a team brings that wants its users counted: each once a window, by the slot that answered."""

    def __init__(self, logs: list[Path]) -> None:
        self._read = dict.fromkeys(logs, 0)
        self._seen: set[tuple[str, str, int]] = set()

    async def expose(self, _: web.Request) -> web.Response:
        for log, start in self._read.items():
            if log.exists():
                found = read_log(log, start)
                self._read[log] = found.end
                self._seen |= {
                    (request.variant, request.user, int(request.began) // WINDOW)
                    for request in found.requests
                    if request.ok and request.user is not None and request.variant is not None
                }
        counts = Counter(slot for slot, _, _ in self._seen)
        lines = [f'user_windows_total{{envoy_cluster_name="{slot}"}} {counts[slot]}' for slot in ("blue", "green")]
        return web.Response(text="\n".join(["# TYPE user_windows_total counter", *lines, ""]))


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[WorldOfTwoReplicas]:
    world = WorldOfTwoReplicas(tmp_path / "world", seed=11)
    app = web.Application()
    app.router.add_get("/metrics", CounterOfUsers([tmp_path / "clients.jsonl", tmp_path / "stale.jsonl"]).expose)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", world.users_port).start()
    try:
        async with world:
            yield world
    finally:
        await runner.cleanup()


async def until(handle: RampHandle, seconds: float, what: str, holds: Callable[[RampStatus], bool]) -> RampStatus:
    seen: list[RampStatus] = []

    async def reached() -> bool:
        seen[:] = [await handle.query(RampWorkflow.status)]
        return holds(seen[0])

    await wait_until(reached, seconds, what, interval=1.0)
    return seen[0]


async def test_a_ramp_whose_users_are_divided_wrongly_waits_and_says_so(
    world: WorldOfTwoReplicas, tmp_path: Path
) -> None:
    world.start_worker()
    async with (
        world.start_users(tmp_path / "clients.jsonl", rate=60, seconds=390) as users,
        world.start_users_of_the_stale_one(tmp_path / "stale.jsonl", rate=30, seconds=390) as stale,
    ):
        for process, log in ((users, "clients.jsonl"), (stale, "stale.jsonl")):
            await process.wait_ready(lambda log=log: (tmp_path / log).exists(), 30, "users of both replicas")
        spec = world.spec("chat-v2", maxLatency="10s")
        await world.counted(spec)
        handle = await start_ramp(world.client, spec, actor="test")
        await until(handle, 60, "the hold of the only step before everyone", lambda s: s.phase is Phase.HOLDING)
        held = asyncio.get_running_loop().time()
        status = await until(handle, 2 * WINDOW + 30, "the ramp to be held", lambda s: AMISS in s.last)
        assert (status.step, status.blocked_by) == (1, (Block.SHARED_INCIDENT,))
        assert "50.0 % were expected" in status.last
        # Its hold is over long ago, and still it waits; and it takes nobody back.
        left = held + HOLD + 15 - asyncio.get_running_loop().time()
        await asyncio.sleep(max(0.0, left))
        status = await handle.query(RampWorkflow.status)
        assert (status.phase, status.step, status.blocked_by) == (Phase.HOLDING, 1, (Block.SHARED_INCIDENT,))
        (log,) = world.records.glob("*.jsonl")
        decisions = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
        blocked = [one["sentence"] for one in decisions if one["kind"] == DecisionKind.BLOCKED]
        assert any(AMISS in sentence for sentence in blocked)
        assert not any(one["kind"] in {DecisionKind.FAILED, DecisionKind.PASSED} for one in decisions)
        await handle.signal(RampWorkflow.abort, Message(actor="test"))
        result = await handle.result()
    assert (result.phase, result.reason) == (Phase.ROLLED_BACK, Reason.OPERATOR_ABORT)
