"""A past of a service with noise of known sizes, for a real Prometheus that never saw it happen."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

EDGES = ("0.5", "0.8", "1.0", "1.25", "1.6", "2.0")
PODS = ("10.0.0.1:8000", "10.0.0.2:8000")
_TICK = 60


@dataclass(frozen=True)
class NoisyPast:
    """Hours in which nothing was wrong.  Toxic answers are counted by bucket, times and errors are not."""

    hours: float = 12.0
    tau: float = 0.3
    """Of the toxic answers: standard deviation of the log-rate between buckets."""
    session: int = 3
    """Toxic answers come so many at a time: phi0."""
    pod: float = 0.1
    """Standard deviation of a server's log-rate of toxic answers over five minutes; sigma0 is that times root two."""
    seed: int = 11

    def write(self, file: Path) -> None:
        """Write counters up to this minute, in OpenMetrics."""
        end = int(time.time()) // _TICK * _TICK
        times = range(end - int(self.hours * 3600), end + 1, _TICK)
        random = np.random.default_rng(self.seed)
        with file.open("w", encoding="utf-8") as out:
            for part in (self._toxicity, self._latency, self._errors):
                out.writelines(part(times, random))
            out.write("# EOF\n")

    def _toxicity(self, times: range, random: np.random.Generator) -> Iterator[str]:
        users = np.exp(random.normal(0.0, self.tau, 100))
        blocks = len(times) * _TICK // 300 + 1
        servers = np.repeat(np.exp(random.normal(0.0, self.pod, (blocks, len(PODS)))), 300 // _TICK, axis=0)
        n = random.poisson(6, (len(times), len(PODS), 100))
        rate = 0.03 * users * servers[: len(times), :, None]
        x = self.session * random.poisson(n * rate / self.session)
        for name, counts in (("llm_answers_scored", n + x), ("llm_answers_toxic", x)):
            yield f"# TYPE {name} counter\n"
            total = counts.cumsum(axis=0)
            for pod, address in enumerate(PODS):
                for bucket in range(100):
                    labels = f'slot="blue",instance="{address}",bucket="{bucket:02}"'
                    for at, value in zip(times, total[:, pod, bucket], strict=True):
                        yield f"{name}_total{{{labels}}} {value} {at}\n"

    def _latency(self, times: range, random: np.random.Generator) -> Iterator[str]:
        shares = np.diff([0.0, 0.45, 0.75, 0.87, 0.94, 0.98, 0.995, 1.0])
        counts = random.multinomial(600, shares, (len(times), len(PODS))).cumsum(axis=2).cumsum(axis=0)
        yield "# TYPE llm_inference_duration_seconds histogram\n"
        for pod, address in enumerate(PODS):
            for edge, le in enumerate((*EDGES, "+Inf")):
                labels = f'slot="blue",instance="{address}",le="{le}"'
                for at, value in zip(times, counts[:, pod, edge], strict=True):
                    yield f"llm_inference_duration_seconds_bucket{{{labels}}} {value} {at}\n"

    def _errors(self, times: range, random: np.random.Generator) -> Iterator[str]:
        for name, share in (("envoy_cluster_upstream_rq_completed", 1.0), ("envoy_cluster_upstream_rq_xx", 0.01)):
            yield f"# TYPE {name} gauge\n"
            for slot, rate in (("blue", 1140), ("green", 60)):
                labels = f'envoy_cluster_name="{slot}",envoy_response_code_class="5"'
                total = random.poisson(rate * share, len(times)).cumsum()
                for at, value in zip(times, total, strict=True):
                    yield f"{name}{{{labels}}} {value} {at}\n"
