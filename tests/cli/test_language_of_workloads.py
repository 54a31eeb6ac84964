"""Chinese: whatever is said of the servers of a slot."""

from activities.workloads import Progress
from activities.workloads.pods import complaint_mend
from cli.holds import ALERT_ENDS_BY, ENDS_BY
from cli.language.zh import translator
from tailramp.ramp import Block


def test_how_far_servers_are_and_why_they_are_stuck_is_translated() -> None:
    said = [
        str(Progress(8, 3)),
        str(Progress(8, 3, doing="pulling the image 12 min")),
        str(Progress(2, 1, "groups", doing="loading the model 31 min")),
        str(Progress(2, 2, leftovers=1)),
        str(Progress(2, 1, doing="starting", leftovers=1)),
        str(Progress(1, 0, stuck="chat-green-0 is in ImagePullBackOff: Back-off pulling image x")),
        str(Progress(1, 0, stuck="chat-green-0 is in CrashLoopBackOff (OOMKilled, 4 restarts)")),
        str(Progress(1, 0, stuck="chat-green-0 finds no node (Unschedulable): 0/9 nodes are available")),
        str(Progress(0, 0, "").answering("chat-v2", frozenset({"chat-v1"}))),
        str(Progress(0, 0, "").answering("chat-v2", frozenset())),
        complaint_mend("exceeded quota: gpus"),
        complaint_mend("its progress deadline is over (x)"),
        complaint_mend("admission webhook denied"),
    ]
    say = translator()
    whole = [*said, *(f"green: {each}" for each in said[:10])]
    assert [each for each in whole if say.find(each) is None] == []


def test_everything_that_a_ramp_can_wait_for_is_explained_in_both_languages() -> None:
    assert set(ENDS_BY) == {"paused", *Block}
    say = translator()
    assert [each for each in (*ENDS_BY.values(), ALERT_ENDS_BY, *Block) if say.find(each) is None] == []
