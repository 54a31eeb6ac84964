"""Two slots of a service, scraped by a real Prometheus: their counters are whatever the test makes of them."""

from collections.abc import Mapping

from aiohttp import web

from activities.metrics import PrometheusMetrics
from tailramp.evidence import Check, CheckBook, SlotMatch, Source, ThresholdRule, Verdict, hanging, latency, toxicity
from tailramp.presets import InFlight

BLUE = SlotMatch(slot="blue", metrics='slot="blue"', gateway='envoy_cluster_name="blue"')
GREEN = SlotMatch(slot="green", metrics='slot="green"', gateway='envoy_cluster_name="green"')
RULE = ThresholdRule(min_sample=10, floor=20, window=1, consecutive=3)
CHECKS: list[Check] = [toxicity(rule=RULE), latency(rule=RULE)]
HANGING = hanging(2.0, RULE, InFlight("llm_requests_active{match}", "llm_requests_ended_total{match}"), Source.SERVER)
EDGES = ("0.5", "1.6", "2.0", "2.5", "+Inf")


class ScrapedService:
    """Every scrape of a slot finds ten answers more; with `bad`, five of them toxic and slow. Two pods answer in
    turn. Nine requests are always in flight.
    """

    def __init__(self) -> None:
        self.scrapes = {"green": 0, "blue": 0}
        self.bad = {"green": False, "blue": False}
        self.hung: set[str] = set()  # slots that have nine requests in flight and end none any more
        self.hidden: set[str] = set()  # pods that are not exposed
        self.edges = EDGES
        self._counts: dict[tuple[str, str], tuple[int, int]] = {}
        self._address = ""
        self._runner = web.AppRunner(self._app())

    async def __aenter__(self) -> "ScrapedService":
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self._address = "{}:{}".format(*self._runner.addresses[0][:2])
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()

    @property
    def targets(self) -> Mapping[str, list[tuple[str, Mapping[str, str]]]]:
        """For PrometheusServer, with `paths`."""
        return {slot: [(self._address, {"slot": slot})] for slot in self.scrapes}

    @property
    def paths(self) -> Mapping[str, str]:
        return {slot: f"/{slot}" for slot in self.scrapes}

    def restart(self, slot: str, pod: str) -> None:
        """The pod's counters begin again at zero."""
        self._counts[slot, pod] = (0, 0)

    def _app(self) -> web.Application:
        app = web.Application()
        app.router.add_get("/{slot}", self._expose)
        return app

    async def _expose(self, request: web.Request) -> web.Response:
        slot = request.match_info["slot"]
        pod = "ab"[self.scrapes[slot] % 2]
        self.scrapes[slot] += 1
        answered, bad = self._counts.get((slot, pod), (0, 0))
        if slot not in self.hung:
            self._counts[slot, pod] = (answered + 10, bad + 5 * self.bad[slot])
        lines: list[str] = []
        times: list[str] = []
        for (of_slot, of_pod), (answered, bad) in self._counts.items():
            if of_slot == slot and of_pod not in self.hidden:
                times += self._times(f'pod="{of_pod}"', answered, bad)
                lines += [
                    f'llm_answers_scored_total{{pod="{of_pod}"}} {answered}',
                    f'llm_answers_toxic_total{{pod="{of_pod}"}} {bad}',
                    f'llm_requests_active{{pod="{of_pod}"}} 9',
                    f'llm_requests_ended_total{{pod="{of_pod}"}} {answered}',
                ]
        types = [("llm_answers_scored_total", "counter"), ("llm_answers_toxic_total", "counter")]
        head = [f"# TYPE {name} {kind}" for name, kind in types]
        of_times = "# TYPE llm_inference_duration_seconds histogram"
        return web.Response(text="\n".join([*head, *lines, of_times, *times]) + "\n")

    def _times(self, labels: str, answered: int, bad: int) -> list[str]:
        lines = []
        for edge in self.edges:
            within = answered if float(edge) > 2 else answered - bad
            lines.append(f'llm_inference_duration_seconds_bucket{{{labels},le="{edge}"}} {within}')
        lines.append(f"llm_inference_duration_seconds_sum{{{labels}}} {answered + bad}")
        return [*lines, f"llm_inference_duration_seconds_count{{{labels}}} {answered}"]


async def advance(metrics: PrometheusMetrics, book: CheckBook, index: int) -> list[Verdict]:
    """Bring the book to tick `index` of its grid, as a watch does, and return the verdicts after it."""
    at = book.grid.time(index)
    reading = await metrics.read(book.checks, book.slots, at)
    checks, first = book.behind(reading)
    if checks:
        start, step = book.grid.time(first), book.grid.tick
        for missed in await metrics.read_range(checks, book.slots, start, at - step, step):
            book.take(missed)
    return book.observe(reading)
