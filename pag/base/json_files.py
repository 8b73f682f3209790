"""JSON, which has no NaN and no infinity: the one place where it is written and read."""

import json
import math
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from pag.base.errors import InputError
from pag.base.files import written_whole

__all__ = ["json_text", "read_json", "write_json"]


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
