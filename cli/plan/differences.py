"""The exact difference that each write of a ramp makes to each object, computed as the router computes it."""

import difflib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from gateway.label_document import LabelDocument
from gateway.route_document import RouteDocument
from tailramp.assignment import Assignment
from tailramp.plan import Plan
from tailramp.route_record import OffAnswer, RouteRecord, SlotRecord, concluded, served, taken_over
from tailramp.spec import RampSpec

if TYPE_CHECKING:
    from activities.routers.kube.preview import PlannedWrite
    from cli.plan.world import Sight

THE_RAMP: Final = "the-new-ramp"
"""Stands for the ramp's id, which only its start gives it."""

_Document = RouteDocument | LabelDocument


@dataclass(frozen=True)
class Difference:
    """One write: ``label`` says when it comes, ``diff`` is a unified diff of ``object``, and ``written`` what is sent:
    a whole file, a whole object, or the operations of a JSON patch."""

    label: str
    object: str
    diff: str
    written: dict[str, Any]


def route_file_differences(path: Path, spec: RampSpec, plan: Plan, override: str | None) -> list[Difference]:
    """Every write of a ramp that passes all its checks.

    Raises Refused as the ramp's own first write would, and for a file that is none.
    """
    first = RouteDocument.parse(path.read_text(encoding="utf-8"))
    records = records_of(first.record, spec, plan, override)
    documents = [(label, first.with_record(record)) for label, record in records]
    return list(_document_differences(str(path), first, documents, {"verb": "replace", "file": str(path)}))


def label_differences(record: RouteRecord, spec: RampSpec, plan: Plan, override: str | None) -> list[Difference]:
    """The same for a route whose gateways follow the record: what each of them is given.  Raises Refused."""
    first = LabelDocument.of(record)
    documents = [(label, LabelDocument.of(changed)) for label, changed in records_of(record, spec, plan, override)]
    done = {"verb": "follow", "gateways": spec.platform.router.data_plane}
    return list(_document_differences("every gateway's routes", first, documents, done))


def _document_differences(
    name: str, before: _Document, documents: Iterable[tuple[str, _Document]], done: dict[str, str]
) -> Iterator[Difference]:
    """From each document to the next; ``done`` is what is done with one."""
    for label, after in documents:
        lines = difflib.unified_diff(
            before.text().splitlines(), after.text().splitlines(), f"a/{name}", f"b/{name}", lineterm=""
        )
        yield Difference(label, name, "\n".join(lines), {"when": label, **done, "content": after.data})
        before = after


def object_differences(sight: "Sight", spec: RampSpec, plan: Plan, override: str | None) -> list[Difference]:
    """The same for a route that is made of objects of the Kubernetes API.  Raises Refused as the first write would."""
    from activities.routers.kube.preview import planned_writes

    records = list(records_of(sight.record, spec, plan, override))
    writes = planned_writes(sight.binding, spec.platform.route.name, sight.main, plan.ruled_slots, records)
    return [_object_difference(write, spec.platform.route.namespace) for write in writes]


def _object_difference(write: "PlannedWrite", namespace: str) -> Difference:
    import yaml

    def text(state: dict[str, Any] | None) -> list[str]:
        return [] if state is None else yaml.safe_dump(state, sort_keys=False, allow_unicode=True).splitlines()

    known = write.after or write.before or {}
    kind = str(known.get("kind", ""))
    written: dict[str, Any] = {"when": write.label, "verb": write.verb, "kind": kind}
    written |= {"namespace": namespace, "name": write.name}
    if write.verb == "create":
        written["object"] = write.after
    elif write.verb == "patch":
        written["patch"] = list(write.operations)
    name = f"{kind.lower()} {write.name}"
    lines = difflib.unified_diff(
        text(write.before), text(write.after), f"a/{write.name}", f"b/{write.name}", lineterm=""
    )
    return Difference(write.label, name, "\n".join(lines), written)


def records_of(
    record: RouteRecord, spec: RampSpec, plan: Plan, override: str | None
) -> Iterator[tuple[str, RouteRecord]]:
    off = spec.platform.off
    record = taken_over(
        record,
        ramp=THE_RAMP,
        baseline=plan.baseline,
        candidates={
            v.slot: SlotRecord(model=v.model, digest=spec.candidate_of(v.model).digest) for v in plan.candidates
        },
        override=override,
        off_answer=OffAnswer(status=off.status, message=off.message),
    )
    yield "take-over", record
    for label, assignment in _assignments(plan):
        lease = spec.platform.ramp.lease.total_seconds()
        record = served(record, ramp=THE_RAMP, epoch=record.epoch + 1, assignment=assignment, lease_seconds=lease)
        yield label, record
    if plan.promotes:
        yield "end", concluded(record, ramp=THE_RAMP, epoch=record.epoch + 1)


def _assignments(plan: Plan) -> Iterator[tuple[str, Assignment]]:
    for step in plan.steps:
        yield f"step {step.index}", step.assignment
    if plan.promotes:
        yield "promotion", plan.promoting
        yield "rules removed", plan.baking
        if plan.baking != plan.promoted:
            yield "bake over", plan.promoted
