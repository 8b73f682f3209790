"""Independent tasks over processes, so that the results depend on neither their number nor their order.

Every task runs with one torch thread, in this process or in others: sums are taken in the same order everywhere.
"""

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from ctypes import Structure, c_char, c_double
from functools import cache, partial
from multiprocessing import active_children, parent_process
from typing import Any, TypeVar

import torch

from pag.machine.server import worker_context

__all__ = ["DeadWorkerError", "reached", "run_tasks"]

T = TypeVar("T")
R = TypeVar("R")
NOTE = 96  # bytes of a note
SECONDS_BETWEEN_LOOKS = 0.5  # at how far workers are


class _Standing(Structure):
    """How far a task is: its worker writes it and the parent reads it, unlocked; what is read half-written is shown and no more."""

    _fields_ = [("fraction", c_double), ("note", c_char * NOTE)]


_hear: Callable[[float, str], None] | None = None  # set while a task is under way whose progress is asked for


def reached(fraction: float, note: str) -> None:
    """Says how far the task is that is under way in this process; where nobody asks, nothing happens.

    Args:
        fraction: of the task, in [0, 1].
        note: a short text.
    """
    if _hear is not None:
        _hear(fraction, note)


class DeadWorkerError(RuntimeError):
    """A process that worked has ended by itself, most likely for want of memory."""


def run_tasks(
    prepare: Callable[[], Callable[[T], R]],
    tasks: Sequence[T],
    workers: int,
    finished: Callable[[int, R], None],
    moved: Callable[[int, float, str], None] | None = None,
) -> None:
    """Runs every task once, in the given order of starting.

    On an error or Ctrl-C the worker processes are ended at once; they end by themselves when this process is killed.

    Args:
        prepare: called once in each process that works; gives the function from a task to its result. Picklable, as tasks and
            results are, when there is more than one process.
        tasks: what to do.
        workers: number of processes; with one (or with one task) the work is done in this process.
        finished: called here with a task's index and its result, as soon as it is done.
        moved: called here now and then with the index of a task under way, and what it said by `reached`.

    Raises:
        Exception: the first error of a task, with the worker's traceback as its cause.
        DeadWorkerError: a worker died (for want of memory, say).
    """
    workers = min(workers, len(tasks))
    if workers <= 1:
        _run_here(prepare, tasks, finished, moved)
        return
    before, context = set(active_children()), worker_context()
    standing = context.RawArray(_Standing, len(tasks)) if moved else None
    executor = ProcessPoolExecutor(workers, context, initializer=_begin, initargs=(prepare, standing))
    try:
        with _unblocked(executor):
            futures = {executor.submit(_run_there, index, task): index for index, task in enumerate(tasks)}
            left = set(futures)
            while left:
                done, left = wait(left, SECONDS_BETWEEN_LOOKS if moved else None, FIRST_COMPLETED)
                for future in done:
                    finished(futures[future], future.result())
                if moved:
                    _look(standing, sorted(futures[future] for future in left), moved)
    except BrokenProcessPool:
        raise DeadWorkerError("A worker process died; is there enough memory?") from None
    except BaseException:
        for process in set(active_children()) - before:
            process.terminate()
        raise
    finally:
        executor.shutdown(cancel_futures=True)


@contextmanager
def _unblocked(executor: ProcessPoolExecutor) -> Iterator[None]:
    """Lets an executor end after an error though it was sending a task that no worker will read.

    It would wait for the pipe to be emptied while it holds the reading end itself. CPython 3.11.5 closes that end (gh-94777); so do
    we in those before, whose internals no longer change.
    """
    if sys.version_info >= (3, 11, 5):
        yield
        return
    queue = executor._call_queue  # type: ignore[attr-defined]
    queue._ignore_epipe = True  # the thread that sends then ends in silence
    try:
        yield
    except BaseException:
        queue._reader.close()
        raise


def _look(standing: Any, indices: Sequence[int], moved: Callable[[int, float, str], None]) -> None:  # noqa: ANN401
    """Passes on how far the tasks are that have begun."""
    for index in indices:
        fraction, note = standing[index].fraction, standing[index].note.decode("utf-8", errors="ignore")
        if fraction > 0:
            moved(index, fraction, note)


def _run_here(
    prepare: Callable[[], Callable[[T], R]],
    tasks: Sequence[T],
    finished: Callable[[int, R], None],
    moved: Callable[[int, float, str], None] | None,
) -> None:
    if not tasks:
        return
    with _one_thread():
        work = prepare()
        for index, task in enumerate(tasks):
            with _heard(partial(moved, index) if moved else None):
                result = work(task)
            finished(index, result)


@contextmanager
def _heard(hear: Callable[[float, str], None] | None) -> Iterator[None]:
    global _hear
    before, _hear = _hear, hear
    try:
        yield
    finally:
        _hear = before


@contextmanager
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


_prepare: Callable[[], Callable[[Any], Any]] | None = None  # set once in each worker
_standing: Any = None  # likewise


def _begin(prepare: Callable[[], Callable[[Any], Any]], standing: Any) -> None:  # noqa: ANN401
    """A worker's beginning: Ctrl-C is the parent's to answer, and without the parent there is nothing to do."""
    global _prepare, _standing
    _prepare, _standing = prepare, standing
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    torch.set_num_threads(1)
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


@cache
def _work() -> Callable[[Any], Any]:
    assert _prepare is not None
    return _prepare()


def _run_there(index: int, task: Any) -> Any:  # noqa: ANN401
    with _heard(None if _standing is None else partial(_write, index)):
        return _work()(task)


def _write(index: int, fraction: float, note: str) -> None:
    _standing[index].note = note.encode()[: NOTE - 1]
    _standing[index].fraction = fraction
