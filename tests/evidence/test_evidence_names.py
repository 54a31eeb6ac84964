"""The package's names are found when they are asked for, and no module hides one of them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import tailramp.evidence


def test_every_name_is_found_whatever_was_imported_before() -> None:
    modules = {path.stem for path in Path(tailramp.evidence.__file__).parent.iterdir()}
    assert modules.isdisjoint(tailramp.evidence.__all__)
    assert all(getattr(tailramp.evidence, name) is not None for name in tailramp.evidence.__all__)


def test_a_name_that_is_not_there_is_missed_as_anywhere_else() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'judgement'"):
        _ = tailramp.evidence.judgement  # type: ignore[attr-defined]


def test_a_verdict_does_not_bring_numpy() -> None:
    code = "import sys; from tailramp.evidence import Verdict; sys.exit('numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
