"""What the tests of the command line share: a folder with the two files, and the command as a process of its own."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from scripted_world import ScriptedWorld

from cli import examples
from gateway.route_document import RouteDocument
from lab.temporal_server import TemporalServer
from tailramp.route_record import SlotRecord


@dataclass(frozen=True)
class Finished:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def data(self) -> Any:
        """The one line of JSON on standard output."""
        return json.loads(self.out)

    @property
    def lines(self) -> list[Any]:
        """Standard output as one JSON value per line."""
        return [json.loads(line) for line in self.out.splitlines()]


@dataclass(frozen=True)
class Folder:
    """A project's folder with ``deploy/canary.yaml``, ``deploy/tailramp.yaml`` and a route file of the route."""

    path: Path
    route: str
    temporal: str

    @property
    def canary(self) -> Path:
        return self.path / "deploy" / "canary.yaml"

    @property
    def platform(self) -> Path:
        return self.path / "deploy" / "tailramp.yaml"

    @property
    def route_file(self) -> Path:
        return self.path / "routes" / "chat.json"

    def write(self, *, canary: Mapping[str, Any] | None = None, platform: Mapping[str, Any] | None = None) -> None:
        """Change fields of the two files; a dotted key names a nested one."""
        for file, changes in ((self.canary, canary), (self.platform, platform)):
            data = yaml.safe_load(file.read_text(encoding="utf-8"))
            for key, value in (changes or {}).items():
                *parents, name = key.split(".")
                place = data
                for parent in parents:
                    place = place.setdefault(parent, {})
                place[name] = value
            file.write_text(yaml.safe_dump(data, allow_unicode=True), encoding="utf-8")

    async def start(self, *arguments: str, **environment: str) -> asyncio.subprocess.Process:
        """Start ``tailramp`` here; the caller awaits its end."""
        pipe = asyncio.subprocess.PIPE
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "cli", *arguments),
            cwd=self.path,
            env={**_plain_environment(), "TEMPORAL_ADDRESS": self.temporal, **environment},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=pipe,
            stderr=pipe,
        )

    async def run(self, *arguments: str, **environment: str) -> Finished:
        """Run ``tailramp`` here to its end."""
        return await finished(await self.start(*arguments, **environment))


async def finished(process: asyncio.subprocess.Process) -> Finished:
    """Await the end of a started command."""
    try:
        out, err = await asyncio.wait_for(process.communicate(), 50)
    except BaseException:
        process.kill()
        await process.wait()
        raise
    assert process.returncode is not None
    return Finished(process.returncode, out.decode(), err.decode())


def _plain_environment() -> dict[str, str]:
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("TAILRAMP_", "TEMPORAL_", "LC_", "LANG"))
    }


@pytest.fixture
def folder(tmp_path: Path, request: pytest.FixtureRequest) -> Folder:
    """A folder of its own, whose route has a name of its own: the tests share one server."""
    route = f"default/chat-{abs(hash(request.node.nodeid)) % 10**10}"
    folder = Folder(tmp_path, route, "127.0.0.1:1")
    folder.canary.parent.mkdir()
    folder.canary.write_text(examples.CANARY, encoding="utf-8")
    folder.platform.write_text(examples.PLATFORM, encoding="utf-8")
    folder.write(platform={"route.name": route.partition("/")[2], "router.file": "../routes/chat.json"})
    folder.route_file.parent.mkdir()
    slots = {"blue": SlotRecord(model="chat-v1"), "green": SlotRecord()}
    folder.route_file.write_text(RouteDocument.initial(route, slots=slots, default="blue").text(), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def temporal_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TemporalServer]:
    server = TemporalServer(tmp_path_factory.mktemp("temporal"))
    asyncio.run(server.start())
    yield server
    asyncio.run(server.stop())


@pytest.fixture
def ramp_folder(folder: Folder, temporal_server: TemporalServer) -> Folder:
    """As ``folder``, with a Temporal server that answers and no worker."""
    return Folder(folder.path, folder.route, temporal_server.address)


@pytest.fixture
async def world(temporal_server: TemporalServer) -> AsyncIterator[ScriptedWorld]:
    """A running worker whose activities say what the test tells them to."""
    async with ScriptedWorld(temporal_server.address) as world:
        yield world
