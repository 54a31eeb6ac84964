"""From the files on disk to a spec: reading, validating, and what only both files together can show."""

import math
from pathlib import Path

from tailramp.buckets import ENVOY_PROGRAM_SIZE, program_size
from tailramp.errors import InvalidFile, Problem
from tailramp.spec.canary_file import CanaryFile, Candidate
from tailramp.spec.fields import FileModel
from tailramp.spec.platform_file import PlatformFile
from tailramp.spec.problems import validate
from tailramp.spec.ramp_spec import RampSpec
from tailramp.spec.reading import read_text
from tailramp.spec.router import EnvoyFileRouter, GatewayLabelRouter
from tailramp.yaml_source import Document, Location, dotted, quotable, read_document


def load_spec(canary: Path, platform: Path) -> RampSpec:
    """Read and validate both files.  Raises InvalidFile with the problems of both."""
    problems: list[Problem] = []
    parts: list[tuple[type[FileModel], Path]] = [(CanaryFile, canary), (PlatformFile, platform)]
    models: dict[type[FileModel], FileModel] = {}
    documents: dict[type[FileModel], Document] = {}
    for model, path in parts:
        try:
            documents[model] = read_document(read_text(path), path)
            models[model] = validate(model, documents[model])
        except InvalidFile as error:
            problems += error.problems
    if problems:
        raise InvalidFile(problems)
    canary_file, platform_file = models[CanaryFile], models[PlatformFile]
    assert isinstance(canary_file, CanaryFile)  # noqa: S101
    assert isinstance(platform_file, PlatformFile)  # noqa: S101
    spec = RampSpec(canary=canary_file, platform=_with_absolute_paths(platform_file, platform))
    if problems := _across(spec, documents[CanaryFile]):
        raise InvalidFile(problems)
    return spec


def empties_target(path: Path) -> bool:
    """Whether the canary file says ``buckets: ""``: a stop by its owner, for which nothing else needs to be valid."""
    data = read_document(read_text(path), path).data
    canary = data.get("canary") if isinstance(data, dict) else None
    return isinstance(canary, dict) and canary.get("buckets") == "" and isinstance(canary.get("model"), str)


def load_platform(path: Path) -> PlatformFile:
    """The platform file alone, for commands that act on the route whatever is being tried."""
    return _with_absolute_paths(validate(PlatformFile, read_document(read_text(path), path)), path)


def _with_absolute_paths(platform: PlatformFile, path: Path) -> PlatformFile:
    """A relative ``router.file`` is meant from the platform file's folder, wherever the reader runs."""
    if not isinstance(platform.router, EnvoyFileRouter) or platform.router.file.is_absolute():
        return platform
    try:
        file = (path.parent / platform.router.file).resolve()
    except (OSError, RuntimeError):  # a loop of symbolic links
        mend = "Check the path, and the links that it leads through"
        raise InvalidFile([Problem("router.file", "the path leads nowhere", mend, file=path)]) from None
    router = platform.router.model_copy(update={"file": file})
    return platform.model_copy(update={"router": router})


def _largest_program(candidate: Candidate, shares: list[float]) -> int:
    """The size of the largest pattern that a ramp to the candidate's target writes: every step has its own."""
    counts = {math.ceil(share * len(candidate.buckets)) for share in shares}
    steps = [candidate.buckets.first(count) for count in counts if count]
    return max((program_size(step.pattern(candidate.segments)) for step in steps), default=0)


def _across(spec: RampSpec, canary: Document) -> list[Problem]:
    """What only both files together can show."""
    problems = []

    def problem(location: Location, reason: str, mend: str) -> None:
        value = quotable(location, canary.written.get(location))
        problems.append(Problem(dotted(location), reason, mend, value, canary.file, canary.line_of(location)))

    is_envoy = isinstance(spec.platform.router, EnvoyFileRouter | GatewayLabelRouter)
    shares = [step.share for step in spec.platform.ramp.steps]
    free = len(spec.platform.slots) - 1
    if len(spec.candidates) > free:
        reason = (
            f"{len(spec.candidates)} candidates need as many slots beside the live one; the platform file has {free}"
        )
        problem(("canaries",), reason, "Try fewer at a time, or add slots to the platform file")
    resolution = spec.platform.identity.resolution
    held_back = spec.platform.ramp.hold_back
    if len(held_back) and held_back.resolution != resolution:
        reason = "ramp.holdBack of the platform file is written in another resolution than identity.resolution"
        problem(("canary",), reason, f"Write ramp.holdBack for resolution {resolution}")
    elif is_envoy and len(held_back) and program_size(held_back.pattern()) > ENVOY_PROGRAM_SIZE:
        problem(("canary",), "Envoy may refuse the pattern of ramp.holdBack", "Write fewer and longer ranges there")
    for index, candidate in enumerate(spec.candidates):
        at: Location = ("canary",) if spec.canary.canary is not None else ("canaries", index)
        limited = candidate.max_latency is not None or candidate.max_toxicity is not None
        if not limited and not spec.platform.checks.watches_anything:
            mend = "Set maxLatency or maxToxicity here, or checks.maxErrors in the platform file"
            problem(at, "nothing would be checked, so nothing could ever pass", mend)
        limits = {"latency": candidate.max_latency is not None, "toxicity": candidate.max_toxicity is not None}
        for refusal in spec.platform.checks.refusals(**limits):
            problem((*at, refusal.field), refusal.reason, refusal.mend)
        if candidate.segments:
            mend = "Leave segments out"
            problem((*at, "segments"), "the envoy-file router's gateway knows no user tags", mend)
        if len(candidate.buckets) and candidate.buckets.resolution != resolution:
            digits = 2 if resolution == 100 else 4
            mend = f"Write buckets of {digits} digits, or change identity.resolution"
            problem((*at, "buckets"), f"the platform file's resolution is {resolution}", mend)
        elif is_envoy and (size := _largest_program(candidate, shares)) > ENVOY_PROGRAM_SIZE:
            reason = (
                f"Envoy may refuse the pattern of these buckets: {size} instructions, and it takes {ENVOY_PROGRAM_SIZE}"
            )
            problem((*at, "buckets"), reason, "Write fewer and longer ranges")
    return problems
