"""A project's folder with its files, and the command as a process of its own in it."""

import asyncio
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import warm_commands
import yaml
from impatient_command import LIMITS, command_line


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
    warm: Path | None = None
    """Where ``warm_commands`` listens; without it every command starts cold."""
    limits: Mapping[str, float] = field(default_factory=dict)
    """Of time, for every command; by default the product's own."""

    @property
    def impatient(self) -> "Folder":
        """The same folder, whose commands soon give up on who does not answer."""
        return replace(self, limits=LIMITS)

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

    def _environment(self, more: Mapping[str, str]) -> dict[str, str]:
        return {**_plain_environment(), "TEMPORAL_ADDRESS": self.temporal, **more}

    async def start(self, *arguments: str, **environment: str) -> asyncio.subprocess.Process:
        """Start ``tailramp`` here; the caller awaits its end."""
        pipe = asyncio.subprocess.PIPE
        return await asyncio.create_subprocess_exec(
            *command_line(self.limits, *arguments),
            cwd=self.path,
            env=self._environment(environment),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=pipe,
            stderr=pipe,
        )

    async def run(self, *arguments: str, **environment: str) -> Finished:
        """Run ``tailramp`` here to its end."""
        if self.warm is None:
            return await finished(await self.start(*arguments, **environment))
        running = warm_commands.run(self.warm, arguments, self._environment(environment), self.path, self.limits)
        return Finished(*await asyncio.wait_for(running, 100))


async def finished(process: asyncio.subprocess.Process) -> Finished:
    """Await the end of a started command."""
    try:
        out, err = await asyncio.wait_for(process.communicate(), 100)
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
