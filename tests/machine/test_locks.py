"""Laws of locks: one process at a time has an output's, the second is told which, and a process that has ended has none."""

import os
import signal
import subprocess
import sys

import pytest

from pag.base.errors import InputError
from pag.machine import locks
from pag.machine.locks import locked

HOLDING = """
import sys, time
from pathlib import Path
from pag.machine.locks import locked
with locked(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(600)
"""


@pytest.fixture
def holder(tmp_path):
    """A process that holds the lock of `output`."""
    command = [sys.executable, "-c", HOLDING, str(tmp_path / "output")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_a_second_process_is_told_who_holds_the_lock(holder, tmp_path):
    with (
        pytest.raises(InputError, match=rf"output is being made by process {holder.pid}: "),
        locked(tmp_path / "output"),
    ):
        pytest.fail("Two processes hold one lock.")
    with locked(tmp_path / "another"):
        pass


def test_a_process_that_was_killed_holds_nothing(holder, tmp_path):
    os.kill(holder.pid, signal.SIGKILL)
    holder.wait()
    for _ in range(2):
        with locked(tmp_path / "output"):
            pass
    assert list(tmp_path.iterdir()) == []


def test_an_error_lets_the_lock_go(tmp_path):
    with pytest.raises(KeyboardInterrupt), locked(tmp_path / "output"):
        raise KeyboardInterrupt
    with locked(tmp_path / "output"):
        pass


def test_who_holds_a_lock_is_told_and_asking_makes_nothing(tmp_path):
    output = tmp_path / "folder/3407"
    assert locks.holder(output) is None
    assert list(tmp_path.iterdir()) == []
    with locked(output):
        assert locks.holder(output) == os.getpid()
        assert locks.holder(tmp_path / "folder/1") is None
    assert locks.holder(output) is None


def test_what_a_killed_process_left_is_held_by_nobody(holder, tmp_path):
    assert locks.holder(tmp_path / "output") == holder.pid
    holder.kill()
    holder.wait()
    assert list(tmp_path.iterdir()) != []
    assert locks.holder(tmp_path / "output") is None
