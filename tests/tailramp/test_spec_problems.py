"""Broken files: every problem names file, line, field and value, says why, and what to write instead.

The cases stand in ``tests/data/broken``, each with what its message must say.
"""

from __future__ import annotations

import contextlib
import os
import re
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from spec_samples import CANARY, PLATFORM, spec_of, write_files

from tailramp.errors import InvalidFile, Problem
from tailramp.spec import load_platform, load_spec

NOBODY = 65534
BROKEN = Path(__file__).parents[1] / "data" / "broken"
SAYS_WHAT_TO_WRITE = re.compile(r"[A-Z0-9`].{6,}[^.]")
CASES: list[dict[str, Any]] = [
    case for name in ("canary", "platform") for case in yaml.safe_load((BROKEN / f"{name}.yaml").read_text("utf-8"))
]


def changed(good: str, change: list[str] | str | None) -> str:
    if change is None or isinstance(change, str):
        return good if change is None else change
    old, new = change
    assert good.count(old) >= 1, old
    return good.replace(old, new, 1)


def problems_of(folder: Path, canary: str = CANARY, platform: str = PLATFORM) -> list[Problem]:
    with pytest.raises(InvalidFile) as refusal:
        spec_of(folder, canary, platform)
    return refusal.value.problems


def place(problem: Problem) -> str:
    assert problem.file is not None
    line = "" if problem.line is None else f":{problem.line}"
    return f"{problem.file.name}{line} {problem.field}"


def test_the_corpus_is_large_and_names_every_case_differently() -> None:
    assert len({case["case"] for case in CASES}) == len(CASES) >= 250


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["case"].replace(" ", "-"))
def test_a_mistake_is_named_with_its_place_its_value_and_its_mend(tmp_path: Path, case: dict[str, Any]) -> None:
    problems = problems_of(tmp_path, changed(CANARY, case.get("canary")), changed(PLATFORM, case.get("platform")))
    (problem,) = [each for each in problems if place(each) == case["at"]] or [problems[0]]
    assert (place(problem), problem.value) == (case["at"], case.get("value"))
    assert str(case["reason"]) in problem.reason
    assert str(case["mend"]) in problem.mend
    assert sorted(place(each) for each in problems if each is not problem) == sorted(case.get("also", []))
    assert "hunter2" not in str(problems)
    assert len(str(problem)) < 500
    assert all(SAYS_WHAT_TO_WRITE.fullmatch(each.mend) for each in problems)


UNREADABLE: dict[str, tuple[bytes, int | None, str, str]] = {
    "UTF-16": (CANARY.encode("utf-16"), None, "is written in UTF-16", "Save the file as UTF-8"),
    "UTF-16, big end first": ("\ufeff".encode("utf-16-be") + b"\0c", None, "is written in UTF-16", "Save the file"),
    "GBK": (CANARY.replace("limit", "上限").encode("gbk"), 5, "not UTF-8 at byte 122", "it may be GBK"),
    "Latin-1": ("canary:\n  model: é\n".encode("latin-1"), 2, "not UTF-8 at byte 17", "Save the file as UTF-8"),
    "a picture": (b"\x89PNG\r\n\x1a\n\0\0", 1, "not UTF-8 at byte 0", "Save the file as UTF-8"),
    "cut in a character": ("canary: 模".encode()[:-1], 1, "not UTF-8 at byte 8", "Save the file as UTF-8"),
    "zeros": (b"\0" * 1000, 1, "not valid YAML", "a character here that cannot be seen"),
    "a zero after the start": (b"canary:\n  model: a\0b\n", 2, "not valid YAML", "cannot be seen"),
    "five megabytes": (b"canary:\n# " + b"x" * 5_000_000, None, "larger than 100000 bytes", "they are small"),
    "a ladder of fields": (b"".join(b" " * n + b"a:\n" for n in range(400)), 31, "nested too deeply", "Neither file"),
    "a wall of brackets": (b"[" * 50_000, 1, "nested too deeply", "Neither file needs that"),
}


@pytest.mark.parametrize("name", list(UNREADABLE))
def test_what_is_no_text_of_ours_is_refused_in_words_and_at_once(tmp_path: Path, name: str) -> None:
    data, line, reason, mend = UNREADABLE[name]
    canary, platform = write_files(tmp_path)
    canary.write_bytes(data)
    since = time.monotonic()
    with pytest.raises(InvalidFile) as refusal:
        load_spec(canary, platform)
    assert time.monotonic() - since < 5
    (problem,) = refusal.value.problems
    assert (problem.file, problem.line, problem.field) == (canary, line, "(file)")
    assert reason in problem.reason
    assert mend in problem.mend


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that everybody may enter; pytest's own are for the one who runs it."""
    with tempfile.TemporaryDirectory(prefix="tailramp-test-") as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


@contextlib.contextmanager
def without_roots_rights() -> Iterator[None]:
    """Root may read everything, and a container's tests often run as root."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


def _loop(path: Path) -> None:
    path.symlink_to(path.with_name("other"))
    path.with_name("other").symlink_to(path)


def _unreadable(path: Path) -> None:
    path.write_text(CANARY, encoding="utf-8")
    path.chmod(0)


IN_THE_WAY: dict[str, tuple[Callable[[Path], object], str, str]] = {
    "nothing": (str, "there is no such file", "tailramp init"),
    "a folder": (Path.mkdir, "is a folder", "Name the file in it"),
    "a loop of links": (_loop, "leads back to itself", "Let the link point to a file"),
    "a link to nothing": (lambda path: path.symlink_to("gone"), "there is no such file", "tailramp init"),
    "zeros without end": (lambda path: path.symlink_to("/dev/zero"), "larger than 100000 bytes", "they are small"),
    "no right to read": (_unreadable, "may not be read", "the right to read it"),
}


@pytest.mark.parametrize("name", list(IN_THE_WAY))
@pytest.mark.parametrize("which", ["canary", "platform"])
def test_what_stands_in_place_of_a_file_is_named(open_folder: Path, name: str, which: str) -> None:
    make, reason, mend = IN_THE_WAY[name]
    canary, platform = write_files(open_folder)
    path = canary if which == "canary" else platform
    path.unlink()
    make(path)
    with pytest.raises(InvalidFile) as refusal, without_roots_rights():
        load_spec(canary, platform)
    (problem,) = refusal.value.problems
    assert (problem.file, problem.field) == (path, "(file)")
    assert reason in problem.reason
    assert mend in problem.mend


def test_a_route_file_that_links_to_itself_is_no_traceback(tmp_path: Path) -> None:
    """Older Pythons raise RuntimeError for such a path, newer ones leave it as it is."""
    _, platform = write_files(tmp_path)
    (tmp_path / "routes").mkdir()
    _loop(tmp_path / "routes" / "chat.json")
    if sys.version_info >= (3, 13):
        assert load_platform(platform).router.file.is_absolute()
    else:
        with pytest.raises(InvalidFile, match=r"router.file: the path leads nowhere. Check the path"):
            load_platform(platform)


@pytest.mark.parametrize(
    "text",
    ["\ufeff" + CANARY, CANARY.replace("\n", "\r\n"), CANARY.rstrip("\n"), f"---\n{CANARY}...\n", f"# 灰度\n{CANARY}"],
    ids=["a byte order mark", "line ends of Windows", "no end of the last line", "marks of a document", "a comment"],
)
def test_what_editors_do_to_a_file_does_no_harm(tmp_path: Path, text: str) -> None:
    assert spec_of(tmp_path, text).digest == spec_of(tmp_path).digest


def test_the_mistakes_of_both_files_are_told_together_in_the_order_of_their_lines(tmp_path: Path) -> None:
    canary = CANARY.replace('"00-04"', '"9-1"').replace("2000ms", "3").replace("true", "maybe")
    problems = problems_of(tmp_path, canary, PLATFORM.replace("salt: demo-2026", 'salt: ""'))
    assert [place(problem) for problem in problems] == [
        "canary.yaml:3 canary.buckets",
        "canary.yaml:4 canary.autoRollback",
        "canary.yaml:5 canary.maxLatency",
        "tailramp.yaml:22 identity.salt",
    ]


def test_a_long_value_and_a_long_name_are_cut_in_the_message(tmp_path: Path) -> None:
    for text in (CANARY.replace("2000ms", "y" * 5000), CANARY.replace("maxLatency", "字" * 5000)):
        assert all(len(str(problem)) < 400 for problem in problems_of(tmp_path, text))
