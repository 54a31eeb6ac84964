"""``--keep-results`` writes down what became of every cell; ``make test-faults`` gives it."""

from datetime import UTC, datetime

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--keep-results", action="store_true", help="write what became of each cell to bench/results")


class Keeper:
    """Adds a line for every test that ran."""

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.skipped or (report.when != "call" and not report.failed):
            return
        from bench import _fault_table as kept  # found only when the repository is the working directory

        day = datetime.now(UTC).date().isoformat()
        kept.append(kept.Outcome(kept.cell_of(report.nodeid), report.outcome, day))

    def pytest_sessionfinish(self) -> None:
        from bench import _fault_table as kept

        kept.write()


def pytest_configure(config: pytest.Config) -> None:
    # Of the processes of a run that is divided, the one that hears from all of them keeps it.
    if config.getoption("--keep-results", default=False) and not hasattr(config, "workerinput"):
        config.pluginmanager.register(Keeper(), "kept-fault-results")
