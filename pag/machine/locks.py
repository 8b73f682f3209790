"""One process at a time writes an output: a lock file beside it, which the kernel unlocks when the process ends, however it ends.

A second process does not wait: it would look hung for as long as the first takes, and then do the same work again.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

import psutil

from pag.base.errors import InputError

__all__ = ["holder", "locked"]

UNKNOWN = 0


@contextmanager
def locked(output: Path) -> Iterator[None]:
    """Holds the lock of a file or folder that is to be written.

    Raises:
        InputError: another process holds it; the sentence says which.
    """
    path = _lock_file(output)
    file = _held(path, output)
    try:
        yield
    finally:
        try:
            path.unlink(missing_ok=True)
        finally:
            file.close()


def holder(output: Path) -> int | None:
    """The number of the process that makes a file or folder, 0 where it has not written it yet; None: nobody does.

    Args:
        output: which need not be there; nothing is made or locked.
    """
    try:
        with _lock_file(output).open(encoding="utf-8") as file:
            number = file.read()
            if number.isdigit() and not psutil.pid_exists(int(number)):
                return None  # killed; no lock is taken even for a moment, in which another process would be refused
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return int(number) if number.isdigit() else UNKNOWN
    except OSError:
        pass
    return None


def _lock_file(output: Path) -> Path:
    """Which DVC does not look at (`.dvcignore`)."""
    return output.with_name(f".{output.name}.lock.partial")


def _held(path: Path, output: Path) -> TextIO:
    """The lock file, open and locked, with this process's number in it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    while True:
        file = path.open("a+", encoding="utf-8")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _is(path, file):
                file.truncate(0)
                file.write(str(os.getpid()))
                file.flush()
                return file
        except BlockingIOError:
            file.seek(0)
            holder = file.read()
            file.close()
            process = f"process {holder}" if holder.isdigit() else "another process"
            raise InputError(f"{output} is being made by {process}: let that end first.") from None
        except BaseException:
            file.close()
            raise
        file.close()  # the one who held it has just taken the file away


def _is(path: Path, file: TextIO) -> bool:
    try:
        return path.stat().st_ino == os.fstat(file.fileno()).st_ino
    except FileNotFoundError:
        return False
