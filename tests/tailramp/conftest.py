"""Specs and plans from DESIGN's own files, read once."""

from __future__ import annotations

import pytest
from asked_watch import Ask, Asked
from spec_samples import CANARY, TWO_CANARIES, plan_of, spec_of, with_slot

from tailramp.plan import Plan
from tailramp.ramp import WatchMode
from tailramp.spec import RampSpec


@pytest.fixture(scope="session")
def spec(tmp_path_factory: pytest.TempPathFactory) -> RampSpec:
    """5 % for good: DESIGN's canary.yaml as it stands."""
    return spec_of(tmp_path_factory.mktemp("spec"))


@pytest.fixture(scope="session")
def full_spec(tmp_path_factory: pytest.TempPathFactory) -> RampSpec:
    """The same with everyone as its target."""
    return spec_of(tmp_path_factory.mktemp("full"), CANARY.replace("00-04", "00-99"))


@pytest.fixture(scope="session")
def held(spec: RampSpec) -> Plan:
    """A plan that ends with a hold at 5 %."""
    return plan_of(spec)


@pytest.fixture(scope="session")
def promoting(full_spec: RampSpec) -> Plan:
    """A plan that ends with everyone on the candidate: 1, 5, 25 %, then the promotion."""
    return plan_of(full_spec)


@pytest.fixture(scope="session")
def two_spec(tmp_path_factory: pytest.TempPathFactory) -> RampSpec:
    """Two candidates beside each other, 20 % for each."""
    return spec_of(tmp_path_factory.mktemp("two"), TWO_CANARIES, with_slot("red"))


@pytest.fixture(scope="session")
def two(two_spec: RampSpec) -> Plan:
    """A plan with chat-70b in green (00-19) and chat-13b in red (20-39)."""
    return plan_of(two_spec)


@pytest.fixture
def ask(full_spec: RampSpec, promoting: Plan) -> Ask:
    """A watch of the second step in a mode; keywords are further fields of its request."""

    def ask(mode: WatchMode, **changes: object) -> Asked:
        return Asked(full_spec, promoting, mode, **changes)

    return ask
