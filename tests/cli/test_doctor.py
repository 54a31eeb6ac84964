"""doctor: every finding has its mend, and a world that lacks everything is no traceback."""

from project_folder import Folder
from scripted_world import ScriptedWorld

from lab.process import wait_until


def results(data: list[dict[str, str]], area: str, state: str) -> list[str]:
    return [result["text"] for result in data if result["area"] == area and result["state"] == state]


async def test_a_world_that_lacks_everything_is_all_findings_with_mends(folder: Folder) -> None:
    assert (await folder.run("freeze", "--reason", "sale")).code == 0
    shown = await folder.run("doctor", "--sentinel", "http://127.0.0.1:1", "-o", "json")
    assert shown.code == 5, shown
    data = shown.data["results"]
    assert all(result["mend"] for result in data if result["state"] == "finding")
    assert any("cannot be reached" in text for text in results(data, "Temporal", "finding"))
    assert any("is frozen by" in text for text in results(data, "route", "finding"))
    assert any("does not answer" in text for text in results(data, "slots", "finding"))
    assert any("does not answer" in text for text in results(data, "sentinel", "finding"))
    assert results(data, "gateway", "finding")
    assert results(data, "Prometheus", "finding")

    shown = await folder.run("doctor")
    assert shown.code == 5
    assert "→ `tailramp lift" in shown.out


async def test_workers_and_search_attributes_are_seen(ramp_folder: Folder, world: ScriptedWorld) -> None:
    async def all_are_seen() -> bool:
        """A worker that has just started is not known to the server at once."""
        data = (await ramp_folder.run("doctor", "-o", "json")).data["results"]
        good = results(data, "Temporal", "good")
        assert "the search attributes are registered" in good
        seen = sum("tailramp-" in text for text in good) == 3
        return seen and results(data, "Temporal", "finding") == []

    await wait_until(all_are_seen, 30, "the three task queues to be seen")
