"""What control and watch count while a real ramp runs and is rolled back, as Prometheus would scrape it."""

import asyncio
from pathlib import Path

import pytest
from observed_process import address, ask, status
from prometheus_client.parser import text_string_to_metric_families

from lab.process import ManagedProcess, free_port, wait_until
from lab.world import World
from tailramp.activity_contract import ClearRequest
from tailramp.checks import checks_of
from tailramp.ramp import Phase
from worker.logging_setup import About
from worker.ramp_lines import asked
from workflows.messages import Message
from workflows.ramp import RampWorkflow
from workflows.starting import start_ramp

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]


class ObservedWorld(World):
    """A world whose worker is observed, at free ports."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory, seed=7, ramp={"steps": ["100%"], "hold": "10m"})
        self.sdk = f"127.0.0.1:{free_port()}"

    @property
    def worker_environment(self) -> dict[str, str]:
        ours = {"TAILRAMP_CONTROL_HTTP": "127.0.0.1:0", "TAILRAMP_WATCH_HTTP": "127.0.0.1:0"}
        return {**super().worker_environment, **ours, "TAILRAMP_WATCH_SDK_METRICS": self.sdk}


async def scraped(url: str) -> dict[str, float]:
    """Every sample by its name and label values."""
    code, text = await ask(url)
    assert code == 200, text
    return {
        " ".join([sample.name, *sample.labels.values()]): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


async def ready(worker: ManagedProcess, name: str) -> str:
    url = await address(worker, name)

    async def is_ready() -> bool:
        return await status(f"{url}/readyz") == 200

    await wait_until(is_ready, 60, f"{name} is ready")
    return f"{url}/metrics"


async def test_a_ramp_is_counted_while_it_is_watched_and_when_it_is_rolled_back(tmp_path: Path) -> None:
    async with ObservedWorld(tmp_path / "world") as world:
        worker = world.start_worker()
        control, watch = await ready(worker, "control"), await ready(worker, "watch")
        before = await scraped(control)
        assert before["tailramp_clears_total rollback"] == before["tailramp_rollback_seconds_count clear"] == 0
        users = world.start_users(world.directory / "clients.jsonl", rate=100, seconds=200)
        try:
            spec = world.spec("chat-v2", "00-24")
            await world.counted(spec)
            handle = await start_ramp(world.client, spec, actor="test")

            async def is_watched() -> bool:
                seen = await scraped(watch)
                return seen["tailramp_ramps_watched"] == 1 and seen["tailramp_ticks_total"] >= 3

            await wait_until(is_watched, 60, "three ticks")
            await handle.signal(RampWorkflow.abort, Message(actor="test"))
            result = await asyncio.wait_for(handle.result(), 60)

            async def is_watched_no_more() -> bool:
                """Nobody waits for a watch to hear that its ramp goes back."""
                return (await scraped(watch))["tailramp_ramps_watched"] == 0

            await wait_until(is_watched_no_more, 30, "the watch has ended")
        finally:
            await users.terminate()
        assert result.phase is Phase.ROLLED_BACK
        seen = await scraped(watch)
        assert seen["tailramp_tick_seconds_count"] == seen["tailramp_ticks_total"] >= 3
        # No tick outlasts the time that Prometheus has to answer and the write of a lease by much.
        assert 0 < seen["tailramp_tick_seconds_sum"] < 5 * seen["tailramp_ticks_total"]
        assert 1 <= seen["tailramp_lease_renewals_total"] <= seen["tailramp_ticks_total"] + 1
        assert seen["tailramp_lease_failures_total"] == 0
        verdicts = sum(value for name, value in seen.items() if name.startswith("tailramp_verdicts_total "))
        spec = world.spec("chat-v2", "00-24")
        checks = len(checks_of(spec.platform, spec.candidate))
        assert verdicts == checks * seen["tailramp_ticks_total"] > 0
        assert 0 <= seen["tailramp_loop_lag_seconds"] < 5
        assert seen["process_resident_memory_bytes"] > 0
        seen = await scraped(control)
        assert seen["tailramp_clears_total rollback"] == 1
        assert seen["tailramp_clears_total sentinel"] == seen["tailramp_clears_total kill"] == 0
        assert seen["tailramp_rollback_seconds_count clear"] == seen["tailramp_rollback_seconds_count prove"] == 1
        assert 0 < seen["tailramp_rollback_seconds_sum clear"] + seen["tailramp_rollback_seconds_sum prove"] < 60
        code, sdk = await ask(f"http://{world.sdk}/metrics")
        assert code == 200
        assert "temporal_activity_execution_latency" in sdk
        request = ClearRequest(spec=world.spec("chat-v2"), ramp=result.ramp, epoch=3, reason="test")
        assert asked(request) == About("demo/chat", result.ramp, 3)
