"""The tests can run in a cluster of somebody's own: here the lab's API server stands for it."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest
import yaml
from kube_namespace import USER, Namespace

from activities.kube import Denied
from activities.kube.resources import LEASES
from lab.control_plane import NAMESPACES
from lab.given_cluster import CLUSTER_ROLE_BINDINGS, GivenCluster, UnusableCluster

pytestmark = pytest.mark.own_api_server


@pytest.fixture
def kubeconfig(namespace: Namespace, tmp_path: Path) -> Path:
    """As people's own often are: the certificate is in the file, and there are other contexts."""
    api = namespace.own_api
    config = yaml.safe_load(api.kubeconfig().read_text(encoding="utf-8"))
    certificate = base64.b64encode(api.ca_file.read_bytes()).decode()
    config["clusters"][0]["cluster"] = {"server": f"{api.url}/", "certificate-authority-data": certificate}
    config["clusters"].insert(0, {"name": "other", "cluster": {"server": "https://other.invalid"}})
    config["contexts"].insert(0, {"name": "other", "context": {"cluster": "other", "user": "admin"}})
    path = tmp_path / "kubeconfig"
    path.write_text(yaml.safe_dump(config), encoding="utf-8")
    return path


async def test_its_users_may_do_what_the_tests_let_them_and_nothing_is_left(
    namespace: Namespace, kubeconfig: Path, tmp_path: Path
) -> None:
    cluster = GivenCluster(tmp_path / "given", kubeconfig, [USER])
    async with cluster, Namespace(cluster) as place, cluster.api.client(USER) as user:
        assert place.name.startswith(cluster.prefix)
        assert await user.find_all(LEASES, place.name) == []
        with pytest.raises(Denied):
            await user.find_all(LEASES, namespace.name)
    found = {each["metadata"]["name"]: each for each in await namespace.admin.find_all(NAMESPACES, None)}
    made = [each["status"]["phase"] for name, each in found.items() if name.startswith(cluster.prefix)]
    assert made == ["Terminating", "Terminating"]  # for ever, since no controller runs here
    bindings = [each["metadata"]["name"] for each in await namespace.admin.find_all(CLUSTER_ROLE_BINDINGS, None)]
    assert not [name for name in bindings if name.startswith(cluster.prefix)]


async def test_a_cluster_without_the_gateway_api_is_refused_and_left_as_it_was(
    kubeconfig: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, namespace: Namespace
) -> None:
    monkeypatch.setattr("lab.given_cluster._HTTP_ROUTES", "httproutes.nobody.defined")
    cluster = GivenCluster(tmp_path / "given", kubeconfig, [USER])
    with pytest.raises(UnusableCluster, match="install the Gateway API's resources"):
        await cluster.__aenter__()
    names = [each["metadata"]["name"] for each in await namespace.admin.find_all(NAMESPACES, None)]
    assert not [name for name in names if name.startswith(cluster.prefix)]
