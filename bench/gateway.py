"""What the gateway's Lua costs: CPU of Envoy per request with it and without it, in the same run.

Two Envoys serve the same route to the same users, one with the filter that tailramp puts in front of the router and one
without.  They are asked in turns, so that whatever else the machine does meets both, and the kernel tells how much time
each of them ran.  A third Envoy answers in place of the models, at once and with the same few bytes.
"""

import argparse
import asyncio
import copy
import os
import random
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import numpy as np

from bench._samples import RESULTS, machine
from gateway.envoy import EnvoyGateway
from gateway.route_document import RouteDocument
from lab.envoy_server import EnvoyServer
from lab.process import ManagedProcess, free_port
from lab.user_population import populate
from tailramp.assignment import Assignment, Rule
from tailramp.buckets import BucketSet
from tailramp.route_record import SlotRecord

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


def cpu_seconds(process: ManagedProcess) -> float:
    fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(") ")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICK


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


async def measure(directory: Path, blocks: int, requests: int, seed: int) -> str:
    answering = free_port()
    users = populate(seed, core=1, others=5000).others
    file = directory / "route.json"
    slots = {slot: SlotRecord(model=slot) for slot in ("blue", "green")}
    document = RouteDocument.initial(ROUTE, slots=slots, default="blue")
    rule = Rule(slot="green", buckets=BucketSet.parse("00-04,17,23-29"))
    assignment = Assignment(default="blue", rules=(rule,))
    record = document.record.model_copy(update={"assignment": assignment})
    file.write_text(document.with_record(record).text(), encoding="utf-8")
    ports = {"without": free_port(), "with": free_port()}
    servers: dict[str, EnvoyServer] = {}
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(EnvoyServer(directory / "models", models(answering)))
        for kind, port in ports.items():
            gateway = EnvoyGateway(
                listener_port=port,
                admin_port=free_port(),
                route_config_name=ROUTE,
                route_file=file,
                salt=SALT,
                salt_id=SALT,
                clusters=dict.fromkeys(slots, f"127.0.0.1:{answering}"),
            )
            bootstrap = gateway.bootstrap() if kind == "with" else without_lua(gateway.bootstrap())
            servers[kind] = await stack.enter_async_context(EnvoyServer(directory / kind, bootstrap))
        for port in ports.values():
            await ask(port, users, requests)  # connections, caches and the filter's just-in-time compiler are warm
        spent: dict[str, list[float]] = {kind: [] for kind in servers}
        chance = random.Random(seed)
        for _ in range(blocks):
            for kind in chance.sample(sorted(servers), k=len(servers)):
                before = cpu_seconds(servers[kind].process)
                await ask(ports[kind], users, requests)
                spent[kind].append((cpu_seconds(servers[kind].process) - before) / requests * 1e6)
    return report(spent, blocks, requests)


def report(spent: Mapping[str, Sequence[float]], blocks: int, requests: int) -> str:
    added = np.subtract(spent["with"], spent["without"])
    low, middle, high = np.percentile(added, [5, 50, 95])
    lines = [
        "CPU of Envoy for one request, in microseconds: median (5 % to 95 % of the blocks)",
        f"{machine()}; load average {os.getloadavg()[0]:.0f}; {blocks} blocks of {requests:,} requests each, in turns",
        "",
    ]
    for kind, title in (("without", "no filter but the router"), ("with", "bucket, headers and probes in Lua")):
        bounds = np.percentile(spent[kind], [5, 50, 95])
        lines.append(f"{title:36} {bounds[1]:7.1f}  ({bounds[0]:.1f} to {bounds[2]:.1f})")
    lines += [f"{'added by the Lua filter':36} {middle:7.1f}  ({low:.1f} to {high:.1f})", ""]
    lines.append("sha256 of salt and user id, identity from a header; a third Envoy answers in place of the models.")
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
