"""doctor says by which checks a ramp would know its users from before it, and mends what keeps it from that."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from activities import time_before
from cli.doctor.route_side import _users_before
from cli.examples import CANARY, PLATFORM
from tailramp.spec import CanaryFile, PlatformFile, RampSpec

NAME_THE_LABEL = "Name the label that tells the users' buckets, or leave checks.sequential.history out"
NAME_WHOLE_VALUES = "Let the first step name whole values of the label, or leave checks.sequential.history out"


def spec_with(
    *, buckets: str = "00-04", resolution: int = 100, judges: tuple[str, ...] = ("threshold", "sequential")
) -> RampSpec:
    platform = yaml.safe_load(PLATFORM)
    platform["checks"] = {**platform["checks"], "judges": list(judges), "sequential": {"history": {}}}
    platform["identity"] = {**platform["identity"], "resolution": resolution}
    canary = yaml.safe_load(CANARY)
    canary["canary"]["buckets"] = buckets
    return RampSpec(canary=CanaryFile.model_validate(canary), platform=PlatformFile.model_validate(platform))


async def told(monkeypatch: pytest.MonkeyPatch, spec: RampSpec, known: frozenset[str] | None) -> list[tuple[str, str]]:
    """What is said, and the mend; ``known`` None: nobody may ask."""

    async def answer(*_: Any) -> frozenset[str]:
        assert known is not None
        return known

    monkeypatch.setattr(time_before, "known_before", answer)
    return [(result.text, result.mend) async for result in _users_before(spec, "blue")]


@pytest.mark.parametrize(
    ("spec", "known", "text", "mend"),
    [
        (spec_with(), frozenset({"latency"}), "the users are known from before the ramp by latency, not by errors", ""),
        (spec_with(), frozenset[str](), "too little was counted by bucket", NAME_THE_LABEL),
        (
            spec_with(buckets="0000-0049", resolution=10_000),
            frozenset[str](),
            "are a part of a value of the label",
            NAME_WHOLE_VALUES,
        ),
    ],
)
async def test_what_is_wrong_has_the_mend_that_helps(
    monkeypatch: pytest.MonkeyPatch, spec: RampSpec, known: frozenset[str], text: str, mend: str
) -> None:
    ((said, helps),) = await told(monkeypatch, spec, known)
    assert text in said
    assert helps == mend


async def test_where_no_check_compares_users_nobody_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    assert await told(monkeypatch, spec_with(judges=("threshold",)), None) == []
