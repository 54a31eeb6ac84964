"""skew: real shares of real ids, and whether they are even."""

import json
import random
from pathlib import Path

import pytest

from cli.__main__ import main


@pytest.fixture
def phones(tmp_path: Path) -> Path:
    source = random.Random(7)
    file = tmp_path / "ids.txt"
    numbers = [source.randrange(13_000_000_000, 20_000_000_000) for _ in range(100_000)]
    file.write_text("\n".join(map(str, numbers)), encoding="utf-8")
    return file


def test_the_classic_rule_is_seen_to_be_biased_and_the_hash_to_be_even(
    phones: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["skew", str(phones), "--salt", "demo-2026", "-o", "json"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert (data["buckets"], data["ids"]) == ("00-04", 100_000)
    hashed, legacy, tail = data["strategies"]
    assert [each["strategy"] for each in data["strategies"]] == ["sha256", "legacy_base36", "tail2"]
    assert hashed["share"] == pytest.approx(0.05, abs=0.003)
    assert legacy["share"] == pytest.approx(0.0524, abs=0.003)
    assert legacy["largest"] > 0.012
    assert (hashed["p"] > 0.001, legacy["p"] < 1e-9, tail["p"] > 0.001) == (True, True, True)
    assert legacy["verdict"] == "legacy_base36: uneven; a share of buckets is not that share of users"
    assert main(["skew", str(phones), "--salt", "demo-2026"]) == 0
    shown = capsys.readouterr().out
    assert "legacy_base36: uneven" in shown
    assert not any(line.strip() in shown for line in phones.read_text("utf-8").splitlines()[:5])


def test_a_small_sample_is_said_to_be_too_small(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "ids"
    file.write_text("u1\nu1\n\n用户甲\n", encoding="utf-8")
    assert main(["skew", str(file), "--salt", "s"]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith("2 ids; 00-04 are meant to have 5 %\n")
    assert "sha256: too few ids to tell; 500 and more can" in shown
    assert "tail2: no id has a bucket" in shown


def test_ten_thousand_buckets_are_those_of_the_hash(phones: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["skew", str(phones), "--salt", "s", "--buckets", "0000-0499", "-o", "json"]) == 0
    (hashed,) = json.loads(capsys.readouterr().out)["strategies"]
    assert hashed["degrees_of_freedom"] == 9999
    assert hashed["p"] > 0.001


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["missing", "--salt", "s"], 5, "cannot be read: No such file or directory"),
        ([".", "--salt", "s"], 5, "cannot be read: Is a directory"),
        (["empty", "--salt", "s"], 5, "the sample has no ids"),
        (["empty", "--buckets", "5%"], 2, '5 % of the users are "00-04"'),
        (["empty", "--buckets", ""], 2, "the buckets of nobody"),
        (["empty"], 2, "Which salt? Give --salt"),
    ],
)
def test_what_is_no_sample_is_refused_in_words(
    arguments: list[str],
    code: int,
    words: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TAILRAMP_PLATFORM", raising=False)
    Path("empty").touch()
    assert main(["skew", *arguments]) == code
    assert words in capsys.readouterr().err
