"""Independent tasks over processes, so that the results depend on neither their number nor their order.

Every task runs with one torch thread, in this process or in others: sums are taken in the same order everywhere.
"""

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from functools import cache
from multiprocessing import active_children, parent_process
from typing import Any, TypeVar

import torch

from pag.machine.server import worker_context

__all__ = ["DeadWorkerError", "run_tasks"]

T = TypeVar("T")
R = TypeVar("R")


class DeadWorkerError(RuntimeError):
    """A process that worked has ended by itself, most likely for want of memory."""


def run_tasks(
    prepare: Callable[[], Callable[[T], R]],
    tasks: Sequence[T],
    workers: int,
    finished: Callable[[int, R], None],
) -> None:
    """Runs every task once, in the given order of starting.

    On an error or Ctrl-C the worker processes are ended at once; they end by themselves when this process is killed.

    Args:
        prepare: called once in each process that works; gives the function from a task to its result. Picklable, as tasks and
            results are, when there is more than one process.
        tasks: what to do.
        workers: number of processes; with one (or with one task) the work is done in this process.
        finished: called here with a task's index and its result, as soon as it is done.

    Raises:
        Exception: the first error of a task, with the worker's traceback as its cause.
        DeadWorkerError: a worker died (for want of memory, say).
    """
    workers = min(workers, len(tasks))
    if workers <= 1:
        _run_here(prepare, tasks, finished)
        return
    before = set(active_children())
    executor = ProcessPoolExecutor(workers, worker_context(), initializer=_begin, initargs=(prepare,))
    try:
        with _unblocked(executor):
            futures = {executor.submit(_run_there, task): index for index, task in enumerate(tasks)}
            for future in as_completed(futures):
                finished(futures[future], future.result())
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


def _run_here(prepare: Callable[[], Callable[[T], R]], tasks: Sequence[T], finished: Callable[[int, R], None]) -> None:
    if not tasks:
        return
    with _one_thread():
        work = prepare()
        for index, task in enumerate(tasks):
            finished(index, work(task))


@contextmanager
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


_prepare: Callable[[], Callable[[Any], Any]] | None = None  # set once in each worker


def _begin(prepare: Callable[[], Callable[[Any], Any]]) -> None:
    """A worker's beginning: Ctrl-C is the parent's to answer, and without the parent there is nothing to do."""
    global _prepare
    _prepare = prepare
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


def _run_there(task: Any) -> Any:  # noqa: ANN401
    return _work()(task)
