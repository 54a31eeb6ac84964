"""What is asked about a candidate, and how much of an answer is needed."""

from collections.abc import Iterator
from enum import StrEnum
from typing import Any, NamedTuple, Self

from pydantic import Field, ValidationInfo, field_validator, model_validator

from tailramp.errors import WrongValue
from tailramp.evidence.judge import JudgeName
from tailramp.forms import MetricName
from tailramp.presets import (
    GATEWAYS,
    SERVERS,
    Counters,
    GatewayName,
    GatewayPreset,
    Histogram,
    InFlight,
    ServerName,
    ServerPreset,
    TimeUnit,
)
from tailramp.spec.custom_check import CustomCheck
from tailramp.spec.fields import Count, FileModel, Flag
from tailramp.spec.judging import DEFAULT_JUDGES, SequentialSettings, judges_differ
from tailramp.spec.users import UsersSettings
from tailramp.units import Duration, Share, parse_duration

_UNITS_BY_ENDING = {
    **dict.fromkeys(("_ms", "_milliseconds"), TimeUnit.MILLISECONDS),
    **dict.fromkeys(("_us", "_microseconds"), TimeUnit.MICROSECONDS),
}


class LatencyKind(StrEnum):
    """Which time `maxLatency` limits."""

    END_TO_END = "endToEnd"
    FIRST_TOKEN = "firstToken"  # noqa: S105 - a token of a language model
    GATEWAY = "gateway"


class Timed(NamedTuple):
    """A histogram of times, and whether the gateway has it rather than the server."""

    histogram: Histogram
    at_gateway: bool = False


class Refusal(NamedTuple):
    """Why a limit of the canary file cannot be watched with these metrics; `field` is its name there."""

    field: str
    reason: str
    mend: str


class Checks(FileModel):
    """What is asked of Prometheus and how much of an answer is needed.

    By default two judges guard a ramp: the repaired threshold rule (three consecutive windows that do not overlap, 500
    answers in each, and a candidate that is clearly worse than the baseline) and the sequential test.
    """

    tick: Duration = Field(default=parse_duration("15s"), ge=parse_duration("1s"), description="between two looks")
    window: Duration = Field(default=parse_duration("1m"), description="shortest window of the threshold judge")
    consecutive: Count = Field(default=3, ge=1, description="breaching windows in a row that fail a check")
    min_sample: Count = Field(default=500, ge=1, description="candidate answers that a window needs")
    floor: Count = Field(default=500, ge=1, description="candidate answers that a step needs before it may pass")

    server: ServerName = Field(default=ServerName.LLM, description="the kind of server behind the slots")
    gateway: GatewayName = Field(default=GatewayName.ENVOY, description="the kind of gateway in front of them")
    latency: LatencyKind = Field(
        default=LatencyKind.END_TO_END, description="the time that maxLatency limits, and who measures it"
    )
    latency_histogram: MetricName | None = Field(default=None, description="instead of the preset's, without _bucket")
    latency_unit: TimeUnit | None = Field(
        default=None, description="of latencyHistogram; by default what its name ends with, else seconds"
    )
    native_histograms: Flag = Field(
        default=False,
        description="true: Prometheus stores the servers' histograms of times as native ones, without _bucket series",
    )
    scored_counter: MetricName | None = Field(default=None, description="instead of the preset's")
    toxic_counter: MetricName | None = Field(default=None, description="instead of the preset's")

    max_errors: Share | None = Field(default=0.05, lt=1, description="limit of the share of 5xx answers at the gateway")
    max_server_errors: Share | None = Field(
        default=None,
        lt=1,
        description="limit of the share of requests that the server itself counts as failed",
        examples=[0.05],
    )
    max_first_token: Duration | None = Field(
        default=None, description="limit of the p99 of the time to first token", examples=["500ms"]
    )
    max_per_output_token: Duration | None = Field(
        default=None, description="limit of the p99 of the time per output token", examples=["100ms"]
    )
    max_hang: Duration | None = Field(
        default=None,
        description="a request in flight for longer hangs: well above the longest that may be asked for",
        examples=["2m"],
    )
    judges: tuple[JudgeName, ...] = Field(
        default=DEFAULT_JUDGES,
        min_length=1,
        description="the worst of what they say counts",
        json_schema_extra={"uniqueItems": True},
    )
    sequential: SequentialSettings = Field(default=SequentialSettings(), description="numbers of the sequential test")
    users: UsersSettings | None = Field(
        default=None,
        description="counter of users: a ramp whose users are not divided as their buckets say is held",
    )
    custom: tuple[CustomCheck, ...] = Field(default=(), description="checks in your own PromQL")

    @field_validator("judges")
    @classmethod
    def _judges_differ(cls, value: tuple[JudgeName, ...]) -> tuple[JudgeName, ...]:
        return judges_differ(value)

    @field_validator("tick")
    @classmethod
    def _tick_is_whole_seconds(cls, value: Any) -> Any:
        if value.total_seconds() % 1:
            raise WrongValue("a tick is a whole number of seconds", "Write for example 15s")
        return value

    @field_validator("max_server_errors", "max_first_token", "max_per_output_token")
    @classmethod
    def _the_server_has_it(cls, value: Any, info: ValidationInfo) -> Any:
        attribute, what = {
            "max_server_errors": ("errors", "counter of failed requests"),
            "max_first_token": ("first_token", "histogram of the time to first token"),
            "max_per_output_token": ("per_output_token", "histogram of the time per output token"),
        }[info.field_name or ""]
        server = info.data.get("server")
        if value is None or server is None:
            return value
        if not isinstance(value, float) and value.total_seconds() <= 0:
            raise WrongValue("a limit of a time is longer than nothing", "Write for example 500ms")
        if getattr(SERVERS[server], attribute) is None:
            others = ", ".join(name for name, preset in SERVERS.items() if getattr(preset, attribute) is not None)
            raise WrongValue(
                f"checks.server is {server}, which has no {what} ({others} have)",
                "Leave this limit out, or write a check of your own under checks.custom",
            )
        return value

    @field_validator("max_hang")
    @classmethod
    def _somebody_counts_requests_in_flight(cls, value: Any, info: ValidationInfo) -> Any:
        server, gateway = info.data.get("server"), info.data.get("gateway")
        if value is None or server is None or gateway is None:
            return value
        if value.total_seconds() < 1:
            raise WrongValue("a request hangs after a second or more", "Write for example 2m")
        if GATEWAYS[gateway].in_flight is None and SERVERS[server].in_flight is None:
            raise WrongValue(
                f"neither {gateway} nor {server} says how many requests of a slot are in flight",
                "Leave maxHang out, and let the gateway answer 504 after a time limit, which counts as an error",
            )
        return value

    @field_validator("custom")
    @classmethod
    def _names_differ(cls, value: tuple[CustomCheck, ...]) -> tuple[CustomCheck, ...]:
        names = [check.name for check in value]
        if len(set(names)) < len(names):
            twice = sorted({name for name in names if names.count(name) > 1})
            raise WrongValue(f"two checks have the same name: {', '.join(twice)}", "Give each its own")
        if taken := BUILT_IN & set(names):
            reason = f"{', '.join(sorted(taken))} is the name of a built-in check"
            raise WrongValue(reason, "Choose another, such as my-errors")
        return value

    @model_validator(mode="after")
    def _overrides_belong_to_something(self) -> Self:
        if self.latency_unit is not None and self.latency_histogram is None:
            mend = "Set latencyHistogram too, or leave latencyUnit out"
            raise WrongValue("latencyUnit belongs to a latencyHistogram", mend, ("latencyUnit",))
        if (self.scored_counter is None) != (self.toxic_counter is None) and self.server_preset.toxicity is None:
            only = "scoredCounter" if self.toxic_counter is None else "toxicCounter"
            raise WrongValue("scoredCounter and toxicCounter are counted together", "Set both", (only,))
        return self

    @property
    def server_preset(self) -> ServerPreset:
        return SERVERS[self.server]

    @property
    def gateway_preset(self) -> GatewayPreset:
        return GATEWAYS[self.gateway]

    @property
    def timed(self) -> Timed | None:
        """What measures the latency that `maxLatency` limits; None if nothing does."""
        if self.latency is LatencyKind.GATEWAY:
            histogram: Histogram | None = self.gateway_preset.latency
        elif self.latency is LatencyKind.FIRST_TOKEN:
            histogram = self.server_preset.first_token
        else:
            histogram = self.server_preset.end_to_end
        if self.latency_histogram is not None and (histogram is None or self.latency_histogram != histogram.name):
            histogram = Histogram(self.latency_histogram, self.latency_unit or _unit_of(self.latency_histogram), ())
        return None if histogram is None else Timed(histogram, self.latency is LatencyKind.GATEWAY)

    @property
    def toxicity(self) -> Counters | None:
        """What counts toxic answers; None if nothing does."""
        preset = self.server_preset.toxicity
        scored = f"{self.scored_counter}{{match}}" if self.scored_counter else preset and preset.total
        toxic = f"{self.toxic_counter}{{match}}" if self.toxic_counter else preset and preset.bad
        return Counters(scored, toxic) if scored and toxic else None

    @property
    def in_flight(self) -> tuple[InFlight, bool] | None:
        """What counts requests in flight, and whether it is the gateway; it is asked first, for it also knows of what
        a server that is gone had in flight.
        """
        if (at_gateway := self.gateway_preset.in_flight) is not None:
            return at_gateway, True
        return (at_server, False) if (at_server := self.server_preset.in_flight) is not None else None

    @property
    def watches_anything(self) -> bool:
        """Whether the platform file alone asks for a check."""
        limits = (
            self.max_errors,
            self.max_server_errors,
            self.max_first_token,
            self.max_per_output_token,
            self.max_hang,
        )
        return bool(self.custom) or any(limit is not None for limit in limits)

    def refusals(self, *, latency: bool, toxicity: bool) -> Iterator[Refusal]:
        """Say which of the canary file's limits cannot be watched, where it sets them."""
        if latency and self.timed is None:
            yield Refusal("maxLatency", self._no_latency(), self._other_latency())
        if toxicity and self.toxicity is None:
            yield Refusal(
                "maxToxicity",
                f"checks.server is {self.server}, which counts no toxic answers",
                "Name the counters of what scores them in checks.scoredCounter and checks.toxicCounter of the platform "
                "file, or leave maxToxicity out",
            )

    def _no_latency(self) -> str:
        if self.server is ServerName.TRITON:
            return (
                "Triton has no histogram of whole requests, only sums and summaries, of which no share above a limit "
                "can be counted"
            )
        what = "of the time to first token" if self.latency is LatencyKind.FIRST_TOKEN else "of whole requests"
        return f"checks.server is {self.server}, which has no histogram {what}"

    def _other_latency(self) -> str:
        preset = self.server_preset
        other = LatencyKind.END_TO_END if self.latency is LatencyKind.FIRST_TOKEN else LatencyKind.FIRST_TOKEN
        histogram = preset.end_to_end if other is LatencyKind.END_TO_END else preset.first_token
        choices = [f"checks.latency: {LatencyKind.GATEWAY} in the platform file"]
        if histogram is not None:
            enable = f" ({histogram.enable})" if histogram.enable else ""
            choices.insert(0, f"checks.latency: {other}{enable}")
        return f"Set {' or '.join(choices)}; or name a histogram in checks.latencyHistogram"


BUILT_IN = frozenset({"errors", "server-errors", "latency", "first-token", "per-output-token", "toxicity", "hanging"})
"""Names of checks that a custom check cannot have."""


def _unit_of(name: str) -> TimeUnit:
    return next((unit for ending, unit in _UNITS_BY_ENDING.items() if name.endswith(ending)), TimeUnit.SECONDS)
