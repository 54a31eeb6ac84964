"""The two files as they should be: what is accepted, what is filled in, and what a spec keeps."""

from __future__ import annotations

import os
import textwrap
from datetime import timedelta
from pathlib import Path

import pytest
from spec_samples import CANARY, PLATFORM, spec_of, with_slot, write_files

from tailramp.errors import InvalidFile
from tailramp.spec import RampSpec, load_platform, load_spec


def test_the_canary_file_of_the_design_is_accepted_as_it_stands(spec: RampSpec) -> None:
    candidate = spec.candidate
    assert candidate.model == "llama-2-70b-chat-v1.3"
    assert list(candidate.buckets) == ["00", "01", "02", "03", "04"]
    assert candidate.auto_rollback is True
    assert candidate.max_latency == timedelta(seconds=2)
    assert candidate.max_toxicity == 0.05


def test_the_platform_file_says_how(spec: RampSpec) -> None:
    platform = spec.platform
    assert platform.route.full_name == "demo/chat"
    assert list(platform.slots) == ["blue", "green"]
    assert [step.share for step in platform.ramp.steps] == [0.01, 0.05, 0.25, 1.0]
    assert [step.hold for step in platform.ramp.steps] == [None, None, timedelta(minutes=20), None]
    assert platform.checks.max_errors == 0.05
    assert platform.ramp.max_blind == timedelta(minutes=5)


def test_the_shortest_files_get_the_defaults_of_the_mission(tmp_path: Path) -> None:
    platform = PLATFORM[: PLATFORM.index("ramp:")]
    spec = spec_of(tmp_path, 'canary: {model: m, buckets: "00"}', platform)
    assert [step.share for step in spec.platform.ramp.steps] == [0.01, 0.05, 0.1, 0.25, 0.5, 1.0]
    assert spec.candidate.auto_rollback is True
    assert spec.candidate.max_latency is None
    assert spec.platform.checks.consecutive == 3


def test_an_empty_target_is_a_valid_file(tmp_path: Path) -> None:
    assert not len(spec_of(tmp_path, CANARY.replace("00-04", "")).candidate.buckets)


def test_buckets_of_four_digits_go_with_their_resolution(tmp_path: Path) -> None:
    platform = PLATFORM.replace("salt: demo-2026", "salt: demo-2026\n  resolution: 10000")
    spec = spec_of(tmp_path, CANARY.replace("00-04", "0000-0049"), platform)
    assert spec.candidate.buckets.share == 0.005


def test_words_in_chinese_are_ordinary_text(tmp_path: Path) -> None:
    canary = CANARY.replace("llama-2-70b-chat-v1.3", "通义千问-72B").replace("# 5 %", "# 百分之五")
    assert spec_of(tmp_path, canary, PLATFORM.replace("demo-2026", "盐")).candidate.model == "通义千问-72B"


def test_a_byte_order_mark_and_windows_line_ends_do_no_harm(tmp_path: Path) -> None:
    canary, platform = write_files(tmp_path)
    canary.write_bytes(b"\xef\xbb\xbf" + CANARY.replace("\n", "\r\n").encode())
    assert load_spec(canary, platform).candidate.max_latency == timedelta(seconds=2)


def test_a_relative_route_file_is_meant_from_the_folder_of_the_platform_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, elsewhere = tmp_path / "deploy", tmp_path / "elsewhere"
    folder.mkdir()
    elsewhere.mkdir()
    canary, platform = write_files(folder)
    monkeypatch.chdir(elsewhere)
    expected = folder / "routes" / "chat.json"
    relative = Path(os.path.relpath(platform))
    assert load_spec(canary, relative).platform.router.file == expected
    assert load_platform(relative).router.file == expected


def test_an_absolute_route_file_stays_where_it_is(tmp_path: Path) -> None:
    platform = PLATFORM.replace("routes/chat.json", f"{tmp_path}/route.json")
    assert spec_of(tmp_path, platform=platform).platform.router.file == tmp_path / "route.json"


def test_a_spec_survives_the_way_through_a_workflow_payload(spec: RampSpec, full_spec: RampSpec) -> None:
    for one in (spec, full_spec):
        again = RampSpec.model_validate_json(one.model_dump_json())
        assert again == one
        assert again.digest == one.digest
        assert again.candidate.digest == one.candidate.digest


def test_a_spec_with_a_hold_of_years_survives_too(tmp_path: Path) -> None:
    spec = spec_of(tmp_path, platform=PLATFORM.replace("hold: 10m", "hold: 400d"))
    assert RampSpec.model_validate_json(spec.model_dump_json()) == spec


def test_the_digest_changes_with_any_field_but_not_with_a_comment(tmp_path: Path, spec: RampSpec) -> None:
    assert spec_of(tmp_path, CANARY.replace("# 5 %", "# five")).candidate.digest == spec.candidate.digest
    changed = [
        CANARY.replace("v1.3", "v1.4"),
        CANARY.replace("00-04", "00-05"),
        CANARY.replace("00-04", "04,03,02,01,00"),
        CANARY.replace("true", "false"),
        CANARY.replace("2000ms", "2001ms"),
        CANARY.replace("0.05", "0.06"),
    ]
    digests = {spec_of(tmp_path, canary).candidate.digest for canary in changed}
    assert len(digests | {spec.candidate.digest}) == len(changed) + 1


def test_more_candidates_than_free_slots_are_refused(tmp_path: Path) -> None:
    canary = textwrap.dedent("""\
        canaries:
          - {model: new-70b, buckets: "00-04"}
          - {model: new-13b, buckets: "05-09"}
        """)
    with pytest.raises(InvalidFile) as refusal:
        spec_of(tmp_path, canary)
    (problem,) = refusal.value.problems
    assert (problem.field, problem.line) == ("canaries", 1)
    assert "2 candidates need as many slots beside the live one" in problem.reason
    assert spec_of(tmp_path, canary, with_slot("red")).candidates[1].model == "new-13b"


def test_a_problem_reads_as_place_field_value_reason_and_mend(tmp_path: Path) -> None:
    with pytest.raises(InvalidFile) as refusal:
        spec_of(tmp_path, CANARY.replace('"00-04"', '"04-00"'))
    line = f"{tmp_path}/canary.yaml:3: canary.buckets = \"04-00\": '04-00' is reversed. Write 00-04"
    assert str(refusal.value).startswith(line)


def test_a_server_may_call_a_model_by_another_name(tmp_path: Path) -> None:
    platform = PLATFORM.replace("checks:", 'models: {served: "/models/{model}-awq"}\nchecks:')
    models = spec_of(tmp_path, platform=platform).platform.models
    assert models.served_as("llama-2-70b") == "/models/llama-2-70b-awq"
    assert spec_of(tmp_path).platform.models.served_as("llama-2-70b") == "llama-2-70b"


def test_papers_that_are_missing_are_named_and_refuse_only_where_they_are_required(tmp_path: Path) -> None:
    papers = "compliance: {filingNo: Beijing-LLM-20260001, assessmentRef: SEC-2026-017, labelMode: both}\nchecks:"
    whole = spec_of(tmp_path, platform=PLATFORM.replace("checks:", papers)).platform.compliance
    partly = spec_of(tmp_path, platform=PLATFORM.replace("checks:", "compliance: {filingNo: a}\nchecks:")).platform
    assert whole is not None
    assert partly.compliance is not None
    assert list(whole.missing()) == []
    assert [field for field, _, _ in partly.compliance.missing()] == ["assessmentRef", "labelMode"]
    required = papers.replace("labelMode: both", "labelMode: both, require: refuse")
    assert spec_of(tmp_path, platform=PLATFORM.replace("checks:", required)).platform.compliance is not None
