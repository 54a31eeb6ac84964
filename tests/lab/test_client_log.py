"""Facts from logs made by hand, and from a router that breaks every promise."""

import json
import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from lab.client_log import (
    ClientBehind,
    ClientRequest,
    Violations,
    failed_requests,
    last_candidate_request_sent,
    read_log,
    responses_per_variant,
    served_without_admission,
    users_seen_on_both,
    violations,
)

BLUE, GREEN = "blue", "green"


def request(
    sent: float,
    variant: str | None = BLUE,
    *,
    user: str | None = "u1",
    answered: float | None = None,
    status: int | None = 200,
    error: str | None = None,
    forged: str | None = None,
) -> ClientRequest:
    return ClientRequest(user, forged, sent, sent + 0.1 if answered is None else answered, status, error, variant)


def nobody(user: str | None, sent: float, answered: float) -> bool:
    return False


def moved(requests: list[ClientRequest], growth_ended: float | None = None) -> int:
    found = violations(requests, baseline=BLUE, candidate=GREEN, admitted=nobody, growth_ended=growth_ended)
    return found.moved_back_and_forth


def line(user: str = "用户甲", **changes: object) -> bytes:
    entry = {
        "user": user,
        "forged": None,
        "sent": 1.0,
        "answered": 2.0,
        "status": 200,
        "error": None,
        "variant": BLUE,
    } | changes
    return json.dumps(entry, ensure_ascii=False).encode() + b"\n"


def test_a_line_that_is_still_being_written_is_left_to_the_next_reading(tmp_path: Path) -> None:
    path = tmp_path / "users.jsonl"
    first, second = line("u1"), line("用户乙")
    path.write_bytes(b'{"event":"started","at":0.5}\n' + first + second[:9])
    early = read_log(path)
    assert [r.user for r in early.requests] == ["u1"]
    assert early.started
    assert not early.stopped

    with path.open("ab") as file:
        file.write(second[9:] + b'{"event":"stopped","at":3.5,"sent":2}\n')
    late = read_log(path, early.end)
    assert [r.user for r in late.requests] == ["用户乙"]
    assert late.stopped
    assert late.end == path.stat().st_size


def test_a_client_that_fell_behind_is_told_apart_from_its_requests(tmp_path: Path) -> None:
    path = tmp_path / "users.jsonl"
    path.write_bytes(line() + b'{"event":"behind","at":9.0,"behind_seconds":0.7,"in_flight":12}\n')
    log = read_log(path)
    assert log.behind == [ClientBehind(at=9.0, behind_seconds=0.7, in_flight=12)]
    assert len(log.requests) == 1


@pytest.mark.parametrize("wrong", [b"{]\n", b"[1]\n", b'{"user":"u1"}\n', b'{"event":"behind"}\n', b"\xff\n"])
def test_a_line_that_is_not_the_clients_is_named_by_its_place(tmp_path: Path, wrong: bytes) -> None:
    path = tmp_path / "users.jsonl"
    path.write_bytes(line() + wrong + line())
    with pytest.raises(ValueError, match=f"byte {len(line())}: not a line"):
        read_log(path)


def test_answers_are_counted_by_variant_and_those_without_a_name_apart() -> None:
    log = [
        request(1),
        request(2, GREEN, status=503),
        request(3, None),
        request(4, None, status=None, error="ClientOSError"),
    ]
    assert responses_per_variant(log) == {BLUE: 1, GREEN: 1, None: 1}


def test_a_user_is_on_both_only_if_both_answered_that_user() -> None:
    log = [
        request(1, user="both"),
        request(2, GREEN, user="both"),
        request(1, user="old"),
        request(1, GREEN, user="new"),
        request(1, user=None),
        request(2, GREEN, user=None),
        request(3, "red", user="old"),
    ]
    assert users_seen_on_both(log, BLUE, GREEN) == {"both"}


@pytest.mark.parametrize(
    ("lost", "counts"),
    [
        (request(20, BLUE, status=500), True),
        (request(5, GREEN, status=503), True),
        (request(20, GREEN, status=503), False),
        (request(9, GREEN, answered=10.5, status=503), False),
        (request(20, None, status=None, error="ClientOSError"), True),
        (request(20, None, status=503), True),
        (request(20, GREEN, status=None, error="ClientPayloadError"), False),
        (request(5, GREEN, status=None, error="ClientPayloadError"), True),
        (request(5, BLUE), False),
    ],
)
def test_only_what_the_candidates_fault_explains_is_no_failure(lost: ClientRequest, counts: bool) -> None:
    assert failed_requests([lost], GREEN, fault_at=10.0) == ([lost] if counts else [])


def test_without_a_fault_no_failure_is_explained() -> None:
    lost = request(20, GREEN, status=503)
    assert failed_requests([lost, request(21)], GREEN, fault_at=None) == [lost]


def test_the_last_request_of_the_candidate_is_the_one_sent_last_not_the_one_answered_last() -> None:
    log = [request(1, GREEN), request(8, GREEN, answered=8.2), request(6, GREEN, answered=9.9), request(9, BLUE)]
    assert last_candidate_request_sent(log, GREEN, since=5.0) == 8
    assert last_candidate_request_sent(log, GREEN, since=8.5) is None


def test_a_forgery_counts_only_where_the_user_was_not_admitted() -> None:
    def admitted(user: str | None, sent: float, answered: float) -> bool:
        return user == "in" and answered >= 10

    log = [
        request(20, GREEN, user="in", forged="lower_case"),
        request(5, GREEN, user="in", forged="lower_case"),
        request(20, GREEN, user="out", forged="duplicated"),
        request(20, BLUE, user="out", forged="duplicated"),
        request(20, GREEN, user=None, forged="underscores"),
        request(20, GREEN, user=None),
        request(20, BLUE, user=None),
    ]
    found = violations(log, baseline=BLUE, candidate=GREEN, admitted=admitted, growth_ended=None)
    assert (found.forged, found.no_id) == (3, 2)
    assert served_without_admission(log, GREEN, admitted) == [log[1], log[2], log[4], log[5]]


def test_who_only_moves_forth_has_not_been_moved_back() -> None:
    assert moved([request(1), request(2), request(3, GREEN), request(4, GREEN)]) == 0


def test_who_goes_forth_and_back_is_counted_once() -> None:
    log = [request(t, variant) for t, variant in enumerate([BLUE, GREEN, BLUE, GREEN, BLUE])]
    assert moved(log) == 1
    assert moved(list(reversed(log))) == 1


def test_who_was_moved_forth_before_the_log_begins_is_counted() -> None:
    assert moved([request(1, GREEN), request(2), request(3, GREEN)]) == 1


def test_people_without_an_id_are_nobody_who_could_be_moved() -> None:
    assert moved([request(1, GREEN, user=None), request(2, user=None)]) == 0


def test_two_requests_in_flight_around_a_switch_prove_nothing() -> None:
    forth = request(10.0, GREEN, answered=10.8)
    assert moved([request(1), forth, request(10.25, BLUE, answered=10.9), request(20, GREEN)]) == 0


def test_two_open_requests_further_apart_than_a_gateway_takes_are_ordered() -> None:
    forth = request(10.0, GREEN, answered=10.8)
    assert moved([request(1), forth, request(10.26, BLUE, answered=10.9)]) == 1


def test_an_answer_before_the_next_request_orders_the_two_however_near() -> None:
    assert moved([request(1), request(10.0, GREEN, answered=10.01), request(10.02, BLUE)]) == 1


def test_going_back_after_growth_has_ended_is_the_rollback() -> None:
    log = [request(1), request(2, GREEN), request(12, BLUE)]
    assert moved(log, growth_ended=10.0) == 0
    assert moved(log, growth_ended=13.0) == 1


@pytest.mark.parametrize(
    ("back", "count"),
    [
        (request(9.8, answered=10.4), 0),
        (request(9.8, answered=9.95), 1),
        (request(9.7, answered=10.4), 1),
    ],
)
def test_an_answer_open_when_growth_ended_counts_if_it_was_decided_before(back: ClientRequest, count: int) -> None:
    assert moved([request(1), request(2, GREEN), back], growth_ended=10.0) == count


def routed(route: Callable[[ClientRequest], str]) -> list[ClientRequest]:
    """100 users with 40 requests each, one in ten forged, and 400 requests without an id, over 200 s."""
    source = random.Random(7)
    log = []
    for number in range(4400):
        user = f"u{number % 100}" if number < 4000 else None
        sent = source.uniform(0, 200)
        forged = "lower_case" if source.random() < 0.1 else None
        asked = request(sent, user=user, forged=forged, answered=sent + source.uniform(0.1, 2))
        log.append(replace(asked, variant=route(asked)))
    return log


def admitted_from_100(user: str | None, sent: float, answered: float) -> bool:
    return user in {"u0", "u1", "u2", "u3", "u4"} and answered >= 100


def test_an_honest_router_breaks_no_promise() -> None:
    log = routed(lambda r: GREEN if admitted_from_100(r.user, r.sent, r.sent) else BLUE)
    found = violations(log, baseline=BLUE, candidate=GREEN, admitted=admitted_from_100, growth_ended=None)
    assert found == Violations(forged=0, no_id=0, moved_back_and_forth=0)
    assert users_seen_on_both(log, BLUE, GREEN) == {"u0", "u1", "u2", "u3", "u4"}


def test_a_router_that_throws_dice_per_request_breaks_every_promise() -> None:
    source = random.Random(8)
    log = routed(lambda _: GREEN if source.random() < 0.2 else BLUE)
    found = violations(log, baseline=BLUE, candidate=GREEN, admitted=admitted_from_100, growth_ended=None)
    assert found.forged > 60
    assert found.no_id > 50
    assert found.moved_back_and_forth > 95


def test_a_router_that_believes_forged_headers_is_found_out() -> None:
    log = routed(lambda r: GREEN if r.forged or admitted_from_100(r.user, r.sent, r.sent) else BLUE)
    found = violations(log, baseline=BLUE, candidate=GREEN, admitted=admitted_from_100, growth_ended=None)
    assert found.forged > 300
    assert found.moved_back_and_forth > 80
