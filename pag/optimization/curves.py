"""Training curves as CSV: a row a report, a column a measure, full precision."""

import csv
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from pag.base.errors import InputError
from pag.base.files import written_whole

__all__ = ["read_curves", "write_curves"]


def write_curves(path: Path, columns: Sequence[str], rows: Sequence[Mapping[str, float]]) -> None:
    """Writes the named columns of `rows`; what a row lacks stays empty."""
    with written_whole(path) as partial, partial.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, fieldnames=list(columns), extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def read_curves(path: Path) -> dict[str, list[float | None]]:
    """The columns of a file that `write_curves` wrote, None where a field is empty.

    Raises:
        InputError: it is missing or holds something else than finite numbers.
    """
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        return {name: [_number(row[name]) for row in rows] for name in (rows[0] if rows else ())}
    except FileNotFoundError:
        raise InputError(f"{path} does not exist; run the stage that makes it.") from None
    except (ValueError, TypeError, KeyError, csv.Error):
        raise InputError(f"{path} holds something else than columns of numbers.") from None


def _number(text: str) -> float | None:
    value = float(text) if text else None
    if value is not None and not math.isfinite(value):
        raise ValueError(text)
    return value
