"""Independent tasks over processes, so that the results depend on neither their number nor their order.

Every task runs with one torch thread, in this process or in spawned ones: sums are taken in the same order everywhere.
"""

import os
import pickle
import signal
import threading
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from multiprocessing import get_context, parent_process, resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from typing import Any, TypeVar, cast

import torch

__all__ = ["run_tasks"]

T = TypeVar("T")
R = TypeVar("R")


def run_tasks(
    prepare: Callable[[], Callable[[T], R]],
    tasks: Sequence[T],
    workers: int,
    finished: Callable[[int, R], None],
) -> None:
    """Runs every task once, in the given order of starting.

    On an error or Ctrl-C the worker processes are ended at once; they end by themselves when this process is killed.

    Args:
        prepare: called once in each process that works; gives the function from a task to its result. Picklable, as
            tasks and results are, when there is more than one process.
        tasks: what to do.
        workers: number of processes; with one (or with one task) the work is done in this process.
        finished: called here with a task's index and its result, as soon as it is done.

    Raises:
        Exception: the first error of a task, with the worker's traceback as a note.
        RuntimeError: a worker died (for want of memory, say).
    """
    if not tasks:
        return
    if min(workers, len(tasks)) == 1:
        _run_here(prepare, tasks, finished)
        return
    started: dict[Connection, SpawnProcess] = {}
    try:
        with _interrupts_blocked():
            for _ in range(min(workers, len(tasks))):
                connection, process = _start(prepare)
                started[connection] = process
        _hand_out(started, tasks, finished)
    finally:
        for process in started.values():
            process.terminate()
        for connection, process in started.items():
            process.join()
            connection.close()


@contextmanager
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _run_here(prepare: Callable[[], Callable[[T], R]], tasks: Sequence[T], finished: Callable[[int, R], None]) -> None:
    with _one_thread():
        work = prepare()
        for index, task in enumerate(tasks):
            finished(index, work(task))


@contextmanager
def _interrupts_blocked() -> Iterator[None]:
    """Holds Ctrl-C back for a moment; processes started meanwhile never see it, the parent alone answers it."""
    resource_tracker.ensure_running()  # its own start would lift the block (Python 3.11)
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _start(prepare: Callable[[], Callable[[Any], Any]]) -> tuple[Connection, SpawnProcess]:
    spawn = get_context("spawn")
    ours, theirs = spawn.Pipe()
    process = spawn.Process(target=_work, args=(theirs, prepare), daemon=True)
    process.start()
    theirs.close()
    return ours, process


def _hand_out(started: dict[Connection, SpawnProcess], tasks: Sequence[T], finished: Callable[[int, R], None]) -> None:
    """Gives each worker its next task when it has done one."""
    waiting = iter(enumerate(tasks))
    busy: dict[Connection, int] = {}
    for connection, (index, task) in zip(started, waiting, strict=False):
        _send(connection, task)
        busy[connection] = index
    while busy:
        for ready in wait(list(busy)):
            connection = cast(Connection, ready)
            index, result = busy.pop(connection), _receive(connection, started[connection])
            following = next(waiting, None)
            if following is not None:
                busy[connection] = following[0]
                _send(connection, following[1])
            finished(index, result)


def _send(connection: Connection, task: object) -> None:
    with suppress(ConnectionError):  # a worker that is dead already: `_receive` tells
        connection.send(task)


def _receive(connection: Connection, process: SpawnProcess) -> Any:  # noqa: ANN401
    try:
        done, result = connection.recv()
    except (EOFError, ConnectionError):
        process.join()
        raise RuntimeError(f"A worker process died with exit code {process.exitcode}.") from None
    if not done:
        raise result
    return result


def _work(connection: Connection, prepare: Callable[[], Callable[[Any], Any]]) -> None:
    """The life of a worker: one answer `(whether it went well, result or error)` for each task."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    torch.set_num_threads(1)
    work: Callable[[Any], Any] | None = None
    with suppress(EOFError, ConnectionError):  # the parent is gone
        while True:
            task = connection.recv()
            try:
                work = work or prepare()
                answer = (True, work(task))
            except Exception as error:
                answer = (False, _portable(error))
            connection.send(answer)


def _end_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _portable(error: Exception) -> Exception:
    """The error itself where it can be pickled, with its traceback as a note."""
    note = "In a worker process:\n" + "".join(traceback.format_exception(error))
    try:
        portable: Exception = pickle.loads(pickle.dumps(error))
    except Exception:
        portable = RuntimeError(f"{type(error).__name__}: {error}")
    portable.add_note(note)
    return portable
