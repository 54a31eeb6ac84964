"""validate: what it accepts, what it finds, and which files it looks at."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from project_folder import Folder

from cli.__main__ import main
from cli.language.zh import translator


@pytest.fixture
def validate(
    folder: Folder, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str]]:
    """Run validate in the folder; returns the exit code and everything that was printed."""
    monkeypatch.chdir(folder.path)
    monkeypatch.delenv("TAILRAMP_PLATFORM", raising=False)

    def run(*arguments: str) -> tuple[int, str]:
        code = main(["validate", *arguments])
        shown = capsys.readouterr()
        return code, shown.out + shown.err

    return run


Validate = Callable[..., tuple[int, str]]


def test_the_two_files_to_start_from_are_valid(folder: Folder, validate: Validate) -> None:
    code, shown = validate()
    assert code == 0
    assert "deploy/canary.yaml and deploy/tailramp.yaml are valid." in shown
    assert "00-04 (5 % of identified users)" in shown
    assert "errors ≤ 5 %, p99 ≤ 2s, in flight ≤ 5m, toxicity ≤ 5 %" in shown


def test_the_shown_steps_are_those_of_the_ramp(folder: Folder, validate: Validate) -> None:
    folder.write(canary={"canary.buckets": "00-99"}, platform={"ramp.steps": ["1%", "10%", "100%"], "ramp.hold": "20m"})
    code, shown = validate()
    assert code == 0
    assert [line.split()[:2] for line in shown.splitlines() if line[:1].isdigit()] == [
        ["1", "1"],
        ["2", "10"],
        ["3", "100"],
    ]
    assert "bake 30m" in shown
    assert "at least 1h10m" in shown


def test_json_tells_the_same(folder: Folder, validate: Validate) -> None:
    code, shown = validate("-o", "json")
    data = json.loads(shown)
    assert code == 0
    assert data["route"] == folder.route
    assert [step["share"] for step in data["steps"]] == [0.01, 0.02, 0.03, 0.05]
    (candidate,) = data["candidates"]
    assert candidate["limits"] == {"errors": 0.05, "latency_seconds": 2.0, "toxicity": 0.05}


def test_an_empty_target_is_valid_and_said_to_be_one(folder: Folder, validate: Validate) -> None:
    folder.write(canary={"canary.buckets": ""})
    code, shown = validate()
    assert code == 0
    assert "nobody" in shown


def test_a_broken_file_is_5_with_line_field_value_and_mend(folder: Folder, validate: Validate) -> None:
    folder.canary.write_text('canary:\n  model: "chat-v2"\n  buckets: "04-00"\n', encoding="utf-8")
    code, shown = validate()
    assert code == 5, shown
    assert shown == (
        "deploy/canary.yaml:3: canary.buckets = \"04-00\": '04-00' is reversed. Write 00-04\n1 problem found.\n"
    )


def test_every_problem_of_both_files_is_told_at_once(folder: Folder, validate: Validate) -> None:
    folder.write(canary={"canary.buckets": "9-1", "canary.maxLatency": 3}, platform={"identity.salt": ""})
    code, shown = validate("-o", "json")
    data = json.loads(shown)
    assert code == 5
    assert {problem["field"] for problem in data["problems"]} == {
        "canary.buckets",
        "canary.maxLatency",
        "identity.salt",
    }
    assert all(problem["mend"] and problem["line"] for problem in data["problems"])
    assert {Path(problem["file"]).name for problem in data["problems"]} == {"canary.yaml", "tailramp.yaml"}


@pytest.mark.parametrize("content", [b"", bytes(range(256)) * 40, b"[" * 5000, b"# " + b"x" * 5_000_000])
def test_hostile_content_is_refused_in_words_and_quickly(content: bytes, folder: Folder, validate: Validate) -> None:
    folder.canary.write_bytes(content)
    code, shown = validate()
    assert code == 5, shown
    assert "deploy/canary.yaml" in shown
    assert "internal error" not in shown
    assert len(shown) < 10_000


def test_chinese_is_ordinary_text(folder: Folder, validate: Validate) -> None:
    folder.write(canary={"canary.model": "通义-聊天-v2"})
    code, shown = validate()
    assert code == 0
    assert "通义-聊天-v2" in shown


@pytest.mark.parametrize(
    ("canary", "platform"),
    [
        ({}, {}),
        ({"canary.buckets": ""}, {}),
        ({"canary.buckets": "00-99", "canary.autoRollback": False}, {"compliance.require": "warn"}),
        ({}, {"identity.strategy": "tail2"}),
    ],
)
def test_in_chinese_every_label_and_sentence_is_chinese(
    canary: dict[str, object], platform: dict[str, object], folder: Folder, validate: Validate
) -> None:
    folder.write(canary=canary, platform=platform)
    translator().missing.clear()
    code, shown = validate("--lang", "zh")
    assert code == 0, shown
    assert translator().missing == set(), "add each to the catalog in cli/language/"
    assert {line.split()[0] for line in shown.splitlines() if line} >= {"路由", "模型", "目标"}


def test_a_folder_instead_of_a_file_is_5(folder: Folder, validate: Validate) -> None:
    code, shown = validate("deploy")
    assert code in {2, 5}
    assert "internal error" not in shown


def test_which_platform_file_is_used(folder: Folder, validate: Validate, monkeypatch: pytest.MonkeyPatch) -> None:
    elsewhere = folder.path / "platform-team.yaml"
    elsewhere.write_text(folder.platform.read_text(encoding="utf-8"), encoding="utf-8")

    code, shown = validate("--platform", str(elsewhere))
    assert code == 2
    assert "lies beside" in shown
    assert validate("--platform", "deploy/../deploy/tailramp.yaml")[0] == 0

    folder.platform.unlink()
    code, shown = validate()
    assert code == 2
    assert "$TAILRAMP_PLATFORM" in shown
    assert validate("--platform", str(elsewhere))[0] == 0
    monkeypatch.setenv("TAILRAMP_PLATFORM", str(elsewhere))
    assert validate()[0] == 0
    monkeypatch.setenv("TAILRAMP_PLATFORM", "missing.yaml")
    code, shown = validate()
    assert code == 5
    assert "missing.yaml" in shown

    folder.canary.unlink()
    code, shown = validate()
    assert code == 5
    assert "canary.yaml" in shown
