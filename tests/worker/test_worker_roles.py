"""What a worker has at hand from its start."""

import subprocess
import sys
from pathlib import Path

KUBECONFIG = """
apiVersion: v1
kind: Config
clusters: [{name: here, cluster: {server: "https://127.0.0.1:1"}}]
users: [{name: me, user: {token: none}}]
contexts: [{name: here, context: {cluster: here, user: me}}]
current-context: here
"""
ASKS_A_CLUSTER = """
import asyncio, sys
from pathlib import Path

import worker.process, worker.control
from activities.kube import KubeClient
from activities.kube.resources import LEASES
from tailramp.errors import Unreachable

async def ask():
    async with KubeClient(Path(sys.argv[1])) as client:
        await client.find(LEASES, "llm", "tailramp-chat")

before = set(sys.modules)
try:
    asyncio.run(ask())
except Unreachable:
    print("nobody there", *sorted(set(sys.modules) - before))
"""


OTHERS_OF_A_WORKER = ["worker.__main__", "worker.supervisor", "worker.sentinel", "worker.follower"]


def test_neither_a_sentinel_nor_a_follower_nor_who_starts_the_roles_waits_for_temporals_client() -> None:
    code = f"import sys, {', '.join(OTHERS_OF_A_WORKER)}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert {"worker.settings", "tailramp.lease"} < (loaded := set(done.stdout.split()))
    assert loaded.isdisjoint({"temporalio", "numpy", "workflows"})


def test_a_worker_that_takes_everyone_back_loads_nothing_that_only_evidence_needs() -> None:
    code = "import sys, worker.process, worker.control; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert {"workflows.ramp", "kubernetes.aio.client"} < (loaded := set(done.stdout.split()))
    assert loaded.isdisjoint({"numpy", "prometheus_api_client", "activities.watch", "activities.preflight"})


def test_a_rollback_waits_for_no_import_of_what_talks_to_a_cluster(tmp_path: Path) -> None:
    """The first call of a worker to a cluster may well be the one that takes everyone back."""
    (tmp_path / "config").write_text(KUBECONFIG, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-c", ASKS_A_CLUSTER, str(tmp_path / "config")], capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("nobody there")
    late = {name for name in done.stdout.split() if name.partition(".")[0] in {"kubernetes", "aiohttp", "activities"}}
    assert late == set()
