"""Whatever stands in the files and on the command line, every command ends in time, with its code and without a
traceback."""

import contextlib
import io
import time
from collections.abc import Iterator

import click
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from project_folder import Folder

from cli.__main__ import main, root
from cli.command_table import COMMANDS

ENDLESS = {"worker", "sentinel", "demo"}
"""They run until they are told to stop."""

NAMES = sorted(set(COMMANDS) - ENDLESS)
SECONDS = 10
FUZZ = settings(
    max_examples=12,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)

FRAGMENTS = [
    "\n",
    ":",
    "- ",
    "[",
    "{",
    "*a",
    "!!x ",
    '"',
    "\0",
    "\t",
    "０",
    "键",
    "~",
    ".nan",
    "-1",
    "9" * 400,
    "\ufeff",
    "---\n",
]
WORDS = [
    "",
    " ",
    "-",
    "--",
    "0",
    "-1",
    "a/b",
    "a/b/c",
    "聊天",
    "\x1b[31m",
    "../..",
    "1h",
    "9" * 40,
    "x" * 5000,
    "\udcff",
]


@st.composite
def damaged(draw: st.DrawFn, good: bytes) -> bytes:
    """Random bytes, or the good file with one to three cuts and insertions."""
    if draw(st.integers(0, 4)) == 0:
        return draw(st.binary(max_size=200))
    for _ in range(draw(st.integers(1, 3))):
        start = draw(st.integers(0, len(good)))
        end = min(len(good), start + draw(st.sampled_from([0, 0, 1, 5, 40])))
        good = good[:start] + draw(st.sampled_from(FRAGMENTS)).encode() + good[end:]
    return good


def command(name: str) -> click.Command:
    found = root.get_command(click.Context(root), name)  # type: ignore[attr-defined]
    assert isinstance(found, click.Command)
    return found


def options(name: str) -> list[str]:
    """The command's options but for those that wait."""
    spelt = [option for param in command(name).params for option in param.opts if option.startswith("--")]
    return [option for option in spelt if option not in {"--wait", "--timeout", "--lang", "--help"}]


@contextlib.contextmanager
def captured() -> Iterator[io.TextIOWrapper]:
    """Standard output and error as one text; standard input is empty."""
    with io.TextIOWrapper(io.BytesIO(), "utf-8", "backslashreplace", write_through=True) as shown:
        empty = io.TextIOWrapper(io.BytesIO(), "utf-8")
        with (
            contextlib.redirect_stdout(shown),
            contextlib.redirect_stderr(shown),
            pytest.MonkeyPatch.context() as patch,
        ):
            patch.setattr("sys.stdin", empty)
            yield shown


def ends_well(arguments: list[str], codes: set[int]) -> None:
    since = time.monotonic()
    with captured() as shown:
        code = main(arguments)
        text = shown.buffer.getvalue().decode(errors="backslashreplace")  # type: ignore[attr-defined]
    assert code in codes, (code, arguments, text[-600:])
    assert "Traceback" not in text
    assert "internal error" not in text, text
    assert time.monotonic() - since < SECONDS
    if arguments[0] != "bucket":  # which gives an id back as it was
        assert all(ord(letter) >= 32 or letter in "\n\t" for letter in text), text


@pytest.fixture
def silent_world(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> Folder:
    """A project's folder with nothing running: every address refuses at once."""
    monkeypatch.chdir(folder.path)
    monkeypatch.delenv("TAILRAMP_PLATFORM", raising=False)
    monkeypatch.setenv("TEMPORAL_ADDRESS", "127.0.0.1:1")
    monkeypatch.setattr("cli.temporal._CONNECT_SECONDS", 0.2)
    for address in ("127.0.0.1:8001", "127.0.0.1:8002", "127.0.0.1:8080", "127.0.0.1:9901", "127.0.0.1:9090"):
        text = folder.platform.read_text(encoding="utf-8")
        folder.platform.write_text(text.replace(address, "127.0.0.1:1"), encoding="utf-8")
    return folder


@pytest.mark.parametrize("name", NAMES)
def test_random_words_on_the_command_line(name: str, silent_world: Folder) -> None:
    words = st.lists(st.one_of(st.sampled_from([*WORDS, *options(name)]), st.text(max_size=8)), max_size=4)

    @FUZZ
    @given(words)
    def run(arguments: list[str]) -> None:
        ends_well([name, *arguments], {0, 2, 5, 6})

    run()


@pytest.mark.parametrize("which", ["canary", "platform", "route"])
@pytest.mark.parametrize("name", sorted(set(NAMES) - {"init", "schema"}))
def test_damaged_files_behind_every_command(name: str, which: str, silent_world: Folder) -> None:
    path = {"canary": silent_world.canary, "platform": silent_world.platform, "route": silent_world.route_file}[which]
    good = path.read_bytes()
    extra = {"plan": ["--offline"], "bucket": ["u1"], "lift": ["--reason", "x"], "freeze": ["--reason", "x"]}

    @FUZZ
    @given(damaged(good))
    def run(data: bytes) -> None:
        path.write_bytes(data)
        ends_well([name, *extra.get(name, [])], {0, 2, 5, 6})

    run()
