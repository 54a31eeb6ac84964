"""replay: the decision table, assertions for pipelines, and errors that name line and column."""

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "tailramp"))

from replay_samples import EVERYONE, PLATFORM, START, counted
from spec_samples import write_files
from test_json_output import are_documented
from test_language import english_left

from cli.__main__ import main
from cli.language.zh import translator

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def counts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("counts")
    for name, lines in {"good.csv": counted(46), "bad.csv": counted(40, slow=6, onset=30)}.items():
        (folder / name).write_text("\n".join(lines), encoding="utf-8")
    return folder


@pytest.fixture
def run(tmp_path: Path, counts: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    (tmp_path / "deploy").mkdir()
    write_files(tmp_path / "deploy", EVERYONE, PLATFORM)
    for file in counts.iterdir():
        shutil.copy(file, tmp_path)
    monkeypatch.chdir(tmp_path)

    def call(*arguments: str) -> tuple[int, str, str]:
        capsys.readouterr()
        code = main(["replay", *arguments])
        shown = capsys.readouterr()
        return code, shown.out, shown.err

    return call


def test_it_shows_each_decision_with_its_time_and_what_came_of_it(run: Run) -> None:
    code, out, _ = run("bad.csv", "--share", "5%")
    assert code == 0
    assert "step 1, 1 % (00) SETTLED" in out
    assert "step 2, 5 % (00-04) PASS" in out
    assert "latency" in out
    assert out.rstrip().splitlines()[-1].startswith("rolled back after 3")


def test_its_json_has_the_numbers_of_every_decision(run: Run) -> None:
    code, out, _ = run("bad.csv", "deploy/canary.yaml", "deploy/tailramp.yaml", "-o", "json")
    data = json.loads(out)
    are_documented("replay", [data])
    assert (code, data["phase"], data["reason"], data["failed_checks"]) == (0, "ROLLED_BACK", "unhealthy", ["latency"])
    last = data["decisions"][-1]
    assert (last["outcome"], last["at"]) == ("failed", data["rolled_back_at"])
    (failed,) = [verdict for verdict in last["verdicts"] if verdict["kind"] == "FAIL"]
    assert failed["numbers"]["evidence"] > failed["numbers"]["evidence_needed"]


@pytest.mark.parametrize(
    ("file", "words", "code"),
    [
        ("good.csv", "promoted", 0),
        ("good.csv", "not rolled-back", 0),
        ("good.csv", "rolled-back before 10m", 5),
        ("bad.csv", "rolled-back before 40m", 0),
        ("bad.csv", "promoted", 5),
    ],
)
def test_a_pipeline_may_demand_something_of_it(run: Run, file: str, words: str, code: int) -> None:
    found, out, _ = run(file, "--assert", words)
    assert found == code
    assert ("failed: the ramp was" in out) is (code == 5)


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["missing.csv"], 5, "there is no such file"),
        (["deploy"], 5, "is a folder"),
        (["good.csv", "--share", "5"], 2, "leaves nobody on one side"),
        (["good.csv", "--share", "x"], 2, "a share is a number"),
        (["good.csv", "--assert", "won"], 2, "says nothing about a ramp"),
        (["good.csv", "--assert", "回滚"], 2, "says nothing about a ramp"),
        (["good.csv", "--baseline", "red"], 2, "--baseline is red: the slots are blue, green"),
        (["good.csv", "--without", "taste"], 5, "there is no check taste"),
        (["good.csv", "--without", "errors", "--without", "latency", "--without", "toxicity"], 5, "no check is left"),
        ([], 2, "Missing argument"),
    ],
)
def test_what_cannot_be_replayed_is_refused_in_words(run: Run, arguments: list[str], code: int, words: str) -> None:
    found, _, err = run(*arguments)
    assert (found, words in err) == (code, True), err
    found, _, err = run(*arguments, "--lang", "zh")
    assert found == code
    assert not english_left(err.replace("errors, latency, toxicity", ""))


def test_a_check_that_was_not_counted_may_be_left_out(run: Run) -> None:
    lines = Path("good.csv").read_text(encoding="utf-8").splitlines()
    Path("less.csv").write_text("\n".join(line for line in lines if ",toxicity," not in line), encoding="utf-8")
    code, _, err = run("less.csv")
    assert (code, "--without toxicity" in err) == (5, True)
    code, out, _ = run("less.csv", "--without", "toxicity")
    assert (code, "promoted after" in out) == (0, True)


@pytest.mark.parametrize("damage", [b"\xff\xfe\x00", "时间".encode("gbk"), b"\x1f\x8b\x08\x00broken", b"\0" * 100])
def test_bytes_that_are_no_text_are_refused(run: Run, damage: bytes) -> None:
    Path("odd.csv").write_bytes(damage)
    code, out, err = run("odd.csv")
    assert (code, out) == (5, "")
    assert "odd.csv" in err


def test_a_packed_file_is_read_as_it_is(run: Run) -> None:
    import gzip

    with Path("bad.csv").open("rb") as plain, gzip.open("bad.csv.gz", "wb") as packed:
        shutil.copyfileobj(plain, packed)
    assert run("bad.csv.gz")[1] == run("bad.csv")[1]


def test_all_that_it_says_is_said_in_chinese(run: Run) -> None:
    for file in ("good.csv", "bad.csv"):
        code, out, _ = run(file, "--lang", "zh", "--assert", "blocked before 1s")
        assert code == 5
        assert not english_left(out)
    assert translator().find("the counts end at step 2, 5 % (00-04): neither promoted nor rolled back") is not None


def test_other_tools_rules_and_pictures_stand_beside_the_decisions(run: Run, tmp_path: Path) -> None:
    code, out, _ = run("bad.csv", "--compare", "--plots", "plots", "-o", "json")
    data = json.loads(out)
    are_documented("replay", [data])
    assert code == 0
    assert {peer["rule"].split()[0] for peer in data["compare"]} == {"plain", "Argo", "Flagger", "Kayenta"}
    assert sorted(path.name for path in Path("plots").iterdir()) == [
        f"green-{name}.svg" for name in ("errors", "latency", "toxicity")
    ]
    code, out, _ = run("bad.csv", "--compare", "--plots", "plots", "--lang", "zh")
    assert (code, english_left(out)) == (0, [])
    code, _, err = run("bad.csv", "--plots", "bad.csv")
    assert (code, "cannot be written" in err) == (5, True)


def test_a_log_that_is_none_cannot_be_recomputed(run: Run) -> None:
    Path("log.jsonl").write_text("决定\n", encoding="utf-8")
    code, _, err = run("--record", "log.jsonl")
    assert (code, "log.jsonl:1: (line): this line is no decision" in err) == (5, True)
    Path("log.jsonl").write_text("", encoding="utf-8")
    code, _, err = run("--record", "log.jsonl", "--lang", "zh")
    assert (code, english_left(err)) == (5, [])


def test_the_day_before_is_given_as_a_file(run: Run) -> None:
    """Bucket 00 was twice as toxic as the others before anything was changed."""
    Path("day.csv").write_text(
        "\n".join(
            [
                "time,arm,metric,edge,count",
                *(
                    f"{START - 300 * back},{arm},toxicity,{edge},{count}"
                    for back in range(1, 288)
                    for arm, edge, count in (
                        ("candidate", "", 60),
                        ("candidate", "bad", 2),
                        ("baseline", "", 5940),
                        ("baseline", "bad", 100),
                    )
                ),
            ]
        ),
        encoding="utf-8",
    )
    code, _, err = run("good.csv", "--share", "1%", "--history", "day.csv")
    assert (code, "checks.sequential.history" in err) == (5, True)
    block = "\nchecks:\n  sequential: {history: {bucketLabel: bucket}}\n"
    Path("deploy/tailramp.yaml").write_text(PLATFORM.replace("\nchecks:\n", block), encoding="utf-8")
    known = "its users are known from before the ramp"
    for history in ((), ("--history", "day.csv")):
        code, out, _ = run("good.csv", "--share", "1%", *history, "-o", "json")
        reasons = {verdict["check"]: verdict["reason"] for verdict in json.loads(out)["last"]}
        assert (code, known in reasons["toxicity"], known in reasons["errors"]) == (0, bool(history), False)
    code, _, err = run("good.csv", "--share", "1%", "--history", "good.csv", "--lang", "zh")
    assert (code, english_left(err)) == (5, [])
