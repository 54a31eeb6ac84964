"""The plots of the documentation are what the command draws, as far as no simulation is needed."""

from pathlib import Path
from xml.etree import ElementTree

import pytest

from bench import evidence_plots

SIMULATED = {"evidence-over-time", "false-rollbacks", "heavy-users"}
PAGE = Path(__file__).parents[2] / "docs" / "evidence.md"


@pytest.mark.parametrize("name", sorted(evidence_plots.DRAWN.keys() - SIMULATED))
def test_a_kept_plot_is_the_one_that_is_drawn(name: str) -> None:
    drawn = evidence_plots.DRAWN[name]()
    assert drawn == (evidence_plots.PLOTS / f"{name}.svg").read_text(encoding="utf-8")
    assert ElementTree.fromstring(drawn).tag.endswith("svg")  # noqa: S314 - drawn here


def test_the_page_shows_every_plot() -> None:
    page = PAGE.read_text(encoding="utf-8")
    kept = {file.stem for file in evidence_plots.PLOTS.glob("*.svg")}
    assert kept == set(evidence_plots.DRAWN)
    assert {name for name in kept if f"(plots/{name}.svg)" in page} == kept
