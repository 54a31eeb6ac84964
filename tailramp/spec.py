"""The two files, and the one spec that a ramp is started with.

``deploy/canary.yaml`` belongs to the researcher and says what to try; ``tailramp.yaml`` beside it belongs to the
platform team and says how.  Both are validated here completely before anything is touched, with every problem named by
file, line, field, value, reason and mend.
"""

import difflib
import hashlib
import json
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, field_validator, model_validator
from pydantic.alias_generators import to_camel
from pydantic_core import ErrorDetails

from tailramp.assignment import Segment, SlotName
from tailramp.buckets import BucketSet, Resolution
from tailramp.errors import InvalidFile, Problem
from tailramp.matchers import is_matchers
from tailramp.secret_reference import SecretReference
from tailramp.units import Duration, Share, format_duration, parse_duration
from tailramp.yaml_source import Document, Location, dotted, read_document

Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$")]
ModelName = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=r"^[^\x00-\x20\x7f]+$")]
HeaderName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9-]{0,63}$")]
Url = Annotated[str, StringConstraints(pattern=r"^https?://[^\s/]+[^\s]*$")]


class FileModel(BaseModel):
    """Fields are spelt in camelCase in the files; unknown ones are refused, since a misspelt limit guards nothing."""

    model_config = ConfigDict(frozen=True, extra="forbid", alias_generator=to_camel, populate_by_name=True)


class Candidate(FileModel):
    """One model version to try, on whom, and what it must not exceed."""

    model: ModelName = Field(description="the model version to ramp to")
    buckets: BucketSet = Field(description='the users it may reach in the end, such as "00-04"; "" takes it back')
    segments: tuple[Segment, ...] = Field(default=(), description="user tags; empty means everyone in the buckets")
    auto_rollback: bool = Field(default=True, description="false: a failed check pauses and waits for a person")
    max_latency: Duration | None = Field(default=None, description="limit of the p99, such as 2000ms")
    max_toxicity: Share | None = Field(
        default=None, lt=1, description="limit of the share of toxic answers, such as 0.05"
    )

    @field_validator("max_latency")
    @classmethod
    def _latency_is_positive(cls, value: Any) -> Any:
        if value is not None and value.total_seconds() <= 0:
            raise ValueError("a latency limit is longer than nothing")
        return value

    @property
    def digest(self) -> str:
        """Identifies what was tried, so that the same thing is not started again after it was rolled back."""
        return _digest(self.model_dump(mode="json"))


class CanaryFile(FileModel):
    """``deploy/canary.yaml``: ``canary:`` for one candidate, ``canaries:`` for several."""

    canary: Candidate | None = None
    canaries: tuple[Candidate, ...] = ()

    @model_validator(mode="after")
    def _one_form_and_no_overlap(self) -> Self:
        if (self.canary is None) == (not self.canaries):
            raise ValueError("write either canary: with one candidate, or canaries: with a list of them")
        for index, candidate in enumerate(self.canaries):
            for other in self.canaries[:index]:
                if candidate.model == other.model:
                    raise ValueError(f"{candidate.model} is listed twice")
                if len(shared := candidate.buckets.overlap(other.buckets)):
                    raise ValueError(f"buckets {shared} are given to both {other.model} and {candidate.model}")
        return self

    @property
    def candidates(self) -> tuple[Candidate, ...]:
        return (self.canary,) if self.canary is not None else self.canaries


class Route(FileModel):
    namespace: Name = "default"
    name: Name = Field(description="the route's name; with its namespace it is the unit of locking")
    public_model: ModelName | None = Field(default=None, description="the model name that clients send")

    @property
    def full_name(self) -> str:
        return f"{self.namespace}/{self.name}"


class EnvoyFileRouter(FileModel):
    """A route configuration that Envoy watches as a file."""

    kind: Literal["envoy-file"]
    file: Path = Field(description="the route file; `pending/` beside it belongs to tailramp too")
    admin: Url = Field(description="Envoy's admin address: loaded configuration and counters are read there")
    gateway: Url = Field(description="where users come in: probes go there")
    probe_path: str = Field(default="/v1/models", pattern="^/", description="a cheap GET that every variant answers")
    probe_secret: SecretReference | None = Field(
        default=None,
        description="such as ${TAILRAMP_PROBE_SECRET}: lets probes name their bucket; without it they cannot",
    )
    # 24 observations of 50 ms: twice the slowest take-up of a renamed file that was measured, with a wide margin.
    zero_observations: int = Field(default=24, ge=2, description="observations without a new candidate request")
    zero_interval: Duration = Field(default=parse_duration("50ms"), description="between two of them")


class Slot(FileModel):
    """One of the interchangeable places behind the route."""

    url: Url = Field(description="its own address, to ask which model it serves")
    metrics: str = Field(min_length=1, description='label matchers of its servers, such as slot="green"')
    gateway_metrics: str = Field(min_length=1, description="label matchers of its traffic in the gateway's metrics")

    @field_validator("metrics", "gateway_metrics")
    @classmethod
    def _are_matchers(cls, value: str) -> str:
        if not is_matchers(value):
            raise ValueError('write label matchers without braces, such as slot="green",job="llm"')
        return value


class Identity(FileModel):
    """Where the user id stands and how it becomes a bucket."""

    header: HeaderName = Field(default="X-User-Id", description="trusted header that holds the user id")
    strategy: Literal["sha256"] = "sha256"
    salt: Annotated[str, StringConstraints(min_length=1, max_length=200)]
    salt_id: Name = Field(default="default", description="names the salt in gateway and records without telling it")
    resolution: Resolution = 100


class Prometheus(FileModel):
    url: Url
    timeout: Duration = Field(default=parse_duration("5s"), description="per query")
    scrape_interval: Duration = Field(default=parse_duration("15s"), description="of the metrics that checks read")


class StepPolicy(FileModel):
    """One step of the schedule; in the file also as a bare share, ``5%``."""

    share: Share = Field(gt=0, description="of the target's buckets, cumulative")
    hold: Duration | None = Field(default=None, description="instead of ramp.hold")
    approval: bool = Field(default=False, description="true: a person must promote it after its hold")


class RampPolicy(FileModel):
    """The schedule of a ramp and its bounds."""

    steps: tuple[StepPolicy, ...] = Field(
        default=tuple(StepPolicy(share=share) for share in (0.01, 0.05, 0.1, 0.25, 0.5, 1.0)),
        min_length=1,
        description="cumulative shares of the target; the last one is the whole of it",
    )
    hold: Duration = Field(default=parse_duration("10m"), description="how long a step is watched")
    bake: Duration = Field(default=parse_duration("30m"), description="how long the old slot stays warm at the end")
    hold_back: BucketSet = Field(
        default=BucketSet(), description='buckets that stay on the old slot until the bake ends, such as "98-99"'
    )
    max_settle: Duration = Field(default=parse_duration("10m"), description="until traffic has reached a step")
    max_blind: Duration = Field(default=parse_duration("5m"), description="without an answer, before onBlind is done")
    on_blind: Literal["rollback", "hold"] = Field(
        default="rollback", description="hold keeps users where they are until a person acts or Prometheus answers"
    )
    lease: Duration = Field(
        default=parse_duration("90s"),
        ge=parse_duration("1s"),
        description="how long a candidate is served without a completed look; a shift may need 75s without one",
    )

    @field_validator("steps", mode="before")
    @classmethod
    def _accept_bare_shares(cls, value: Any) -> Any:
        if isinstance(value, list | tuple):
            return [item if isinstance(item, dict | StepPolicy) else {"share": item} for item in value]
        return value

    @model_validator(mode="after")
    def _steps_grow(self) -> Self:
        shares = [step.share for step in self.steps]
        if shares != sorted(set(shares)):
            raise ValueError("steps: each share must be larger than the one before")
        if shares[-1] != 1:
            raise ValueError("steps: the last share must be 100%, the whole target")
        return self


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


class Off(FileModel):
    """What the whole route answers after ``tailramp kill --off``."""

    status: int = Field(default=503, ge=400, le=599)
    message: str = Field(default="This service is switched off. 服务已关闭。", min_length=1, max_length=2000)


class PlatformFile(FileModel):
    """``tailramp.yaml``: everything that the platform team owns."""

    api_version: Literal["tailramp/v1"]
    route: Route
    router: EnvoyFileRouter
    slots: dict[SlotName, Slot] = Field(
        min_length=2, description="two or more; which one is live is read from the route"
    )
    identity: Identity
    prometheus: Prometheus
    ramp: RampPolicy = RampPolicy()
    checks: Checks = Checks()
    off: Off = Off()

    @model_validator(mode="after")
    def _lease_outlives_a_look(self) -> Self:
        lease, tick = self.ramp.lease, self.checks.tick
        if lease < 2 * tick:
            reason = f"ramp.lease ({format_duration(lease)}) is renewed at every checks.tick ({format_duration(tick)})"
            raise ValueError(f"{reason}: make it at least twice as long")
        return self


class RampSpec(BaseModel):
    """Both files, validated together: the input of a ramp.  ``digest`` pins it."""

    model_config = ConfigDict(frozen=True)

    canary: CanaryFile
    platform: PlatformFile

    @property
    def candidates(self) -> tuple[Candidate, ...]:
        return self.canary.candidates

    @property
    def candidate(self) -> Candidate:
        return self.candidates[0]

    @property
    def digest(self) -> str:
        return _digest(self.model_dump(mode="json"))


def _digest(value: object) -> str:
    text = json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def load_spec(canary: Path, platform: Path) -> RampSpec:
    """Read and validate both files.  Raises InvalidFile with the problems of both."""
    problems: list[Problem] = []
    parts: list[tuple[type[FileModel], Path]] = [(CanaryFile, canary), (PlatformFile, platform)]
    models: dict[type[FileModel], FileModel] = {}
    documents: dict[type[FileModel], Document] = {}
    for model, path in parts:
        try:
            documents[model] = read_document(_read(path), path)
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
    data = read_document(_read(path), path).data
    canary = data.get("canary") if isinstance(data, dict) else None
    return isinstance(canary, dict) and canary.get("buckets") == "" and isinstance(canary.get("model"), str)


def load_platform(path: Path) -> PlatformFile:
    """The platform file alone, for commands that act on the route whatever is being tried."""
    return _with_absolute_paths(validate(PlatformFile, read_document(_read(path), path)), path)


def _with_absolute_paths(platform: PlatformFile, path: Path) -> PlatformFile:
    """A relative ``router.file`` is meant from the platform file's folder, wherever the reader runs."""
    if platform.router.file.is_absolute():
        return platform
    router = platform.router.model_copy(update={"file": (path.parent / platform.router.file).resolve()})
    return platform.model_copy(update={"router": router})


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise InvalidFile([Problem("(file)", "there is no such file", "Check the path", file=path)]) from None
    except UnicodeDecodeError as error:
        reason = f"not UTF-8 at byte {error.start}"
        raise InvalidFile([Problem("(file)", reason, "Save the file as UTF-8", file=path)]) from None
    except OSError as error:
        reason = f"cannot be read: {error.strerror}"
        raise InvalidFile([Problem("(file)", reason, "Check path and permissions", file=path)]) from None


def _across(spec: RampSpec, canary: Document) -> list[Problem]:
    """What only both files together can show."""
    problems = []

    def problem(location: Location, reason: str, mend: str) -> None:
        value = canary.value_of(location)
        text = None if value is None else json.dumps(value, ensure_ascii=False)
        problems.append(Problem(dotted(location), reason, mend, text, canary.file, canary.line_of(location)))

    if len(spec.candidates) > 1:
        free = len(spec.platform.slots) - 1
        mend = f"The route has {free} free slot{'s' if free > 1 else ''}; try one candidate at a time"
        problem(("canaries",), "this version ramps one candidate at a time", mend)
    resolution = spec.platform.identity.resolution
    held_back = spec.platform.ramp.hold_back
    if len(held_back) and held_back.resolution != resolution:
        reason = "ramp.holdBack of the platform file is written in another resolution than identity.resolution"
        problem(("canary",), reason, f"Write ramp.holdBack for resolution {resolution}")
    for index, candidate in enumerate(spec.candidates):
        at: Location = ("canary",) if spec.canary.canary is not None else ("canaries", index)
        if candidate.max_latency is None and candidate.max_toxicity is None and spec.platform.checks.max_errors is None:
            mend = "Set maxLatency or maxToxicity here, or checks.maxErrors in the platform file"
            problem(at, "nothing would be checked, so nothing could ever pass", mend)
        if candidate.segments:
            mend = "Leave segments out"
            problem((*at, "segments"), "the envoy-file router's gateway knows no user tags", mend)
        if len(candidate.buckets) and candidate.buckets.resolution != resolution:
            digits = 2 if resolution == 100 else 4
            mend = f"Write buckets of {digits} digits, or change identity.resolution"
            problem((*at, "buckets"), f"the platform file's resolution is {resolution}", mend)
    return problems


Model = TypeVar("Model", bound=FileModel)


def validate(model: type[Model], document: Document) -> Model:
    """Plain data → model.  Raises InvalidFile with every problem, in the order of their lines."""
    if not isinstance(document.data, dict):
        mend = f"Start with {' or '.join(_field_names(model)[:2])}:"
        raise InvalidFile([Problem("(file)", "the file is not a mapping", mend, file=document.file, line=1)])
    try:
        return model.model_validate(document.data)
    except ValidationError as error:
        problems = [_problem(model, document, details) for details in error.errors()]
        raise InvalidFile(sorted(problems, key=lambda problem: problem.line or 0)) from None


def _problem(model: type[BaseModel], document: Document, details: ErrorDetails) -> Problem:
    location = _location_in_file(document, details["loc"])
    value = document.value_of(location)
    shown = (
        None if isinstance(value, dict | list) or value is None else json.dumps(value, ensure_ascii=False, default=str)
    )
    if shown is not None and len(shown) > 80:
        shown = shown[:77] + "..."
    if location and "secret" in str(location[-1]).lower():
        shown = None
    reason, mend = _words(model, details, location)
    return Problem(dotted(location), reason, mend, shown, document.file, document.line_of(location))


def _location_in_file(document: Document, loc: tuple[int | str, ...]) -> Location:
    """pydantic's location without the parts that it adds for unions and validators."""
    location: Location = ()
    for index, part in enumerate(loc):
        if part == "[key]":
            continue
        value = document.value_of(location)
        last = index == len(loc) - 1
        if isinstance(value, dict) and (part in value or last):
            location = (*location, part)
        elif isinstance(value, list) and isinstance(part, int):
            location = (*location, part)
    return location


def _words(model: type[BaseModel], details: ErrorDetails, location: Location) -> tuple[str, str]:
    kind = details["type"]
    name = str(location[-1]) if location else "(file)"
    context = details.get("ctx", {})
    if kind == "extra_forbidden":
        known = _fields_at(model, location[:-1])
        close = difflib.get_close_matches(name, known, n=1)
        return "unknown field", f"Did you mean {close[0]}?" if close else f"Known here: {', '.join(known)}"
    if kind == "missing":
        return "is missing", f"Add {name}:"
    if kind == "value_error":
        return str(context.get("error", details["msg"])), "Change the value"
    if kind == "literal_error":
        return f"must be {context['expected']}", "Change the value"
    if kind == "string_pattern_mismatch":
        return f"does not have the form {context['pattern']}", "Change the value"
    message = details["msg"][0].lower() + details["msg"][1:]
    return message, "Change the value"


def _fields_at(model: type[BaseModel], location: Location) -> list[str]:
    """The field names that the files may use at ``location``."""
    current: type[BaseModel] | None = model
    for part in location:
        if current is None or isinstance(part, int):
            continue
        annotation = next(
            (info.annotation for field, info in current.model_fields.items() if to_camel(field) == part), None
        )
        current = _model_in(annotation) or current
    return _field_names(current) if current is not None else []


def _field_names(model: type[BaseModel]) -> list[str]:
    return [to_camel(field) for field in model.model_fields]


def _model_in(annotation: Any) -> type[BaseModel] | None:
    """The model inside ``Model | None``, ``tuple[Model, ...]`` or ``dict[str, Model]``."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for argument in getattr(annotation, "__args__", ()):
        if (found := _model_in(argument)) is not None:
            return found
    return None
