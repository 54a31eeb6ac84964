"""validate: what it accepts, what it finds, and which files it looks at."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from project_folder import Folder

from cli.__main__ import main

CANARY_LINES = [
    "canary:",
    '  model: "chat-v2"',
    '  buckets: "00-04"',
    "  autoRollback: true",
    "  maxLatency: 2000ms",
    "  maxToxicity: 0.05",
]


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


def test_the_two_examples_of_the_help_are_valid(folder: Folder, validate: Validate) -> None:
    code, shown = validate()
    assert code == 0
    assert "deploy/canary.yaml and deploy/tailramp.yaml are valid." in shown
    assert "00-04 (5 % of identified users)" in shown
    assert "errors ≤ 5 %, p99 ≤ 2s, toxicity ≤ 5 %" in shown


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


BROKEN = {
    "unknown field": ("  maxLatncy: 2000ms", 5, "canary.maxLatncy", "Did you mean maxLatency?"),
    "reversed range": ('  buckets: "04-00"', 3, "canary.buckets", "write 00-04"),
    "overlap": ('  buckets: "00-04,03"', 3, "canary.buckets", "a second time"),
    "one digit": ('  buckets: "0-4"', 3, "canary.buckets", "two digits"),
    "mixed widths": ('  buckets: "00,0100"', 3, "canary.buckets", "two digits"),
    "hyphen alone": ('  buckets: "-"', 3, "canary.buckets", "neither a bucket"),
    "percent": ('  buckets: "5%"', 3, "canary.buckets", "neither a bucket"),
    "number": ("  buckets: 4", 3, "canary.buckets", "text in quotes"),
    "full width digits": ('  buckets: "０0-04"', 3, "canary.buckets", "neither a bucket"),
    "list": ("  buckets: [0, 1]", 3, "canary.buckets", "text in quotes"),
    "four digits at resolution 100": ('  buckets: "0000-0499"', 3, "canary.buckets", "resolution is 100"),
    "no unit": ("  maxLatency: 2000", 5, "canary.maxLatency", "a number with its unit"),
    "negative": ("  maxLatency: -5ms", 5, "canary.maxLatency", "a number with its unit"),
    "zero": ("  maxLatency: 0s", 5, "canary.maxLatency", "longer than nothing"),
    "toxicity above one": ("  maxToxicity: 5", 6, "canary.maxToxicity", "less than or equal to 1"),
    "toxicity in words": ("  maxToxicity: low", 6, "canary.maxToxicity", "percentage"),
    "not a number": ("  maxToxicity: .nan", 6, "canary.maxToxicity", "greater than or equal to 0"),
    "maybe": ("  autoRollback: maybe", 4, "canary.autoRollback", "boolean"),
    "empty model": ('  model: ""', 2, "canary.model", "at least 1"),
    "control character": ('  model: "a\\x07b"', 2, "canary.model", "form"),
    "no model": ("", 1, "canary.model", "Add model:"),
    "bad indent": ("   model: x", 3, "(file)", "not valid YAML"),
    "tab": ("\tmodel: x", 2, "(file)", "not valid YAML"),
    "twice": ("  model: a\n  model: b", 3, "canary.model", "stands twice"),
    "alias": ("  model: &m x\n  autoRollback: *m", 3, "(file)", "alias"),
    "python object": ("  model: !!python/object/apply:os.system [ls]", 2, "canary.model", "kind"),
    "segments": ("  segments: [VIP]", 5, "canary.segments", "no user tags"),
}


@pytest.mark.parametrize("name", list(BROKEN))
def test_a_broken_file_is_5_with_line_field_and_mend(name: str, folder: Folder, validate: Validate) -> None:
    text, line, field, mend = BROKEN[name]
    key = text.split(":")[0].strip()
    lines = [each for each in CANARY_LINES if each.split(":")[0].strip() != key]
    place = max(line - 1 - text.count("\n"), 1)
    if name == "no model":
        lines = [each for each in CANARY_LINES if "model" not in each]
    elif name in {"bad indent", "tab", "alias"}:
        lines = ["canary:", text, *[each for each in CANARY_LINES[2:] if "autoRollback" not in each]]
    else:
        lines.insert(place, text)
    folder.canary.write_text("\n".join(lines) + "\n", encoding="utf-8")
    code, shown = validate()
    assert code == 5, shown
    assert f"deploy/canary.yaml:{line}: {field}" in shown, shown
    assert mend in shown
    assert "Traceback" not in shown


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


HOSTILE = {
    "empty": b"",
    "only a comment": b"# nothing\n",
    "binary": bytes(range(256)) * 40,
    "nul": b"canary:\x00",
    "utf-16": "canary:\n  model: x\n".encode("utf-16"),
    "latin-1": "canary:\n  model: käse\n".encode("latin-1"),
    "alias bomb": b"a: &a [x,x,x,x]\nb: &b [*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b]\nd: [*c,*c,*c,*c]\n",
    "huge": b"canary:\n" + b"# " + b"x" * 5_000_000,
    "deep": b"[" * 5000,
    "deep mapping": b"".join(b" " * n + b"a:\n" for n in range(400)),
    "scalar": "只是文字".encode(),
    "two documents": b"canary: {}\n---\ncanary: {}\n",
    "a shell command": b"$(rm -rf /)",
}


@pytest.mark.parametrize("name", list(HOSTILE))
def test_hostile_content_is_refused_in_words_and_quickly(name: str, folder: Folder, validate: Validate) -> None:
    folder.canary.write_bytes(HOSTILE[name])
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
