"""Where the evidence comes from, and how much of it is needed."""

from typing import Any

from pydantic import Field, field_validator

from tailramp.spec.fields import FileModel, Url
from tailramp.units import Duration, Share, parse_duration


class Prometheus(FileModel):
    url: Url
    timeout: Duration = Field(default=parse_duration("5s"), description="per query")
    scrape_interval: Duration = Field(default=parse_duration("15s"), description="of the metrics that checks read")


class Checks(FileModel):
    """What is asked of Prometheus and how much of an answer is needed.

    The defaults are the repaired threshold rule: three consecutive windows that do not overlap, 500 answers in each,
    and a baseline that does not breach at the same time.
    """

    tick: Duration = Field(default=parse_duration("15s"), ge=parse_duration("1s"), description="between two looks")
    window: Duration = Field(default=parse_duration("1m"), description="shortest window of the threshold judge")
    consecutive: int = Field(default=3, ge=1, description="breaching windows in a row that fail a check")
    min_sample: int = Field(default=500, ge=1, description="candidate answers that a window needs")
    floor: int = Field(default=500, ge=1, description="candidate answers that a step needs before it may pass")
    max_errors: Share | None = Field(default=0.05, lt=1, description="limit of the share of 5xx answers at the gateway")
    latency_histogram: str = Field(default="llm_inference_duration_seconds", pattern="^[a-zA-Z_:][a-zA-Z0-9_:]*$")
    scored_counter: str = Field(default="llm_answers_scored_total", pattern="^[a-zA-Z_:][a-zA-Z0-9_:]*$")
    toxic_counter: str = Field(default="llm_answers_toxic_total", pattern="^[a-zA-Z_:][a-zA-Z0-9_:]*$")

    @field_validator("tick")
    @classmethod
    def _tick_is_whole_seconds(cls, value: Any) -> Any:
        if value.total_seconds() % 1:
            raise ValueError("a tick is a whole number of seconds: the time grid lies on whole seconds")
        return value
