"""A real Prometheus that scrapes what the lab runs.

Checks are PromQL over real scrapes: staleness, gaps, resets of a restarted server and a Prometheus that hangs are where
evidence goes wrong, and no stand-in has them.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

from lab import programs
from lab.http_probe import answers_ok
from lab.process import ManagedProcess, ProcessError, free_port
from lab.server import READY_SECONDS, Server

Target = tuple[str, Mapping[str, str]]
"""`host:port` and the labels that every series scraped there gets."""


class PrometheusServer(Server):
    """A Prometheus on loopback.

    `targets` holds each job's targets; `scrape_interval` is in seconds, at least a millisecond; `metrics_path` names
    the path of a job whose metrics are not at `/metrics` (Envoy's are at `/stats/prometheus`).
    """

    name: ClassVar[str] = "prometheus"

    def __init__(
        self,
        directory: Path,
        targets: Mapping[str, Sequence[Target]],
        scrape_interval: float = 1.0,
        metrics_path: Mapping[str, str] | None = None,
        retention: str = "6h",
        native_histograms: bool = False,
        program: str = "prometheus",
    ) -> None:
        super().__init__(directory)
        if scrape_interval < 0.001:
            raise ValueError(
                f"scrape_interval is {scrape_interval} s: Prometheus counts whole milliseconds, at least one"
            )
        paths = dict(metrics_path or {})
        if unknown := sorted(set(paths) - set(targets)):
            raise ValueError(f"metrics_path names {', '.join(unknown)}, which targets does not have")
        self._targets = {job: list(of_job) for job, of_job in targets.items()}
        self._interval = f"{round(scrape_interval * 1000)}ms"
        self._paths = paths
        self._retention = retention
        self._program = program
        # Stored with the classic ones' boundaries, and instead of them.
        self._options = (
            {"scrape_native_histograms": True, "convert_classic_histograms_to_nhcb": True} if native_histograms else {}
        )
        self._port = free_port()

    @property
    def url(self) -> str:
        """The address of its HTTP interface, without a slash at its end."""
        return f"http://127.0.0.1:{self._port}"

    @property
    def targets(self) -> dict[str, list[Target]]:
        """What it scrapes now, by job."""
        return {job: list(of_job) for job, of_job in self._targets.items()}

    def scrape(self, targets: Mapping[str, Sequence[Target]]) -> None:
        """Scrape other targets from now on; what is stored stays. A running server reads them within a second."""
        self._targets = {job: list(of_job) for job, of_job in targets.items()}
        self._write_config()
        if self.is_running:
            os.kill(self.process.pid, signal.SIGHUP)

    def forget(self) -> None:
        """Delete everything that is stored. Raises ProcessError while the server runs."""
        if self.is_running:
            raise ProcessError("prometheus is running: kill it before what it stores is deleted")
        shutil.rmtree(self.directory / "data", ignore_errors=True)

    def remember(self, openmetrics: Path) -> None:
        """Store what a file in the OpenMetrics format says of the past, samples with times. Raises ProcessError while
        the server runs, and for a file that promtool does not understand.
        """
        if self.is_running:
            raise ProcessError("prometheus is running: kill it before a past is stored")
        data = self.directory / "data"
        data.mkdir(parents=True, exist_ok=True)
        argv = [str(programs.ensure("promtool")), "tsdb", "create-blocks-from", "openmetrics", "--quiet"]
        done = subprocess.run([*argv, openmetrics, data], capture_output=True, text=True, timeout=120, check=False)
        if done.returncode:
            raise ProcessError(f"promtool cannot store {openmetrics}: {done.stderr.strip() or done.stdout.strip()}")

    def _write_config(self) -> Path:
        self.directory.mkdir(parents=True, exist_ok=True)
        config = {
            "global": {"scrape_interval": self._interval, "scrape_timeout": self._interval, **self._options},
            "scrape_configs": [
                {
                    "job_name": job,
                    "metrics_path": self._paths.get(job, "/metrics"),
                    "static_configs": [{"targets": [address], "labels": dict(labels)} for address, labels in of_job],
                }
                for job, of_job in self._targets.items()
            ],
        }
        file = self.directory / "prometheus.yml"
        # JSON is YAML, and quotes everything.
        file.write_text(json.dumps(config, indent=2), encoding="utf-8")
        return file

    def _command(self) -> tuple[list[str], dict[str, str]]:
        file = self._write_config()
        argv = [str(programs.ensure(self._program)), f"--config.file={file}", "--log.level=warn"]
        argv += [f"--web.listen-address=127.0.0.1:{self._port}", f"--storage.tsdb.path={self.directory / 'data'}"]
        # By default the first scrape comes up to 5 s after the start.
        argv += ["--scrape.discovery-reload-interval=100ms"]
        argv += [f"--storage.tsdb.retention.time={self._retention}", "--storage.tsdb.retention.size=256MB"]
        return argv, {}

    async def _wait_ready(self, process: ManagedProcess) -> None:
        url = f"{self.url}/-/ready"
        await process.wait_ready(lambda: answers_ok(url), READY_SECONDS, f"{url} answers 200")
