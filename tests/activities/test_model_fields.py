"""Where a model's name goes in a pod template, and where it cannot go."""

from __future__ import annotations

from typing import Any

import pytest

from activities.workloads.model_fields import Wanted, wanted_fields
from activities.workloads.shape import Template
from tailramp.spec import DeploymentWorkload
from tailramp.spec.models import Models


def fields(
    server: dict[str, Any],
    *others: dict[str, Any],
    models: dict[str, Any] | None = None,
    model: str = "chat-v2",
    fixed: frozenset[str] = frozenset(),
    **settings: Any,
) -> Wanted:
    containers = [{"name": "server", **server}, *others]
    template = Template("/spec/template", {"metadata": {}, "spec": {"containers": containers}})
    workload = DeploymentWorkload.model_validate({"kind": "deployment", "name": "chat-green", **settings})
    spellings = Models.model_validate(models or {"storageUri": "oss://m/{model}"})
    return wanted_fields([template], workload, spellings, model, fixed_labels=fixed)


def written(*arguments: Any, **settings: Any) -> dict[str, Any]:
    wanted = fields(*arguments, **settings)
    assert wanted.problems == ()
    return {field.pointer.removeprefix("/spec/template/"): field.value for field in wanted.fields}


ARGUMENT = {"arguments": {"--model": "storageUri"}}


@pytest.mark.parametrize(
    ("server", "key", "words"),
    [
        ({"args": ["--model", "old", "--port=1"]}, "args", ["--model", "oss://m/chat-v2", "--port=1"]),
        ({"args": ["--model=old", "--port=1"]}, "args", ["--model=oss://m/chat-v2", "--port=1"]),
        ({"args": ["--port=1"]}, "args", ["--port=1", "--model", "oss://m/chat-v2"]),
        ({}, "args", ["--model", "oss://m/chat-v2"]),
        ({"args": ["--model"]}, "args", ["--model", "oss://m/chat-v2"]),
        ({"args": ["--model", "--port=1"]}, "args", ["--model", "oss://m/chat-v2", "--port=1"]),
        # An argument that only begins alike is another one.
        ({"args": ["--model-dir", "x"]}, "args", ["--model-dir", "x", "--model", "oss://m/chat-v2"]),
        (
            {"command": ["vllm", "serve", "--model", "old"], "args": ["--port=1"]},
            "command",
            ["vllm", "serve", "--model", "oss://m/chat-v2"],
        ),
    ],
)
def test_an_argument_is_changed_where_it_stands_and_added_where_it_stands_nowhere(
    server: dict[str, Any], key: str, words: list[str]
) -> None:
    assert written(server, **ARGUMENT) == {f"spec/containers/0/{key}": words}


@pytest.mark.parametrize(
    "server",
    [
        {"command": ["sh", "-c", "vllm serve --model old --port 1"]},
        {"command": ["sh", "-c"], "args": ["exec vllm serve --model=old"]},
        {"args": ["vllm serve --model 'an unclosed quote"]},
    ],
)
def test_a_line_for_a_shell_is_not_edited(server: dict[str, Any]) -> None:
    (problem,) = fields(server, **ARGUMENT).problems
    assert "--model stands inside a shell line" in problem.reason
    assert "name that under env" in problem.mend


def test_a_variable_is_replaced_even_if_it_came_from_a_secret_and_others_stay() -> None:
    secret = {"name": "MODEL_URI", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}
    changed = written({"env": [secret, {"name": "TZ", "value": "UTC"}]}, env={"MODEL_URI": "storageUri", "M": "model"})
    assert changed == {
        "spec/containers/0/env": [
            {"name": "MODEL_URI", "value": "oss://m/chat-v2"},
            {"name": "TZ", "value": "UTC"},
            {"name": "M", "value": "chat-v2"},
        ]
    }


def test_of_several_containers_the_named_one_is_written() -> None:
    sidecar = {"name": "proxy", "image": "envoy"}
    changed = written({}, sidecar, models={"image": "toy/{model}:1"}, container="proxy")
    assert changed == {"spec/containers/1/image": "toy/chat-v2:1"}
    (problem,) = fields({}, sidecar, models={"image": "toy/{model}:1"}).problems
    assert "several containers (server, proxy)" in problem.reason
    (problem,) = fields({}, sidecar, models={"image": "toy/{model}:1"}, container="vllm").problems
    assert (problem.value, problem.reason) == ("vllm", "no container is called that; there are server, proxy")


def test_labels_and_annotations_go_onto_the_pods() -> None:
    models = {"image": "toy/{model}:1", "labels": {"model-version": "{model}"}}
    changed = written({}, models=models, annotations={"example.com/model": "model"})
    assert changed["metadata/labels/model-version"] == "chat-v2"
    assert changed["metadata/annotations/example.com~1model"] == "chat-v2"


@pytest.mark.parametrize(
    ("model", "fixed", "reason"),
    [
        ("chat-v2", frozenset({"model-version"}), "part of the selector, which cannot change"),
        ("org/chat-v2", frozenset(), "org/chat-v2 cannot be the value of a label"),
        ("c" * 64, frozenset(), "cannot be the value of a label"),
        ("-chat", frozenset(), "cannot be the value of a label"),
    ],
)
def test_a_label_that_cannot_be_is_refused(model: str, fixed: frozenset[str], reason: str) -> None:
    models = {"storageUri": "oss://m/{model}", "labels": {"model-version": "{model}"}}
    problems = fields({}, models=models, model=model, fixed=fixed, env={"M": "model"}).problems
    assert [reason in problem.reason for problem in problems] == [True]


def test_an_image_in_capitals_is_refused_before_any_node_tries_to_pull_it() -> None:
    (problem,) = fields({}, models={"image": "toy/{model}:1"}, model="Chat-V2").problems
    assert "models.image spells toy/Chat-V2:1, which no registry has" in problem.reason


def test_a_workload_that_names_no_place_is_left_as_it_was_deployed() -> None:
    assert written({}, models={"labels": {"model-version": "{model}"}}) == {}
