"""How programs and tests of the lab reach an API server, and as whom."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from activities.kube import KubeClient, Resource
from lab.process import wait_until

ADMIN = "admin"
READY_SECONDS = 120.0
"""It is ready within seconds, but on a machine that is busy with other things its first start is heavy work."""
CRDS = Resource("apiextensions.k8s.io", "v1", "customresourcedefinitions", "CustomResourceDefinition", namespaced=False)


class KubeAccess(ABC):
    """An API server at `url`, and users of it by their `tokens`; `directory` is where files for them are written."""

    directory: Path
    tokens: dict[str, str]

    @property
    @abstractmethod
    def url(self) -> str:
        """Such as `https://127.0.0.1:6443`."""

    @property
    @abstractmethod
    def ca_file(self) -> Path:
        """The certificates by which clients trust it."""

    @abstractmethod
    def subject(self, user: str) -> dict[str, str]:
        """By what a RoleBinding means `user`."""

    @abstractmethod
    def username(self, user: str) -> str:
        """What the server calls `user` in its own requests, such as those for admission."""

    def token_file(self, user: str) -> Path:
        """A file that holds the token of `user`."""
        path = self.directory / f"{user}.token"
        path.write_text(self.tokens[user], encoding="utf-8")
        return path

    def kubeconfig(self, user: str = ADMIN) -> Path:
        """A kubeconfig by which `user` reaches the server; its one context is named after the user."""
        cluster = {"server": self.url, "certificate-authority": str(self.ca_file)}
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "lab", "cluster": cluster}],
            "users": [{"name": user, "user": {"token": self.tokens[user]}}],
            "contexts": [{"name": user, "context": {"cluster": "lab", "user": user}}],
            "current-context": user,
        }
        path = self.directory / f"{user}.kubeconfig"
        path.write_text(yaml.safe_dump(config), encoding="utf-8")
        return path

    def client(self, user: str = ADMIN) -> KubeClient:
        """A client for `user`, more patient than tailramp's own; the caller closes it."""
        return KubeClient(self.kubeconfig(user), seconds=READY_SECONDS, manager=user)

    async def define(self, folder: Path, only: Sequence[str] = ()) -> None:
        """Create every custom resource definition in the YAML files of `folder`, and wait until they are served.

        With `only`, those of these names alone: each costs the server seconds where the machine is busy.
        """
        async with self.client() as admin:
            documents = _documents(folder, CRDS.kind, only)
            await asyncio.gather(*(admin.create(CRDS, None, document) for document in documents))

            async def served() -> bool:
                return all(is_established(found) for found in await admin.find_all(CRDS, None))

            await wait_until(served, READY_SECONDS, "the custom resources are served")


def is_established(definition: Mapping[str, Any]) -> bool:
    """Whether the objects of a custom resource definition are served."""
    conditions = definition.get("status", {}).get("conditions") or []
    return any(condition["type"] == "Established" and condition["status"] == "True" for condition in conditions)


def _documents(folder: Path, kind: str, only: Sequence[str]) -> list[dict[str, Any]]:
    texts = [file.read_text(encoding="utf-8") for file in sorted(folder.glob("*.yaml"))]
    # The definitions of some kinds are a megabyte of YAML, which takes the plain loader half a minute; and what nobody
    # asked for may hold what is YAML but not to this loader, such as a bare "=".
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    wanted = [text for text in texts if not only or any(name in text for name in only)]
    documents = [document for text in wanted for document in yaml.load_all(text, Loader=loader)]
    found = [document for document in documents if document and document.get("kind") == kind]
    return [document for document in found if not only or document["metadata"]["name"] in only]
