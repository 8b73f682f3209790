"""Outputs appear whole or not at all: written beside their place, then renamed."""

import json
import math
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pag.base.errors import InputError

__all__ = ["json_text", "read_json", "replace", "write_json", "written_whole"]


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


def json_text(value: Any, **options: Any) -> str:  # noqa: ANN401
    """`value` as JSON, which has no NaN and no infinity: the one place where it is written; options are those of `json.dumps`.

    Raises:
        FloatingPointError: a number is not finite; the sentence has its key.
    """
    for key, number in _numbers(value):
        if not math.isfinite(number):
            raise FloatingPointError(f"{key or 'The value'} is {number}, which cannot be kept as a result.")
    return json.dumps(value, allow_nan=False, **options)


def _numbers(value: Any, key: str = "") -> Iterator[tuple[str, float]]:  # noqa: ANN401
    """The floating-point numbers in a value, with their dotted keys."""
    if isinstance(value, float):
        yield key, value
        return
    inner: Iterable[tuple[Any, Any]] = ()
    if isinstance(value, Mapping):
        inner = value.items()
    elif isinstance(value, list | tuple):
        inner = enumerate(value)
    for name, of in inner:
        yield from _numbers(of, f"{key}.{name}" if key else str(name))


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """Writes `value` as indented JSON, whole.

    Raises:
        FloatingPointError: a number is not finite; the file stays as it was.
    """
    try:
        text = json_text(value, indent=2, ensure_ascii=False)
    except FloatingPointError as error:
        raise FloatingPointError(f"{path}: {error}") from None
    with written_whole(path) as partial:
        partial.write_text(text + "\n", encoding="utf-8")


def read_json(path: Path) -> dict[str, Any]:
    """Reads a JSON object.

    Raises:
        InputError: the file is missing or is not a JSON object, or holds a number that is not finite.
    """
    try:
        value = json.loads(path.read_text(encoding="utf-8"), parse_constant=_refused)
    except FileNotFoundError:
        raise InputError(f"{path} does not exist; run the stage that makes it.") from None
    except ValueError as error:
        raise InputError(f"{path} is not valid JSON ({error}).") from None
    if not isinstance(value, dict):
        raise InputError(f"{path} holds no JSON object.")
    return value


def _refused(constant: str) -> None:
    raise ValueError(f"{constant} is no number")
