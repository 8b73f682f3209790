"""Faults of the file system: a run is ended at its n-th change as a kill would end it, or two folders are two disks."""

import errno
import os
import sys
from contextlib import contextmanager, suppress
from pathlib import Path

__all__ = ["changes", "killed_at", "two_disks"]

CHANGES = ("os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.link", "os.symlink", "os.truncate")
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


class Killed(BaseException):
    """What is raised at a change, and at all that follow: after a kill nothing is tidied up."""


class _Watch:
    def __init__(self, kill_at=None, torn=False):
        self.root, self.kill_at, self.torn, self.busy = Path.cwd(), kill_at, torn, False
        self.paths = []

    def hear(self, event, arguments):
        if self.busy or not self._changes(event, arguments):
            return
        self.paths.append(arguments[1] if event in ("os.rename", "os.link") else arguments[0])
        if self.kill_at is None or len(self.paths) <= self.kill_at:
            return
        if self.torn and event == "open" and len(self.paths) == self.kill_at + 1:
            self.busy = True
            Path(arguments[0]).write_bytes(b"torn")
            self.busy = False
        raise Killed

    def _changes(self, event, arguments):
        path = arguments[0] if arguments else None
        if not isinstance(path, str | os.PathLike) or (
            Path(path).is_absolute() and self.root not in Path(path).parents
        ):
            return False
        return event in CHANGES or (event == "open" and bool(arguments[2] & WRITING))


_watch = None  # an audit hook stays for the life of the process


def _hook(event, arguments):
    if _watch is not None:
        _watch.hear(event, arguments)


sys.addaudithook(_hook)


@contextmanager
def _watching(watch):
    global _watch
    _watch = watch
    try:
        yield
    finally:
        _watch = None


def changes(work):
    """What `work` makes, removes or writes to under the working directory, in order; in a folder that goes by name alone."""
    watch = _Watch()
    with _watching(watch):
        work()
    return watch.paths


def killed_at(work, number, torn=False):
    """Runs `work` until after its first `number` changes; `torn`: a file that it would open next is left half written."""
    with _watching(_Watch(number, torn)), suppress(Killed):
        work()


def two_disks(monkeypatch, folder):
    """Nothing can be renamed or linked into `folder` or out of it, as if it were another file system."""
    folder = Path(folder).resolve()

    def refusing(operation):
        def refused(source, destination, **options):
            inside = [Path(path).parent.resolve().is_relative_to(folder) for path in (source, destination)]
            if inside[0] != inside[1]:
                raise OSError(errno.EXDEV, os.strerror(errno.EXDEV), str(source), None, str(destination))
            return operation(source, destination, **options)

        return refused

    for name in ("rename", "replace", "link"):
        monkeypatch.setattr(os, name, refusing(getattr(os, name)))
