"""Outputs appear whole or not at all: written beside their place, then renamed, and what was there goes last.

Every step can be the last one before the process is killed: what the next run finds is the old output or the new one, at worst the
old one set aside, and it goes on from there.
"""

import errno
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from pag.base.errors import InputError

__all__ = [
    "discard",
    "in_home",
    "naming",
    "put_copy",
    "recover",
    "replace",
    "written_whole",
]


def in_home(path: Path) -> Path:
    """A path whose `~`, or `~name`, is the home folder.

    Raises:
        InputError: the machine does not know the name.
    """
    try:
        return path.expanduser()
    except RuntimeError:
        raise InputError(f"{path} is in the home of somebody whom this machine does not know.") from None


def _beside(path: Path, what: str) -> Path:
    """A name on the same file system, which DVC does not look at (`.dvcignore`)."""
    return path.with_name(f".{path.name}.{what}.partial" if what else f".{path.name}.partial")


def _is_there(path: Path) -> bool:
    return path.is_symlink() or path.exists()


def _is_folder(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink()


def _remove(path: Path) -> None:
    if _is_folder(path):
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def discard(path: Path) -> None:
    """Deletes a file or folder at once: there is none that is half deleted, whenever the process ends."""
    going = _beside(path, "going")
    _remove(going)  # of a process that was killed
    if _is_there(path):
        path.rename(going)
        _remove(going)


def recover(destination: Path) -> None:
    """Puts back what a process that was killed had set aside before its own output was in place."""
    former = _beside(destination, "former")
    if not _is_there(former):
        return
    if _is_there(destination):
        _remove(former)
    else:
        former.rename(destination)


def replace(source: Path, destination: Path) -> None:
    """Moves the finished file or folder `source` onto `destination`, in the place of what was there, from any file system."""
    destination.parent.mkdir(parents=True, exist_ok=True)
    recover(destination)
    try:
        _put(source, destination)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        put_copy(source, destination)
        discard(source)


def _put(source: Path, destination: Path) -> None:
    """Renames; a folder, which cannot be replaced, is set aside and goes once the new one is in its place."""
    if not _is_there(destination) or not (_is_folder(source) or _is_folder(destination)):
        source.replace(destination)
        return
    former = _beside(destination, "former")
    destination.rename(former)
    try:
        source.replace(destination)
    except OSError:
        former.rename(destination)
        raise
    _remove(former)


def put_copy(source: Path, destination: Path) -> None:
    """Puts a copy of the finished file or folder `source` in the place of `destination`; `source` stays.

    Its files are hard links where the file system has them: neither may be written to again.
    """
    with written_whole(destination) as partial:
        if source.is_dir():
            shutil.copytree(source, partial, copy_function=_link)
        else:
            _link(source, partial)


def _link(source: str | Path, destination: str | Path) -> None:
    try:
        os.link(source, destination)
    except OSError:  # another file system, or one without links
        shutil.copyfile(source, destination)


_IN_RUST = re.compile(r"\(os error (\d+)\)")


@contextmanager
def naming(path: Path, written_at: Path | None = None) -> Iterator[None]:
    """Where the system refuses to write (the disk is full, say), the OSError names what was to be written at `path`.

    What is written at another place meanwhile, `written_at`, is told as if it were there already.
    """
    try:
        yield
    except OSError as error:
        name = str(path if error.filename is None else error.filename)
        error.filename = name if written_at is None else name.replace(str(written_at), str(path))
        raise
    except Exception as error:
        code = _refusal(error)
        if code is None:
            raise
        raise OSError(code, os.strerror(code), str(path)) from error


def _refusal(error: Exception) -> int | None:
    """The number of the system's error that another one stands for: safetensors', or torch's while it closes its file."""
    if in_rust := _IN_RUST.search(str(error)):
        return int(in_rust[1])
    if isinstance(error, RuntimeError) and isinstance(error.__context__, OSError):
        return error.__context__.errno
    return None


@contextmanager
def written_whole(destination: Path) -> Iterator[Path]:
    """Yields a path beside `destination` for a file or folder, which takes its place when the block ends without error.

    On an exception (Ctrl-C too) what was written is deleted and `destination` stays as it was.
    """
    destination.parent.mkdir(parents=True, exist_ok=True)
    partial = _beside(destination, "")
    _remove(partial)
    try:
        with naming(destination, partial):
            yield partial
        replace(partial, destination)
    except BaseException:
        with suppress(OSError):  # the error that is told is the first
            _remove(partial)
        raise
