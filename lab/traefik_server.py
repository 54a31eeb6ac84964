"""A real Traefik: a data plane that reads Ingresses with ingress-nginx's annotations, and the Gateway API."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from lab import programs
from lab.http_probe import answers_ok
from lab.kube_access import KubeAccess
from lab.process import ManagedProcess, free_port
from lab.server import READY_SECONDS, Server


class TraefikServer(Server):
    """A Traefik that reads the objects of `namespace` as `user` of the API server `api`.

    `backends` are HTTP servers by name, `host:port`, that a route of the Gateway API can name as a `TraefikService`
    called `<name>@file`. A change is taken up at most `throttle` seconds after the one before it; Traefik's own
    default is 2.
    """

    name: ClassVar[str] = "traefik"

    def __init__(
        self,
        directory: Path,
        api: KubeAccess,
        user: str,
        namespace: str,
        backends: Mapping[str, str] | None = None,
        throttle: float = 2.0,
    ) -> None:
        super().__init__(directory)
        self._api = api
        self._user = user
        self._namespace = namespace
        self.backends = dict(backends or {})
        """Read when it starts."""
        self._throttle = throttle
        self._port, self._admin_port = free_port(), free_port()

    @property
    def port(self) -> int:
        """Where requests come in; a Gateway's listener must have the same port."""
        return self._port

    @property
    def address(self) -> str:
        """`127.0.0.1:PORT`."""
        return f"127.0.0.1:{self._port}"

    @property
    def admin_url(self) -> str:
        """Its ping and metrics, without a slash at its end."""
        return f"http://127.0.0.1:{self._admin_port}"

    def _command(self) -> tuple[list[str], dict[str, str]]:
        services = {
            name: {"loadBalancer": {"servers": [{"url": f"http://{address}"}]}}
            for name, address in self.backends.items()
        }
        file = self.directory / "services.yml"
        # JSON is YAML, and quotes everything.
        file.write_text(json.dumps({"http": {"services": services}} if services else {}, indent=2), encoding="utf-8")
        argv = [str(programs.ensure("traefik")), f"--entrypoints.web.address={self.address}"]
        argv += [f"--entrypoints.admin.address=127.0.0.1:{self._admin_port}", "--ping=true", "--ping.entrypoint=admin"]
        argv += ["--metrics.prometheus=true", "--metrics.prometheus.entrypoint=admin", "--log.level=INFO"]
        argv += [f"--providers.providersThrottleDuration={round(self._throttle * 1000)}ms"]
        argv += ["--global.checknewversion=false", "--global.sendanonymoususage=false"]
        # A header of the same name in another spelling must never choose the model.
        argv += [f"--entrypoints.{point}.http.aliasheadersstrategy=delete" for point in ("web", "admin")]
        argv += [f"--providers.file.filename={file}"]
        access = {
            "endpoint": self._api.url,
            "token": str(self._api.token_file(self._user)),
            "certAuthFilePath": str(self._api.ca_file),
        }
        for provider in ("kubernetesIngressNGINX", "kubernetesGateway"):
            argv += [f"--providers.{provider}.{key}={value}" for key, value in access.items()]
        argv += [f"--providers.kubernetesIngressNGINX.watchNamespace={self._namespace}"]
        argv += [f"--providers.kubernetesGateway.namespaces={self._namespace}"]
        return argv, {}

    async def _wait_ready(self, process: ManagedProcess) -> None:
        url = f"{self.admin_url}/ping"
        await process.wait_ready(lambda: answers_ok(url), READY_SECONDS, f"{url} answers 200")
