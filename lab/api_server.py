"""A real Kubernetes API server, without a cluster.

No kubelet and no controllers run: pods never start, and no object gets a status unless a test writes one. What is real
is everything that tailramp depends on: validation, optimistic locking, admission, field managers and RBAC, with users
of the test's own, so that the rules of `deploy/` are met exactly as a cluster would meet them.
"""

from __future__ import annotations

import asyncio
import secrets
import ssl
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import yaml
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from activities.kube import KubeClient, Resource
from lab import programs
from lab.process import ManagedProcess, free_port, wait_until
from lab.server import Server

ADMIN = "admin"
_READY_SECONDS = 120.0
"""It is ready within seconds, but on a machine that is busy with other things its first start is heavy work."""
CRDS = Resource("apiextensions.k8s.io", "v1", "customresourcedefinitions", "CustomResourceDefinition", namespaced=False)


class ApiServer(Server):
    """A kube-apiserver that keeps its objects in the etcd at `etcd_url`.

    `users` are names of users beside the administrator, each with its groups; what they may do is RBAC's.
    """

    name: ClassVar[str] = "kube-apiserver"

    def __init__(self, directory: Path, etcd_url: str, users: Mapping[str, Sequence[str]] | None = None) -> None:
        super().__init__(directory)
        self._etcd_url = etcd_url
        self._port = free_port()
        self._groups = {ADMIN: ["system:masters"], **(users or {})}
        self.tokens = {user: secrets.token_urlsafe(16) for user in self._groups}

    @property
    def url(self) -> str:
        """`https://127.0.0.1:PORT`."""
        return f"https://127.0.0.1:{self._port}"

    @property
    def ca_file(self) -> Path:
        """The certificate that the server made for itself; clients trust it. It exists once the server is ready."""
        return self.directory / "certificates" / "apiserver.crt"

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
        return KubeClient(self.kubeconfig(user), seconds=_READY_SECONDS, manager=user)

    async def define(self, folder: Path, only: Sequence[str] = ()) -> None:
        """Create every custom resource definition in the YAML files of `folder`, and wait until they are served.

        With `only`, those of these names alone: each costs the server seconds where the machine is busy.
        """
        async with self.client() as admin:
            documents = [each for each in _documents(folder, CRDS.kind) if not only or each["metadata"]["name"] in only]
            await asyncio.gather(*(admin.create(CRDS, None, document) for document in documents))

            async def served() -> bool:
                return all(_established(found) for found in await admin.find_all(CRDS, None))

            await wait_until(served, _READY_SECONDS, "the custom resources are served")

    def _command(self) -> tuple[list[str], dict[str, str]]:
        key, public = self.directory / "service-account.key", self.directory / "service-account.pub"
        if not key.exists():
            _write_key_pair(key, public)
        tokens = self.directory / "tokens.csv"
        lines = [f'{self.tokens[user]},{user},{user},"{",".join(groups)}"' for user, groups in self._groups.items()]
        tokens.write_text("\n".join(lines) + "\n", encoding="utf-8")
        argv = [str(programs.ensure("kube-apiserver")), f"--etcd-servers={self._etcd_url}"]
        argv += [f"--secure-port={self._port}", "--bind-address=127.0.0.1", f"--cert-dir={self.directory}/certificates"]
        argv += ["--service-account-issuer=https://kubernetes.default.svc", f"--service-account-key-file={public}"]
        argv += [f"--service-account-signing-key-file={key}", "--service-cluster-ip-range=10.96.0.0/16"]
        argv += ["--authorization-mode=RBAC", f"--token-auth-file={tokens}", "--endpoint-reconciler-type=none"]
        argv += ["--disable-admission-plugins=ServiceAccount", "--shutdown-delay-duration=0s"]
        return argv, {}

    async def _wait_ready(self, process: ManagedProcess) -> None:
        url = f"{self.url}/readyz"
        await process.wait_ready(lambda: asyncio.to_thread(self._answers, url), _READY_SECONDS, f"{url} answers 200")

    def _answers(self, url: str) -> bool:
        request = urllib.request.Request(url, headers={"Authorization": f"Bearer {self.tokens[ADMIN]}"})  # noqa: S310
        try:
            context = ssl.create_default_context(cafile=str(self.ca_file))
            with urllib.request.urlopen(request, timeout=2, context=context) as response:  # noqa: S310
                return bool(response.status == 200)
        except OSError:
            return False


def _documents(folder: Path, kind: str) -> list[dict[str, Any]]:
    texts = [file.read_text(encoding="utf-8") for file in sorted(folder.glob("*.yaml"))]
    # The definitions of some kinds are a megabyte of YAML, which takes the plain loader half a minute.
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    documents = [document for text in texts for document in yaml.load_all(text, Loader=loader)]
    return [document for document in documents if document and document.get("kind") == kind]


def _established(definition: Mapping[str, Any]) -> bool:
    conditions = definition.get("status", {}).get("conditions") or []
    return any(condition["type"] == "Established" and condition["status"] == "True" for condition in conditions)


def _write_key_pair(key: Path, public: Path) -> None:
    made = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    key.write_bytes(
        made.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    public.write_bytes(
        made.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    )
