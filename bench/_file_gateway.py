"""The smallest data plane there can be: it answers probes and its admin interface by reading route files anew.

For routes whose files matter and whose gateway does not: two hundred real gateways have no room on one machine.  It
serves no user, and what it answers is what the file says at that moment.
"""

import json
import sys
import time
from pathlib import Path

from aiohttp import web

from gateway.route_document import RouteDocument
from tailramp.buckets import BucketFunction


def application(folder: Path, salt: str) -> web.Application:
    """Serves ``/<route>/v1/models`` as the gateway of ``folder/<route>.json``, and one admin interface for all."""
    bucket_of = BucketFunction(salt)
    started = time.monotonic()

    def document(name: str) -> RouteDocument:
        return RouteDocument.parse((folder / f"{name}.json").read_text(encoding="utf-8"))

    async def probe(request: web.Request) -> web.Response:
        user = request.headers.get("X-User-Id")
        slot = document(request.match_info["route"]).record.assignment.slot_for(bucket_of(user) if user else None)
        return web.json_response({}, headers={"X-Tailramp-Variant": slot})

    async def config_dump(request: web.Request) -> web.Response:
        loaded = document(request.match_info["route"])
        return web.json_response({"configs": [{"version_info": loaded.version, "route_config": {"name": loaded.name}}]})

    async def stats(request: web.Request) -> web.Response:
        name = request.query["filter"].strip("^$").replace("\\", "")
        return web.json_response({"stats": [{"name": name, "value": 0}]})

    async def server_info(_request: web.Request) -> web.Response:
        return web.json_response({"uptime_current_epoch": f"{time.monotonic() - started:.0f}s"})

    app = web.Application()
    app.router.add_get("/{route}/v1/models", probe)
    app.router.add_get("/{route}/config_dump", config_dump)
    app.router.add_get("/{route}/stats", stats)
    app.router.add_get("/{route}/server_info", server_info)
    return app


if __name__ == "__main__":
    settings = json.loads(sys.argv[1])
    web.run_app(
        application(Path(settings["folder"]), settings["salt"]),
        host="127.0.0.1",
        port=settings["port"],
        print=None,
        access_log=None,
    )
