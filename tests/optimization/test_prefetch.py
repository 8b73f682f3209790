"""Laws of batches made ahead: what a step gets is what it would make itself, in order, and nothing is made beyond the last step."""

import threading

import pytest

from pag.optimization.prefetch import prefetched


def test_steps_get_what_they_would_make_themselves():
    made = []

    def make(step):
        made.append((step, threading.current_thread() is threading.main_thread()))
        return step**2

    with prefetched(make, 5) as of:
        assert [of(step) for step in range(2, 5)] == [4, 9, 16]  # as a resumed run begins
        assert of(0) == 0  # one that was not expected
    assert [step for step, _ in made][:4] == [2, 3, 4, 0]  # and perhaps 1
    assert not any(by_main for _, by_main in made)


def test_next_step_is_made_while_this_one_is_used():
    begun = [threading.Event() for _ in range(3)]

    def make(step):
        begun[step].set()
        return step

    with prefetched(make, 3) as of:
        of(0)
        assert begun[1].wait(10)
        assert not begun[2].is_set()


def test_error_belongs_to_its_step():
    def make(step):
        if step == 2:
            raise OSError("no more")
        return step

    with prefetched(make, 4) as of:
        assert of(0) == 0
        assert of(1) == 1
        with pytest.raises(OSError, match="no more"):
            of(2)


def test_an_error_of_the_user_ends_the_thread():
    def interrupted():
        with prefetched(lambda step: step, 10) as of:
            of(0)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("prefetch")]
