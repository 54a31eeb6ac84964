"""The services of docker-compose.yml, started here as the file says, carry a ramp from its start to its abort."""

import asyncio
import subprocess
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import aiohttp
import pytest
from compose_services import REPOSITORY, Machine

from lab.process import ManagedProcess, wait_until
from lab.temporal_server import TemporalServer
from lab.user_population import users_in
from tailramp.buckets import BucketFunction
from tailramp.spec import load_platform

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]

SET = {"TAILRAMP_PROBE_SECRET": "5a" * 32, "POSTGRES_PASSWORD": "of-the-test"}
STAYING = ["llm-blue", "llm-green", "envoy", "prometheus", "control", "watch", "sentinel-1", "sentinel-2"]
ASKED = {"model": "chat", "messages": [{"role": "user", "content": "你好"}]}


class Team:
    """Everything of the file but Temporal's own services, for which its development server stands."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.processes: dict[str, ManagedProcess] = {}

    async def run(self, service: str, *command: str, within: float = 60) -> tuple[int, str]:
        """``docker compose run``: the exit code and what was said."""
        process = self.machine.start(service, *command)
        code = await process.wait_exit(within)
        return code, process.log_file.read_text(encoding="utf-8")

    async def healthy(self, service: str) -> None:
        argv = self.machine.health(service)

        async def answers() -> bool:
            asked = await asyncio.create_subprocess_exec(*argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            return await asyncio.wait_for(asked.wait(), 10) == 0

        await self.processes[service].wait_ready(answers, 60, f"the health check of {service}")


@pytest.fixture
async def team(tmp_path: Path) -> AsyncIterator[Team]:
    async with AsyncExitStack() as stack:
        temporal = await stack.enter_async_context(TemporalServer(tmp_path / "temporal"))
        machine = Machine(tmp_path / "machine", SET, elsewhere={"temporal:7233": temporal.address})
        team = Team(machine)
        code, told = await team.run("gateway-config")
        assert code == 0, told
        for service in STAYING:
            team.processes[service] = machine.start(service)
            stack.push_async_callback(team.processes[service].terminate)
        await asyncio.gather(*(team.healthy(service) for service in STAYING))
        yield team


async def served(team: Team, users: list[str]) -> set[str | None]:
    """Send a request of each user through the gateway; returns the variants that answered."""
    url = f"http://{team.machine.address('envoy', 8080)}/v1/chat/completions"
    async with aiohttp.ClientSession() as session:

        async def ask(user: str) -> str | None:
            async with session.post(url, json=ASKED, headers={"X-User-Id": user}) as response:
                assert response.status == 200
                return response.headers.get("x-tailramp-variant")

        return set(await asyncio.gather(*map(ask, users)))


async def test_a_ramp_starts_and_is_aborted_on_what_the_compose_file_starts(team: Team) -> None:
    bucket_of = BucketFunction(load_platform(REPOSITORY / "deploy" / "compose" / "tailramp.yaml").identity.salt)
    first, others = users_in("00", bucket_of, 3), users_in("57", bucket_of, 20)
    assert await served(team, [*first, *others]) == {"blue"}
    prometheus = f"http://{team.machine.address('prometheus', 9090)}/api/v1/query"

    async def scraped() -> bool:
        async with aiohttp.ClientSession() as session:
            asked = {"query": "count(llm_answers_scored_total > 0) and count(up == 1) >= 7"}
            async with session.get(prometheus, params=asked) as response:
                return bool((await response.json())["data"]["result"])

    await wait_until(scraped, 40, "a scrape of everything")
    code, told = await team.run("tailramp", "start", "canary.yaml", "--wait", "1s")
    assert code in {0, 7}, told

    async def first_step() -> bool:
        return await served(team, first) == {"green"}

    await wait_until(first_step, 40, "the first bucket on green", interval=0.5)
    assert await served(team, others) == {"blue"}
    code, told = await team.run("tailramp", "status", "chat/completions")
    assert code == 0, told
    assert "step 1" in told
    code, told = await team.run("tailramp", "abort", "chat/completions")
    assert code == 0, told
    code, told = await team.run("tailramp", "watch", "chat/completions", "--timeout", "30s")
    assert code == 3, told
    assert await served(team, [*first, *others]) == {"blue"}
