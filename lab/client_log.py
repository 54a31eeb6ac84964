"""What the synthetic users saw, as facts.

Everything here reads the log of `lab.users` and nothing else, so that a claim about a ramp can be held against the
people it was made to. The functions never excuse what they cannot explain: an answer that nobody can attribute is a
failure, and where the order of two requests is uncertain the rule that decides is written down.
"""

import json
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

REORDER_SECONDS = 0.25
"""By how much the gateway may decide about two requests in another order than they were sent."""


@dataclass(frozen=True, slots=True)
class ClientRequest:
    """One request as its user saw it. Times are wall-clock seconds of one clock that never steps."""

    user: str | None
    forged: str | None
    """The kind of forgery (`lab.user_population.Forgery`), None for an honest request."""
    sent: float
    answered: float
    """When the whole answer was there, or the attempt had failed."""
    status: int | None
    """None when no whole answer came; then `error` names the exception's class."""
    error: str | None
    variant: str | None
    """The slot that the route named; None when no such header came."""
    responded: float | None = None
    """When the answer's headers were there; None when none came."""

    @property
    def began(self) -> float:
        """When the answer began, by then at the latest it was decided who gives it; the end where none began."""
        return self.answered if self.responded is None else self.responded

    @property
    def ok(self) -> bool:
        return self.status == 200 and self.error is None


@dataclass(frozen=True, slots=True)
class ClientBehind:
    """A moment at which the client itself could not keep to its schedule: latencies around it measure the client."""

    at: float
    behind_seconds: float
    in_flight: int


@dataclass(frozen=True)
class ClientLog:
    """What one reading found, in the order of the file, which is that of the answers."""

    requests: list[ClientRequest]
    behind: list[ClientBehind]
    started: bool
    stopped: bool
    """The client ended in order: every request that it sent is in the log."""
    end: int
    """Bytes read; the `start` with which the next reading goes on."""


def read_log(path: Path, start: int = 0) -> ClientLog:
    """Read the log from byte `start`; a last line that is still being written is left to the next reading.

    Raises ValueError naming the line for one that is complete and not the client's, OSError when there is no file.
    """
    with path.open("rb") as file:
        file.seek(start)
        content = file.read()
    whole = content[: content.rfind(b"\n") + 1]
    requests: list[ClientRequest] = []
    behind: list[ClientBehind] = []
    events: set[str] = set()
    offset = start
    for line in whole.splitlines(keepends=True):
        try:
            entry: dict[str, Any] = json.loads(line)
            event = entry.pop("event", None)
            if event is None:
                requests.append(ClientRequest(**entry))
            elif event == "behind":
                behind.append(ClientBehind(**entry))
            else:
                events.add(event)
        except (ValueError, TypeError, AttributeError) as error:
            shown = line[:80].decode(errors="replace").rstrip()
            raise ValueError(f"{path}, byte {offset}: not a line of the client's log ({error}): {shown}") from None
        offset += len(line)
    return ClientLog(requests, behind, started="started" in events, stopped="stopped" in events, end=offset)


def responses_per_variant(requests: Iterable[ClientRequest]) -> Counter[str | None]:
    """Answers by the slot that the route named, whatever their status; None counts answers without a name."""
    return Counter(request.variant for request in requests if request.status is not None)


def users_seen_on_both(requests: Iterable[ClientRequest], baseline: str, candidate: str) -> set[str]:
    """The users whom both variants have served at some time."""
    seen: dict[str, set[str]] = {baseline: set(), candidate: set()}
    for request in requests:
        if request.user is not None and request.variant in seen:
            seen[request.variant].add(request.user)
    return seen[baseline] & seen[candidate]


Admitted = Callable[[str | None, float, float], bool]
"""`admitted(user, sent, began)`: whether some assignment in force between 0.5 s before `sent` and the answer's start
would send this user to the candidate. For None: whether the candidate was the default in that time."""


def failed_requests(
    requests: Iterable[ClientRequest], candidate: str, fault_at: float | None, admitted: Admitted | None = None
) -> list[ClientRequest]:
    """Requests that a user lost and that the candidate's fault does not explain.

    A request failed when its status is not 200 or no whole answer came. Only the candidate's failures that ended at
    `fault_at` or later are explained; without `fault_at` none is. A failure that names no variant, as one that hung
    until its user gave up, is taken for the candidate's if it was `admitted` there; otherwise it may have been the
    baseline's, and counts.
    """

    def may_be_the_candidates(request: ClientRequest) -> bool:
        if request.variant is None and admitted is not None:
            return admitted(request.user, request.sent, request.began)
        return request.variant == candidate

    return [
        request
        for request in requests
        if not request.ok
        and not (fault_at is not None and request.answered >= fault_at and may_be_the_candidates(request))
    ]


def last_candidate_request_sent(
    requests: Iterable[ClientRequest], candidate: str, since: float, admitted: Admitted | None = None
) -> float | None:
    """When the last request was sent that the candidate took, whatever became of it; None if none since `since`.

    One that failed without the name of a variant, as those that hang do, is the candidate's if it was `admitted` there.
    """

    def took(request: ClientRequest) -> bool:
        if request.variant is None and admitted is not None:
            return not request.ok and admitted(request.user, request.sent, request.began)
        return request.variant == candidate

    return max((r.sent for r in requests if r.sent >= since and took(r)), default=None)


def served_without_admission(
    requests: Iterable[ClientRequest], candidate: str, admitted: Admitted
) -> list[ClientRequest]:
    """Everything that the candidate served though no assignment of that time allowed it."""
    return [r for r in requests if r.variant == candidate and not admitted(r.user, r.sent, r.began)]


@dataclass(frozen=True, slots=True)
class Violations:
    """Broken promises. A forged request without an id counts under both of the first two."""

    forged: int
    """Requests with a forged header, with or without an id, that reached the candidate without admission."""
    no_id: int
    """Requests without an id that reached the candidate while it was not the default."""
    moved_back_and_forth: int
    """Users who were moved from the candidate back to the baseline while the ramp only grew."""


def violations(
    requests: Iterable[ClientRequest],
    *,
    baseline: str,
    candidate: str,
    admitted: Admitted,
    growth_ended: float | None,
) -> Violations:
    """Count the broken promises in the log of one ramp.

    `growth_ended` is when the rollback was triggered or the share first shrank, whichever came first (None: never).

    Everybody is on the baseline before a ramp, so a user whom the candidate served, and then the baseline, has been
    moved forth and back, whether or not the log holds an earlier answer of the baseline. Which of two requests the
    gateway decided about first is known when one was answered before the other was sent. Of two that were open together
    it is taken to be the one sent first if more than `REORDER_SECONDS` lie between; closer than that the order is
    unknown, and the pair proves nothing. In the same way an answer of the baseline counts only if it came before
    `growth_ended`, or was asked for more than `REORDER_SECONDS` before.
    """
    everything = list(requests)
    strangers = served_without_admission(everything, candidate, admitted)
    return Violations(
        forged=sum(request.forged is not None for request in strangers),
        no_id=sum(request.user is None for request in strangers),
        moved_back_and_forth=len(_moved_back(everything, baseline, candidate, growth_ended)),
    )


def _moved_back(requests: list[ClientRequest], baseline: str, candidate: str, growth_ended: float | None) -> set[str]:
    first_sent: dict[str, float] = {}
    first_answered: dict[str, float] = {}
    for request in requests:
        user = request.user
        if user is not None and request.variant == candidate:
            first_sent[user] = min(request.sent, first_sent.get(user, request.sent))
            first_answered[user] = min(request.answered, first_answered.get(user, request.answered))
    return {
        request.user
        for request in requests
        if request.user in first_sent
        and request.variant == baseline
        and (growth_ended is None or _decided_before(request, growth_ended))
        and (first_answered[request.user] <= request.sent or request.sent - first_sent[request.user] > REORDER_SECONDS)
    }


def _decided_before(request: ClientRequest, moment: float) -> bool:
    return request.answered <= moment or moment - request.sent > REORDER_SECONDS
