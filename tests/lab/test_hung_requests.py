"""A request that hung until its user gave up names no variant: the admission then says whose it was."""

from lab.client_log import ClientRequest, failed_requests, last_candidate_request_sent

HUNG = ClientRequest("u1", None, sent=10.0, answered=40.0, status=None, error="TimeoutError", variant=None)
SERVED = ClientRequest("u2", None, sent=5.0, answered=6.0, status=200, error=None, variant="green")


def to_candidate(user: str | None, sent: float, began: float) -> bool:
    return user == "u1"


def to_nobody(user: str | None, sent: float, began: float) -> bool:
    return False


def test_a_hung_request_of_an_admitted_user_is_the_candidates() -> None:
    assert failed_requests([SERVED, HUNG], "green", 8.0, to_candidate) == []
    assert last_candidate_request_sent([SERVED, HUNG], "green", 0, to_candidate) == 10.0


def test_a_hung_request_of_anybody_else_is_a_loss_that_nothing_explains() -> None:
    assert failed_requests([SERVED, HUNG], "green", 8.0, to_nobody) == [HUNG]
    assert failed_requests([SERVED, HUNG], "green", 8.0) == [HUNG]
    assert last_candidate_request_sent([SERVED, HUNG], "green", 0, to_nobody) == 5.0


def test_a_request_that_hung_before_the_fault_is_explained_by_nothing() -> None:
    assert failed_requests([HUNG], "green", 41.0, to_candidate) == [HUNG]
    assert failed_requests([HUNG], "green", None, to_candidate) == [HUNG]
