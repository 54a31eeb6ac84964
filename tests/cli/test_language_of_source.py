"""Chinese: what the source says to people, sentence by sentence, also where no test makes it say so."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from spoken import Spoken, spoken

from cli.language.translator import ENGLISH
from cli.language.zh import translator

ROOT = Path(__file__).parents[2]
FIRST, PROBLEM = range(1), range(1, 5)
SAID_BY = {
    **dict.fromkeys(("say", "_say", "answer", "aside", "complain", "fail", "UsageError"), FIRST),
    **dict.fromkeys(("Refused", "Unreachable", "Frozen", "Fenced", "NoRamp", "NoWorker", "NoWayBack"), FIRST),
    **dict.fromkeys(("WrongValue", "RefusedRamp", "finding", "good", "unseen"), range(3)),
    **dict.fromkeys(("Problem",), PROBLEM),
    **dict.fromkeys(("Outcome",), range(1, 2)),
}
"""Who takes sentences for people, and at which positions: of a problem the field comes first, which is a name."""


def sentences(package: str) -> Iterator[Spoken]:
    for path in sorted((ROOT / package).rglob("*.py")):
        if "language" not in path.parts:
            yield from spoken(path, SAID_BY)


@pytest.mark.parametrize("package", ["cli", "activities", "tailramp", "workflows", "gateway", "worker"])
def test_every_sentence_that_the_source_says_has_its_chinese(package: str) -> None:
    say = translator()
    left = set()
    for sentence in sentences(package):
        for line in filter(re.compile(r"[A-Za-z]{2,}").search, map(str.strip, sentence.text.splitlines())):
            chinese = say.find(line)
            if chinese is None or ENGLISH.search(re.sub(r"`[^`]*`", "", chinese)):
                left.add(f"{sentence.where}: {line}")
    assert sorted(left) == [], "add each to the catalog in cli/language/"


def test_sentences_are_put_together_from_what_the_source_says(tmp_path: Path) -> None:
    (tmp_path / "said.py").write_text(
        """
MEND = "Mend it"

def hint(check):
    return f"; {check.hint}" if check else ""

def f(console, slot, marks):
    text = f"{slot} is {'out' if slot else 'in'}"
    text += f", {slot.why}"
    console.answer(text)
    for word, mark in (("killed", 1), ("frozen", 2)):
        raise Refused(f"{slot} is {word}. {MEND}{hint(mark)}")
"""
    )
    said = [sentence.text for sentence in spoken(tmp_path / "said.py", SAID_BY)]
    assert said == [
        *("7 is out, 7", "7 is in, 7"),
        *("7 is killed. Mend it; 7", "7 is killed. Mend it", "7 is frozen. Mend it; 7", "7 is frozen. Mend it"),
    ]
