"""The Dockerfile and what goes into the image, without an engine: the files that it names, and what they make."""

import fnmatch
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

from compose_services import REPOSITORY

DOCKERFILE = (REPOSITORY / "Dockerfile").read_text(encoding="utf-8")
INSTRUCTIONS = [
    re.sub(r"\s+", " ", line).strip()
    for line in re.sub(r"\\\n", " ", re.sub(r"^#.*\n", "", DOCKERFILE, flags=re.MULTILINE)).splitlines()
    if line.strip()
]


def said(word: str) -> list[str]:
    return [instruction.removeprefix(f"{word} ") for instruction in INSTRUCTIONS if instruction.startswith(f"{word} ")]


def copied() -> list[str]:
    """Everything that is copied from the repository."""
    return [source for line in said("COPY") if not line.startswith("--from") for source in line.split()[:-1]]


def let_through(path: str) -> bool:
    """Whether .dockerignore lets a path of the repository into the build; the last line that fits decides."""
    kept = True
    for line in (REPOSITORY / ".dockerignore").read_text(encoding="utf-8").splitlines():
        pattern = line.removeprefix("!")
        if line and not line.startswith("#") and fnmatch.fnmatch(path, pattern.removeprefix("**/")):
            kept = line.startswith("!")
    return kept


def test_both_stages_start_from_a_slim_image_behind_the_mirror() -> None:
    bases = {line.split()[0] for line in said("FROM")}
    assert len(bases) == 1
    assert re.fullmatch(r"\$\{MIRROR\}python:3\.1[123]-slim-\w+", bases.pop())


def test_it_runs_as_nobody_in_particular() -> None:
    assert said("USER") == ["10001:10001"]
    assert INSTRUCTIONS.index("USER 10001:10001") > max(
        number for number, instruction in enumerate(INSTRUCTIONS) if instruction.startswith("RUN")
    )


def test_every_package_comes_with_its_hash() -> None:
    assert any("--require-hashes -r requirements/build.txt -r requirements/runtime.txt" in run for run in said("RUN"))
    for name in ("build", "runtime"):
        text = (REPOSITORY / "requirements" / f"{name}.txt").read_text(encoding="utf-8")
        pinned = re.findall(r"^[a-z0-9][\w.\[\]-]*==\S+", text, re.MULTILINE)
        assert pinned
        assert text.count("--hash=sha256:") >= len(pinned)


def test_what_is_copied_exists_and_nothing_else_reaches_the_build() -> None:
    for source in copied():
        assert (REPOSITORY / source).exists(), source
        assert let_through(source), f".dockerignore holds back {source}"
    for path in (".git", "tests", "deploy", ".venv", "bench", ".env"):
        assert not let_through(path), path


def test_the_copied_files_make_a_whole_package(tmp_path: Path) -> None:
    source = tmp_path / "src"
    for name in copied():
        origin, target = REPOSITORY / name, source / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if origin.is_dir():
            shutil.copytree(origin, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(origin, target)
    argv = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", tmp_path, source]
    built = subprocess.run(argv, capture_output=True, text=True, timeout=120, check=False)
    assert built.returncode == 0, built.stderr
    (wheel,) = tmp_path.glob("*.whl")
    inside = {name for name in zipfile.ZipFile(wheel).namelist() if not name.split("/")[0].endswith(".dist-info")}
    packages = [REPOSITORY / name for name in copied() if (REPOSITORY / name / "__init__.py").exists()]
    wanted = {
        str(file.relative_to(REPOSITORY))
        for package in packages
        for pattern in ("*.py", "*.lua", "*.conf", "*.yaml", "*.json")
        for file in package.rglob(pattern)
    }
    assert len(packages) == 7
    assert sorted(wanted - inside) == []
