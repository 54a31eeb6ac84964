"""How long a gateway is told to trust its routes, with the clocks held in the hand and a real Envoy to ask."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from activities.kube import KubeClient
from activities.routers.kube.binding import Binding
from activities.routers.kube.record_lease import BINDING, RECORD
from gateway.envoy import EnvoyGateway
from gateway.label_document import LabelDocument
from lab.envoy_server import EnvoyServer
from lab.process import free_port, wait_until
from tailramp.assignment import Assignment, Rule
from tailramp.buckets import BucketSet
from tailramp.route_record import Clearer, Lease, RouteRecord, cleared
from worker import follower
from worker.follower import Followed, Follower

ROUTE = "demo/chat"
SERVING = RouteRecord(
    route=ROUTE,
    original_default="blue",
    ramp="ramp-a",
    epoch=2,
    assignment=Assignment(default="blue", rules=(Rule(slot="green", buckets=BucketSet.parse("00-49")),)),
    leases={"green": Lease()},
)
LEASE = SERVING.leases["green"].seconds
CLEARED = cleared(SERVING, by=Clearer.SENTINEL, reason="lease_lapsed")
FROZEN = 600.0


class Clocks:
    """Both clocks of one machine, in step.  ``freeze_after`` readings the process is stopped for ten minutes."""

    def __init__(self) -> None:
        self._passed = 0.0
        self.freeze_after = 0

    def monotonic(self) -> float:
        return self._read(0.0)

    def wall(self) -> float:
        return self._read(1000.0)

    def pass_(self, seconds: float) -> None:
        self._passed += seconds

    def _read(self, start: float) -> float:
        read = start + self._passed
        self.freeze_after -= 1
        if self.freeze_after == 0:
            self._passed += FROZEN
        return read


class Gateway:
    """The two files, and until when the second says that the first may be trusted: seconds of the wall clock."""

    def __init__(self, folder: Path, admin: str) -> None:
        self.file, self.lease_file = folder / "gateway" / "routes.json", folder / "gateway" / "lease"
        self.clocks = Clocks()
        followed = Followed("demo", "chat", self.file, self.lease_file, "blue", admin)
        self.follower = Follower(
            followed, KubeClient(folder / "none"), monotonic=self.clocks.monotonic, wall=self.clocks.wall
        )

    @property
    def trusted_until(self) -> float:
        return int(self.lease_file.read_text()) / 1000

    async def take(self, record: RouteRecord) -> None:
        await self.follower.take(lease_of(record))


def lease_of(record: RouteRecord) -> dict[str, Any]:
    binding = Binding(kind="gateway-label", main="").model_dump_json()
    annotations = {RECORD: record.model_dump_json(), BINDING: binding}
    return {"metadata": {"namespace": "demo", "name": "tailramp-chat", "annotations": annotations}}


@pytest.fixture
async def envoy(tmp_path: Path) -> AsyncIterator[EnvoyServer]:
    """It reads ``tmp_path/gateway/routes.json``, in which at first green has its half."""
    file = tmp_path / "gateway" / "routes.json"
    file.parent.mkdir()
    await asyncio.to_thread(file.write_text, LabelDocument.of(SERVING).text())
    gateway = EnvoyGateway(
        listener_port=free_port(),
        admin_port=free_port(),
        route_config_name=ROUTE,
        route_file=file,
        salt="demo-2026",
        salt_id="demo",
        clusters=dict.fromkeys(("blue", "green"), "127.0.0.1:1"),
    )
    server = EnvoyServer(tmp_path / "envoy", gateway.bootstrap())
    await server.start()
    try:
        yield server
    finally:
        await server.kill()


@pytest.mark.parametrize("reading", [1, 2])
async def test_a_follower_that_was_frozen_between_two_looks_at_its_clocks_extends_no_lease_that_is_over(
    tmp_path: Path, reading: int
) -> None:
    gateway = Gateway(tmp_path, "http://127.0.0.1:1")
    await gateway.take(SERVING)
    assert gateway.trusted_until == 1000 + LEASE
    gateway.clocks.pass_(10)
    gateway.clocks.freeze_after = reading
    await gateway.follower.confirm()
    assert gateway.clocks.wall() == 1010 + FROZEN
    assert gateway.trusted_until <= 1000 + LEASE


async def test_a_clear_trusts_no_rules_that_it_takes_back(tmp_path: Path, envoy: EnvoyServer) -> None:
    gateway = Gateway(tmp_path, envoy.admin_url)
    await gateway.take(SERVING)
    gateway.clocks.pass_(LEASE + 5)
    await gateway.follower.confirm()
    assert gateway.trusted_until == 1000 + LEASE
    # What is said before Envoy has the new routes is said of the old ones.
    said: list[float] = []
    replace = Path.rename

    def renamed(draft: Path, target: Path) -> Path:
        if target == gateway.file:
            said.append(gateway.trusted_until)
        return replace(draft, target)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Path, "rename", renamed)
        await gateway.take(CLEARED)
    assert said == [1000 + LEASE]

    async def trusts_again() -> bool:
        await gateway.follower.confirm()
        return gateway.trusted_until > gateway.clocks.wall()

    await wait_until(trusts_again, 40, "Envoy has loaded that nobody is on a candidate")


async def test_a_route_without_a_record_is_trusted_once_envoy_has_loaded_its_routes(
    tmp_path: Path, envoy: EnvoyServer
) -> None:
    gateway = Gateway(tmp_path, envoy.admin_url)
    gateway.file.unlink()
    await gateway.follower.take(None)
    assert LabelDocument.initial(ROUTE, "blue").text() == await asyncio.to_thread(gateway.file.read_text)

    async def trusts() -> bool:
        await gateway.follower.confirm()
        return gateway.lease_file.exists()

    await wait_until(trusts, 40, "Envoy has loaded the first routes")


async def test_what_goes_on_failing_is_said_once_and_not_at_every_try(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There is no way to the cluster, and the disk is full."""
    monkeypatch.setattr(follower, "_AGAIN_SECONDS", 0.01)
    monkeypatch.setattr(follower, "_TICK_SECONDS", 0.01)
    gateway = Gateway(tmp_path, "http://127.0.0.1:1")
    attempts = 0

    async def counted() -> None:
        nonlocal attempts
        attempts += 1
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(gateway.follower, "confirm", counted)
    running = asyncio.create_task(gateway.follower.run())

    async def often() -> bool:
        return attempts > 20

    await wait_until(often, 30, "many tries")
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    said = [line for line in caplog.messages if "cannot be" in line]
    assert len([line for line in said if "cannot be written: No space left" in line]) == 1
    assert len([line for line in said if "demo/chat cannot be followed" in line]) == 1
