"""What holds for every command: help, formats, exit codes, and no traceback."""

import asyncio
import json
import resource
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from project_folder import Folder

from cli.__main__ import main, root
from cli.command_table import COMMANDS, LazyGroup
from cli.console import Console
from cli.exit_codes import ExitCode
from cli.failures import failure_of
from tailramp.errors import Fenced, InvalidFile, Problem, Refused, Unreachable


def test_help_lists_every_command_in_a_blink() -> None:
    times = []
    for _ in range(7):
        since = _processor_seconds_of_children()
        shown = subprocess.run([sys.executable, "-m", "cli", "--help"], capture_output=True, text=True, check=True)
        times.append(_processor_seconds_of_children() - since)
        assert all(f"  {name} " in shown.stdout for name in COMMANDS)
    sys.stdout.write(f"tailramp --help: {min(times) * 1000:.0f} ms of processor time\n")
    assert min(times) < 0.2


def _processor_seconds_of_children() -> float:
    """Unlike the time on the wall it is hardly longer on a machine that is busy."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def test_help_imports_none_of_the_heavy_libraries() -> None:
    code = "import sys; from cli.__main__ import main; main(['--help']); print(sorted(sys.modules))"
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    for module in ("temporalio", "pydantic", "aiohttp", "numpy", "yaml", "rich"):
        assert f"'{module}'" not in shown.stdout


@pytest.mark.parametrize("name", list(COMMANDS))
def test_the_listed_summary_is_the_first_sentence_of_the_help(name: str) -> None:
    assert isinstance(root, LazyGroup)
    command = root.get_command(None, name)  # type: ignore[arg-type]
    assert command is not None
    assert command.help is not None
    assert " ".join(command.help.split()).startswith(COMMANDS[name].summary)
    shown = CliRunner().invoke(root, [name, "--help"], obj=Console())
    assert shown.exit_code == 0
    assert "Usage:" in shown.output


@pytest.mark.parametrize(
    ("error", "code", "words"),
    [
        (InvalidFile([Problem("canary.model", "is missing", "Add model:")]), 5, "canary.model: is missing. Add model:"),
        (Refused("the route is taken"), 5, "refused: the route is taken"),
        (Fenced("too late"), 5, "refused: too late"),
        (Unreachable("Temporal does not answer"), 6, "error: Temporal does not answer"),
        (ZeroDivisionError("division by zero"), 1, "internal error: ZeroDivisionError: division by zero"),
        (ValueError(), 1, "internal error: ValueError\n"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_every_error_has_its_exit_code_and_its_words(
    error: Exception, code: int, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert failure_of(error).show(Console()) == code
    said = capsys.readouterr().err
    assert words in said
    assert "Traceback" not in said


def test_a_defect_shows_its_traceback_only_when_asked(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("a defect")

    monkeypatch.setattr("cli.files.platform_beside", broken)
    assert main(["validate"]) == ExitCode.INTERNAL_ERROR
    shown = capsys.readouterr()
    assert "internal error: RuntimeError: a defect" in shown.err
    assert "`tailramp --debug`" in shown.err
    assert "Traceback" not in shown.err
    assert main(["--debug", "validate"]) == ExitCode.INTERNAL_ERROR
    assert "Traceback" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["stauts"], "Did you mean status?"),
        (["frobnicate"], "`tailramp --help` lists them"),
        (["status", "--bogus"], "No such option"),
        (["status", "a b"], "is no route"),
        (["status", "a/b/c"], "is no route"),
        (["status", "聊天"], "is no route"),
        (["watch", "chat", "--timeout", "10"], "a duration is a number with its unit"),
        (["start", "--wait", "soon"], "a duration is a number with its unit"),
        (["bucket", "--resolution", "7", "u"], "is not one of"),
        (["status", "chat", "-o", "xml"], "is not one of"),
        (["worker", "--role", "everything"], "is not one of"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_wrong_usage_is_2_and_says_what_is_right(
    arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == ExitCode.USAGE
    said = capsys.readouterr().err
    assert words in said
    assert "Traceback" not in said


@pytest.mark.parametrize("option", [["-o", "json"], ["-ojson"], ["--output", "json"], ["--output=json"]])
def test_errors_are_json_on_standard_output_when_json_was_asked_for(
    option: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["status", "--bogus", *option]) == ExitCode.USAGE
    assert json.loads(capsys.readouterr().out) == {"error": "No such option '--bogus'.", "code": 2}


async def test_the_version_is_told(folder: Folder) -> None:
    shown = await folder.run("--version")
    assert (shown.code, shown.out) == (0, "tailramp, version 0.1.0\n")


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "gbk", "cp1252"])
async def test_a_terminal_that_cannot_show_a_character_is_no_error(folder: Folder, encoding: str) -> None:
    folder.write(canary={"canary.model": "聊天-v2-🦙"})
    shown = await folder.start("validate", PYTHONIOENCODING=encoding)
    out, err = await shown.communicate()
    assert (shown.returncode, err) == (0, b"")
    assert b"00-04" in out


async def test_a_closed_standard_output_is_no_traceback(folder: Folder) -> None:
    process = await asyncio.create_subprocess_shell(
        f"{sys.executable} -m cli validate >&-", cwd=folder.path, stderr=asyncio.subprocess.PIPE
    )
    _, err = await process.communicate()
    assert b"Traceback" not in err


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
async def test_a_full_standard_output_is_no_success(folder: Folder) -> None:
    process = await asyncio.create_subprocess_shell(
        f"{sys.executable} -m cli validate >/dev/full", cwd=folder.path, stderr=asyncio.subprocess.PIPE
    )
    _, err = await process.communicate()
    assert process.returncode == 1
    assert b"Traceback" not in err
