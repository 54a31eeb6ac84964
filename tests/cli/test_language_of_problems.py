"""Chinese: every problem of a broken file is told in it, and no part of it stays English."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from project_folder import Folder

from cli.language.zh import translator
from tailramp.errors import InvalidFile
from tailramp.spec import load_spec

DATA = Path(__file__).parents[1] / "data"


def problem_texts(folder: Folder, case: dict[str, Any]) -> list[str]:
    for file in (folder.canary, folder.platform):
        change = case.get("canary" if file == folder.canary else "platform")
        good = (DATA / "good" / file.name).read_text(encoding="utf-8")
        file.write_text(change if isinstance(change, str) else good.replace(*change, 1) if change else good, "utf-8")
    try:
        load_spec(folder.canary, folder.platform)
    except InvalidFile as refusal:
        return [text for problem in refusal.problems for text in (problem.reason, problem.mend)]
    return []


@pytest.mark.parametrize("name", ["canary", "platform"])
def test_every_reason_and_every_mend_has_its_chinese(folder: Folder, name: str) -> None:
    say = translator()
    cases = yaml.safe_load((DATA / "broken" / f"{name}.yaml").read_text(encoding="utf-8"))
    texts = {text for case in cases for text in problem_texts(folder, case)}
    assert len(texts) > 80
    untranslated = sorted(text for text in texts if say.find(text) is None)
    assert untranslated == [], "add each to the catalog in cli/language/zh_files.py"
