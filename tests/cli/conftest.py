"""What the tests of the command line share."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from impatient_command import PATIENT
from project_folder import Folder
from scripted_world import ScriptedWorld

from cli import examples
from gateway.route_document import RouteDocument
from lab.temporal_server import WITHOUT_PAUSES, TemporalServer
from tailramp.route_record import SlotRecord


@pytest.fixture
def folder(tmp_path: Path, request: pytest.FixtureRequest, warm: Path) -> Folder:
    """A folder of its own, whose route has a name of its own: the tests share one server."""
    route = f"default/chat-{abs(hash(request.node.nodeid)) % 10**10}"
    folder = Folder(tmp_path, route, "127.0.0.1:1", warm)
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
    server = TemporalServer(tmp_path_factory.mktemp("temporal"), WITHOUT_PAUSES)
    asyncio.run(server.start())
    yield server
    asyncio.run(server.stop())


@pytest.fixture
def ramp_folder(folder: Folder, temporal_server: TemporalServer) -> Folder:
    """As ``folder``, with a Temporal server that answers and no worker."""
    return Folder(folder.path, folder.route, temporal_server.address, folder.warm, PATIENT)


@pytest.fixture
async def world(temporal_server: TemporalServer) -> AsyncIterator[ScriptedWorld]:
    """A running worker whose activities say what the test tells them to."""
    async with ScriptedWorld(temporal_server.address) as world:
        yield world
