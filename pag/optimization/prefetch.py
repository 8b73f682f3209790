"""Work that is a function of a step's number alone, done in a thread of its own while the step before is still trained on.

What a step gets does not depend on whether it was made ahead: no more than the next step's is, and none beyond the last.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

__all__ = ["prefetched"]

T = TypeVar("T")


@contextmanager
def prefetched(make: Callable[[int], T], steps: int) -> Iterator[Callable[[int], T]]:
    """Yields a function that gives `make(step)` and begins with `make(step + 1)`, where that is one of the run's steps.

    An exception of `make` is raised at the step that it belongs to. When the block ends, by an error or Ctrl-C too, what is being
    made is finished and nothing more is begun.

    Args:
        make: what a step needs, from the step's number; called in the thread, one call at a time.
        steps: of the run; the last one's number is `steps` − 1.
    """
    ahead: dict[int, Future[T]] = {}
    with ThreadPoolExecutor(1, "prefetch") as thread:

        def of(step: int) -> T:
            made = ahead.pop(step, None) or thread.submit(make, step)
            ahead.clear()
            value = made.result()
            if step + 1 < steps:
                ahead[step + 1] = thread.submit(make, step + 1)
            return value

        try:
            yield of
        finally:
            thread.shutdown(cancel_futures=True)
