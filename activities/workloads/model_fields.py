"""Where in a pod template the name of a model stands, and what to write there; pure.

A list of arguments is written as a whole: what is noted and put back later is then one value, which nobody has to find
again in a list that somebody else has changed.
"""

import re
import shlex
from dataclasses import dataclass
from typing import Any, Final

from activities.kube.client import Object
from activities.kube.json_patch import pointer
from activities.workloads.shape import Template
from tailramp.errors import Problem
from tailramp.spec import ManagedWorkload
from tailramp.spec.models import Models

_IMAGE: Final = re.compile(r"[a-z0-9]+([._:/-]+[a-z0-9]+)*(:[A-Za-z0-9_][A-Za-z0-9_.-]{0,127})?(@sha256:[0-9a-f]{64})?")
_LABEL_VALUE: Final = re.compile(r"([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?")


@dataclass(frozen=True)
class FieldValue:
    """A field of the object: the JSON pointer that leads to it, and its value; None if it is not there."""

    pointer: str
    value: Any


@dataclass(frozen=True)
class Wanted:
    """The fields that make an object's servers run a model, and what stands in the way of that."""

    fields: tuple[FieldValue, ...]
    problems: tuple[Problem, ...] = ()


def wanted_fields(
    templates: list[Template],
    settings: ManagedWorkload,
    models: Models,
    model: str,
    *,
    fixed_labels: frozenset[str] = frozenset(),
) -> Wanted:
    """What must stand in ``templates`` so that their pods run ``model``.  ``fixed_labels`` may not be written."""
    fields: list[FieldValue] = []
    problems: list[Problem] = []
    if not writes_model(settings, models):
        return Wanted(())
    hosts = [(template, index) for template in templates if (index := _server(template, settings)) is not None]
    if not hosts:
        problems.append(_no_container(templates, settings))
    image = models.image_of(model)
    if image is not None and not _IMAGE.fullmatch(image):
        reason = f"models.image spells {image}, which no registry has: an image is written in small letters"
        problems.append(Problem("models.image", reason, "Spell the model in small letters in the canary file"))
    for template, index in hosts:
        server = template.value["spec"]["containers"][index]
        at = f"{template.pointer}/spec/containers/{index}"
        if image is not None:
            fields.append(FieldValue(f"{at}/image", image))
        if settings.env:
            values = {name: models.spelt(spelling, model) for name, spelling in settings.env.items()}
            fields.append(FieldValue(f"{at}/env", _with_env(server.get("env") or [], values)))
        if settings.arguments:
            arguments = {name: models.spelt(spelling, model) for name, spelling in settings.arguments.items()}
            if inside := _in_shell_line(server, arguments):
                reason = f"{inside} stands inside a shell line, where it cannot be changed safely"
                mend = "Give the arguments one by one, or let the line read a variable and name that under env"
                problems.append(Problem("arguments", reason, mend))
            else:
                fields += _argument_fields(at, server, arguments)
    annotations = {key: models.spelt(spelling, model) for key, spelling in settings.annotations.items()}
    for template, _ in hosts:
        for group, values in (("annotations", annotations), ("labels", models.labels_of(model))):
            for key, value in values.items():
                fields.append(FieldValue(template.pointer + pointer("metadata", group, key), value))
    for key, value in models.labels_of(model).items():
        if key in fixed_labels:
            reason = f"{key} is part of the selector, which cannot change"
            problems.append(Problem("models.labels", reason, "Name another label"))
        elif not _LABEL_VALUE.fullmatch(value):
            reason = f"{value} cannot be the value of a label: at most 63 letters, digits, -, _ and ."
            problems.append(Problem("models.labels", reason, f"Take {key} out, or make it an annotation of the slot"))
    return Wanted(tuple(fields), tuple(problems))


def writes_model(settings: ManagedWorkload, models: Models) -> bool:
    """Whether the files say how a model gets into the pods; labels alone change nothing that is served."""
    return bool(models.image or settings.arguments or settings.env or settings.annotations)


def value_at(found: Object, at: str) -> Any:
    """What stands in the object at a JSON pointer; None if nothing does."""
    place: Any = found
    for part in (part.replace("~1", "/").replace("~0", "~") for part in at.split("/")[1:]):
        try:
            place = place[int(part)] if isinstance(place, list) else place[part]
        except (KeyError, IndexError, ValueError, TypeError):
            return None
    return place


def _server(template: Template, settings: ManagedWorkload) -> int | None:
    """The place of the container that runs the server; None if it cannot be told."""
    containers = template.value.get("spec", {}).get("containers") or []
    if settings.container is None:
        return 0 if len(containers) == 1 else None
    return next((index for index, each in enumerate(containers) if each.get("name") == settings.container), None)


def _no_container(templates: list[Template], settings: ManagedWorkload) -> Problem:
    names = [each.get("name", "") for template in templates for each in template.value["spec"].get("containers") or []]
    there = ", ".join(dict.fromkeys(names))
    if settings.container is None:
        return Problem("container", f"its pods have several containers ({there})", "Name the one that runs the server")
    return Problem(
        "container", f"no container is called that; there are {there}", "Name one of them", settings.container
    )


def _with_env(present: list[Object], values: dict[str, str]) -> list[Object]:
    changed = [
        {"name": entry["name"], "value": values[entry["name"]]} if entry["name"] in values else entry
        for entry in present
    ]
    there = {entry["name"] for entry in present}
    return [*changed, *({"name": name, "value": value} for name, value in values.items() if name not in there)]


def _argument_fields(at: str, server: Object, arguments: dict[str, str]) -> list[FieldValue]:
    """``command`` and ``args`` as they must be; an argument that stands in neither is added to ``args``."""
    lists = {"command": list(server.get("command") or []), "args": list(server.get("args") or [])}
    for name, value in arguments.items():
        place = next((key for key, words in lists.items() if _has_argument(words, name)), None)
        if place is None:
            lists["args"] += [name, value]
        else:
            lists[place] = _with_argument(lists[place], name, value)
    return [
        FieldValue(f"{at}/{key}", words)
        for key, words in lists.items()
        if words != list(server.get(key) or []) or any(_has_argument(words, name) for name in arguments)
    ]


def _has_argument(words: list[str], name: str) -> bool:
    return any(word == name or word.startswith(f"{name}=") for word in words)


def _with_argument(words: list[str], name: str, value: str) -> list[str]:
    """Both spellings are known: ``--model X`` and ``--model=X``."""
    changed: list[str] = []
    skip = False
    for index, word in enumerate(words):
        if skip:
            skip = False
            continue
        if word == name:
            changed += [name, value]
            skip = index + 1 < len(words) and not words[index + 1].startswith("--")
        elif word.startswith(f"{name}="):
            changed.append(f"{name}={value}")
        else:
            changed.append(word)
    return changed


def _in_shell_line(server: Object, arguments: dict[str, str]) -> str | None:
    """The first argument that stands inside a line for a shell, or None."""
    lines = [word for word in [*(server.get("command") or []), *(server.get("args") or [])] if " " in word]
    for line in lines:
        try:
            words = shlex.split(line, comments=True)
        except ValueError:
            words = line.split()
        for name in arguments:
            if _has_argument(words, name):
                return name
    return None
