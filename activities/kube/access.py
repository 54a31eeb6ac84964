"""The way to a cluster: the one that this process runs in, or that of a kubeconfig.

As with kubectl, KUBECONFIG comes before the cluster around this process: a job of CI that runs in one cluster and names
another means that one.  And of several files the first that names a current context decides, where the client library
takes the last: the wrong one may be another cluster.
"""

import asyncio
import os
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tailramp.errors import Unreachable

if TYPE_CHECKING:
    from kubernetes.aio.client import Configuration

LOGIN_SECONDS = 30.0
"""How long the command of a kubeconfig may take to give credentials; one that waits for somebody waits in vain."""

_SERVICE_ACCOUNT_TOKEN = Path("/var/run/secrets/kubernetes.io/serviceaccount/token")


async def configure(configuration: "Configuration", kubeconfig: Path | None, context: str | None) -> None:
    """Write address and credentials into ``configuration``.  Raises Unreachable, saying what is wrong with which file.

    ``context`` None is the current one, or, where no kubeconfig is named, the cluster around this process.
    """
    import yaml
    from kubernetes.aio.config import ConfigException, load_incluster_config

    paths = _paths(kubeconfig)
    try:
        if not paths and context is None and _in_cluster():
            load_incluster_config(client_configuration=configuration)
            return
        await _load(configuration, paths or _usual_path(), context)
    except (ConfigException, OSError) as error:
        raise Unreachable(f"there is no way to the Kubernetes API: {_named(paths)}: {error}") from None
    except (yaml.YAMLError, ValueError, TypeError, AttributeError, LookupError) as error:
        # The library stumbles over what is malformed in as many ways as there are.
        why = " ".join(str(error).split())
        raise Unreachable(f"there is no way to the Kubernetes API: {_named(paths)} is malformed ({why})") from None


async def _load(configuration: "Configuration", paths: Sequence[Path], context: str | None) -> None:
    import yaml
    from kubernetes.aio.config import load_kube_config

    there = [path for path in paths if path.exists()]
    if not there:
        raise Unreachable(f"there is no way to the Kubernetes API: no file {_named(paths)}. KUBECONFIG names it")
    documents: dict[Path, dict[str, Any]] = {}
    for path in there:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
        if not isinstance(document, dict | None):
            raise Unreachable(f"there is no way to the Kubernetes API: {path} is no kubeconfig")
        if document:
            documents[path] = document
    if not documents:
        raise Unreachable(f"there is no way to the Kubernetes API: {', '.join(map(str, there))} is empty")
    if context is None:
        named = (str(document.get("current-context") or "") for document in documents.values())
        context = next(filter(None, named), None)
    if context is None:
        raise Unreachable(
            f"there is no way to the Kubernetes API: {', '.join(map(str, documents))} names no current context. "
            "`kubectl config use-context NAME` sets one, --context NAME names one"
        )
    try:
        async with asyncio.timeout(LOGIN_SECONDS):
            await load_kube_config(
                config_file=os.pathsep.join(map(str, documents)),
                context=context,
                client_configuration=configuration,
                persist_config=False,
            )
    except TimeoutError:
        raise Unreachable(
            f"there is no way to the Kubernetes API: the login of the context {context} did not end within "
            f"{LOGIN_SECONDS:g} s. `kubectl --context {context} get ns` shows what it waits for"
        ) from None
    _check(configuration, context, _command_of(documents.values(), context))


def _check(configuration: "Configuration", context: str | None, command: str | None) -> None:
    """What the library takes without a word.  Raises Unreachable."""
    host = str(configuration.host)
    if not host.startswith(("http://", "https://")):
        raise Unreachable(
            f"there is no way to the Kubernetes API: the cluster of the context {context} has the server {host!r}. "
            "Write it with https:// and its port"
        )
    if command is not None and not configuration.api_key.get("BearerToken") and not configuration.cert_file:
        raise Unreachable(
            f"there is no way to the Kubernetes API: {command}, the command that the context {context} logs in with, "
            f"gave no credentials. `kubectl --context {context} get ns` shows why"
        )


def _command_of(documents: Collection[dict[str, Any]], context: str | None) -> str | None:
    """The command by which the context's user logs in, if there is one."""

    def named(kind: str, name: object) -> dict[str, Any]:
        entries = [entry for document in documents for entry in document.get(kind) or []]
        return next((entry for entry in entries if entry.get("name") == name), {})

    user = (named("contexts", context).get("context") or {}).get("user")
    command = ((named("users", user).get("user") or {}).get("exec") or {}).get("command")
    return None if command is None else str(command)


def _paths(given: Path | None) -> list[Path]:
    """The files that are named; of several in KUBECONFIG, those that are not there are passed over."""
    if given is not None:
        return [given]
    named = [Path(path).expanduser() for path in os.environ.get("KUBECONFIG", "").split(os.pathsep) if path]
    return [] if _in_cluster() and not any(path.exists() for path in named) else named


def _named(paths: Sequence[Path]) -> str:
    return ", ".join(map(str, paths or _usual_path()))


def _usual_path() -> list[Path]:
    return [Path("~/.kube/config").expanduser()]


def _in_cluster() -> bool:
    return bool(os.environ.get("KUBERNETES_SERVICE_HOST")) and _SERVICE_ACCOUNT_TOKEN.is_file()
