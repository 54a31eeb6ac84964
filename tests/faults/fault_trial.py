"""One ramp under users with something broken on the way, and the promises that hold whatever was broken.

The roles are separate processes, as in production, so that each can be killed, frozen and stopped alone.  What users
were served is judged by their own log and by what really stood in the route file.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from pathlib import Path

from temporalio.service import RPCError

from activities.routers.envoy_admin import EnvoyAdmin
from gateway.route_document import RouteDocument
from lab.client_log import read_log
from lab.process import ManagedProcess, wait_until
from lab.route_history import RouteHistory
from lab.world import SALT, World
from tailramp.activity_names import PREFLIGHT
from tailramp.assignment import Assignment
from tailramp.buckets import BucketFunction
from tailramp.planning import make_plan
from tailramp.ramp import Phase
from tailramp.route_record import RouteRecord
from workflows.answers import RampResult, RampStatus
from workflows.handles import RampHandle
from workflows.messages import Message
from workflows.ramp import RampWorkflow
from workflows.starting import start_ramp

RAMP = {"steps": ["25%", "50%", "100%"], "hold": "1s", "bake": "2s", "maxSettle": "60s", "maxBlind": "8s"}
CHECKS = {"tick": "1s", "window": "1s", "consecutive": 2, "minSample": 4, "floor": 2, "maxErrors": "20%"}
CANARY: dict[str, object] = {"maxLatency": "8s", "maxToxicity": 0.9}
"""Limits that a healthy toy model never breaks, however few its answers are."""
LEASE = "90s"
"""As it is shipped: a role that starts anew on a busy machine serves after half a minute, and must not be missed."""
REQUESTS_PER_SECOND = 40.0
SENTINEL_POLL = 0.5
QUIET_SECONDS = 2.0
"""How long the route is watched after the end of a rollback: nothing may write it any more."""

BASELINE_ONLY = Assignment(default="blue")


class Trial:
    """A world with its roles, users and a ramp from blue to green, observed from outside.

    ``lease`` is the candidate's; ``ramp`` and ``checks`` change single settings of the quick spec.
    """

    def __init__(
        self,
        directory: Path,
        *,
        lease: str = LEASE,
        ramp: dict[str, object] | None = None,
        checks: dict[str, object] | None = None,
    ) -> None:
        settings = {**RAMP, "lease": lease, **(ramp or {})}
        self.world = World(directory, seed=3, ramp=settings, checks={**CHECKS, **(checks or {})})
        self.history = RouteHistory(self.world.route_file)
        self.roles: dict[str, ManagedProcess] = {}
        self.users: ManagedProcess
        self.handle: RampHandle
        self._log = self.world.directory / "clients.jsonl"

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator["Trial"]:
        """The world with all roles and users; no ramp yet.  Whatever was started is gone afterwards."""
        async with self.world:
            for role in ("control", "watch", "sentinel"):
                self.start_role(role)
            self.users = self.world.start_users(self._log, rate=REQUESTS_PER_SECOND, seconds=600)
            try:
                async with self.history.observed():
                    await self.users.wait_ready(lambda: self._log.exists() and read_log(self._log).started, 60, "users")
                    yield self
            finally:
                await self.users.terminate()
        left = [name for name, process in self.roles.items() if process.is_running]
        assert left == [], f"left running: {left}"

    def start_role(self, role: str) -> None:
        world = self.world
        self.roles[role] = world.start_sentinel(SENTINEL_POLL) if role == "sentinel" else world.start_worker(role)

    async def start(self, **canary: object) -> RampHandle:
        spec = self.world.spec("chat-v2", "00-99", **{**CANARY, **canary})
        await self.world.counted(spec)
        self.handle = await start_ramp(self.world.client, spec, actor="test")
        return self.handle

    # Where the ramp is.

    async def status(self) -> RampStatus:
        return await self.handle.query(RampWorkflow.status, rpc_timeout=_QUERY)

    @property
    def stands(self) -> Assignment | None:
        """What the route file says now."""
        return self.history.versions[-1].assignment if self.history.versions else None

    @property
    def record(self) -> RouteRecord:
        return RouteDocument.parse(self.world.route_file.read_text(encoding="utf-8")).record

    @property
    def share(self) -> float:
        return self.stands.share_of("green") if self.stands else 0.0

    async def until(self, condition: Callable[[RampStatus], bool], what: str, within: float = 90.0) -> None:
        """Wait for a status; a ramp that has ended otherwise will not get there."""

        async def reached() -> bool:
            try:
                status = await self.status()
            except RPCError:  # Temporal, or the worker that answers, may be what is broken
                return False
            if status.phase.is_terminal and not condition(status):
                raise AssertionError(f"the ramp ended before {what}: {status.last}")
            return condition(status)

        await wait_until(reached, within, what)

    async def until_file(self, condition: Callable[[Assignment], bool], what: str, within: float = 90.0) -> None:
        await wait_until(lambda: self.stands is not None and condition(self.stands), within, what, interval=0.005)

    @property
    def renewals(self) -> int:
        """How often the candidate's lease has been renewed."""
        lease = self.record.leases.get("green")
        return lease.renewals if lease is not None else 0

    async def until_watched(self) -> None:
        """Wait for a completed look of the watch that runs now: before it, nobody but the lease looks at anything."""
        before = self.renewals
        await wait_until(lambda: self.renewals > before, 60, "a completed look")

    async def abort(self) -> None:
        await self.handle.signal(RampWorkflow.abort, Message(actor="test"))

    async def result(self, within: float = 60.0) -> RampResult:
        """The ramp's result, also across restarts of Temporal."""
        async with asyncio.timeout(within):
            while True:
                try:
                    return await self.handle.result(rpc_timeout=_RESULT)
                except RPCError:
                    await asyncio.sleep(0.1)

    # What must hold whatever was broken.

    async def assert_quiet_after_a_rollback(self, result: RampResult) -> None:
        """Nothing writes the route once a rollback is over."""
        if result.phase is not Phase.ROLLED_BACK:
            return
        before = self.world.route_file.read_bytes()
        looks = int(QUIET_SECONDS / 0.05)
        for _ in range(looks):
            assert self.world.route_file.read_bytes() == before, "somebody wrote the route after the rollback"
            await asyncio.sleep(0.05)
        assert RouteDocument.parse(before.decode()).record.assignment == BASELINE_ONLY

    async def assert_promises(self) -> None:
        """Stops the users, then judges every request and every assignment that stood.  Call it inside ``running``."""
        await self.users.terminate()
        requests = read_log(self._log).requests
        bucket_of = BucketFunction(SALT)
        served = [request for request in requests if request.variant is not None]
        strangers = [
            request
            for request in served
            if not self.history.may_serve(str(request.variant), request.user, request.sent, request.began, bucket_of)
        ]
        assert served, "nobody was served: the trial proves nothing"
        assert strangers == [], f"{len(strangers)} requests were served without admission, first {strangers[0]}"
        plan = make_plan(self.world.spec("chat-v2", "00-99", **CANARY), default="blue", candidates=["green"])
        planned = [
            plan.baseline_only,
            plan.promoting,
            plan.baking,
            plan.promoted,
            *(step.assignment for step in plan.steps),
        ]
        foreign = [version.assignment for version in self.history.versions if version.assignment not in planned]
        assert foreign == [], "an assignment that is not in the plan stood in the route file"
        epochs = [version.epoch for version in self.history.versions]
        assert epochs == sorted(epochs), "the epoch has fallen"


_QUERY = timedelta(seconds=2)
_RESULT = timedelta(seconds=5)

Injection = Callable[[Trial], Awaitable[None]]


async def in_preflight(trial: Trial) -> None:
    """It is asked for, and the process that should run it is frozen: once thawed, it meets whatever breaks now."""

    async def asked_for() -> bool:
        pending = (await trial.handle.describe()).raw_description.pending_activities
        return any(activity.activity_type.name == PREFLIGHT for activity in pending)

    await wait_until(asked_for, 60, "preflight is asked for")


async def in_shifting(trial: Trial) -> None:
    """The second step has been written and is not yet proven."""
    await trial.until_file(lambda stands: stands.share_of("green") >= 0.5, "the second step in the route file")


async def in_settling(trial: Trial) -> None:
    await trial.until(lambda status: status.phase is Phase.SETTLING and status.step == 2, "settling at step 2")


async def in_holding(trial: Trial) -> None:
    await trial.until(lambda status: status.phase is Phase.HOLDING and status.step == 2, "the hold of step 2")


async def in_promoting(trial: Trial) -> None:
    await trial.until_file(lambda stands: stands.default == "green", "the moved default in the route file")


async def in_baking(trial: Trial) -> None:
    await trial.until(lambda status: status.phase is Phase.BAKING, "the bake")


async def in_rolling_back(trial: Trial) -> None:
    """Aborted in a hold; the route is cleared, zero is not yet proven."""
    await in_holding(trial)
    await trial.abort()
    await trial.until_file(lambda stands: stands == BASELINE_ONLY, "the cleared route")


async def in_unverified(trial: Trial) -> None:
    """Aborted in a hold; the gateway has loaded the cleared route and hangs, so that nothing can prove who answers."""
    await in_rolling_back(trial)
    envoy = EnvoyAdmin(trial.world.envoy.admin_url, trial.world.http)
    cleared = RouteDocument.parse(trial.world.route_file.read_text(encoding="utf-8"))

    async def loaded() -> bool:
        return await envoy.loaded_version(cleared.name) == cleared.version

    await wait_until(loaded, 30, "the cleared route is loaded", interval=0.01)
    trial.world.envoy.suspend()
    await trial.until(lambda status: status.phase is Phase.ROLLBACK_UNVERIFIED, "the missing proof", within=60)


def lasting(moment: Injection) -> dict[str, object]:
    """The ramp's settings with which it does not leave ``moment`` behind before anything is done to it, however late
    the machine is: only what is done ends it."""
    if moment in {in_promoting, in_baking}:
        return {"bake": "10m"}
    return {"steps": [{"share": "25%", "hold": "1s"}, {"share": "50%", "hold": "10m"}, "100%"]}


async def in_pause(trial: Trial) -> None:
    await in_holding(trial)
    await trial.handle.signal(RampWorkflow.pause, Message(actor="test"))
    await trial.until(lambda status: status.paused, "the pause")
