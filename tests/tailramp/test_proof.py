"""Evidence: unknown is never a yes, and one no is enough."""

from __future__ import annotations

import itertools

import pytest

from tailramp.proof import Answer, Evidence, Finding


def evidence(*answers: Answer) -> Evidence:
    return Evidence(
        findings=tuple(Finding(question=f"q{i}", answer=answer, seen="s") for i, answer in enumerate(answers))
    )


@pytest.mark.parametrize("answers", list(itertools.product(Answer, repeat=3)))
def test_the_answer_of_several_findings_is_the_weakest(answers: tuple[Answer, ...]) -> None:
    expected = Answer.NO if Answer.NO in answers else Answer.UNKNOWN if Answer.UNKNOWN in answers else Answer.YES
    assert evidence(*answers).answer is expected


def test_no_finding_at_all_is_no_evidence() -> None:
    assert evidence().answer is Answer.UNKNOWN


def test_what_is_missing_is_named_and_what_is_proven_is_not() -> None:
    assert evidence(Answer.YES, Answer.NO, Answer.UNKNOWN).missing() == "q1: no (s); q2: unknown (s)"
    assert evidence(Answer.YES).missing() == ""
