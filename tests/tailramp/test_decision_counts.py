"""What a decision holds of its evidence is enough to come to its verdicts again, and to find a verdict that is not."""

import base64
import gc
import json
import zlib
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from replay_samples import START, bound, counted, policy

from tailramp.assignment import Assignment, Rule
from tailramp.buckets import BucketSet
from tailramp.checks import checks_by_slot, shelf_of
from tailramp.decision import Decision, DecisionKind
from tailramp.dossiers import begin_stretch, dossiers_of, filing_shelf_of, shares_in
from tailramp.errors import InvalidFile
from tailramp.evidence import Grid, Verdict, VerdictKind
from tailramp.evidence import ledger as ledger_module
from tailramp.evidence.judge import CheckTick
from tailramp.evidence.ledger import MOST_BYTES, Counts, Ledger
from tailramp.replay.again import recompute

FILE = Path("demo.chat.jsonl")
FIVE, HALF = (
    Assignment(default="blue", rules=(Rule(slot="green", buckets=BucketSet.parse(text)),))
    for text in ("00-04", "00-49")
)


def judged(folder: Path, minutes: float = 30, slow: float = 1.0) -> tuple[str, list[Verdict]]:
    """The counts of a ramp that settled, held and then held at more users, written; and its verdicts."""
    spec, plan = policy(folder)
    source = bound(spec, plan, counted(minutes, slow=slow, onset=minutes / 2))
    dossiers = dossiers_of(spec, plan, START)
    ledger = Ledger(checks_by_slot(spec, plan), START, dossiers)

    def begin(assignment: Assignment, grid: Grid, settling: bool) -> None:
        begin_stretch(dossiers, assignment, "blue", grid.anchor)
        ledger.begin(grid, {"green": shares_in(assignment, "green", "blue")}, settling=settling)

    for anchor, assignment, settling in ((START, FIVE, True), (START + 120, FIVE, False)):
        grid = Grid(anchor=anchor, tick=15)
        begin(assignment, grid, settling)
        shelf = filing_shelf_of(spec, plan, grid, dossiers, settling=settling, told=ledger.take)
        assert shelf is not None
        for index in range(9 if settling else 17):
            source.show(shelf, grid, index)
    grid = Grid(anchor=START + 360, tick=15)
    begin(HALF, grid, False)
    shelf = shelf_of(spec, plan, grid, dossiers, told=ledger.take)
    for index in range((source.last - grid.anchor) // 15 + 1):
        source.show(shelf, grid, index)
    return ledger.written(), shelf.verdicts


def line_of(counts: str | None, verdicts: list[Any], **changes: Any) -> str:
    evidence: dict[str, Any] = {"verdicts": verdicts} | ({} if counts is None else {"counts": counts})
    decision = Decision(
        id="1",
        at=datetime(2026, 1, 5, tzinfo=UTC),
        route="demo/chat",
        ramp="r",
        epoch=1,
        kind=DecisionKind.PASSED,
        sentence="step 1 PASS",
        phase="HOLDING",
        step=1,
        evidence=evidence,
    )
    return json.dumps(json.loads(decision.model_dump_json()) | changes)


@pytest.mark.parametrize("slow", [1.0, 6.0])
def test_the_judges_say_the_same_of_the_counts_that_were_kept(tmp_path: Path, slow: float) -> None:
    written, verdicts = judged(tmp_path, slow=slow)
    assert Counts.read(written).verdicts() == verdicts
    assert any(verdict.kind == "FAIL" for verdict in verdicts) is (slow > 1)


def test_an_hour_of_a_ramp_is_small_beside_a_record(tmp_path: Path) -> None:
    written, _ = judged(tmp_path, 60)
    assert len(written) < 20_000


def test_counts_without_end_are_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger_module, "_MOST_ROWS", 100)
    assert judged(tmp_path)[0] == ""
    monkeypatch.undo()
    monkeypatch.setattr(ledger_module, "MOST_BYTES", 500)
    assert judged(tmp_path)[0] == ""
    assert MOST_BYTES < 512 << 10  # what the server begins to warn at


def test_counts_that_are_left_out_take_no_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger_module, "_MOST_ROWS", 100)
    ledger = Ledger({}, START, {})
    kept: list[CheckTick] = [CheckTick(index, START + index, blind=f"{index} was not seen") for index in range(102)]
    for tick in kept:
        if tick.index % 30 == 0:
            ledger.begin(Grid(anchor=START, tick=15), {}, settling=False)
        ledger.take("green", "errors", tick)
    assert not [one for one in gc.get_referrers(kept[5].blind) if isinstance(one, list)]


def test_a_record_that_was_changed_is_found(tmp_path: Path) -> None:
    written, verdicts = judged(tmp_path)
    said = [verdict.model_dump(mode="json") for verdict in verdicts]
    (same,) = recompute([line_of(written, said), line_of(written, said)], FILE)  # a retry wrote it twice
    assert (same.verdicts, same.differences) == (3, ())
    said[0]["kind"] = "FAIL"
    said[1]["numbers"]["bad"] += 1
    said[2]["check"] = "taste"
    (changed,) = recompute([line_of(written, said)], FILE)
    kinds, numbers, missing = changed.differences
    assert "the record says FAIL, its counts PASS" in kinds
    assert "the record says bad" in numbers
    assert "taste: it is not among the counts" in missing


def test_what_could_not_be_asked_is_not_recomputed(tmp_path: Path) -> None:
    written, verdicts = judged(tmp_path)
    blind = verdicts[0].model_copy(update={"kind": VerdictKind.BLIND, "judge": ""})
    said = [verdict.model_dump(mode="json") for verdict in (blind, *verdicts[1:])]
    (again,) = recompute([line_of(written, said)], FILE)
    assert (again.verdicts, again.differences) == (2, ())


def packed(data: Any) -> str:
    return base64.b64encode(zlib.compress(json.dumps(data).encode())).decode()


@pytest.mark.parametrize(
    ("line", "field"),
    [
        ("{", "(line)"),
        ("[]", "(line)"),
        ("[" * 100_000, "(line)"),
        (line_of(None, [], at="昨天"), "at"),
        (line_of("x", [1]), "evidence.verdicts"),
        (line_of("不是", []), "evidence.counts"),
        (line_of("eA==", []), "evidence.counts"),
        (line_of(packed({}), []), "evidence.counts"),
        (line_of(packed({"since": 1, "checks": {}, "stretches": []}), []), "evidence.counts"),
        (line_of(base64.b64encode(zlib.compress(b" " * (65 << 20))).decode(), []), "evidence.counts"),
    ],
)
def test_a_damaged_record_is_refused_with_its_line_and_field(line: str, field: str) -> None:
    with pytest.raises(InvalidFile) as refused:
        list(recompute(["", line], FILE))
    (problem,) = refused.value.problems
    assert (problem.line, problem.field) == (2, field)


def test_an_older_record_without_counts_is_told_from_one_that_agrees() -> None:
    (old,) = recompute([line_of(None, [])], FILE)
    assert not old.holds_counts
