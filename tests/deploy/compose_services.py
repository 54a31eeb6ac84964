"""docker-compose.yml as processes of this machine: the same commands, environment and health checks, without an engine.

What an engine gives and a machine does not is translated, and nothing else: the name of a service and its port become
a free port on loopback, a folder inside a container becomes one below a temporary folder, and an image becomes the
program that it holds.
"""

import re
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from lab import programs
from lab.process import ManagedProcess, free_port

REPOSITORY = Path(__file__).parents[2]
COMPOSE_FILE = REPOSITORY / "docker-compose.yml"
_VARIABLE = re.compile(r"\$\{(?P<name>\w+)(?::(?P<kind>[-?])(?P<word>[^}]*))?\}|\$\$")
_SPEAKS_FOR = {"gateway-config": "envoy"}
"""Who writes the configuration of another service names that one's ports as its own."""


def interpolated(text: str, environment: Mapping[str, str]) -> str:
    """Put variables in as Compose does.  Raises KeyError for one that is needed and not there."""

    def value(match: re.Match[str]) -> str:
        if match[0] == "$$":
            return "$"
        given = environment.get(match["name"], "")
        if given or match["kind"] is None:
            return given
        if match["kind"] == "?":
            raise KeyError(f"{match['name']}: {match['word']}")
        return match["word"]

    return _VARIABLE.sub(value, text)


def services(environment: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    text = COMPOSE_FILE.read_text(encoding="utf-8")
    found: dict[str, dict[str, Any]] = yaml.safe_load(interpolated(text, environment))["services"]
    return found


@dataclass
class Machine:
    """The services of the file on this machine, below ``folder``.

    ``elsewhere`` says where services run that are not started from the file: by ``name:port``.
    """

    folder: Path
    environment: Mapping[str, str]
    elsewhere: Mapping[str, str] = field(default_factory=dict)
    _ports: dict[tuple[str, int], int] = field(default_factory=dict)

    @cached_property
    def services(self) -> dict[str, dict[str, Any]]:
        return services(self.environment)

    def port(self, service: str, inside: int) -> int:
        """The port on loopback that stands for port ``inside`` of a service."""
        return self._ports.setdefault((service, inside), free_port())

    def address(self, service: str, inside: int) -> str:
        return self.elsewhere.get(f"{service}:{inside}") or f"127.0.0.1:{self.port(service, inside)}"

    def translated(self, text: str, service: str) -> str:
        """``text`` as ``service`` must read it here: addresses in one pass, then its folders."""
        owner = _SPEAKS_FOR.get(service, service)

        def address(match: re.Match[str]) -> str:
            if match["name"]:
                return self.address(match["name"], int(match["port"]))
            if match["option"]:
                return f"--port={self.port(owner, int(match['option']))}"
            return f"127.0.0.1{match['between']}{self.port(owner, int(match['own']))}"

        mounts = self._mounts(service)
        folders = "|".join(re.escape(inside) for inside in sorted(mounts, key=len, reverse=True))
        # Whole paths only: /prometheus is a folder of its own, and a part of many names.
        inside = re.compile(rf"(?<![\w./-])({folders})(?![\w-])")
        return inside.sub(lambda match: str(mounts[match[1]]), self._address_pattern.sub(address, text))

    @cached_property
    def _address_pattern(self) -> re.Pattern[str]:
        names = "|".join(sorted(self.services, key=len, reverse=True))
        return re.compile(
            rf"(?<![\w.-])(?P<name>{names}):(?P<port>\d+)\b"
            r"|(?:0\.0\.0\.0|127\.0\.0\.1|localhost)(?P<between>[:/])(?P<own>\d+)"
            r"|--port=(?P<option>\d+)"
        )

    def _mounts(self, service: str) -> dict[str, Path]:
        """Folders and files inside the container, and where they are here; each exists."""
        described = self.services[service]
        mounts = {"/run/secrets": self._folder("secrets")}
        for mount in described.get("volumes", []):
            source, target, *_ = mount.split(":")
            bound = source.startswith(".")
            mounts[target] = self._bound(source, service) if bound else self._folder(f"volumes/{source}")
        return mounts

    def _folder(self, name: str) -> Path:
        path = self.folder / name
        path.mkdir(parents=True, exist_ok=True)
        return path

    def _bound(self, source: str, service: str) -> Path:
        return self.folder / "bound" / service / source.removeprefix("./")

    def prepare(self, service: str) -> None:
        """Copy what the service mounts from the repository, with addresses and folders as they are here."""
        for mount in self.services[service].get("volumes", []):
            source = mount.split(":")[0]
            if not source.startswith("."):
                continue
            target = self._bound(source, service)
            origin = REPOSITORY / source
            if origin.is_dir():
                shutil.copytree(origin, target, dirs_exist_ok=True)
            else:
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(origin, target)
            for file in [target] if target.is_file() else target.glob("*.y*ml"):
                file.write_text(self.translated(file.read_text(encoding="utf-8"), service), encoding="utf-8")
        for secret in self.services[service].get("secrets", []):
            (self._folder("secrets") / secret).write_text(self.environment["TAILRAMP_PROBE_SECRET"], encoding="utf-8")

    def argv(self, service: str, *command: str) -> list[str]:
        """The program of the service's image with its command, or with ``command`` in its place."""
        described = self.services[service]
        words = [*described.get("entrypoint", self._entrypoint(described["image"])), *(command or described["command"])]
        return self._here(service, words)

    def health(self, service: str) -> list[str]:
        kind, *words = self.services[service]["healthcheck"]["test"]
        assert kind == "CMD", f"{service}: this test runs commands, not a shell's text"
        return self._here(service, words)

    def _here(self, service: str, words: list[str]) -> list[str]:
        bin_folder = Path(sys.executable).parent
        known = {"tailramp": str(bin_folder / "tailramp"), "python": sys.executable}
        environment = {"PATH": "/usr/bin:/bin", **self.service_environment(service)}
        given = [f"{name}={value}" for name, value in environment.items()]
        program, *arguments = words
        arguments = [self.translated(str(word), service) for word in arguments]
        return ["/usr/bin/env", "-i", *given, known.get(program, program), *arguments]

    @staticmethod
    def _entrypoint(image: str) -> list[str]:
        name = image.rpartition("/")[2].partition(":")[0]
        return ["tailramp"] if name == "tailramp" else [str(programs.ensure(name))]

    def service_environment(self, service: str) -> dict[str, str]:
        """Exactly what the file gives: nothing of this process gets in."""
        given = self.services[service].get("environment", {})
        return {name: self.translated(str(value), service) for name, value in given.items()}

    def start(self, service: str, *command: str) -> ManagedProcess:
        self.prepare(service)
        described = self.services[service]
        inside = described.get("working_dir")
        folder = Path(self.translated(inside, service)) if inside else self._folder("work")
        log = self.folder / f"{service}.log"
        return ManagedProcess.start(self.argv(service, *command), log, cwd=folder, name=service)
