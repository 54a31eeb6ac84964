"""A namespace of the API server for each test, and a user who has the rights of `deploy/kubernetes` there."""

from __future__ import annotations

import asyncio
import copy
import itertools
from pathlib import Path
from typing import Any

import yaml

from activities.kube import Resource
from lab.api_server import ApiServer
from lab.control_plane import NAMESPACES, ControlPlane
from lab.given_cluster import Plane
from lab.process import wait_until

USER = "tailramp"
ROLE_FILE = Path(__file__).parents[2] / "deploy" / "kubernetes" / "route-access" / "role.yaml"
WORKLOAD_RULES: list[dict[str, Any]] = yaml.safe_load(
    (ROLE_FILE.parents[1] / "workload-access" / "role.yaml").read_text(encoding="utf-8")
)["rules"]
ROLES = Resource("rbac.authorization.k8s.io", "v1", "roles", "Role")
ROLE_BINDINGS = Resource("rbac.authorization.k8s.io", "v1", "rolebindings", "RoleBinding")

_NUMBERS = itertools.count(1)


class Namespace:
    """A namespace of the control plane with a user who may do what `deploy/kubernetes` gives, and nothing else."""

    def __init__(self, plane: Plane) -> None:
        self.plane = plane
        self.name = f"{plane.prefix}{next(_NUMBERS)}"
        self.admin = plane.api.client()
        self.kubeconfig = plane.api.kubeconfig(USER)
        self._rules: list[dict[str, Any]] = []

    async def __aenter__(self) -> Namespace:
        await self.admin.create(NAMESPACES, None, {"metadata": {"name": self.name}})
        await self.allow_what_is_deployed()
        return self

    @property
    def own_plane(self) -> ControlPlane:
        """For tests with the mark `own_api_server`."""
        assert isinstance(self.plane, ControlPlane)
        return self.plane

    @property
    def own_api(self) -> ApiServer:
        """The same of its API server."""
        return self.own_plane.api

    async def allow_what_is_deployed(self) -> None:
        rules = yaml.safe_load(ROLE_FILE.read_text(encoding="utf-8"))["rules"]
        if rules != self._rules:
            await self.allow(rules)

    async def __aexit__(self, *_: object) -> None:
        await self.admin.close()

    async def allow(self, rules: list[dict[str, Any]]) -> None:
        """Let the user do just this from now on."""
        before, self._rules = self._rules, copy.deepcopy(rules)
        role = await self.admin.find(ROLES, self.name, USER)
        if role is None:
            await self.admin.create(ROLES, self.name, {"metadata": {"name": USER}, "rules": rules})
            reference = {"apiGroup": ROLES.group, "kind": "Role", "name": USER}
            body = {"metadata": {"name": USER}, "roleRef": reference, "subjects": [self.plane.api.subject(USER)]}
            await self.admin.create(ROLE_BINDINGS, self.name, body)
        else:
            await self.admin.patch(ROLES, self.name, USER, [{"op": "replace", "path": "/rules", "value": rules}])
        async with self.plane.api.client(USER) as client:
            given = _rights(rules)
            now = {right: not given.isdisjoint({right, (*right[:3], "")}) for right in given | _rights(before)}

            async def taken_up() -> bool:
                asked = [
                    client.review(Resource(group, "", kind, ""), self.name, verb, name)
                    for group, kind, verb, name in now
                ]
                return await asyncio.gather(*asked) == list(now.values())

            await wait_until(taken_up, 40, "the role is taken up")


def _rights(rules: list[dict[str, Any]]) -> set[tuple[str, str, str, str]]:
    """Group, kind, verb and name of what they allow; the name is "" where all are meant."""
    return {
        (group, kind, verb, name)
        for rule in rules
        for group in rule["apiGroups"]
        for kind in rule["resources"]
        for verb in rule["verbs"]
        for name in rule.get("resourceNames") or [""]
    }
