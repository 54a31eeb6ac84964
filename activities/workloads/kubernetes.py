"""A workload that is an object of the Kubernetes API, and what scales it."""

import asyncio
from collections.abc import Callable, Sequence

from activities.kube import KubeClient
from activities.kube.client import Object
from activities.kube.resources import EVENTS, PODS
from activities.kube.rights import Right, missing_rights
from activities.routers.kube.writers import owner_of
from activities.workloads.autoscalers import Autoscaler, autoscaler_of
from activities.workloads.model_fields import FieldValue, Wanted, value_at, wanted_fields
from activities.workloads.noted_object import NotedObject
from activities.workloads.notes import REPLICAS, Notes, unmark
from activities.workloads.pods import Story, complaint_mend, refusal_in, story_of
from activities.workloads.protocol import Holder, Progress, Restored
from activities.workloads.putting_back import put_back, written_objects
from activities.workloads.rights import to_run, to_write
from activities.workloads.shape import Shape, wanted
from tailramp.errors import Problem, TailrampError
from tailramp.forms import SlotName
from tailramp.spec import ManagedWorkload
from tailramp.spec.models import Models

_STORY_SECONDS = 10.0
"""How long what pods and events told is told again: a namespace may have thousands, and loading takes minutes."""


class KubernetesWorkload:
    """See ``Workload``.  ``route`` is ``<namespace>/<name>``; the object is in the route's namespace."""

    def __init__(
        self,
        client: KubeClient,
        route: str,
        slot: SlotName,
        settings: ManagedWorkload,
        models: Models,
        shape: Shape,
    ) -> None:
        self._client = client
        self._route = route
        self._namespace = route.partition("/")[0]
        self._slot = slot
        self._settings = settings
        self._models = models
        self._shape = shape
        self._story = Story()
        self._refusal = ""
        self._story_at: float | None = None

    @property
    def name(self) -> str:
        """``deployment llm/chat-green``."""
        return str(self._object)

    @property
    def _object(self) -> NotedObject:
        return NotedObject(self._client, self._shape.resource, self._namespace, self._settings.name)

    # Looking.

    async def preflight(self, model: str | None) -> list[Problem]:
        needed = await to_run(self._object, sized=self._settings.replicas is not None)
        if problems := await self._missing_rights(needed):
            return problems
        resource = self._shape.resource
        found = await self._client.find(resource, self._namespace, self._settings.name)
        if found is None:
            return [await self._not_there()]
        if owner := owner_of(found):
            reason = f"{self.name} belongs to {owner}, whose controller would undo every change"
            problems.append(self._problem("name", reason, "Name an object that nothing else writes, or use external"))
        if model is not None:
            problems += self._model_problems(found, model)
        sizes = self._settings.replicas
        if sizes is None:
            if wanted(found) == 0:
                mend = "Add replicas: {full: ...} to the workload, or scale it up"
                problems.append(self._problem("replicas", f"{self.name} has no servers, and nobody adds any", mend))
        elif scaler := await self._autoscaler():
            problems += self._conflicts(scaler, sizes.full) or await self._missing_rights(to_write(scaler.noted))
        return problems

    async def size(self) -> int | None:
        found, scaler = await asyncio.gather(self._read(), self._autoscaler())
        return wanted(found) if scaler is None else min(scaler.least, wanted(found))

    async def found_size(self) -> int | None:
        found, scaler = await asyncio.gather(self._read(), self._autoscaler())
        at, noted = (REPLICAS, found) if scaler is None else (scaler.floor, scaler.found)
        before = notes.fields.get(at) if (notes := Notes.on(noted)) else None
        if before is None:
            return await self.size()
        otherwise = 1 if scaler is None else scaler.unset
        return otherwise if before.before is None else int(before.before)

    async def ready(self, servers: int, seconds: float) -> Progress:
        found = await self._read()
        standing, unit = self._shape.standing(found), self._shape.unit
        ready = min(standing.updated, standing.available, servers) if standing.observed else 0
        leftovers = max(0, standing.total - standing.updated) if standing.observed else 0
        progress = Progress(servers, ready, unit, leftovers=leftovers)
        if progress.is_done:
            return progress
        await self._hear(found, seconds)
        story, complaint = self._story, standing.trouble or self._refusal
        mend = story.mend or (complaint_mend(complaint) if complaint else "")
        return Progress(servers, ready, unit, story.told(seconds), story.stuck or complaint, mend, leftovers)

    async def written_by(self) -> str | None:
        notes = Notes.on(await self._read())
        return None if notes is None else notes.ramp

    async def changed_by(self, ramp: str) -> bool:
        found, scaler = await asyncio.gather(self._read(), self._autoscaler())
        noted = [Notes.on(found), None if scaler is None else Notes.on(scaler.found)]
        return any(notes is not None and notes.changed_by == ramp for notes in noted)

    # Writing.

    async def claim(self, holder: Holder, *, serves: bool) -> None:
        for noted in await self._objects():
            await noted.hold(self._blank(holder), lambda _: (), holder, anew=serves)

    async def prepare(self, model: str, holder: Holder) -> None:
        def fields(found: Object) -> tuple[FieldValue, ...]:
            return self._fields(found, model).fields

        await self._object.hold(self._blank(holder), fields, holder, replaces=True)

    async def grow(self, servers: int, holder: Holder) -> None:
        more, scaler = _more(REPLICAS, servers, otherwise=1), await self._autoscaler()
        if scaler is not None:
            raised = _more(scaler.floor, scaler.at_least(servers), otherwise=scaler.unset)
            await scaler.noted.hold(self._blank(holder), raised, holder)

        def woken(found: Object) -> tuple[FieldValue, ...]:
            # At zero a HorizontalPodAutoscaler is switched off, whatever its bounds say.
            return more(found) if wanted(found) == 0 else ()

        await self._object.hold(self._blank(holder), more if scaler is None else woken, holder)

    async def shrink(self, servers: int, holder: Holder) -> None:
        scaler = await self._autoscaler()
        if scaler is not None:
            lowered = _fewer(scaler.floor, scaler.at_least(servers), otherwise=scaler.unset)
            await scaler.noted.hold(self._blank(holder), lowered, holder)
        else:
            await self._object.hold(self._blank(holder), _fewer(REPLICAS, servers, otherwise=1), holder)

    async def restore(self, holder: Holder | None, *, serves: bool) -> Restored:
        return await put_back(await self._objects(), holder, serves=serves)

    async def retire(self, servers: int | None, holder: Holder) -> None:
        if servers is not None and self._settings.replicas is not None:
            await self.shrink(servers, holder)
        for noted in await self._objects():
            if await noted.has_notes():
                await noted.patch(unmark, holder)

    # Parts.

    async def _read(self) -> Object:
        return await self._client.get(self._shape.resource, self._namespace, self._settings.name)

    async def _autoscaler(self) -> Autoscaler | None:
        if self._settings.replicas is None:
            return None
        return await autoscaler_of(self._object)

    async def _objects(self) -> list[NotedObject]:
        """What is written: the workload, and what scales it."""
        return await written_objects(self._object, sized=self._settings.replicas is not None)

    def _blank(self, holder: Holder) -> Notes:
        return Notes(route=self._route, slot=self._slot, ramp=holder.ramp)

    def _fields(self, found: Object, model: str) -> Wanted:
        shape = self._shape
        return wanted_fields(
            shape.templates(found), self._settings, self._models, model, fixed_labels=shape.selector_labels(found)
        )

    def _model_problems(self, found: Object, model: str) -> list[Problem]:
        fields = self._fields(found, model)
        problems = list(fields.problems)
        if any(value_at(found, field.pointer) != field.value for field in fields.fields):
            problems += self._shape.problems(found)
        named = [Problem(p.field, f"{self.name}: {p.reason}", p.mend, p.value) for p in problems]
        at = f"slots.{self._slot}.workload"
        return [
            p if p.field.startswith("models.") else Problem(f"{at}.{p.field}", p.reason, p.mend, p.value) for p in named
        ]

    async def _hear(self, found: Object, seconds: float) -> None:
        """Learn what its pods say and what its controller could not do, unless that was heard just now; neither keeps
        anybody from waiting on."""
        if self._story_at is not None and 0 <= seconds - self._story_at < _STORY_SECONDS:
            return
        try:
            pods, of_pods, own = await asyncio.gather(
                self._client.find_all(PODS, self._namespace, self._shape.pod_selector(found)),
                self._client.find_all(EVENTS, self._namespace, fields="involvedObject.kind=Pod"),
                self._client.find_all(EVENTS, self._namespace, fields=f"involvedObject.uid={found['metadata']['uid']}"),
            )
        except TailrampError:
            self._story, self._refusal, self._story_at = Story(), "", None
            return
        self._story, self._refusal, self._story_at = story_of(pods, of_pods), refusal_in(own), seconds

    def _conflicts(self, scaler: Autoscaler, full: int) -> list[Problem]:
        bounds = f"{scaler.name} keeps {self.name} between {scaler.least} and {scaler.most} servers"
        if scaler.owner is not None:
            mend = "Give this process the Role of deploy/kubernetes/workload-access, so that it can write that"
            return [self._problem("replicas", f"{bounds}, and belongs to {scaler.owner}", mend)]
        if self._settings.replicas is not None and self._settings.replicas.autoscaler == "refuse":
            mend = "Write replicas.autoscaler: raise, or take replicas out and let it follow the load alone"
            return [self._problem("replicas", f"{bounds}, and would undo every other number", mend)]
        if scaler.most < full:
            return [self._problem("replicas.full", f"{bounds}, and {full} are needed", f"Raise its maximum to {full}")]
        return []

    async def _not_there(self) -> Problem:
        resource = self._shape.resource
        if not await self._client.knows(resource):
            reason = f"the API server knows no {resource.plural}.{resource.group}"
            return self._problem("kind", reason, "Install it, or name another kind")
        return self._problem("name", f"there is no {self.name}", "Create it, or mend the name")

    async def _missing_rights(self, needed: Sequence[Right]) -> list[Problem]:
        mend = "Give it the Role of deploy/kubernetes/workload-access there"
        return [
            self._problem("kind", f"this process may not {right} in namespace {self._namespace}", mend)
            for right in await missing_rights(self._client, self._namespace, needed)
        ]

    def _problem(self, field: str, reason: str, mend: str) -> Problem:
        return Problem(f"slots.{self._slot}.workload.{field}", reason, mend)


def _more(at: str, servers: int, *, otherwise: int) -> Callable[[Object], tuple[FieldValue, ...]]:
    """Nothing but ``servers`` where fewer stand at a JSON pointer; ``otherwise`` is meant where nothing does."""
    return lambda found: (FieldValue(at, servers),) if _number(found, at, otherwise) < servers else ()


def _fewer(at: str, servers: int, *, otherwise: int) -> Callable[[Object], tuple[FieldValue, ...]]:
    """The same where more stand there."""
    return lambda found: (FieldValue(at, servers),) if _number(found, at, otherwise) > servers else ()


def _number(found: Object, at: str, otherwise: int) -> int:
    here = value_at(found, at)
    return otherwise if here is None else int(here)
