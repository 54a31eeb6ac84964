"""What the gateway's Lua costs: CPU of Envoy and of nginx per request with it and without it, in the same run.

Of each two serve the same route to the same users, one with the script that tailramp puts before the router and one
without. All are asked in turns, so that whatever else the machine does meets them all, and the kernel tells how much
time each of them ran. One more Envoy answers in place of the models, at once and with the same few bytes.
"""

import argparse
import asyncio
import copy
import json
import os
import random
import re
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import numpy as np

from bench._samples import RESULTS, machine
from gateway.envoy import EnvoyGateway
from gateway.label_document import LabelDocument
from gateway.nginx import NginxGateway
from gateway.route_document import RouteDocument
from lab.envoy_server import EnvoyServer
from lab.nginx_server import NginxServer, why_no_nginx
from lab.process import free_port
from lab.server import Server
from lab.user_population import populate
from tailramp.assignment import Assignment, Rule
from tailramp.buckets import BucketSet
from tailramp.route_record import Lease, RouteRecord, SlotRecord

TEXT = RESULTS / "gateway.txt"
ROUTE, SALT = "bench/gateway", "bench-2026"
CONNECTIONS = 16
_TICK = os.sysconf("SC_CLK_TCK")
_ANSWER = "ok"
_TYPES = "type.googleapis.com/envoy"


def models(port: int) -> dict[str, Any]:
    """An Envoy that answers everything itself."""
    router = {"@type": f"{_TYPES}.extensions.filters.http.router.v3.Router"}
    manager = {
        "@type": f"{_TYPES}.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "models",
        "route_config": {
            "virtual_hosts": [
                {
                    "name": "models",
                    "domains": ["*"],
                    "routes": [
                        {
                            "match": {"prefix": "/"},
                            "direct_response": {"status": 200, "body": {"inline_string": _ANSWER}},
                        }
                    ],
                }
            ]
        },
        "http_filters": [{"name": "envoy.filters.http.router", "typed_config": router}],
    }
    address = {"socket_address": {"address": "127.0.0.1", "port_value": port}}
    filters = [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]
    listener = {"name": "models", "address": address, "filter_chains": [{"filters": filters}]}
    return {"static_resources": {"listeners": [listener]}}


def without_lua(bootstrap: Mapping[str, Any]) -> dict[str, Any]:
    """The same gateway, but for the filter that computes buckets."""
    found: dict[str, Any] = copy.deepcopy(dict(bootstrap))
    for listener in found["static_resources"]["listeners"]:
        manager = listener["filter_chains"][0]["filters"][0]["typed_config"]
        manager["http_filters"] = [kept for kept in manager["http_filters"] if kept["name"] != "envoy.filters.http.lua"]
    return found


class BareNginx(NginxServer):
    """The same nginx, but for the scripts that a request meets."""

    def _command(self) -> tuple[list[str], dict[str, str]]:
        command = super()._command()
        text = self.configuration.read_text(encoding="utf-8")
        bare, scripts = re.subn(r"(access|log)_by_lua_block \{ .* \}", "", text)
        if scripts != 2:
            raise RuntimeError(f"nginx.conf runs {scripts} scripts for a request, and this takes two away")
        self.configuration.write_text(bare, encoding="utf-8")
        return command


def cpu_seconds(server: Server) -> float:
    """Of its process and of those that it has started."""
    pid = server.process.pid
    started = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    ran = 0
    for each in (str(pid), *started):
        fields = Path(f"/proc/{each}/stat").read_text().rpartition(") ")[2].split()
        ran += int(fields[11]) + int(fields[12])
    return ran / _TICK


async def ask(port: int, users: Sequence[str], requests: int) -> None:
    """Send ``requests`` over kept connections and read every answer; raises if one is no 200."""
    share, rest = divmod(requests, CONNECTIONS)

    async def one(number: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for index in range(share + (number < rest)):
            user = users[(number * share + index) % len(users)]
            writer.write(b"GET /v1/models HTTP/1.1\r\nhost: gateway\r\nx-user-id: " + user.encode() + b"\r\n\r\n")
            head = await reader.readuntil(b"\r\n\r\n")
            if not head.startswith(b"HTTP/1.1 200"):
                raise RuntimeError(f"the gateway answered {head.splitlines()[0].decode(errors='replace')}")
            await reader.readexactly(len(_ANSWER))
        writer.close()
        await writer.wait_closed()

    await asyncio.gather(*(one(number) for number in range(CONNECTIONS)))


class Pair:
    """A gateway with tailramp's script and one without it; ``ports`` are where they listen."""

    def __init__(self, program: str, servers: Mapping[str, Server], ports: Mapping[str, int]) -> None:
        self.program, self.servers, self.ports = program, servers, ports
        self.spent: dict[str, list[float]] = {kind: [] for kind in servers}
        """CPU per request of every block, in microseconds."""

    async def ask(self, kind: str, users: Sequence[str], requests: int) -> None:
        before = cpu_seconds(self.servers[kind])
        await ask(self.ports[kind], users, requests)
        self.spent[kind].append((cpu_seconds(self.servers[kind]) - before) / requests * 1e6)


def envoys(directory: Path, served: RouteRecord, answering: int) -> Pair:
    """They send the slots apart by the bucket's pattern."""
    file = directory / "route.json"
    document = RouteDocument.initial(ROUTE, slots=served.slots, default=served.assignment.default)
    file.write_text(document.with_record(served).text(), encoding="utf-8")
    ports, servers = {"without": free_port(), "with": free_port()}, {}
    for kind, port in ports.items():
        gateway = EnvoyGateway(
            listener_port=port,
            admin_port=free_port(),
            route_config_name=ROUTE,
            route_file=file,
            salt=SALT,
            salt_id=SALT,
            clusters=dict.fromkeys(served.slots, f"127.0.0.1:{answering}"),
        )
        bootstrap = gateway.bootstrap() if kind == "with" else without_lua(gateway.bootstrap())
        servers[kind] = EnvoyServer(directory / f"envoy-{kind}", bootstrap)
    return Pair("Envoy", servers, ports)


def nginxes(directory: Path, served: RouteRecord, answering: int) -> Pair:
    """They name the slot to whoever stands behind."""
    ports, servers = {"without": free_port(), "with": free_port()}, {}
    for kind, port in ports.items():
        folder = directory / f"nginx-{kind}"
        gateway = NginxGateway(
            listener_port=port,
            admin_port=free_port(),
            route_config_name=ROUTE,
            route_file=folder / "routes.json",
            lease_file=folder / "lease.json",
            salt=SALT,
            salt_id=SALT,
            clusters=dict.fromkeys(served.slots, f"127.0.0.1:{answering}"),
        )
        folder.mkdir()
        gateway.route_file.write_text(json.dumps(LabelDocument.of(served).data), encoding="utf-8")
        (folder / "lease.json").write_text(str(round((time.time() + 24 * 3600) * 1000)), encoding="utf-8")
        servers[kind] = (NginxServer if kind == "with" else BareNginx)(folder, gateway)
    return Pair("nginx", servers, ports)


async def measure(directory: Path, blocks: int, requests: int, seed: int) -> str:
    answering = free_port()
    users = populate(seed, core=1, others=5000).others
    rule = Rule(slot="green", buckets=BucketSet.parse("00-04,17,23-29"))
    slots = {slot: SlotRecord(model=slot) for slot in ("blue", "green")}
    served = RouteRecord(
        route=ROUTE,
        slots=slots,
        original_default="blue",
        assignment=Assignment(default="blue", rules=(rule,)),
        leases={"green": Lease()},
    )
    pairs = [envoys(directory, served, answering)]
    if not why_no_nginx():
        pairs.append(nginxes(directory, served, answering))
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(EnvoyServer(directory / "models", models(answering)))
        turns = [(pair, kind) for pair in pairs for kind in pair.servers]
        for pair, kind in turns:
            await stack.enter_async_context(pair.servers[kind])
        for pair, kind in turns:
            await ask(pair.ports[kind], users, requests)  # connections, caches and the script's compiler are warm
        chance = random.Random(seed)
        for _ in range(blocks):
            for pair, kind in chance.sample(turns, k=len(turns)):
                await pair.ask(kind, users, requests)
    return report(pairs, blocks, requests)


def report(pairs: Sequence[Pair], blocks: int, requests: int) -> str:
    lines = [
        "CPU of the gateway for one request, in microseconds: median (5 % to 95 % of the blocks)",
        f"{machine()}; load average {os.getloadavg()[0]:.0f}; {blocks} blocks of {requests:,} requests each, in turns",
        "",
    ]
    for pair in pairs:
        rows = {
            f"{pair.program} alone": pair.spent["without"],
            f"{pair.program}, bucket, headers, probes in Lua": pair.spent["with"],
            f"added to {pair.program}": np.subtract(pair.spent["with"], pair.spent["without"]),
        }
        for title, spent in rows.items():
            low, middle, high = np.percentile(spent, [5, 50, 95])
            lines.append(f"{title:40} {middle:7.1f}  ({low:.1f} to {high:.1f})")
        lines.append("")
    lines.append("sha256 of salt and user id, identity from a header; one more Envoy answers in place of the models.")
    if why := why_no_nginx():
        lines.append(f"Without nginx: {why}")
    return "\n".join(lines)


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m bench gateway", description=__doc__)
    parser.add_argument("--blocks", type=int, default=20, help="of each kind (20)")
    parser.add_argument("--requests", type=int, default=10_000, help="in a block (10,000)")
    parser.add_argument("--seed", type=int, default=1, help="of users and of the order of the blocks (1)")
    chosen = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="tailramp-bench-") as folder:
        text = asyncio.run(measure(Path(folder), chosen.blocks, chosen.requests, chosen.seed))
    TEXT.write_text(text + "\n", encoding="utf-8")
    print(text)
