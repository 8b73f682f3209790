"""Tasks over processes: order, threads, errors, deaths, and no orphans."""

import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest
import torch

from pag.base.errors import InputError
from pag.machine.processes import reached, run_tasks


def square(task):
    return task * task, torch.get_num_threads(), os.getpid()


def prepare_square():
    return square


def fail(how, task):
    if task == 1:
        if how == "die":
            os._exit(7)
        raise InputError("no such thing")
    return int(task)


class LargeTask(int):
    """A number that takes more than a pipe holds."""

    def __reduce__(self):
        return _large_task, (int(self), bytes(400_000))


def _large_task(number, padding):
    return LargeTask(number)


def prepare_failure(how):
    return partial(fail, how)


def results(prepare, tasks, workers):
    found = {}
    run_tasks(prepare, tasks, workers, found.__setitem__)
    return found


@pytest.mark.parametrize("workers", [1, 2])
def test_every_task_runs_once_with_one_thread(workers):
    torch.set_num_threads(2)
    found = results(prepare_square, range(5), workers)
    assert {index: value for index, (value, _, _) in found.items()} == {i: i * i for i in range(5)}
    assert {threads for _, threads, _ in found.values()} == {1}
    assert ({pid for _, _, pid in found.values()} == {os.getpid()}) == (workers == 1)
    assert torch.get_num_threads() == 2


def test_nothing_to_do_prepares_nothing():
    run_tasks(None, [], 2, None)


@pytest.mark.parametrize("workers", [1, 2])
def test_a_tasks_error_surfaces(workers):
    with pytest.raises(InputError, match="no such thing") as caught:
        results(partial(prepare_failure, "input"), range(4), workers)
    assert workers == 1 or "in fail" in str(caught.value.__cause__)


def test_a_workers_death_surfaces():
    with pytest.raises(RuntimeError, match="A worker process died"):
        results(partial(prepare_failure, "die"), range(4), 2)


class Deadly:
    """Ends the worker that reads it."""

    def __reduce__(self):
        return os._exit, (8,)


def deadly_prepare():
    os._exit(9)


@pytest.mark.parametrize("prepare", [Deadly(), deadly_prepare, partial(prepare_failure, "die")])
def test_a_death_surfaces_though_tasks_fill_the_pipe(prepare):
    with pytest.raises(RuntimeError, match="A worker process died"):
        results(prepare, [LargeTask(n) for n in range(6)], 2)


def test_an_error_surfaces_though_tasks_fill_the_pipe():
    with pytest.raises(InputError, match="no such thing"):
        results(partial(prepare_failure, "input"), [LargeTask(n) for n in range(6)], 2)


SCRIPT = """
import os, signal, sys, time
from pathlib import Path
from pag.machine.processes import run_tasks

def work(task):
    Path(sys.argv[1], f"worker-{os.getpid()}").touch()
    time.sleep(600)

def prepare():
    return work

if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell has tests in the background ignore it
    try:
        run_tasks(prepare, range(4), 2, lambda index, result: None)
    except KeyboardInterrupt:
        sys.exit(130)
"""


def alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def wait_until(condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.05)
    assert condition()


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks for processes in /proc")
@pytest.mark.parametrize(
    ("number", "to_group"), [(signal.SIGINT, True), (signal.SIGTERM, False), (signal.SIGKILL, False)]
)
def test_an_interrupt_leaves_no_orphans(tmp_path, number, to_group):
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    parent = subprocess.Popen(
        [sys.executable, script, tmp_path], start_new_session=True, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},  # not an installed checkout beside this one
    )  # fmt: skip
    try:
        wait_until(lambda: len(list(tmp_path.glob("worker-*"))) == 2)
        workers = [int(path.name.removeprefix("worker-")) for path in tmp_path.glob("worker-*")]
        (os.killpg if to_group else os.kill)(parent.pid, number)
        _, errors = parent.communicate(timeout=20)
        wait_until(lambda: not any(alive(pid) for pid in workers), seconds=20)
    finally:
        if parent.poll() is None:
            parent.kill()
    assert parent.returncode == (130 if number == signal.SIGINT else -number)
    assert number == signal.SIGKILL or "Traceback" not in errors


def tell_and_wait(heard, task):
    reached(0.25 * (task + 1), f"task {task} ≈ half")
    while not (heard / str(task)).exists():
        time.sleep(0.01)
    return task


def prepare_telling(heard):
    return partial(tell_and_wait, heard)


@pytest.mark.parametrize("workers", [1, 2])
def test_how_far_tasks_are_is_heard_while_they_are_under_way(workers, tmp_path):
    told = {}

    def moved(index, fraction, note):
        told[index] = (fraction, note)
        (tmp_path / str(index)).touch()  # without which the task does not end

    run_tasks(partial(prepare_telling, tmp_path), range(3), workers, lambda index, result: None, moved)
    assert told == {task: (0.25 * (task + 1), f"task {task} ≈ half") for task in range(3)}


def test_where_nobody_listens_nothing_is_said():
    reached(0.5, "half")
