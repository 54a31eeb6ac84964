"""init and schema: files to start from, and what editors know of them."""

import asyncio
import json
import os
import pty
import sys
from pathlib import Path

import jsonschema
import pytest
import yaml

from cli import examples
from cli.__main__ import main
from cli.language.zh import translator
from tailramp.spec import load_platform, load_spec


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TAILRAMP_PLATFORM", raising=False)


def test_what_init_writes_is_valid_and_carries_what_was_given(capsys: pytest.CaptureFixture[str]) -> None:
    assert (
        main(["init", "--route", "team/chat-70b", "--model", "通义-v2", "--header", "X-Uid", "--salt", 's"\\ #1']) == 0
    )
    said = capsys.readouterr().out
    assert said.endswith("then `tailramp validate deploy/canary.yaml`.\n")
    spec = load_spec(Path("deploy/canary.yaml"), Path("deploy/tailramp.yaml"))
    assert spec.platform.route.full_name == "team/chat-70b"
    assert spec.candidate.model == "通义-v2"
    assert (spec.platform.identity.header, spec.platform.identity.salt) == ("X-Uid", 's"\\ #1')
    assert main(["validate"]) == 0


def test_every_init_draws_a_salt_of_its_own() -> None:
    assert main(["init", "one"]) == main(["init", "two"]) == 0
    salts = {load_platform(Path(folder, "tailramp.yaml")).identity.salt for folder in ("one", "two")}
    assert len(salts) == 2
    assert min(map(len, salts)) >= 20


def test_nothing_is_overwritten(capsys: pytest.CaptureFixture[str]) -> None:
    platform, canary = Path("deploy/tailramp.yaml"), Path("deploy/canary.yaml")
    platform.parent.mkdir()
    platform.write_text("theirs", encoding="utf-8")
    assert main(["init", "-o", "json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"written": ["deploy/canary.yaml"]}
    canary.write_text("mine", encoding="utf-8")
    assert main(["init"]) == 5
    assert "are there already" in capsys.readouterr().err
    assert (platform.read_text("utf-8"), canary.read_text("utf-8")) == ("theirs", "mine")


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["--model", "a b"], 2, "Did you mean a-b?"),
        (["--header", "x_user"], 2, "Did you mean x-user?"),
        (["--route", "a/b/c"], 2, "is no route"),
        (["/dev/null/folder"], 5, "cannot be written: Not a directory. Name another folder"),
    ],
)
def test_what_cannot_be_written_is_refused_in_words(
    arguments: list[str], code: int, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["init", *arguments]) == code
    assert words in capsys.readouterr().err
    assert not Path("deploy").exists()


@pytest.mark.parametrize(
    ("name", "namespace"), [("70", "0x1"), ("null", "on"), ("1e3", "no"), ("a", "b"), ("2024-01-31", "default")]
)
def test_a_name_that_yaml_would_read_as_something_else_stays_a_name(name: str, namespace: str) -> None:
    assert main(["init", "--route", f"{namespace}/{name}"]) == 0
    assert load_platform(Path("deploy/tailramp.yaml")).route.full_name == f"{namespace}/{name}"


def test_the_comments_are_in_the_users_language() -> None:
    assert main(["init", "--lang", "zh"]) == 0
    assert "研究员的文件" in Path("deploy/canary.yaml").read_text("utf-8")
    say = translator()
    say.missing.clear()
    texts = [
        examples.canary_file(model="m", say=say),
        examples.platform_file(route="a/b", header="X", salt="s", say=say),
    ]
    assert say.missing == set()
    english = [examples.canary_file(model="m"), examples.platform_file(route="a/b", header="X", salt="s")]
    assert [yaml.safe_load(text) for text in texts] == [yaml.safe_load(text) for text in english]


async def test_at_a_terminal_what_is_not_given_is_asked_for(tmp_path: Path) -> None:
    terminal, side = pty.openpty()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "cli", "init", "--header", "X-Uid"), cwd=tmp_path, stdin=side, stdout=side, stderr=side
    )
    os.close(side)
    os.write(terminal, b"chat-v9\na b\nteam/talk\n")
    assert await asyncio.wait_for(process.wait(), 30) == 0
    shown = os.read(terminal, 10_000).decode()
    os.close(terminal)
    assert "Model version to try [llama-2-70b-chat-v1.3]:" in shown
    assert "'a b' is no route" in shown
    spec = load_spec(tmp_path / "deploy/canary.yaml", tmp_path / "deploy/tailramp.yaml")
    assert (spec.candidate.model, spec.platform.route.full_name) == ("chat-v9", "team/talk")


@pytest.mark.parametrize(("file", "text"), [("canary", examples.CANARY), ("platform", examples.PLATFORM)])
def test_the_schema_fits_what_init_writes(file: str, text: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["schema", file]) == 0
    printed = json.loads(capsys.readouterr().out)
    jsonschema.validate(yaml.safe_load(text), printed)
    assert main(["schema", file, "-o", "json"]) == 0
    assert json.loads(capsys.readouterr().out) == printed
