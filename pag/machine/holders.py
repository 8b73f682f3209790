"""Who is writing an output just now: the process that holds its lock (`pag.machine.locks`), asked without taking the lock."""

import fcntl
from pathlib import Path

__all__ = ["holder"]

UNKNOWN = 0


def holder(output: Path) -> int | None:
    """The number of the process that is making a file or folder, 0 where it has not written it yet; None: nobody is.

    Args:
        output: the file or folder, which need not be there.
    """
    try:
        with output.with_name(f".{output.name}.lock.partial").open(encoding="utf-8") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                number = file.read()
                return int(number) if number.isdigit() else UNKNOWN
    except OSError:
        pass
    return None
