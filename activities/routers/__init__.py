"""The routers: adapters that apply an assignment to one kind of data plane.

A new data plane is one new module that implements ``Router`` and one line in ``make_router``.
"""

from pathlib import Path
from typing import TYPE_CHECKING

from activities.routers.envoy_admin import EnvoyAdmin
from activities.routers.envoy_file import EnvoyFile
from activities.routers.protocol import Change, Clear, Renewal, Router, RouteView, Served
from tailramp.spec import PlatformFile

if TYPE_CHECKING:  # `kill` needs no HTTP, and every tenth of a second of its start counts
    import aiohttp

__all__ = ["Change", "Clear", "Renewal", "RouteView", "Router", "Served", "make_router", "record_router"]


def make_router(platform: PlatformFile, http: "aiohttp.ClientSession") -> Router:
    """The router that the platform file names."""
    match platform.router.kind:
        case "envoy-file":
            return EnvoyFile(platform.router.file, EnvoyAdmin(platform.router.admin, http))


def record_router(route_file: Path) -> Router:
    """A router for whoever has only the route record: it reads, clears and marks, and cannot ask the data plane."""
    return EnvoyFile(route_file)
