"""Whether the checks can be answered at all, found out on the baseline before a user is moved.

A check whose question has no answer is BLIND for as long as the ramp lives. The baseline serves everyone at that
moment, so what cannot be counted there will not be countable for a candidate either.
"""

from collections.abc import Sequence

from tailramp.errors import Problem
from tailramp.evidence.arms import edges_of
from tailramp.evidence.checks import Check, HangingCheck, HistogramCheck, SlotMatch
from tailramp.evidence.counts import UnknownEdgeError
from tailramp.evidence.reading import Reading

_MEND_QUERY = "Mend the query, and try it in Prometheus' own web page"


def questions(checks: Sequence[Check], baseline: SlotMatch) -> list[str]:
    """Return the queries whose answers `problems_of` wants: those of the checks, and every edge of their histograms."""
    asked = [query for check in checks for query in check.queries(baseline).values()]
    asked += [check.all_edges_query(baseline) for check in checks if isinstance(check, HistogramCheck)]
    return list(dict.fromkeys(asked))


def problems_of(check: Check, baseline: SlotMatch, reading: Reading) -> list[Problem]:
    """Say what keeps `check` from being answered for the baseline; `reading` holds the answers to `questions`."""
    queries = check.queries(baseline)
    for query in queries.values():
        if fault := reading.answers[query].fault:
            return [Problem(f"checks.{check.name}", fault, _MEND_QUERY, query)]
    if isinstance(check, HistogramCheck):
        return _histogram_problems(check, baseline, reading)
    matchers = f"{baseline.slot}'s {check.source} matchers {baseline.of(check.source)}"
    if isinstance(check, HangingCheck):
        for part, what in (("least", "requests in flight"), ("ended", "requests that ended")):
            if not reading.answers[queries[part]].samples:
                mend = f"Check that Prometheus scrapes this metric and that {matchers} select it"
                return [Problem(f"checks.{check.name}", f"no series of {what} for the baseline", mend, queries[part])]
        return _value_problems(check, baseline, reading)
    total, bad = (reading.answers[queries[part]].samples for part in ("total", "bad"))
    if not total:
        mend = f"Check that Prometheus scrapes this metric and that {matchers} select it{_hint(check)}"
        return [Problem(f"checks.{check.name}", "no series for the baseline", mend, queries["total"])]
    if not bad and not check.bad_absent_is_zero:
        mend = "Export it from the start, at 0; or set bad_absent_is_zero if the first bad answer creates it"
        return [Problem(f"checks.{check.name}", "no series of bad answers for the baseline", mend, queries["bad"])]
    if sum(sample.value for sample in bad) > sum(sample.value for sample in total):
        mend = "Let both queries count the same answers"
        return [Problem(f"checks.{check.name}", "more bad answers than answers", mend, queries["bad"])]
    return _value_problems(check, baseline, reading)


def _histogram_problems(check: HistogramCheck, baseline: SlotMatch, reading: Reading) -> list[Problem]:
    field, query = f"checks.{check.name}", check.all_edges_query(baseline)
    if fault := reading.answers[query].fault:
        return [Problem(field, fault, _MEND_QUERY, query)]
    samples = reading.answers[query].samples
    histograms = edges_of(samples)
    if not histograms:
        matchers = f"{baseline.slot}'s {check.source} matchers {baseline.of(check.source)}"
        mend = f"Check that Prometheus scrapes this histogram and that {matchers} select it{_hint(check)}"
        return [Problem(field, "no series for the baseline", mend, query)]
    if check.native:
        if not (fault := check.arm().take({"buckets": samples}, starting=True)):
            return []
        mend = "Set the limit to a boundary, which a power of two is, such as 2 s; or have classic buckets stored, too"
        return [Problem(field, fault, mend, query)]
    for edges in histograms.values():
        if check.edge not in edges:
            unit = check.time_unit
            mend = f"Add a bucket at {check.edge:g} {unit} to the histogram, or set the limit to one of its edges"
            return [Problem(field, str(UnknownEdgeError(check.edge, edges, unit)), mend, query)]
    counted = check.queries(baseline)["buckets"]
    if not reading.answers[counted].samples:
        mend = f"Let the exporter write the edge as {check.edge:g}"
        return [Problem(field, f"the histogram writes its edge at {check.edge:g} in an unknown way", mend, counted)]
    return _value_problems(check, baseline, reading)


def _hint(check: Check) -> str:
    return f"; {check.hint}" if check.hint else ""


def _value_problems(check: Check, baseline: SlotMatch, reading: Reading) -> list[Problem]:
    """Count the answers once, as a step would, and say what cannot be counted."""
    queries = check.queries(baseline)
    fault = check.arm().take({part: reading.answers[query].samples for part, query in queries.items()}, starting=True)
    if not fault:
        return []
    return [Problem(f"checks.{check.name}", fault, "Let the query return raw counters", "; ".join(queries.values()))]
