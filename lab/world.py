"""A one-machine world: real servers, two slots of a toy model behind a real gateway, a worker, and users.

The demo, the end-to-end tests and the benchmarks all live in it.  Everything is started on free loopback ports below
one folder, and everything dies with the process that started it.
"""

import asyncio
import json
import secrets
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import aiohttp
import yaml
from temporalio.client import Client

from activities.metrics import PrometheusMetrics
from gateway.envoy import EnvoyGateway
from gateway.route_document import RouteDocument
from lab.envoy_server import EnvoyServer
from lab.lasting import Lasting
from lab.nginx_server import NginxServer
from lab.process import ManagedProcess, free_port, wait_until
from lab.prometheus_server import PrometheusServer
from lab.server import Server
from lab.temporal_server import TemporalServer
from tailramp.checks import all_checks, slot_match
from tailramp.route_record import SlotRecord
from tailramp.spec import RampSpec, load_spec
from worker.connection import connect

ROUTE = "demo/chat"
SALT = "demo-2026"
SCRAPE_SECONDS = 0.5
STREAMED_SHARE = 0.1
"""Of the requests of all users."""

_READY_SECONDS = 60.0
_QUERY_SECONDS = 20.0

# The evidence that this world can gather in seconds.  A production file keeps the defaults, which are far stricter.
QUICK_RAMP = {
    "steps": ["1%", "5%", "10%", "25%", "50%", "100%"],
    "hold": "4s",
    "bake": "5s",
    "maxSettle": "30s",
    "maxBlind": "20s",
}
QUICK_CHECKS = {"tick": "1s", "window": "1s", "consecutive": 3, "minSample": 20, "floor": 5, "maxErrors": "5%"}
# Three times what the slowest of ten thousand healthy answers takes.
HANG_CHECK = {"maxHang": "5s"}


class World(Lasting):
    """``directory`` keeps every file and log; ``models`` says which model runs in which slot at the start.

    ``workloads``, by slot, and ``spellings`` are the platform file's ``workload`` and ``models``.
    """

    route = ROUTE

    def __init__(
        self,
        directory: Path,
        seed: int = 1,
        *,
        models: Mapping[str, str] | None = None,
        ramp: Mapping[str, object] | None = None,
        checks: Mapping[str, object] | None = None,
        scrape_seconds: float = SCRAPE_SECONDS,
        workloads: Mapping[str, Mapping[str, object]] | None = None,
        spellings: Mapping[str, object] | None = None,
    ) -> None:
        super().__init__()
        self.directory = directory.resolve()
        self.seed = seed
        self.models = dict(models or {"blue": "chat-v1", "green": "chat-v2"})
        self.baseline = next(iter(self.models))
        self._ramp = {**QUICK_RAMP, **(ramp or {})}
        self._checks = {**QUICK_CHECKS, **(checks or {})}
        self._scrape_seconds = scrape_seconds
        self._workloads = dict(workloads or {})
        self._spellings = dict(spellings or {})
        self._ports = {slot: free_port() for slot in self.models}
        self._gateway_port = free_port()
        self._admin_port = free_port()
        self._probe_secret = secrets.token_hex(32)
        self.servers: dict[str, ManagedProcess] = {}
        self.worker: ManagedProcess | None = None
        self.worker_program = ["-m", "worker"]
        """What Python runs as a worker role."""
        self._started: list[ManagedProcess] = []
        self.temporal = TemporalServer(self.directory / "temporal")
        self.envoy = self._front()
        self.prometheus = PrometheusServer(
            self.directory / "prometheus",
            {
                "llm": [(f"127.0.0.1:{port}", {"slot": slot}) for slot, port in self._ports.items()],
                "gateway": [(self._gateway_metrics()[0], {})],
            },
            scrape_interval=scrape_seconds,
            metrics_path={"gateway": self._gateway_metrics()[1]},
        )
        self.http: aiohttp.ClientSession
        self.client: Client

    @property
    def route_file(self) -> Path:
        return self.directory / "routes" / "chat.json"

    @property
    def _probe_secret_file(self) -> Path:
        return self.directory / "probe-secret"

    @property
    def gateway_url(self) -> str:
        return f"http://127.0.0.1:{self._gateway_port}"

    @property
    def records(self) -> Path:
        return self.directory / "records"

    @property
    def worker_environment(self) -> dict[str, str]:
        """What a worker or a ``tailramp`` command needs to live in this world."""
        return {
            "TEMPORAL_ADDRESS": self.temporal.address,
            "TAILRAMP_RECORDS": str(self.records),
            "TAILRAMP_PLATFORM": str(self.directory / "tailramp.yaml"),
            "TAILRAMP_PROBE_SECRET": self._probe_secret,
        }

    async def _start(self) -> None:
        self.directory.mkdir(parents=True, exist_ok=True)
        self._probe_secret_file.touch(mode=0o600)
        self._probe_secret_file.write_text(self._probe_secret, encoding="utf-8")
        self._write_route_file()
        self._write_platform_file()
        await self._make_route()
        self.http = await self._stack.enter_async_context(aiohttp.ClientSession())
        self._stack.push_async_callback(self._end)
        for slot, model in self.models.items():
            self._start_server(slot, model)
        starting = [server.start() for server in self._servers()]
        await asyncio.gather(*starting, *(self._answers(slot) for slot in self.models))
        self.client = await connect(self.worker_environment)

    async def _end(self) -> None:
        """As a crash would.  A good order takes Temporal and the models seconds, and nobody is left who needs it."""
        ending: list[ManagedProcess | Server] = [*self._started, *self._servers(), *self.servers.values()]
        await asyncio.gather(*(each.kill() for each in ending))

    def _servers(self) -> list[Server]:
        return [self.temporal, self.envoy, self.prometheus]

    async def _make_route(self) -> None:
        """Make what the route is made of beside the route file."""

    # What the ramp reads and writes.

    def _gateway_metrics(self) -> tuple[str, str]:
        """Address and path of what the gateway counts."""
        return f"127.0.0.1:{self._admin_port}", "/stats/prometheus"

    def _gateway(self) -> EnvoyGateway:
        return EnvoyGateway(
            listener_port=self._gateway_port,
            admin_port=self._admin_port,
            route_config_name=self.route,
            route_file=self.route_file,
            salt=SALT,
            salt_id=SALT,
            probe_secret_file=self._probe_secret_file,
            clusters={slot: f"127.0.0.1:{port}" for slot, port in self._ports.items()},
        )

    def _front(self) -> EnvoyServer | NginxServer:
        return EnvoyServer(self.directory / "envoy", self._gateway().bootstrap())

    def _write_route_file(self) -> None:
        slots = {slot: SlotRecord(model=model) for slot, model in self.models.items()}
        document = RouteDocument.initial(self.route, slots=slots, default=self.baseline)
        self.route_file.parent.mkdir(parents=True, exist_ok=True)
        self.route_file.write_text(document.text(), encoding="utf-8")

    def _write_platform_file(self) -> None:
        namespace, name = self.route.split("/")
        platform = {
            "apiVersion": "tailramp/v1",
            "route": {"namespace": namespace, "name": name, "publicModel": "chat"},
            "router": {
                **self._router(),
                "gateway": self.gateway_url,
                "probeSecret": "${TAILRAMP_PROBE_SECRET}",
            },
            "slots": {
                slot: {
                    "url": f"http://127.0.0.1:{port}",
                    "metrics": f'slot="{slot}"',
                    "gatewayMetrics": self._gateway_match(slot),
                    **({"workload": self._workloads[slot]} if slot in self._workloads else {}),
                }
                for slot, port in self._ports.items()
            },
            "identity": {"header": "X-User-Id", "salt": SALT, "saltId": SALT},
            "prometheus": {
                "url": self.prometheus.url,
                "timeout": "2s",
                "scrapeInterval": f"{round(self._scrape_seconds * 1000)}ms",
            },
            "ramp": self._ramp,
            "checks": self._checks,
            "models": self._spellings,
        }
        _write_yaml(self.directory / "tailramp.yaml", platform)

    def _router(self) -> dict[str, object]:
        """What the platform file says of the route, beside its gateway."""
        return {
            "kind": "envoy-file",
            "file": str(self.route_file),
            "admin": f"http://127.0.0.1:{self._admin_port}",
        }

    def _gateway_match(self, slot: str) -> str:
        """The labels of a slot's traffic in what the gateway counts."""
        return f'envoy_cluster_name="{slot}"'

    def set_ramp(self, **settings: object) -> None:
        """Other settings of the platform file's ``ramp``, for ramps that are started from now on."""
        self._ramp |= settings
        self._write_platform_file()

    def set_workload(self, slot: str, **settings: object) -> None:
        """The same of a slot's ``workload``."""
        self._workloads[slot] = {**self._workloads.get(slot, {}), **settings}
        self._write_platform_file()

    def write_canary(self, model: str, buckets: str = "00-99", **fields: object) -> Path:
        """The researcher's file for ``model``; returns its path."""
        canary = {"model": model, "buckets": buckets, "maxLatency": "2000ms", "maxToxicity": 0.05, **fields}
        return self._write_canary_file({"canary": canary})

    def _write_canary_file(self, content: Mapping[str, object]) -> Path:
        path = self.directory / "canary.yaml"
        _write_yaml(path, content)
        return path

    def spec(self, model: str, buckets: str = "00-99", **fields: object) -> RampSpec:
        """The spec of a ramp to ``model``, by way of the two files."""
        return load_spec(self.write_canary(model, buckets, **fields), self.directory / "tailramp.yaml")

    def spec_of_several(self, canaries: Sequence[Mapping[str, object]]) -> RampSpec:
        """The spec of a ramp to several candidates at once, each written as in ``canaries:``."""
        return load_spec(self._write_canary_file({"canaries": list(canaries)}), self.directory / "tailramp.yaml")

    # What lives in the world.

    async def deploy(self, slot: str, model: str) -> None:
        """Put another model into a slot; nobody should be served by it meanwhile."""
        await self.servers[slot].terminate()
        self.models[slot] = model
        self._start_server(slot, model)
        await self._answers(slot)

    def _start_server(self, slot: str, model: str) -> None:
        argv = [sys.executable, "-m", "lab.toy_llm", "--port", str(self._ports[slot]), "--model", model, "--slot", slot]
        argv += ["--seed", str(self.seed), "--fault-log", str(self.directory / "faults.jsonl")]
        log = self.directory / f"{slot}.log"
        self.servers[slot] = ManagedProcess.start(argv, log, name=f"toy model in {slot}")

    async def _answers(self, slot: str) -> None:
        async def answers() -> bool:
            try:
                async with self.http.get(f"http://127.0.0.1:{self._ports[slot]}/v1/models") as response:
                    return response.status == 200
            except aiohttp.ClientError:
                return False

        await self.servers[slot].wait_ready(answers, _READY_SECONDS, f"the toy model in {slot}")

    async def fault(self, slot: str, kind: str) -> float:
        """Switch a fault on; returns the wall-clock time at which the server logged it."""
        async with self.http.post(f"http://127.0.0.1:{self._ports[slot]}/fault", json={"kind": kind}) as response:
            response.raise_for_status()
            return float((await response.json())["at"])

    def start_worker(self, role: str = "all") -> ManagedProcess:
        """Start ``tailramp worker``, or one of its roles; several may run beside each other."""
        self.worker = self._start_role(role)
        return self.worker

    def start_sentinel(self, poll_seconds: float = 2.0) -> ManagedProcess:
        """Start a sentinel for the world's route; several may run beside each other."""
        return self._start_role("sentinel", self._watched_by_sentinel(), TAILRAMP_SENTINEL_POLL=str(poll_seconds))

    def _watched_by_sentinel(self) -> str:
        return str(self.route_file)

    def _start_role(self, role: str, *arguments: str, **environment: str) -> ManagedProcess:
        argv = [sys.executable, *self.worker_program, role, *arguments]
        log = self.directory / ("sentinel.log" if role == "sentinel" else "worker.log")
        environment = {**self.worker_environment, **environment}
        process = ManagedProcess.start(argv, log, env=environment, name=f"worker {role}")
        self._started.append(process)
        return process

    def start_users(
        self,
        log: Path,
        *,
        rate: float,
        seconds: float,
        core_users: int | None = None,
        core_rate: float | None = None,
        patience: float = 30.0,
    ) -> ManagedProcess:
        """Let users send ``rate`` requests a second for ``seconds``, each logged as a line of ``log``.

        ``core_rate`` of them are the core users'.  Who has no answer after ``patience`` seconds gives up.
        """
        argv = [sys.executable, "-m", "lab.users", "--gateway", self.gateway_url, "--log", str(log)]
        argv += ["--seed", str(self.seed), "--rate", str(rate), "--duration", str(seconds)]
        argv += ["--streamed-share", str(STREAMED_SHARE), "--timeout", str(patience)]
        if core_users is not None:
            argv += ["--core-users", str(core_users)]
        if core_rate is not None:
            argv += ["--core-rate", str(core_rate)]
        return ManagedProcess.start(argv, self.directory / "users.log", name="users")

    async def counted(self, spec: RampSpec, baseline: str | None = None) -> None:
        """Wait until Prometheus has what a ramp asks of the baseline: before, its preflight would refuse it.

        ``baseline`` is the slot that serves everyone, where it is another than at the start.
        """
        asked = slot_match(spec.platform, baseline or self.baseline)
        settings = spec.platform.prometheus
        metrics = PrometheusMetrics(settings.url, _QUERY_SECONDS)

        async def answered() -> bool:
            at = int(time.time() - settings.ingestion_delay.total_seconds())
            return not await metrics.preflight(all_checks(spec), asked, at)

        try:
            await wait_until(answered, _READY_SECONDS, "Prometheus has the baseline's counters")
        finally:
            metrics.close()


def _write_yaml(path: Path, data: object) -> None:
    path.write_text(yaml.safe_dump(json.loads(json.dumps(data)), allow_unicode=True, sort_keys=False), encoding="utf-8")
