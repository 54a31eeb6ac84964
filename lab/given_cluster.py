"""A cluster of somebody's own in the place of the lab's API server, for tests that need nothing else of it.

They act as service accounts of a namespace that is made for this run, with tokens of a few hours.  Everything that is
made bears the run's prefix and is deleted at its end.
"""

from __future__ import annotations

import base64
import secrets
import ssl
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import yaml

from activities.kube import Changed, KubeClient, NotFound, Resource
from activities.kube.resources import INGRESS_CLASSES
from lab.control_plane import (
    GATEWAY_CLASS,
    GATEWAY_CLASSES,
    GATEWAY_CONTROLLER,
    INGRESS_CLASS,
    INGRESS_CONTROLLER,
    NAMESPACES,
    ControlPlane,
)
from lab.kube_access import ADMIN, CRDS, KubeAccess, is_established
from lab.lasting import Lasting

SERVICE_ACCOUNTS = Resource("", "v1", "serviceaccounts", "ServiceAccount")
CLUSTER_ROLE_BINDINGS = Resource(
    "rbac.authorization.k8s.io", "v1", "clusterrolebindings", "ClusterRoleBinding", namespaced=False
)
_TOKEN_SECONDS = 6 * 3600
_HTTP_ROUTES = "httproutes.gateway.networking.k8s.io"


class UnusableCluster(Exception):
    """The tests cannot run in this cluster; says what is missing."""


class GivenAccess(KubeAccess):
    """By service accounts of the namespace `home`."""

    def __init__(self, directory: Path, cluster: dict[str, Any], base: Path, home: str) -> None:
        self.directory = directory
        self.tokens = {}
        self._home = home
        self._url = str(cluster["server"]).rstrip("/")
        self._ca_file = _certificates(directory, cluster, base)

    @property
    def url(self) -> str:
        return self._url

    @property
    def ca_file(self) -> Path:
        return self._ca_file

    def subject(self, user: str) -> dict[str, str]:
        return {"kind": "ServiceAccount", "namespace": self._home, "name": user}

    def username(self, user: str) -> str:
        return f"system:serviceaccount:{self._home}:{user}"


class GivenCluster(Lasting):
    """The cluster that the present context of `kubeconfig` names, with the service accounts `users` and an admin.

    An async context manager, which raises UnusableCluster.  Who is named there has to be allowed everything.
    """

    def __init__(self, directory: Path, kubeconfig: Path, users: Sequence[str]) -> None:
        super().__init__()
        self.prefix = f"tailramp-test-{secrets.token_hex(3)}-"
        """Of the names of the namespaces that tests make."""
        self._home = f"{self.prefix}home"
        self._users = (ADMIN, *users)
        self._kubeconfig = kubeconfig
        self._made: list[tuple[Resource, str]] = []
        directory.mkdir(parents=True, exist_ok=True)
        self.api = GivenAccess(directory, _cluster_of(kubeconfig), kubeconfig.parent, self._home)

    async def _start(self) -> None:
        self._stack.push_async_callback(self._leave)
        async with KubeClient(self._kubeconfig) as owner:
            await self._settle_in(owner)

    async def _settle_in(self, owner: KubeClient) -> None:
        definition = await owner.find(CRDS, None, _HTTP_ROUTES)
        if definition is None or not is_established(definition):
            raise UnusableCluster(f"{self.api.url} knows no {_HTTP_ROUTES}: install the Gateway API's resources")
        await owner.create(NAMESPACES, None, {"metadata": {"name": self._home}})
        for user in self._users:
            await owner.create(SERVICE_ACCOUNTS, self._home, {"metadata": {"name": user}})
            self.api.tokens[user] = await self._token(owner, user)
        role = {"apiGroup": CLUSTER_ROLE_BINDINGS.group, "kind": "ClusterRole", "name": "cluster-admin"}
        binding = {"roleRef": role, "subjects": [self.api.subject(ADMIN)]}
        await self._make(owner, CLUSTER_ROLE_BINDINGS, self._home, binding)
        await self._make(owner, INGRESS_CLASSES, INGRESS_CLASS, {"spec": {"controller": INGRESS_CONTROLLER}})
        await self._make(owner, GATEWAY_CLASSES, GATEWAY_CLASS, {"spec": {"controllerName": GATEWAY_CONTROLLER}})

    async def _token(self, owner: KubeClient, user: str) -> str:
        requests = Resource("", "v1", f"serviceaccounts/{user}/token", "TokenRequest")
        body = {"apiVersion": "authentication.k8s.io/v1", "spec": {"expirationSeconds": _TOKEN_SECONDS}}
        made = await owner.create(requests, self._home, body)
        return str(made["status"]["token"])

    async def _make(self, owner: KubeClient, resource: Resource, name: str, body: dict[str, Any]) -> None:
        """Something without a namespace, which goes again at the end; what is there already stays."""
        try:
            await owner.create(resource, None, {"metadata": {"name": name}, **body})
        except Changed:
            return
        self._made.append((resource, name))

    async def _leave(self) -> None:
        """On a client of its own: whoever ends the tests may do so on another event loop than began them."""
        async with KubeClient(self._kubeconfig) as owner:
            namespaces = [found["metadata"]["name"] for found in await owner.find_all(NAMESPACES, None)]
            gone = [(NAMESPACES, name) for name in namespaces if name.startswith(self.prefix)]
            for resource, name in [*gone, *reversed(self._made)]:
                with suppress(NotFound):
                    await owner.delete(resource, None, name)


Plane = ControlPlane | GivenCluster
"""What a world on Kubernetes is built in."""


def _cluster_of(kubeconfig: Path) -> dict[str, Any]:
    config = yaml.safe_load(kubeconfig.read_text(encoding="utf-8"))
    contexts = {each["name"]: each["context"] for each in config["contexts"]}
    clusters = {each["name"]: each["cluster"] for each in config["clusters"]}
    found: dict[str, Any] = clusters[contexts[config["current-context"]]["cluster"]]
    return found


def _certificates(directory: Path, cluster: dict[str, Any], base: Path) -> Path:
    """Whom the kubeconfig trusts; where it says nothing, whom this machine trusts."""
    if data := cluster.get("certificate-authority-data"):
        path = directory / "ca.crt"
        path.write_bytes(base64.b64decode(data))
        return path
    if named := cluster.get("certificate-authority"):
        return (base / str(named)).resolve()
    trusted = ssl.get_default_verify_paths().cafile
    if trusted is None:
        raise UnusableCluster("the kubeconfig names no certificate-authority, and this machine trusts none")
    return Path(trusted)
