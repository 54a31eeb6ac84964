"""Large answers are read without looking through them for garbage all the time."""

import gc
import subprocess
import sys

from tailramp.garbage import look_for_garbage_seldom


def test_the_collector_does_not_look_at_every_few_hundred_objects() -> None:
    before = gc.get_threshold()
    try:
        look_for_garbage_seldom()
        assert gc.isenabled()
        assert gc.get_threshold()[0] >= 10_000
    finally:
        gc.set_threshold(*before)


def test_a_command_begins_with_it() -> None:
    told = "import cli, gc, os; print(gc.get_threshold()[0] >= 10_000, os.environ['PYDANTIC_DISABLE_PLUGINS'])"
    done = subprocess.run([sys.executable, "-c", told], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True", "__all__"]
