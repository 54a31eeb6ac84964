"""The checks that most services want, ready made: errors, latency, toxicity and hanging requests."""

import math

from tailramp.evidence.checks import HangingCheck, HistogramCheck, RatioCheck, Source
from tailramp.evidence.threshold import ThresholdRule
from tailramp.evidence.wording import limit_percent
from tailramp.presets.gateways import ENVOY
from tailramp.presets.model import Counted, Counters, Histogram, InFlight
from tailramp.presets.servers import DURATION, TOXIC_ANSWERS


def gateway_errors(
    limit: float = 0.05,
    rule: ThresholdRule | None = None,
    counters: Counters = ENVOY.errors,
) -> RatioCheck:
    """Answers with a status of 5xx, as the gateway counts them; also those of a server that no longer answers."""
    return _errors("errors", Source.GATEWAY, limit, rule, counters)


def server_errors(limit: float, rule: ThresholdRule | None, counters: Counters) -> RatioCheck:
    """Requests that the server itself counts as failed: some failures reach the client inside an answer of 200."""
    return _errors("server-errors", Source.SERVER, limit, rule, counters)


def _errors(name: str, source: Source, limit: float, rule: ThresholdRule | None, counters: Counters) -> RatioCheck:
    return RatioCheck(
        name=name,
        source=source,
        total=counters.total,
        bad=counters.bad,
        bad_absent_is_zero=counters.bad_absent_is_zero,
        limit=limit,
        rule=rule or ThresholdRule(min_sample=100, floor=100),
        breach=f"{name.replace('-', ' ')} above {limit_percent(limit)}",
        bad_is="failed",
        in_settle=True,
    )


TOKENS_PER_ANSWER = 100
"""How many tokens are taken for one answer where a histogram counts tokens: those of one answer are slow together, so
they are no sample of their number."""


def latency(
    seconds: float = 2.0,
    rule: ThresholdRule | None = None,
    histogram: Histogram = DURATION,
    *,
    name: str = "latency",
    what: str = "",
    source: Source = Source.SERVER,
    native: bool = False,
) -> HistogramCheck:
    """The p99 of a time, as a limit on the share of answers (or tokens) slower than `seconds`.

    `what` names the time for the verdicts, if it is not the whole answer's: time to first token. `native`: whether
    Prometheus stores the histogram as a native one.
    """
    if not (math.isfinite(seconds) and seconds > 0):
        raise ValueError(f"a latency limit of {seconds:g} s cannot be broken or kept; give a number of seconds above 0")
    rule = rule or ThresholdRule(min_sample=500, floor=500)
    if histogram.counts is Counted.TOKENS:
        many = {field: getattr(rule, field) * TOKENS_PER_ANSWER for field in ("min_sample", "floor")}
        rule = rule.model_copy(update=many)
    of = f" of the {what}" if what else ""
    return HistogramCheck(
        name=name,
        source=source,
        buckets=histogram.native if native else histogram.buckets,
        native=native,
        edge=histogram.edge(seconds),
        time_unit=histogram.unit,
        limit=0.01,
        rule=rule,
        breach=f"p99{of} above {seconds:g} s",
        unit=histogram.counts,
        bad_is=f"slower than {seconds:g} s",
        in_settle=False,
        hint=histogram.enable,
    )


def toxicity(
    limit: float = 0.05,
    rule: ThresholdRule | None = None,
    counters: Counters = TOXIC_ANSWERS,
) -> RatioCheck:
    """The share of toxic answers among those that were scored."""
    return RatioCheck(
        name="toxicity",
        source=Source.SERVER,
        total=counters.total,
        bad=counters.bad,
        bad_absent_is_zero=counters.bad_absent_is_zero,
        limit=limit,
        rule=rule or ThresholdRule(min_sample=100, floor=100),
        breach=f"toxicity above {limit_percent(limit)}",
        unit="scored answers",
        bad_is="toxic",
        in_settle=True,
        hint="a gauge of toxicity is not enough: have counters of the scored and of the toxic answers exported",
    )


def hanging(seconds: float, rule: ThresholdRule, in_flight: InFlight, source: Source) -> HangingCheck:
    """Requests that do not end within `seconds`, as a share of those that ended or hang.

    A hung request is a fact and no estimate, so a few make a window, however many answers other checks want; a
    candidate that hangs altogether has no more of them than it takes at a time.
    """
    return HangingCheck(
        name="hanging",
        source=source,
        active=in_flight.active,
        ended=in_flight.finished,
        seconds=seconds,
        limit=0.05,
        rule=rule.model_copy(update={"min_sample": min(rule.min_sample, _HUNG_SAMPLE)}),
        breach=f"requests in flight for more than {seconds:g} s",
        unit="requests",
        bad_is="hanging",
        in_settle=True,
    )


_HUNG_SAMPLE = 20
