"""Many routes on one machine: some behind a real Envoy, the others files that a minimal data plane reads.

They share one Temporal, one Prometheus, one pair of model servers and one control and one watch process, so that what
one more open ramp costs can be told.  All checks ask for the traffic of the first route, the only one with users:
evidence costs the same whoever made it.
"""

import asyncio
import json
import secrets
import sys
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import yaml
from temporalio.client import Client

from gateway.envoy import EnvoyGateway
from gateway.route_document import RouteDocument
from lab.envoy_server import EnvoyServer
from lab.http_probe import answers_ok
from lab.lasting import Lasting
from lab.process import ManagedProcess, free_port, wait_until
from lab.prometheus_server import PrometheusServer
from lab.temporal_server import TemporalServer
from tailramp.route_record import SlotRecord
from tailramp.spec import RampSpec, load_spec
from worker.connection import connect

SALT = "demo-2026"
MODELS = {"blue": "chat-v1", "green": "chat-v2"}


class Estate(Lasting):
    """``real`` routes behind Envoy and ``files`` behind the minimal data plane; ``ramp`` and ``checks`` are for all."""

    def __init__(
        self, directory: Path, *, real: int, files: int, ramp: Mapping[str, object], checks: Mapping[str, object]
    ) -> None:
        super().__init__()
        self.directory = directory.resolve()
        self.real = [f"real-{number:03d}" for number in range(real)]
        self.files = [f"file-{number:03d}" for number in range(files)]
        self._ramp, self._checks = dict(ramp), dict(checks)
        self._model_ports = {slot: free_port() for slot in MODELS}
        self._gateway_ports = {route: free_port() for route in self.real}
        self._admin_port, self._file_gateway_port = free_port(), free_port()
        self._secret = secrets.token_hex(32)
        self.temporal = TemporalServer(self.directory / "temporal")
        self.envoy = EnvoyServer(self.directory / "envoy", self._bootstrap())
        self.prometheus = PrometheusServer(
            self.directory / "prometheus",
            {
                "llm": [(f"127.0.0.1:{port}", {"slot": slot}) for slot, port in self._model_ports.items()],
                "gateway": [(f"127.0.0.1:{self._admin_port}", {})],
            },
            scrape_interval=1.0,
            metrics_path={"gateway": "/stats/prometheus"},
        )
        self.control: ManagedProcess
        self.watch: ManagedProcess
        self.client: Client

    @property
    def routes(self) -> list[str]:
        return [*self.real, *self.files]

    def file(self, route: str) -> Path:
        return self.directory / "routes" / f"{route}.json"

    @property
    def gateway_url(self) -> str:
        """Where the users of the first route come in."""
        return f"http://127.0.0.1:{self._gateway_ports[self.real[0]]}"

    def spec(self, route: str) -> RampSpec:
        folder = self.directory / "specs" / route
        return load_spec(folder / "canary.yaml", folder / "tailramp.yaml")

    async def _start(self) -> None:
        self.directory.mkdir(parents=True, exist_ok=True)
        self._secret_file.touch(mode=0o600)
        self._secret_file.write_text(self._secret, encoding="utf-8")
        for route in self.routes:
            self._write_files(route)
        for slot, port in self._model_ports.items():
            self._program(
                "lab.toy_llm", "--port", str(port), "--model", MODELS[slot], "--slot", slot, "--seed", "1", name=slot
            )
        settings = {"folder": str(self.directory / "routes"), "salt": SALT, "port": self._file_gateway_port}
        self._program("bench._file_gateway", json.dumps(settings), name="file-gateway")
        servers = (self.temporal, self.envoy, self.prometheus)
        for server in servers:
            self._stack.push_async_callback(server.stop)
        await asyncio.gather(*(server.start() for server in servers))
        environment = {"TEMPORAL_ADDRESS": self.temporal.address, "TAILRAMP_PROBE_SECRET": self._secret}
        environment |= {
            "TAILRAMP_RECORDS": str(self.directory / "records"),
            "TAILRAMP_MAX_RAMPS": str(len(self.routes)),
        }
        self.client = await connect(environment)
        self.control = self._program("worker", "control", name="control", environment=environment)
        self.watch = self._program("worker", "watch", name="watch", environment=environment)
        await self._every_route_has_answered()

    def _program(
        self, module: str, *arguments: str, name: str, environment: Mapping[str, str] | None = None
    ) -> ManagedProcess:
        argv = [sys.executable, "-m", module, *arguments]
        process = ManagedProcess.start(argv, self.directory / f"{name}.log", env=environment, name=name)
        self._stack.push_async_callback(process.terminate)
        return process

    async def _every_route_has_answered(self) -> None:
        """A cluster that nobody was ever sent to has no counters, and preflight refuses a check without a series."""
        ports = [*self._model_ports.values(), *self._gateway_ports.values()]
        urls = [f"http://127.0.0.1:{port}/v1/models" for port in ports]
        urls += [f"http://127.0.0.1:{self._file_gateway_port}/{route}/v1/models" for route in self.files[:1]]
        for url in urls:
            await wait_until(partial(answers_ok, url), 60, f"{url} answers")

    @property
    def _secret_file(self) -> Path:
        return self.directory / "probe-secret"

    def _slots(self, route: str) -> dict[str, str]:
        """The slots of a route by colour: behind one Envoy every route has clusters, and so counters, of its own."""
        return {colour: f"{colour}-{route}" for colour in MODELS}

    def _gateway(self, route: str) -> EnvoyGateway:
        return EnvoyGateway(
            listener_port=self._gateway_ports[route],
            admin_port=self._admin_port,
            route_config_name=f"bench/{route}",
            route_file=self.file(route),
            salt=SALT,
            salt_id=SALT,
            probe_secret_file=self._secret_file,
            clusters={slot: f"127.0.0.1:{self._model_ports[colour]}" for colour, slot in self._slots(route).items()},
        )

    def _bootstrap(self) -> dict[str, Any]:
        """One Envoy with the listeners and clusters of all real routes."""
        merged: dict[str, Any] = {}
        for route in self.real:
            bootstrap: dict[str, Any] = self._gateway(route).bootstrap()
            for listener in bootstrap["static_resources"]["listeners"]:
                listener["name"] = route
            if not merged:
                merged = bootstrap
                continue
            for kind in ("listeners", "clusters"):
                merged["static_resources"][kind] += bootstrap["static_resources"][kind]
        return merged

    def _write_files(self, route: str) -> None:
        slots = self._slots(route)
        records = {slot: SlotRecord(model=MODELS[colour]) for colour, slot in slots.items()}
        document = RouteDocument.initial(f"bench/{route}", slots=records, default=slots["blue"])
        file = self.file(route)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(document.text(), encoding="utf-8")
        folder = self.directory / "specs" / route
        folder.mkdir(parents=True)
        canary = {"model": MODELS["green"], "buckets": "00-99", "maxLatency": "10s", "maxToxicity": 0.9}
        (folder / "canary.yaml").write_text(yaml.safe_dump({"canary": canary}), encoding="utf-8")
        watched = self._slots(self.real[0])
        platform = {
            "apiVersion": "tailramp/v1",
            "route": {"namespace": "bench", "name": route},
            "router": {"kind": "envoy-file", "file": str(file), **self._reached_at(route)},
            "slots": {
                slot: {
                    "url": f"http://127.0.0.1:{self._model_ports[colour]}",
                    "metrics": f'slot="{colour}"',
                    "gatewayMetrics": f'envoy_cluster_name="{watched[colour]}"',
                }
                for colour, slot in slots.items()
            },
            "identity": {"header": "X-User-Id", "salt": SALT, "saltId": SALT},
            "prometheus": {"url": self.prometheus.url, "timeout": "20s", "scrapeInterval": "1s"},
            "ramp": self._ramp,
            "checks": self._checks,
        }
        (folder / "tailramp.yaml").write_text(yaml.safe_dump(platform, sort_keys=False), encoding="utf-8")

    def _reached_at(self, route: str) -> dict[str, str]:
        if route in self.real:
            admin, gateway = f"http://127.0.0.1:{self._admin_port}", f"http://127.0.0.1:{self._gateway_ports[route]}"
            return {"admin": admin, "gateway": gateway, "probeSecret": "${TAILRAMP_PROBE_SECRET}"}
        url = f"http://127.0.0.1:{self._file_gateway_port}/{route}"
        return {"admin": url, "gateway": url}
