"""Progress of long work: a bar with rate and time left on a terminal, a line every so often in a log."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text

from pag.machine.ranks import first

__all__ = ["Meter", "progress"]

SECONDS_BETWEEN_LINES = 10.0
SECONDS_BETWEEN_NOTES = 0.2  # on a terminal


class _Rate(ProgressColumn):
    def render(self, task: Task) -> Text:
        return Text(f"{task.speed or 0:.1f}/s")


class Meter:
    """Counts finished units and shows them, with a short text beside the count (a loss, say)."""

    def __init__(self, description: str, total: int, done: int, bar: Progress | None) -> None:
        self.description, self.total, self.done = description, total, done
        self._bar = bar
        self._started = self._last_told = time.monotonic()
        self._done_before = done
        if bar is not None:
            self._task = bar.add_task(description, total=total, completed=done, note="")

    def advance(self, units: int = 1, note: Callable[[], str] = str, begun: float = 0.0) -> None:
        """Reports `units` more units as finished.

        Args:
            units: none where only what is under way has moved.
            note: gives the text, and is called only where it is shown.
            begun: what is under way now beside all that is finished, in units.
        """
        self.done += units
        reached = self.done + begun
        if not first():
            return
        now, pause = time.monotonic(), SECONDS_BETWEEN_LINES if self._bar is None else SECONDS_BETWEEN_NOTES
        due = now - self._last_told >= pause or self.done == self.total
        if due:
            self._last_told = now
        if self._bar is not None:
            self._bar.update(self._task, completed=reached)
            if due:
                self._bar.update(self._task, note=note())
        elif due:
            rate = (reached - self._done_before) / max(now - self._started, 1e-9)
            left = (self.total - reached) / max(rate, 1e-9)
            line = f"{self.description}: {int(reached)}/{self.total}, {rate:.1f}/s, {left:.0f} s left {note()}"
            print(line.rstrip(), file=sys.stderr, flush=True)


@contextmanager
def progress(description: str, total: int, done: int = 0) -> Iterator[Meter]:
    """Shows the progress of `total` units of work, of which `done` were finished by an earlier, interrupted run.

    Under several ranks the first shows its own; the others are as far.
    """
    console = Console(stderr=True)
    if not console.is_terminal or not first():
        yield Meter(description, total, done, None)
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        _Rate(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
    )
    with Progress(*columns, console=console) as bar:
        yield Meter(description, total, done, bar)
