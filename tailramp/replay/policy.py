"""What a replay changes of a policy: only what the counts force it to, and what its user wants."""

from collections.abc import Collection
from datetime import timedelta

from tailramp.errors import Refused
from tailramp.replay.source import Source
from tailramp.spec import Checks, RampSpec


def at_the_pace_of(spec: RampSpec, source: Source) -> RampSpec:
    """The spec with ticks that are no closer than the counts: a tick between two of them could see nothing."""
    step = timedelta(seconds=source.step)
    if spec.platform.checks.tick >= step:
        return spec
    return _with_checks(spec, spec.platform.checks.model_copy(update={"tick": step}))


_SETTINGS = {
    "errors": "max_errors",
    "server-errors": "max_server_errors",
    "first-token": "max_first_token",
    "per-output-token": "max_per_output_token",
    "hanging": "max_hang",
}
_OF_CANDIDATES = {"latency": "max_latency", "toxicity": "max_toxicity"}


def leaving_out(spec: RampSpec, names: Collection[str]) -> RampSpec:
    """The spec without the checks ``names``.  Raises Refused for one that it does not have."""
    from tailramp.checks import all_checks

    known = [check.name for check in all_checks(spec)]
    if unknown := [name for name in names if name not in known]:
        raise Refused(f"--without: there is no check {unknown[0]}; there are {', '.join(known)}")
    if set(known) <= set(names):
        raise Refused("--without: no check is left, so nothing would be judged")
    checks, update = spec.platform.checks, dict[str, object]()
    update |= {_SETTINGS[name]: None for name in names if name in _SETTINGS}
    update["custom"] = tuple(check for check in checks.custom if check.name not in names)
    gone = {_OF_CANDIDATES[name]: None for name in names if name in _OF_CANDIDATES}
    spec = spec.of([candidate.model_copy(update=gone) for candidate in spec.candidates]) if gone else spec
    return _with_checks(spec, checks.model_copy(update=update)) if names else spec


def _with_checks(spec: RampSpec, checks: Checks) -> RampSpec:
    return spec.model_copy(update={"platform": spec.platform.model_copy(update={"checks": checks})})
