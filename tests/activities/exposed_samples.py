"""Small expositions of real servers and gateways, served so that they grow: at every scrape as if the same had happened
once more."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from aiohttp import web

EXPOSITIONS = Path(__file__).parents[1] / "data" / "expositions"
_SAMPLE = re.compile(r"(?P<series>[^#\s][^{\s]*(?:\{.*\})?) (?P<value>\S+)")
_TYPE = re.compile(r"# TYPE (\S+) (\S+)")
SLOTS = ("blue", "green")


def names() -> list[str]:
    return sorted(path.stem for path in EXPOSITIONS.glob("*.prom"))


def grown(text: str, times: int) -> str:
    """The same exposition after `times` as much has happened; gauges stay as they are."""
    lines = []
    gauge = False
    for line in text.splitlines():
        if kind := _TYPE.fullmatch(line):
            gauge = kind.group(2) == "gauge"
        if (found := _SAMPLE.fullmatch(line)) and not gauge:
            line = f"{found['series']} {float(found['value']) * times:g}"
        lines.append(line)
    return "\n".join(lines) + "\n"


class ExposedSamples:
    """`/NAME/SLOT` is what the server NAME of that slot exposes; a gateway exposes both slots in one."""

    def __init__(self) -> None:
        self._scrapes: dict[str, int] = {}
        app = web.Application()
        app.router.add_get("/{name}/{slot}", self._expose)
        self._runner = web.AppRunner(app)
        self._address = ""

    async def __aenter__(self) -> ExposedSamples:
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self._address = "{}:{}".format(*self._runner.addresses[0][:2])
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()

    def _jobs(self) -> Mapping[str, str]:
        return {f"{name}-{slot}": f"/{name}/{slot}" for name in names() for slot in SLOTS}

    @property
    def targets(self) -> Mapping[str, list[tuple[str, Mapping[str, str]]]]:
        """For PrometheusServer, with `paths`."""
        return {job: [(self._address, {"slot": job.rpartition("-")[2]})] for job in self._jobs()}

    @property
    def paths(self) -> Mapping[str, str]:
        return self._jobs()

    async def _expose(self, request: web.Request) -> web.Response:
        self._scrapes[request.path] = self._scrapes.get(request.path, 0) + 1
        text = (EXPOSITIONS / f"{request.match_info['name']}.prom").read_text(encoding="utf-8")
        return web.Response(text=grown(text, self._scrapes[request.path]))
