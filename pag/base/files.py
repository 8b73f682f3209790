"""Outputs appear whole or not at all: written beside their place, then renamed."""

import json
import math
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pag.base.errors import InputError

__all__ = ["in_home", "read_json", "replace", "write_json", "written_whole"]


def in_home(path: Path) -> Path:
    """A path whose `~`, or `~name`, is the home folder.

    Raises:
        InputError: the machine does not know the name.
    """
    try:
        return path.expanduser()
    except RuntimeError:
        raise InputError(f"{path} is in the home of somebody whom this machine does not know.") from None


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def replace(source: Path, destination: Path) -> None:
    """Moves the finished file or folder `source` onto `destination`, in the place of what was there."""
    destination.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        _remove(destination)
    source.replace(destination)


@contextmanager
def written_whole(destination: Path) -> Iterator[Path]:
    """Yields a path beside `destination` for a file or folder, which takes its place when the block ends without error.

    On an exception (Ctrl-C too) what was written is deleted and `destination` stays as it was.
    """
    destination.parent.mkdir(parents=True, exist_ok=True)
    partial = destination.with_name(f".{destination.name}.partial")
    _remove(partial)
    try:
        yield partial
        replace(partial, destination)
    finally:
        _remove(partial)


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """Writes `value` as indented JSON, whole."""
    with written_whole(path) as partial:
        partial.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _finite(text: str) -> float:
    """JSON has no NaN and no infinity; Python's reader takes both, and numbers that are too large for one."""
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text} is no finite number")
    return value


def read_json(path: Path) -> dict[str, Any]:
    """Reads a JSON object, whose numbers are finite.

    Raises:
        InputError: the file is missing or is not such an object.
    """
    try:
        value = json.loads(path.read_text(encoding="utf-8"), parse_constant=_finite, parse_float=_finite)
    except FileNotFoundError:
        raise InputError(f"{path} does not exist; run the stage that makes it.") from None
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} is not valid JSON ({error}).") from None
    if not isinstance(value, dict):
        raise InputError(f"{path} holds no JSON object.")
    return value
