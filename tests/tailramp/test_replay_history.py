"""The day before a ramp, given to a replay as a file: in any form the users are known as a live ramp knew them."""

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from replay_samples import EVERYONE, PLATFORM, START, bound, counted, policy

from tailramp.checks import checks_by_slot, slot_match
from tailramp.errors import InvalidFile, Refused
from tailramp.evidence.kept import TimeBefore
from tailramp.plan import Plan
from tailramp.replay.before import history_of
from tailramp.replay.course import play
from tailramp.replay.opening import open_counts
from tailramp.replay.policy import leaving_out
from tailramp.replay.recording import Header, Span, encode, encode_end
from tailramp.spec import RampSpec

KNOWN, UNKNOWN = "its users are known from before the ramp", "its users are not known from before"
END = START - 300
TIMES = range(END - 86_400, END + 1, 300)


def knowing(label: str = "user_bucket") -> str:
    block = f"  sequential: {{history: {{bucketLabel: {label}, period: 1d, carry: 0.9}}}}\n"
    return PLATFORM.replace("\nchecks:\n", f"\nchecks:\n{block}")


def windows() -> dict[tuple[str, str], list[int]]:
    """A day of scored and toxic answers, by window: of bucket 00, the first step's, twice as many are toxic."""
    random = np.random.default_rng(8)
    found = dict[tuple[str, str], list[int]]()
    for arm, rate, toxic in (("candidate", 60, 0.04), ("baseline", 5940, 0.02)):
        n = random.poisson(rate, len(TIMES) - 1)
        found[arm, ""], found[arm, "bad"] = n.tolist(), random.binomial(n, toxic).tolist()
    return found


def as_csv(folder: Path) -> Path:
    def lines() -> Iterator[str]:
        yield "time,arm,metric,edge,count"
        for (arm, edge), counts in windows().items():
            yield from (f"{at},{arm},toxicity,{edge},{n}" for at, n in zip(TIMES[1:], counts, strict=True))

    file = folder / "day.csv"
    file.write_text("\n".join(lines()), encoding="utf-8")
    return file


def by_query(spec: RampSpec, plan: Plan) -> dict[str, list[tuple[dict[str, str], list[float]]]]:
    """The same as counters of the baseline, one series a bucket."""
    (check,) = (check for check in checks_by_slot(spec, plan)["green"] if check.name == "toxicity")
    found = dict[str, list[tuple[dict[str, str], list[float]]]]()
    for part, query in check.queries(slot_match(spec.platform, "blue")).items():
        found[query] = [
            ({"instance": "blue-1", "user_bucket": bucket}, np.cumsum([7.0, *windows()[arm, edge]]).tolist())
            for bucket, arm, edge in (
                ("00", "candidate", "" if part == "total" else "bad"),
                ("57", "baseline", "" if part == "total" else "bad"),
            )
        ]
    return found


def as_json(folder: Path, spec: RampSpec, plan: Plan) -> Path:
    def matrix(many: list[tuple[dict[str, str], list[float]]]) -> dict[str, Any]:
        result = [
            {"metric": labels, "values": [[at, str(value)] for at, value in zip(TIMES, values, strict=True)]}
            for labels, values in many
        ]
        return {"status": "success", "data": {"resultType": "matrix", "result": result}}

    file = folder / "day.json"
    file.write_text(json.dumps({query: matrix(many) for query, many in by_query(spec, plan).items()}))
    return file


def as_recording(folder: Path, spec: RampSpec, plan: Plan, **more: Any) -> Path:
    queries = by_query(spec, plan)
    header = Header(
        route=plan.route,
        spec=spec.digest,
        baseline="blue",
        candidates={"green": "chat-v2"},
        step=300,
        spans=(Span(start=TIMES[0], end=TIMES[-1], anchor=TIMES[0]),),
        queries=tuple(queries),
        **more,
    )
    lines = [header.model_dump_json()]
    for query, many in queries.items():
        columns = [(tuple(labels.items()), values) for labels, values in many]
        lines.append(encode(query, 0, TIMES[0], len(TIMES), columns))
    file = folder / "day.jsonl.gz"
    file.write_bytes(gzip.compress("\n".join([*lines, encode_end(len(lines))]).encode()))
    return file


def history(file: Path, spec: RampSpec, plan: Plan) -> TimeBefore:
    return history_of(open_counts(file), spec, plan, START)


def test_windows_answers_and_recordings_of_one_day_tell_the_same(tmp_path: Path) -> None:
    spec, plan = policy(tmp_path, EVERYONE, knowing())
    told = history(as_csv(tmp_path), spec, plan)
    assert told.shares == {"green": (1.0, 99.0)}
    assert list(told.kept["green"]) == ["toxicity"]
    assert [row[1] for row in told.kept["green"]["toxicity"].rows] == windows()["candidate", "bad"]
    assert history(as_json(tmp_path, spec, plan), spec, plan) == told
    assert history(as_recording(tmp_path, spec, plan), spec, plan) == told


def test_a_recording_that_holds_the_day_before_is_taken_at_its_word(tmp_path: Path) -> None:
    spec, plan = policy(tmp_path, EVERYONE, knowing())
    told = TimeBefore(start=START - 86_400, window=300, shares={"green": (1.0, 99.0)}, kept={})
    file = as_recording(tmp_path, spec, plan, earlier=told, users=plan.steps[0].assignment)
    assert history(file, spec, plan) == told
    of_others = as_recording(tmp_path, spec, plan, earlier=told, users=plan.steps[1].assignment)
    assert history(of_others, spec, plan) != told


def test_a_replay_of_counts_knows_the_users_whom_the_day_before_tells_of(tmp_path: Path) -> None:
    spec, plan = policy(tmp_path, EVERYONE, knowing())
    source = bound(spec, plan, counted(30), share=0.01)
    known = play(spec, plan, source, earlier=history(as_csv(tmp_path), spec, plan))
    reasons = {verdict.check: verdict.reason for verdict in known.verdicts}
    assert KNOWN in reasons["toxicity"]
    assert UNKNOWN in reasons["errors"]
    assert all(UNKNOWN in verdict.reason for verdict in play(spec, plan, source).verdicts)


def test_what_lies_within_the_ramp_is_no_day_before_it(tmp_path: Path) -> None:
    spec, plan = policy(tmp_path, EVERYONE, knowing())
    with pytest.raises(InvalidFile, match="nothing of the first step's users in the time before"):
        history_of(open_counts(as_csv(tmp_path)), spec, plan, TIMES[0])
    told = history_of(open_counts(as_csv(tmp_path)), spec, plan, TIMES[100])
    seen = [row for row in told.kept["green"]["toxicity"].rows if not isinstance(row, str)]
    assert len(seen) == 99, "of windows before the shift, less the five minutes in which rules are written"


def test_a_day_that_tells_nothing_is_refused_with_what_to_do(tmp_path: Path) -> None:
    spec, plan = policy(tmp_path, EVERYONE, knowing())
    with pytest.raises(Refused, match=r"no checks\.sequential\.history"):
        history(as_csv(tmp_path), *policy(tmp_path))
    other, _ = policy(tmp_path, EVERYONE, knowing("tenant"))
    with pytest.raises(InvalidFile, match="no series of blue has the label tenant") as refused:
        history(as_json(tmp_path, spec, plan), other, plan)
    assert "bucketLabel" in refused.value.problems[0].mend
    without = leaving_out(spec, ["toxicity"])
    with pytest.raises(InvalidFile, match="the metrics are toxicity"):
        history(as_csv(tmp_path), without, plan)
