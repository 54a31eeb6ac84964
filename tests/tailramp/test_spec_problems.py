"""Broken files, one mistake each: the problem names file, line and field, and says in words what is wrong."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest
from spec_samples import CANARY, PLATFORM, spec_of

from tailramp.errors import InvalidFile

IN_CANARY, IN_PLATFORM = "canary.yaml", "tailramp.yaml"


@dataclass(frozen=True)
class Broken:
    """``old`` in the file becomes ``new``; the problem then stands at ``line`` and ``field`` and holds ``words``."""

    file: str
    old: str
    new: str
    line: int
    field: str
    words: str


BROKEN = [
    # What a researcher gets wrong.
    Broken(IN_CANARY, 'model: "llama-2-70b-chat-v1.3"', "model:", 2, "canary.model", "string"),
    Broken(IN_CANARY, '"llama-2-70b-chat-v1.3"', '""', 2, "canary.model", "at least 1 character"),
    Broken(IN_CANARY, '"llama-2-70b-chat-v1.3"', '"llama 2"', 2, "canary.model", "does not have the form"),
    Broken(IN_CANARY, '"llama-2-70b-chat-v1.3"', "70", 2, "canary.model", "string"),
    Broken(IN_CANARY, '"llama-2-70b-chat-v1.3"', "2024-01-31", 2, "canary.model", "in quotes"),
    Broken(IN_CANARY, '"llama-2-70b-chat-v1.3"', "[a, b]", 2, "canary.model", "string"),
    Broken(IN_CANARY, '  model: "llama-2-70b-chat-v1.3"\n', "", 1, "canary.model", "Add model:"),
    Broken(IN_CANARY, '"00-04"', "05", 3, "canary.buckets", "text in quotes"),
    Broken(IN_CANARY, '"00-04"', "0_5", 3, "canary.buckets", "text in quotes"),
    Broken(IN_CANARY, '"00-04"', "10:20", 3, "canary.buckets", "text in quotes"),
    Broken(IN_CANARY, '"00-04"', "", 3, "canary.buckets", '"" means nobody'),
    Broken(IN_CANARY, '"00-04"', '["00", "01"]', 3, "canary.buckets", "text in quotes"),
    Broken(IN_CANARY, '"00-04"', '"04-00"', 3, "canary.buckets", "write 00-04"),
    Broken(IN_CANARY, '"00-04"', '"00-04,"', 3, "canary.buckets", "neither a bucket"),
    Broken(IN_CANARY, '"00-04"', '"５%"', 3, "canary.buckets", "neither a bucket"),
    Broken(IN_CANARY, '"00-04"', '"0000-0004"', 3, "canary.buckets", "buckets of 2 digits"),
    Broken(IN_CANARY, "autoRollback: true", "autoRolback: true", 4, "canary.autoRolback", "Did you mean autoRollback?"),
    Broken(IN_CANARY, "autoRollback: true", "autoRollback: maybe", 4, "canary.autoRollback", "boolean"),
    Broken(IN_CANARY, "2000ms", "2000", 5, "canary.maxLatency", "with its unit"),
    Broken(IN_CANARY, "2000ms", "0ms", 5, "canary.maxLatency", "longer than nothing"),
    Broken(IN_CANARY, "2000ms", "-1s", 5, "canary.maxLatency", "with its unit"),
    Broken(IN_CANARY, "2000ms", "99999999999999d", 5, "canary.maxLatency", "no duration is that long"),
    Broken(IN_CANARY, "2000ms", "2s 3x", 5, "canary.maxLatency", "with its unit"),
    Broken(IN_CANARY, "0.05", "5", 6, "canary.maxToxicity", "less than or equal to 1"),
    Broken(IN_CANARY, "0.05", ".nan", 6, "canary.maxToxicity", "greater than or equal to 0"),
    Broken(IN_CANARY, "0.05", ".inf", 6, "canary.maxToxicity", "less than or equal to 1"),
    Broken(IN_CANARY, "0.05", "1" + "0" * 400, 6, "canary.maxToxicity", "a number that large"),
    Broken(IN_CANARY, "0.05", "0x" + "f" * 5000, 6, "canary.maxToxicity", "a number that large"),
    Broken(IN_CANARY, "0.05", "off", 6, "canary.maxToxicity", "percentage"),
    Broken(IN_CANARY, "maxToxicity: 0.05", "segments: [VIP]", 6, "canary.segments", "Leave segments out"),
    Broken(IN_CANARY, "maxToxicity: 0.05", "segments: [vip]", 6, "canary.segments[0]", "does not have the form"),
    Broken(IN_CANARY, "maxToxicity: 0.05", "autoRollback: false", 6, "canary.autoRollback", "stands twice"),
    Broken(IN_CANARY, "maxToxicity: 0.05", "最大毒性: 0.05", 6, "canary.最大毒性", "Known here: model"),
    Broken(IN_CANARY, "canary:", "canery:", 1, "canery", "Did you mean canary?"),
    Broken(IN_CANARY, CANARY, "canary:\n", 1, "(file)", "either canary: with one candidate"),
    Broken(IN_CANARY, CANARY, "canaries: []\n", 1, "(file)", "either canary: with one candidate"),
    Broken(IN_CANARY, CANARY, CANARY + "canaries: [{model: b, buckets: '07'}]", 1, "(file)", "either canary: with one"),
    Broken(
        IN_CANARY,
        CANARY,
        "canaries:\n - {model: a, buckets: '00-04'}\n - {model: b, buckets: '04'}\n",
        1,
        "(file)",
        "buckets 04 are given to both a and b",
    ),
    Broken(
        IN_CANARY,
        CANARY,
        "canaries:\n - {model: a, buckets: '00'}\n - {model: a, buckets: '04'}\n",
        1,
        "(file)",
        "a is listed twice",
    ),
    Broken(IN_CANARY, CANARY, "canaries:\n - {model: a, buckets: 5}\n", 2, "canaries[0].buckets", "text in quotes"),
    # What is not one plain mapping.
    Broken(IN_CANARY, CANARY, "", None or 0, "(file)", "the file is empty"),
    Broken(IN_CANARY, CANARY, "# nothing but words\n", 0, "(file)", "the file is empty"),
    Broken(IN_CANARY, CANARY, "- canary\n", 1, "(file)", "Start with canary or canaries"),
    Broken(IN_CANARY, CANARY, "canary\n", 1, "(file)", "not a mapping"),
    Broken(IN_CANARY, CANARY, "canary: 5\n", 1, "canary", "dictionary"),
    Broken(IN_CANARY, CANARY, CANARY + "---\n" + CANARY, 7, "(file)", "another document"),
    Broken(IN_CANARY, "  buckets", "\tbuckets", 3, "(file)", "not valid YAML"),
    Broken(IN_CANARY, '"llama-2-70b-chat-v1.3"', '"llama', 3, "(file)", "not valid YAML"),
    Broken(IN_CANARY, "2000ms", "*limit", 5, "(file)", "alias"),
    Broken(IN_CANARY, "2000ms", "!!python/name:os.system x", 5, "canary.maxLatency", "in quotes"),
    Broken(IN_CANARY, "2000ms", "!reference [.limits, p99]", 5, "canary.maxLatency", "in quotes"),
    Broken(IN_CANARY, "canary:", "canary: !candidate", 1, "canary", "in quotes"),
    Broken(IN_CANARY, '"00-04"', "!!binary MDAtMDQ=", 3, "canary.buckets", "in quotes"),
    Broken(IN_CANARY, '"00-04"', r'"00\0"', 3, "canary.buckets", "no text here can hold"),
    Broken(IN_CANARY, '"llama-2-70b-chat-v1.3"', r'"\ud83d"', 2, "canary.model", "no text here can hold"),
    Broken(IN_CANARY, "autoRollback: true", r'"\udc80": 1', 4, "canary", "a key is not text"),
    Broken(IN_CANARY, "autoRollback: true", "? [a]\n  : b", 4, "canary", "a key is not text"),
    Broken(IN_CANARY, "0.05", "[" * 31 + "]" * 31, 6, "(file)", "nested too deeply"),
    # What a platform team gets wrong.
    Broken(IN_PLATFORM, "apiVersion: tailramp/v1", "apiVersion: tailramp/v2", 1, "apiVersion", "'tailramp/v1'"),
    Broken(IN_PLATFORM, "apiVersion: tailramp/v1\n", "", 1, "apiVersion", "Add apiVersion:"),
    Broken(IN_PLATFORM, "name: chat", "name: Chat", 4, "route.name", "does not have the form"),
    Broken(IN_PLATFORM, "name: chat", "name: a/b", 4, "route.name", "does not have the form"),
    Broken(IN_PLATFORM, "name: chat", "name: " + "a" * 64, 4, "route.name", "does not have the form"),
    Broken(IN_PLATFORM, "kind: envoy-file", "kind: nginx", 7, "router.kind", "'envoy-file'"),
    Broken(IN_PLATFORM, "  admin: http://127.0.0.1:9901\n", "", 6, "router.admin", "Add admin:"),
    Broken(IN_PLATFORM, "http://127.0.0.1:9901", "127.0.0.1:9901", 9, "router.admin", "does not have the form"),
    Broken(IN_PLATFORM, "http://127.0.0.1:8080", "http:// x", 10, "router.gateway", "does not have the form"),
    Broken(IN_PLATFORM, "routes/chat.json", "5", 8, "router.file", "path"),
    Broken(IN_PLATFORM, "routes/chat.json", r'"a\0b"', 8, "router.file", "no text here can hold"),
    Broken(IN_PLATFORM, "  green:", "  Green:", 16, "slots.Green", "does not have the form"),
    Broken(IN_PLATFORM, 'metrics: slot="green"', 'metrics: ""', 18, "slots.green.metrics", "at least 1 character"),
    Broken(IN_PLATFORM, "  header: X-User-Id", "  header: X User", 21, "identity.header", "does not have the form"),
    Broken(IN_PLATFORM, "salt: demo-2026", 'salt: ""', 22, "identity.salt", "at least 1 character"),
    Broken(IN_PLATFORM, "salt: demo-2026", "salt: s\n  resolution: 1000", 23, "identity.resolution", "100 or 10000"),
    Broken(IN_PLATFORM, "[1%, 5%,", "[5%, 1%,", 25, "ramp", "larger than the one before"),
    Broken(IN_PLATFORM, "[1%, 5%,", "[5%, 5%,", 25, "ramp", "larger than the one before"),
    Broken(IN_PLATFORM, "20m}, 100%]", "20m}]", 25, "ramp", "the last share must be 100%"),
    Broken(IN_PLATFORM, "[1%, 5%,", "[0%, 5%,", 26, "ramp.steps[0]", "greater than 0"),
    Broken(IN_PLATFORM, "[1%, 5%,", "[1%, five,", 26, "ramp.steps[1]", "percentage"),
    Broken(IN_PLATFORM, "hold: 20m", "wait: 20m", 26, "ramp.steps[2].wait", "unknown field"),
    Broken(IN_PLATFORM, "steps: [1%, 5%, {share: 25%, hold: 20m}, 100%]", "steps: []", 26, "ramp.steps", "at least 1"),
    Broken(IN_PLATFORM, "bake: 30m", "bake: 30", 28, "ramp.bake", "with its unit"),
    Broken(IN_PLATFORM, "tick: 15s", "tick: 1500ms", 30, "checks.tick", "whole number of seconds"),
    Broken(IN_PLATFORM, "tick: 15s", "tick: 0s", 30, "checks.tick", "greater than or equal"),
    Broken(IN_PLATFORM, "maxErrors: 5%", "maxErrors: 5", 31, "checks.maxErrors", "less than or equal to 1"),
    Broken(IN_PLATFORM, "maxErrors: 5%", "minSample: 0", 31, "checks.minSample", "greater than or equal to 1"),
    Broken(IN_PLATFORM, "maxErrors: 5%", "maxError: 5%", 31, "checks.maxError", "Did you mean maxErrors?"),
    Broken(IN_PLATFORM, "maxErrors: 5%", "toxicCounter: 'a{b}'", 31, "checks.toxicCounter", "does not have the form"),
]


@pytest.mark.parametrize("case", BROKEN, ids=lambda case: f"{case.field}: {case.new[:30]!r}")
def test_a_mistake_is_named_with_its_place_and_its_mend(tmp_path: Path, case: Broken) -> None:
    texts = {IN_CANARY: CANARY, IN_PLATFORM: PLATFORM}
    assert case.old in texts[case.file]
    texts[case.file] = texts[case.file].replace(case.old, case.new, 1)
    with pytest.raises(InvalidFile) as refusal:
        spec_of(tmp_path, texts[IN_CANARY], texts[IN_PLATFORM])
    (problem,) = refusal.value.problems
    assert problem.file == tmp_path / case.file
    assert (problem.line or 0, problem.field) == (case.line, case.field)
    assert case.words in str(problem)
    assert problem.mend


def test_one_slot_is_not_enough_to_change_over(tmp_path: Path) -> None:
    start, end = PLATFORM.index("  green:"), PLATFORM.index("identity:")
    with pytest.raises(InvalidFile, match=r"slots.*at least 2"):
        spec_of(tmp_path, platform=PLATFORM[:start] + PLATFORM[end:])


def test_a_ramp_that_nothing_would_check_is_refused(tmp_path: Path) -> None:
    canary = 'canary: {model: m, buckets: "00-04"}'
    with pytest.raises(InvalidFile, match=r"nothing could ever pass.*Set maxLatency"):
        spec_of(tmp_path, canary, PLATFORM.replace("maxErrors: 5%", "maxErrors: null"))


def test_a_long_value_is_cut_in_its_message(tmp_path: Path) -> None:
    with pytest.raises(InvalidFile) as refusal:
        spec_of(tmp_path, CANARY.replace("2000ms", "y" * 5000))
    assert len(str(refusal.value)) < 400


def test_a_secret_written_into_the_file_is_refused_and_not_repeated(tmp_path: Path) -> None:
    platform = PLATFORM.replace("  kind: envoy-file", "  kind: envoy-file\n  probeSecret: hunter2")
    with pytest.raises(InvalidFile) as refusal:
        spec_of(tmp_path, platform=platform)
    (problem,) = refusal.value.problems
    assert (problem.field, problem.line) == ("router.probeSecret", 8)
    assert "hunter2" not in str(refusal.value)
