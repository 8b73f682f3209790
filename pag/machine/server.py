"""The server that workers are forked from, which imports what they need while this process imports its own.

A fork takes milliseconds where a process that begins anew takes seconds to import torch. The server does nothing but import: it
starts no thread of torch and initialises no GPU, which a fork would not survive. Windows has no forks, and macOS's libraries do
not survive them: there each worker begins anew.
"""

import signal
import sys
from collections.abc import Sequence
from multiprocessing import forkserver, get_context, resource_tracker, set_forkserver_preload
from multiprocessing.context import BaseContext

__all__ = ["start_server", "worker_context"]

FORKS = sys.platform == "linux"


def start_server(modules: Sequence[str]) -> None:
    """Starts the server and returns at once; where one runs already, or none can, nothing happens.

    Workers have the environment of this moment. Ctrl-C is not the server's to answer, even while it imports.

    Args:
        modules: that it imports; their import must have no effect but to define. One that cannot be found is the workers' affair.
    """
    if not FORKS:
        return
    set_forkserver_preload(list(modules))
    resource_tracker.ensure_running()  # as the server would: its start unblocks the signal
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        forkserver.ensure_running()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)


def worker_context() -> BaseContext:
    """How worker processes are made here, with the server running where there is one."""
    start_server([__name__])
    return get_context("forkserver" if FORKS else "spawn")
