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
from typing import ClassVar

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from lab import programs
from lab.kube_access import ADMIN, READY_SECONDS, KubeAccess
from lab.process import ManagedProcess, free_port
from lab.server import Server


class ApiServer(Server, KubeAccess):
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

    def subject(self, user: str) -> dict[str, str]:
        """A user of the server's own."""
        return {"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": user}

    def username(self, user: str) -> str:
        """The same."""
        return user

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
        await process.wait_ready(lambda: asyncio.to_thread(self._answers, url), READY_SECONDS, f"{url} answers 200")

    def _answers(self, url: str) -> bool:
        request = urllib.request.Request(url, headers={"Authorization": f"Bearer {self.tokens[ADMIN]}"})  # noqa: S310
        try:
            context = ssl.create_default_context(cafile=str(self.ca_file))
            with urllib.request.urlopen(request, timeout=2, context=context) as response:  # noqa: S310
                return bool(response.status == 200)
        except OSError:
            return False


def _write_key_pair(key: Path, public: Path) -> None:
    made = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    key.write_bytes(
        made.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    public.write_bytes(
        made.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    )
