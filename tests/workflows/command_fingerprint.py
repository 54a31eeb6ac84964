"""The commands of the workflow in the order of the source: a cheap warning before a replay fails in production.

A ramp that is under way replays its history through the code that is deployed now, and every command must come in the
order in which it came then. ``of_workflows`` lists, per method, the calls that issue a command or lead to one;
``record_histories.py`` writes the list to ``command_fingerprint.json``.
"""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator
from pathlib import Path

import workflows

FILE = Path(__file__).with_name("command_fingerprint.json")

_TEMPORAL = {
    "start_activity",
    "execute_activity",
    "sleep",
    "wait_condition",
    "uuid4",
    "upsert_memo",
    "upsert_search_attributes",
    "continue_as_new",
    "patched",
    "deprecate_patch",
}
"""Functions of ``temporalio.workflow`` that leave something in history, or whose order history depends on."""

Fingerprint = dict[str, list[str]]


def of_workflows() -> Fingerprint:
    """``module.Class.method`` → its calls, for every method of the package that makes one."""
    folder = Path(workflows.__file__).parent
    trees = {path.stem: ast.parse(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*.py"))}
    methods = {
        f"{module}.{klass.name}.{method.name}": method
        for module, tree in trees.items()
        for klass in ast.walk(tree)
        if isinstance(klass, ast.ClassDef)
        for method in klass.body
        if isinstance(method, ast.FunctionDef | ast.AsyncFunctionDef)
    }
    issuing = _issuing(methods)
    found = {name: list(_calls(method, issuing)) for name, method in methods.items()}
    return {name: calls for name, calls in sorted(found.items()) if calls}


def committed() -> Fingerprint:
    """What was written when the histories were recorded."""
    fingerprint: Fingerprint = json.loads(FILE.read_text(encoding="utf-8"))
    return fingerprint


def write() -> None:
    FILE.write_text(json.dumps(of_workflows(), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def _issuing(methods: dict[str, ast.FunctionDef | ast.AsyncFunctionDef]) -> set[str]:
    """The names of own methods that issue a command, directly or through another."""
    issuing: set[str] = set()
    while True:
        more = {
            name.rpartition(".")[2]
            for name, method in methods.items()
            if name.rpartition(".")[2] not in issuing and any(_calls(method, issuing))
        }
        if not more:
            return issuing
        issuing |= more


def _calls(method: ast.AST, issuing: set[str]) -> Iterator[str]:
    """Depth first, arguments before the call that takes them: the order in which Python makes them."""
    for child in ast.iter_child_nodes(method):
        yield from _calls(child, issuing)
    if not isinstance(method, ast.Call) or not isinstance(method.func, ast.Attribute):
        return
    owner, name = method.func.value, method.func.attr
    if isinstance(owner, ast.Name) and owner.id == "workflow" and name in _TEMPORAL:
        yield name + _with_timer(name, method)
    elif isinstance(owner, ast.Name) and owner.id == "asyncio" and name in {"create_task", "shield"}:
        yield name
    elif isinstance(owner, ast.Name) and owner.id == "self" and name in issuing:
        yield f"self.{name}{_named(method)}"
    elif name == "cancel":
        yield "cancel"


def _with_timer(name: str, call: ast.Call) -> str:
    """A condition with a time limit starts a timer, one without does not."""
    return "(timeout)" if name == "wait_condition" and any(word.arg == "timeout" for word in call.keywords) else ""


def _named(call: ast.Call) -> str:
    """The constant that says what is started or recorded: ``contract.APPLY``, ``DecisionKind.SHIFTED``."""
    first = call.args[0] if call.args else None
    if isinstance(first, ast.Attribute) and isinstance(first.value, ast.Name) and first.attr.isupper():
        return f"({first.value.id}.{first.attr})"
    return ""
