"""What a preset is: the names, units and edges of what one kind of server or gateway exports.

A preset answers only what its metrics can answer. What it has none for is None, so that a limit on it is refused with
words instead of being watched by a query that returns nothing.

Queries are PromQL in which `{match}` stands for the label matchers of a slot. Everything here is a raw counter, except
the gauges in `InFlight`.
"""

from dataclasses import dataclass
from enum import StrEnum

_SAME = 1e-3
"""A limit this close to an edge, as a fraction, means that edge: some servers compute theirs, and 2.5251168294 s is
nothing that a person writes."""


class TimeUnit(StrEnum):
    """In what a histogram counts time."""

    SECONDS = "s"
    MILLISECONDS = "ms"
    MICROSECONDS = "us"

    @property
    def per_second(self) -> int:
        """How many of it make a second."""
        return {"s": 1, "ms": 1_000, "us": 1_000_000}[self.value]


class Counted(StrEnum):
    """What one observation of a histogram is."""

    ANSWERS = "answers"
    TOKENS = "tokens"


@dataclass(frozen=True, slots=True)
class Histogram:
    """A classic histogram of times.

    `edges` are the ones that it has unless somebody changed them, in its own unit, ascending, without `+Inf`; what it
    really has is found out in preflight. `enable` says what has to be switched on for it to exist.
    """

    name: str
    unit: TimeUnit
    edges: tuple[float, ...]
    counts: Counted = Counted.ANSWERS
    enable: str = ""

    @property
    def buckets(self) -> str:
        """PromQL of its bucket series."""
        return f"{self.name}_bucket{{match}}"

    @property
    def native(self) -> str:
        """PromQL of the series that holds all of it, where Prometheus stores it as a native histogram."""
        return f"{self.name}{{match}}"

    def edge(self, seconds: float) -> float:
        """Return a limit in the histogram's unit: exactly one of `edges` if it is meant, else converted."""
        limit = round(seconds * self.unit.per_second, 9)
        return next((edge for edge in self.edges if abs(edge - limit) <= _SAME * edge), limit)


@dataclass(frozen=True, slots=True)
class Counters:
    """PromQL of two counters: all of something, and the bad ones among it."""

    total: str
    bad: str
    bad_absent_is_zero: bool = False
    """The counter of the bad ones is created by the first of them."""


@dataclass(frozen=True, slots=True)
class TokenCounters:
    """PromQL of the tokens that were read and written."""

    prompt: str
    generated: str


@dataclass(frozen=True, slots=True)
class InFlight:
    """PromQL of the requests that are being worked on (a gauge), and of those that came to an end (counters).

    `finished` has to count every end that takes a request out of `active`; where it misses some, the hung ones are
    counted too high, up to the lowest value of the gauge meanwhile.
    """

    active: str
    finished: str


@dataclass(frozen=True, slots=True)
class ServerPreset:
    """What one kind of LLM server can be asked."""

    end_to_end: Histogram | None = None
    first_token: Histogram | None = None
    per_output_token: Histogram | None = None
    errors: Counters | None = None
    toxicity: Counters | None = None
    tokens: TokenCounters | None = None
    in_flight: InFlight | None = None


@dataclass(frozen=True, slots=True)
class GatewayPreset:
    """What one kind of gateway can be asked about the servers behind it."""

    errors: Counters
    latency: Histogram
    """From the request's arrival, or its passing on, to the whole answer."""
    in_flight: InFlight | None = None
