"""calibrate: noise of known sizes is found in a real Prometheus, and goes into the platform file and nowhere else."""

import difflib
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from noisy_past import EDGES, NoisyPast
from test_json_output import are_documented

from cli.__main__ import main
from cli.examples import CANARY, PLATFORM
from cli.language.zh import translator
from lab.prometheus_server import PrometheusServer
from tailramp.spec import load_platform

SIZES = ("tau", "phi0", "sigma0")


@pytest.fixture(scope="module")
def past(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("past") / "past.om"
    NoisyPast().write(file)
    return file


@pytest.fixture
async def prometheus(tmp_path: Path, past: Path) -> AsyncIterator[PrometheusServer]:
    server = PrometheusServer(tmp_path / "prometheus", {}, retention="2d")
    server.remember(past)
    async with server:
        yield server


@pytest.fixture
def canary(tmp_path: Path, prometheus: PrometheusServer, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The files of `tailramp init`, with their comments."""
    file = tmp_path / "deploy" / "canary.yaml"
    file.parent.mkdir()
    file.write_text(CANARY, encoding="utf-8")
    text = PLATFORM.replace("http://127.0.0.1:9090", f"{prometheus.url}\n  scrapeInterval: 1m\n  timeout: 30s")
    (file.parent / "tailramp.yaml").write_text(text, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return file


@pytest.mark.timeout(300)
def test_known_noise_is_found_and_written_between_the_comments(
    canary: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    platform = canary.with_name("tailramp.yaml")
    before = platform.read_text("utf-8")
    assert main(["calibrate", "--since", "11h", "--dry-run", "-o", "json"]) == 0
    data = json.loads(capsys.readouterr().out)
    are_documented("calibrate", [data])
    assert platform.read_text("utf-8") == before
    assert (data["slots"], data["written"]) == (["blue"], False)
    found = {check["check"]: check for check in data["checks"]}

    (toxicity,) = found["toxicity"]["rows"]
    assert toxicity["answers"] > 700_000
    for size, true in (("tau", 0.3), ("phi0", 3.0), ("sigma0", 0.1 * 2**0.5)):
        assert toxicity[size]["low"] * 0.75 < true < toxicity[size]["high"] * 1.25
        assert true < found["toxicity"]["noise"][size][0] * 1.1
        assert found["toxicity"]["noise"][size][0] == pytest.approx(toxicity[size]["high"], abs=0.011)
    assert found["toxicity"]["missing"] == {}

    latency = found["latency"]
    assert [row["edge"] for row in latency["rows"]] == [float(edge) for edge in EDGES]
    assert [len(latency["noise"][size]) for size in ("phi0", "sigma0")] == [6, 6]
    assert max(latency["noise"]["phi0"]) < 1.3
    assert latency["missing"] == {"tau": "its series have no label that names a bucket"}
    assert "tau" not in latency["noise"]

    assert found["errors"]["noise"] == {}
    assert found["errors"]["missing"]["sigma0"].startswith("of what the gateway counts only two slots")

    assert main(["calibrate", "--since", "11h"]) == 0
    shown = capsys.readouterr()
    assert "blue, the busiest slot: 11h up to" in shown.out
    assert "latency: tau: its series have no label that names a bucket" in shown.out
    assert "reading toxicity: buckets" in shown.err
    after = platform.read_text("utf-8")
    changed = [line[:2] for line in difflib.ndiff(before.splitlines(), after.splitlines()) if line[0] != " "]
    assert set(changed) == {"+ "}
    noise = load_platform(platform).checks.sequential.noise
    assert set(noise) == {"latency", "toxicity"}
    assert noise["latency"].tau is None
    assert noise["toxicity"].tau == pytest.approx(found["toxicity"]["noise"]["tau"], rel=0.05)

    assert main(["plan", "--offline"]) in {0, 5}
    told = capsys.readouterr().out
    assert "1.5 times the usual noise is allowed for (errors, latency.tau)" in told


def test_two_slots_of_one_model_tell_what_the_gateway_counts(canary: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["calibrate", "--slots", "green,blue", "--since", "11h", "--dry-run", "-o", "json"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert data["slots"] == ["blue", "green"]
    errors = next(check for check in data["checks"] if check["check"] == "errors")
    assert set(errors["noise"]) == {"phi0", "sigma0"}
    assert 1.0 <= errors["noise"]["phi0"][0] < 1.3
    assert "errors:" in data["diff"]


def test_too_few_data_are_refused_with_how_much_there_is(canary: Path, capsys: pytest.CaptureFixture[str]) -> None:
    platform = canary.with_name("tailramp.yaml")
    before = platform.read_text("utf-8")
    assert main(["calibrate", "--since", "30m"]) == 5
    told = capsys.readouterr().err
    assert "too few data to estimate anything" in told
    assert "latency: phi0: 6 of the 24 blocks of five minutes that are needed" in told
    assert "toxicity: tau: 6 of the 24 blocks" in told
    assert platform.read_text("utf-8") == before


def test_it_is_all_said_in_chinese(canary: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["calibrate", "--since", "3h", "--dry-run", "--lang", "zh"]) == 0
    shown = capsys.readouterr()
    assert "最忙的槽位" in shown.out
    say = translator()
    for reason in (
        "its series have no label that names a bucket",
        "two servers or more tell it, or two slots that serve the same model",
    ):
        assert say.find(f"latency: tau: {reason}") is not None
    assert main(["calibrate", "--since", "30m", "--lang", "zh"]) == 5
    assert "数据太少" in capsys.readouterr().err


def test_what_users_keep_is_measured_for_who_uses_it(canary: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["calibrate", "--since", "3h", "--dry-run"]) == 0
    assert "carry" not in capsys.readouterr().out
    platform = canary.with_name("tailramp.yaml")
    text = platform.read_text("utf-8")
    assert text.count("\nchecks:\n") == 1
    platform.write_text(text.replace("\nchecks:\n", "\nchecks:\n  sequential: {history: {}}\n"), encoding="utf-8")
    assert main(["calibrate", "--since", "3h", "--dry-run"]) == 0
    shown = capsys.readouterr().out
    assert "Of carry it is the lower end; where it is not told, 0.5." in shown
    assert "toxicity: carry: 0 of the 3 whole days that are needed" in shown
    say = translator()
    for reason in ("2 of the 3 whole days that are needed", "the buckets differ by hardly more than chance"):
        assert say.find(f"toxicity: carry: {reason}") is not None


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--slots", "blue,teal"], "--slots is teal: the slots are blue, green"),
        (["--slots", "blue"], "one slot alone needs no --slots"),
        (["--bucket-label", "x-y"], "'x-y' is no name of a label"),
        (["--since", "1m"], "write between 10m and 14d"),
    ],
)
def test_wrong_usage_is_told_before_anybody_is_asked(
    arguments: list[str],
    words: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "deploy").mkdir()
    (tmp_path / "deploy" / "canary.yaml").write_text(CANARY, encoding="utf-8")
    (tmp_path / "deploy" / "tailramp.yaml").write_text(PLATFORM, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    assert main(["calibrate", *arguments]) == 2
    assert words in capsys.readouterr().err


def test_a_prometheus_that_is_away_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "deploy").mkdir()
    (tmp_path / "deploy" / "canary.yaml").write_text(CANARY, encoding="utf-8")
    (tmp_path / "deploy" / "tailramp.yaml").write_text(PLATFORM.replace(":9090", ":1"), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    assert main(["calibrate"]) == 6
    assert "cannot be reached" in capsys.readouterr().err
